//! `subtract` on synthetic fields: what is found, what is not, and either image convolved.

use dcr_coadd::config::{SubtractConfig, TableFormat};
use dcr_coadd::{Outcome, Unmonitored};
use dcr_difference::review::Review;
use dcr_difference::{
    Convolution, DifferenceError, SubtractRequest, SubtractSummary, TemplateRequest, matched_templates,
    subtract,
};
use dcr_image::{ExposureFile, OpenOptions};
use dcr_sim::{Field, FieldConfig, SourceSettings, VisitSettings};

use crate::field::{Bench, Warp, iterative, small_field, warp_again, warps};
use crate::sky::{Grid, Sky};
use crate::tolerance::{MATCHED_SCALE, SAME_TEMPLATE};

fn request(bench: &Bench, output: &str) -> SubtractRequest {
    SubtractRequest {
        coadds: vec![bench.path("run")],
        templates: vec![],
        exposures: vec![bench.path("exposure.fits")],
        output: bench.path(output),
        overwrite: true,
    }
}

fn run(request: &SubtractRequest, match_psf: bool) -> Result<SubtractSummary, DifferenceError> {
    let mut config = SubtractConfig::default();
    config.subtract.match_psf = match_psf;
    subtract(request, &config, &Unmonitored)
}

/// A run of these warps.
fn assembled(warps: &[Warp]) -> Bench {
    let bench = Bench::new(warps);
    bench.run(&iterative()).unwrap();
    bench
}

/// The cells of a table in text, by row and name.
pub(crate) fn rows(text: &str, separator: char) -> Vec<std::collections::HashMap<String, f64>> {
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    let names: Vec<&str> = lines.next().unwrap().split(separator).collect();
    let row = |line: &str| {
        let cells = line.split(separator).map(|cell| cell.parse().unwrap());
        names.iter().map(|name| (*name).to_owned()).zip(cells).collect()
    };
    lines.map(row).collect()
}

/// A review keeps the model of the whole patch in memory; `subtract` reads it cell by cell.
#[test]
fn review_leaves_what_subtract_leaves() {
    let config = small_field(6);
    let field = Field::draw(&config).unwrap();
    let bench = Bench::new(&warps(&config));
    let mut settings = iterative();
    settings.coadd.subregion_size = [40, 30];
    bench.run(&settings).unwrap();
    let exposure = bench.path("exposure.fits");
    warp_again(&field, &field.held_out()[0], 0).write(&exposure);
    let summary = run(&request(&bench, "out"), false).unwrap();
    let written =
        ExposureFile::open(&bench.path("out/difference_5001.fits"), &OpenOptions::default()).unwrap();
    let written = written.read(written.bbox()).unwrap();
    let review = Review::open(&bench.path("run"), SubtractConfig::default()).unwrap();
    let seen = review.exposures().unwrap().visit(std::slice::from_ref(&exposure)).unwrap().matched;
    assert_eq!(seen.counts, Some(summary.visits[0].matched));
    let compared = seen.image.iter().zip(&written.image).zip(&written.variance);
    let compared: Vec<_> = compared.filter(|((kept, _), _)| kept.is_finite()).collect();
    assert!(compared.len() > written.image.len() / 2);
    for ((kept, read), variance) in compared {
        assert!((kept - read).abs() < SAME_TEMPLATE * variance.sqrt(), "{kept} {read}");
    }
}

#[test]
fn subtract_finds_what_is_new_and_little_else() {
    let sources = SourceSettings { transients: 1, ..small_field(6).sources };
    let config = FieldConfig { sources, ..small_field(6) };
    let field = Field::draw(&config).unwrap();
    let plan = &field.held_out()[0];
    let bench = assembled(&warps(&config));
    warp_again(&field, plan, 0).write(&bench.path("exposure.fits"));
    let summary = run(&request(&bench, "out"), false).unwrap();
    let transient = plan.transients[0];
    let text = std::fs::read_to_string(bench.path("out/residuals_5001.ecsv")).unwrap();
    // It is blue: the air lifts it.
    let near = |row: &&std::collections::HashMap<String, f64>| {
        (row["x"] - transient.x).hypot(row["y"] - transient.y) < 2.5
    };
    let found = rows(&text, ' ');
    let new = found.iter().find(near).expect("the transient");
    // The air smears it too, so that not all its light follows the PSF.
    assert!((0.85..1.0).contains(&(new["flux"] / transient.flux)), "{new:?} {transient:?}");
    assert_eq!((new["sign"], new["dipole"]), (1.0, 0.0));
    let plain = summary.plain.unwrap();
    assert_eq!(summary.plain_coadd.as_deref(), Some("plain.fits"));
    assert!(summary.matched.detections <= 2 && plain.detections >= 3, "{:?} {plain:?}", summary.matched);

    // The difference is an exposure, with its residuals flagged and tabled.
    let path = bench.path("out/difference_5001.fits");
    let file = ExposureFile::open(&path, &OpenOptions::default()).unwrap();
    let pixels = file.read(file.bbox()).unwrap();
    let detected = file.mask_planes().bits_of(["DETECTED"]);
    let at = [transient.y.round() as usize, transient.x.round() as usize];
    assert!(pixels.mask[at] & detected != 0 && file.psf().is_some());
    assert_eq!((file.unit(), file.visit().visit), (Some("electron"), 5001));
    let background: Vec<f32> =
        pixels.mask.iter().zip(&pixels.image).filter(|(mask, _)| **mask == 0).map(|(_, v)| *v).collect();
    let mean = background.iter().sum::<f32>() / background.len() as f32;
    assert!(mean.abs() < 2.0, "{mean}");

    // As CSV the same.
    let mut csv = SubtractConfig::default();
    csv.subtract.table = TableFormat::Csv;
    subtract(&request(&bench, "csv"), &csv, &Unmonitored).unwrap();
    let text = std::fs::read_to_string(bench.path("csv/residuals_5001.csv")).unwrap();
    assert_eq!(rows(&text, ','), found);
}

#[test]
fn subtract_on_another_grid_and_from_templates_made_before() {
    let sky = Sky::new(150);
    let bench = assembled(&sky.warps(&Grid::own(), 6));
    let grid = Grid { rotation_deg: 40.0, size: (90, 80), ..Grid::own() };
    sky.exposure(&grid).write(&bench.path("exposure.fits"));
    let made = run(&request(&bench, "made"), false).unwrap();
    assert!(made.matched.detections <= 1, "{:?}", made.matched);
    assert!(made.plain.unwrap().detections >= 5, "{:?}", made.plain);
    let template = |exposure: &str, output: &str| {
        let request = TemplateRequest {
            coadds: vec![bench.path("run")],
            exposures: vec![bench.path(exposure)],
            output: bench.path(output),
            overwrite: true,
        };
        matched_templates(&request, &Default::default(), &Unmonitored).unwrap();
    };
    template("exposure.fits", "template.fits");
    let given = SubtractRequest { templates: vec![bench.path("template.fits")], ..request(&bench, "given") };
    let summary = run(&given, false).unwrap();
    assert_eq!((summary.matched, summary.plain), (made.matched, made.plain));
    let read = |name: &str| std::fs::read_to_string(bench.path(name)).unwrap();
    assert_eq!(read("made/residuals_5001.ecsv"), read("given/residuals_5001.ecsv"));

    // A template of the same visit on other pixels is not taken.
    sky.exposure(&Grid { rotation_deg: 41.0, ..grid }).write(&bench.path("other.fits"));
    template("other.fits", "template.fits");
    let message = run(&given, false).unwrap_err().to_string();
    assert!(
        message.contains("its pixels are not those of")
            && message.contains("make the template on these pixels"),
        "{message}"
    );
}

#[test]
fn subtract_convolves_the_sharper_image() {
    let seeing = |arcsec: f64| FieldConfig {
        sources: SourceSettings { stars: 40, ..small_field(6).sources },
        visits: VisitSettings { seeing_arcsec: [arcsec; 2], ..small_field(6).visits },
        width: 150,
        height: 140,
        ..small_field(6)
    };
    let bench = assembled(&warps(&seeing(0.9)));
    for (arcsec, convolved) in [(1.1, Convolution::Template), (0.7, Convolution::Exposure)] {
        let field = Field::draw(&seeing(arcsec)).unwrap();
        warp_again(&field, &field.held_out()[0], 0).write(&bench.path("exposure.fits"));
        let plain = run(&request(&bench, "plain"), false).unwrap();
        let matched = run(&request(&bench, "matched"), true).unwrap();
        let matching = matched.visits[0].matching.as_ref().unwrap();
        assert_eq!(matching.convolved, convolved);
        assert!((matching.scale - 1.0).abs() < MATCHED_SCALE, "{arcsec}: {matching:?}");
        let (before, after) = (plain.matched.detections, matched.matched.detections);
        assert!(after <= 2 && before > 3 * after.max(1), "{arcsec}: {before} {after}");
        // The difference has the PSF of the wider of the two.
        let (own, common) = (plain.visits[0].psf_fwhm_px, matched.visits[0].psf_fwhm_px);
        assert!((common / own - f64::max(0.9 / arcsec, 1.0)).abs() < 0.03, "{arcsec}: {common} {own}");
    }
}

#[test]
fn subtract_refuses_what_it_cannot_do() {
    let none = SourceSettings { stars: 0, galaxies: 0, ..SourceSettings::default() };
    let config = FieldConfig { sources: none, ..small_field(3) };
    let bench = Bench::new(&warps(&config));
    bench.run(&iterative()).unwrap();
    let field = Field::draw(&config).unwrap();
    let mut exposure = warp_again(&field, &field.held_out()[0], 0);
    exposure.write(&bench.path("exposure.fits"));
    let message = |request: &SubtractRequest, match_psf| {
        let message = run(request, match_psf).unwrap_err().to_string();
        assert!(!request.output.exists(), "{message}");
        message
    };
    let matched = message(&request(&bench, "out"), true);
    assert!(
        matched.contains("exposure.fits: found 0 bright sources to match PSFs on, and 3 are needed"),
        "{matched}"
    );
    let nothing = SubtractRequest { coadds: vec![], ..request(&bench, "out") };
    assert!(message(&nothing, false).contains("nothing to subtract"));
    let summary = run(&request(&bench, "out"), false).unwrap();
    assert_eq!(summary.plain_coadd.as_deref(), Some("plain.fits"));
    assert_eq!((summary.matched.detections, summary.plain.unwrap().detections), (0, 0));
    // Without plain.fits the sum of the subfilters stands in, and says so.
    std::fs::remove_file(bench.path("run/plain.fits")).unwrap();
    let summary = run(&request(&bench, "out"), false).unwrap();
    assert_eq!(summary.plain_coadd.as_deref(), Some("coadd.fits"));

    // An exposure without a PSF takes the template's; one without pixels has no residuals.
    exposure.psf = None;
    exposure.set("PSF-FWHM", "unknown");
    exposure.write(&bench.path("exposure.fits"));
    run(&request(&bench, "out"), false).unwrap();
    exposure.pixels.image.fill(f32::NAN);
    exposure.write(&bench.path("exposure.fits"));
    let summary = run(&request(&bench, "out"), false).unwrap();
    assert_eq!(summary.matched.detections, 0);
}

/// Exposures of twice the counts, as their zero points say.
#[test]
fn subtract_and_template_follow_the_zero_point() {
    let config = small_field(6);
    let field = Field::draw(&config).unwrap();
    let at_zero_point = |warp: &mut Warp, zero_point: f64| warp.set("MAGZERO", zero_point);
    let mut calibrated = warps(&config);
    calibrated.iter_mut().for_each(|warp| at_zero_point(warp, 30.0));
    for settings in [iterative(), dcr_coadd::config::AssembleConfig::default()] {
        let bench = Bench::new(&calibrated);
        bench.run(&settings).unwrap();
        let mut exposure = warp_again(&field, &field.held_out()[0], 0);
        at_zero_point(&mut exposure, 30.0);
        exposure.write(&bench.path("exposure.fits"));
        let same = run(&request(&bench, "same"), false).unwrap();
        assert_eq!(same.visits[0].scale, 1.0);

        at_zero_point(&mut exposure, 30.0 + 2.5 * 2.0_f64.log10());
        exposure.pixels.image *= 2.0;
        exposure.pixels.variance *= 4.0;
        exposure.write(&bench.path("exposure.fits"));
        let twice = run(&request(&bench, "twice"), false).unwrap();
        assert!((twice.visits[0].scale - 2.0).abs() < 1e-9);
        assert_eq!(twice.matched, same.matched);
        assert_eq!(twice.plain, same.plain);
        assert!(twice.warnings.iter().any(|warning| warning.text.contains("multiplied by 2.0000")));

        let template = TemplateRequest {
            coadds: vec![bench.path("run")],
            exposures: vec![bench.path("exposure.fits")],
            output: bench.path("template.fits"),
            overwrite: true,
        };
        matched_templates(&template, &SubtractConfig::default().template, &Unmonitored).unwrap();
        let written = ExposureFile::open(&bench.path("template.fits"), &OpenOptions::default()).unwrap();
        assert!((written.header().f64("MAGZERO").unwrap() - 30.752_575).abs() < 1e-5);
        assert!((written.header().f64("TMPLSCAL").unwrap() - 2.0).abs() < 1e-9);
        // Given again, it is at the exposure's zero point already.
        let given = SubtractRequest {
            templates: vec![bench.path("template.fits")],
            coadds: vec![],
            ..request(&bench, "given")
        };
        let given = run(&given, false).unwrap();
        assert_eq!((given.visits[0].scale, given.matched), (1.0, same.matched));
    }
}

#[test]
fn subtract_says_where_one_zero_point_is_unknown_and_refuses_units_that_nothing_converts() {
    let config = small_field(4);
    let field = Field::draw(&config).unwrap();
    let bench = assembled(&warps(&config));
    let mut exposure = warp_again(&field, &field.held_out()[0], 0);
    exposure.set("MAGZERO", 31.0);
    exposure.write(&bench.path("exposure.fits"));
    let summary = run(&request(&bench, "out"), false).unwrap();
    assert_eq!(summary.visits[0].scale, 1.0);
    assert!(
        summary.warnings.iter().any(|warning| warning.text.contains("that of its template is not known"))
    );
    exposure.unit = Some("adu".into());
    exposure.write(&bench.path("exposure.fits"));
    assert!(matches!(run(&request(&bench, "out"), false), Err(DifferenceError::OtherUnit { .. })));
    let template = TemplateRequest {
        coadds: vec![bench.path("run")],
        exposures: vec![bench.path("exposure.fits")],
        output: bench.path("template.fits"),
        overwrite: true,
    };
    let refused = matched_templates(&template, &SubtractConfig::default().template, &Unmonitored);
    assert!(matches!(refused, Err(DifferenceError::OtherUnit { .. })));
}

/// The sky slopes by 2.4 σ of a pixel; a star of S/N 14 is new.
#[test]
fn subtract_finds_what_is_new_on_a_sloping_sky() {
    let config = small_field(6);
    let field = Field::draw(&config).unwrap();
    let bench = assembled(&warps(&config));
    let mut exposure = warp_again(&field, &field.held_out()[0], 0);
    let psf = exposure.psf.clone().unwrap();
    let sigma = exposure.pixels.variance[[12, 15]].sqrt();
    let half = psf.nrows() / 2;
    let energy = psf.iter().map(|weight| weight * weight).sum::<f32>().sqrt();
    for ((y, x), weight) in psf.indexed_iter() {
        let (row, col) = (y + 70, x + 60);
        if row >= half && col >= half && row - half < 96 && col - half < 112 {
            exposure.pixels.image[[row - half, col - half]] += 14.0 * sigma / energy * weight;
        }
    }
    exposure.write(&bench.path("exposure.fits"));
    let flat = run(&request(&bench, "flat"), false).unwrap();
    assert_eq!(flat.visits[0].background_slope, None);
    for ((row, _), value) in exposure.pixels.image.indexed_iter_mut() {
        *value += 2.4 * sigma * (row as f32 / 96.0 - 0.5);
    }
    exposure.write(&bench.path("exposure.fits"));
    let sloping = run(&request(&bench, "sloping"), false).unwrap();
    assert_eq!(sloping.matched.positive, flat.matched.positive);
    let slope = sloping.visits[0].background_slope.unwrap();
    assert!((2.0..2.6).contains(&slope), "{slope}");
    assert!(sloping.visits[0].noise_factor < 1.1 * flat.visits[0].noise_factor);
    assert!(sloping.warnings.iter().any(|warning| warning.text.contains("slopes by 2.")));
    // Left in, it is noise, and that is said.
    let mut config = SubtractConfig::default();
    config.subtract.background = dcr_coadd::config::Background::Constant;
    let left_in = subtract(&request(&bench, "constant"), &config, &Unmonitored).unwrap();
    assert!(left_in.visits[0].noise_factor > 2.0);
    assert!(left_in.warnings.iter().any(|warning| warning.text.contains("times the stated noise")));
}

#[test]
fn subtract_and_template_leave_out_an_exposure_that_cannot_be_used() {
    let config = small_field(4);
    let field = Field::draw(&config).unwrap();
    let bench = assembled(&warps(&config));
    warp_again(&field, &field.held_out()[0], 0).write(&bench.path("exposure.fits"));
    std::fs::write(bench.path("broken.fits"), "no image").unwrap();
    let exposures = vec![bench.path("broken.fits"), bench.path("exposure.fits")];
    let both = SubtractRequest { exposures: exposures.clone(), ..request(&bench, "out") };
    let summary = run(&both, false).unwrap();
    assert_eq!((summary.visits.len(), summary.dropped.len()), (1, 1));
    assert_eq!(summary.outcome, Outcome::DoneWithRemarks);
    assert!(summary.dropped[0].subject.ends_with("broken.fits"), "{:?}", summary.dropped);
    let broken = SubtractRequest { exposures: vec![bench.path("broken.fits"); 2], ..request(&bench, "none") };
    assert!(run(&broken, false).is_err() && !bench.path("none").exists());
    // What the operating system refuses may be there the next time.
    let gone = vec![bench.path("gone.fits"), bench.path("exposure.fits")];
    let gone = SubtractRequest { exposures: gone, ..request(&bench, "none") };
    assert!(run(&gone, false).is_err() && !bench.path("none").exists());
    let template = TemplateRequest {
        coadds: vec![bench.path("run")],
        exposures,
        output: bench.path("templates"),
        overwrite: true,
    };
    let made = matched_templates(&template, &SubtractConfig::default().template, &Unmonitored).unwrap();
    assert_eq!((made.templates.len(), made.dropped.len()), (1, 1));
    assert_eq!(made.outcome, Outcome::DoneWithRemarks);
}

/// A third of each visit is hit by cosmic rays, flagged; the others have data there.
#[test]
fn subtract_and_report_search_what_single_visits_lost() {
    let config = small_field(6);
    let field = Field::draw(&config).unwrap();
    let mut warps = warps(&config);
    for (i, warp) in warps.iter_mut().enumerate() {
        let cr = warp.planes.bits_of(["CR"]);
        let hit = |row: usize, col: usize| (row / 3 + col / 3 + i).is_multiple_of(6);
        warp.pixels
            .mask
            .indexed_iter_mut()
            .filter(|((row, col), _)| hit(*row, *col))
            .for_each(|(_, m)| *m |= cr);
    }
    for settings in [iterative(), dcr_coadd::config::AssembleConfig::default()] {
        let bench = Bench::new(&warps);
        bench.run(&settings).unwrap();
        let exposure = warp_again(&field, &field.held_out()[0], 0);
        exposure.write(&bench.path("exposure.fits"));
        let coadd = ExposureFile::open(&bench.path("run/coadd.fits"), &OpenOptions::default()).unwrap();
        let mask = coadd.read_mask(coadd.bbox()).unwrap();
        let cr = coadd.mask_planes().bits_of(["CR"]);
        assert!(
            mask.iter().filter(|bits| **bits & cr != 0).count() > mask.len() / 2,
            "the union over visits"
        );
        let summary = run(&request(&bench, "out"), false).unwrap();
        // What is left out are edges, to which light comes from beyond the patch.
        assert!(summary.visits[0].searched > 0.85, "{}", summary.visits[0].searched);
        let review = Review::open(&bench.path("run"), SubtractConfig::default()).unwrap();
        let seen = review.exposures().unwrap().visit(&[bench.path("exposure.fits")]).unwrap().matched;
        assert!(seen.searched > 0.85, "{}", seen.searched);
        let file =
            ExposureFile::open(&bench.path("out/difference_5001.fits"), &OpenOptions::default()).unwrap();
        assert!((file.header().f64("SEARCHED").unwrap() - summary.visits[0].searched).abs() < 1e-9);
    }
}
