//! The PSF that coadds get: from the visits, place by place, or measured from stars; against what
//! the fields were drawn with.

use dcr_coadd::config::{AssembleConfig, Method};
use dcr_coadd::{PsfOrigin, Unmonitored, psf_at};
use dcr_difference::{TemplateRequest, matched_templates};
use dcr_image::header::Header;
use dcr_image::psf::Moments;
use dcr_image::{BBox, Exposure, ExposureFile, OpenOptions, Psf, Stamp};
use dcr_physics::Throughput;
use dcr_sim::{FieldConfig, PsfShape, SourceSettings, VisitSettings};
use ndarray::{Array2, s};

use crate::field::{Bench, Warp, held_out, iterative, small_field, warps};
use crate::tolerance::{PSF_SHAPE, PSF_SHAPE_ERROR, PSF_SHAPE_OF_COADD, PSF_SHAPE_SIGMAS, PSF_WIDTH};

fn moments(stamp: &Array2<f32>) -> Moments {
    Stamp::new(stamp.mapv(f64::from)).unwrap().moments().unwrap()
}

fn psf_of(path: &std::path::Path) -> Psf {
    ExposureFile::open(path, &OpenOptions::default()).unwrap().psf().unwrap().clone()
}

/// The header of a file's PSF, from its name on.
fn psf_cards(path: &std::path::Path) -> Header {
    let bytes = std::fs::read(path).unwrap();
    let name = bytes.chunks(80).position(|card| card.starts_with(b"EXTNAME = 'PSF ")).unwrap();
    Header::parse(&bytes[80 * name..])
}

/// Many stars, elliptical ones.
fn elliptical_field() -> FieldConfig {
    FieldConfig {
        seed: 21,
        width: 224,
        height: 208,
        psf: PsfShape::Moffat { axis_ratio: 0.8, angle_deg: 30.0 },
        visits: VisitSettings { count: 8, held_out: 1, airmass: [1.0, 1.6], ..VisitSettings::default() },
        sources: SourceSettings {
            stars: 60,
            galaxies: 8,
            separation_arcsec: 3.0,
            flux_electrons: [2e4, 8e5],
            ..SourceSettings::default()
        },
        ..FieldConfig::default()
    }
}

fn check(measured: &Moments, truth: &Moments, shape: f64) {
    let width = measured.fwhm_px() / truth.fwhm_px() - 1.0;
    assert!(width.abs() < PSF_WIDTH, "width {width}");
    for (measured, truth) in measured.ellipticity().into_iter().zip(truth.ellipticity()) {
        assert!((measured - truth).abs() < shape, "ellipticity {measured}, drawn with {truth}");
    }
}

#[test]
fn psf_measured_in_an_elliptical_field_is_what_it_was_drawn_with() {
    let mut warps = warps(&elliptical_field());
    let truth = moments(warps[0].psf.as_ref().unwrap());
    // Nothing tells it but the stars and a width in the headers.
    warps.iter_mut().for_each(|warp| warp.psf = None);
    let bench = Bench::new(&warps);
    let mut config = iterative();
    config.psf.measure = true;
    config.psf.seeing_exponent = 0.0;
    let summary = bench.run(&config).unwrap();
    assert_eq!(summary.psf.origin, PsfOrigin::Measured);
    let quality = summary.psf.measured.unwrap();
    assert!(quality.stars >= 15, "{quality:?}");
    let psf = psf_of(&bench.path("run/coadd.fits"));
    check(&psf.stamp_at(0.0, 0.0).unwrap().moments().unwrap(), &truth, PSF_SHAPE);
}

#[test]
fn psf_that_cannot_be_measured_stays_the_selected_with_a_warning() {
    let bench = Bench::new(&warps(&small_field(4)));
    let mut config = iterative();
    config.psf.measure = true;
    config.psf.min_stars = 100;
    let summary = bench.run(&config).unwrap();
    assert_eq!(summary.psf.origin, PsfOrigin::Selected);
    let warning = summary.warnings.iter().find(|warning| warning.subject == "PSF").unwrap();
    assert!(warning.text.contains("psf.min_stars = 100 are needed"), "{}", warning.text);
    assert!(warning.text.ends_with("that of the selected visits stays."), "{}", warning.text);
}

#[test]
fn psf_that_contradicts_the_visits_is_doubted() {
    let mut warps = warps(&elliptical_field());
    for warp in &mut warps {
        let stamp = Psf::Gaussian { fwhm_px: 2.5 }.stamp_at(0.0, 0.0).unwrap();
        warp.psf = Some(stamp.pixels().mapv(|value| value as f32));
    }
    let bench = Bench::new(&warps);
    let mut config = iterative();
    config.psf.measure = true;
    let summary = bench.run(&config).unwrap();
    assert_eq!(summary.psf.origin, PsfOrigin::Measured);
    let doubt = summary.warnings.iter().find(|warning| warning.subject == "PSF").unwrap();
    assert!(doubt.text.contains("may have been taken for stars"), "{}", doubt.text);
}

/// Visits with their own PSFs, of which some end in the middle of the patch.
fn patchwork() -> Vec<Warp> {
    let mut warps = warps(&small_field(4));
    for (i, warp) in warps.iter_mut().enumerate() {
        let fwhm_px = if i < 2 { 3.0 } else { 5.0 };
        let stamp = Psf::Gaussian { fwhm_px }.stamp_at(0.0, 0.0).unwrap();
        warp.psf = Some(stamp.pixels().mapv(|value| value as f32));
        warp.set("PSF-FWHM", fwhm_px);
        if i < 2 {
            // The sharp ones have nothing on the right.
            let bit = warp.planes.bits_of(["NO_DATA"]);
            warp.pixels.mask.slice_mut(s![.., 56..]).fill(bit);
            warp.pixels.image.slice_mut(s![.., 56..]).fill(f32::NAN);
            warp.pixels.variance.slice_mut(s![.., 56..]).fill(f32::NAN);
        }
    }
    warps
}

#[test]
fn psf_of_a_place_is_that_of_the_visits_with_data_there() {
    let bench = Bench::new(&patchwork());
    let mut config = iterative();
    config.psf.grid_spacing = 56;
    config.psf.seeing_exponent = 0.0;
    let summary = bench.run(&config).unwrap();
    assert_eq!(summary.psf.cells, 4);
    for name in ["coadd", "subfilter_0", "plain"] {
        let psf = psf_of(&bench.path(&format!("run/{name}.fits")));
        let (left, right) = (psf.fwhm_px(20.0, 40.0).unwrap(), psf.fwhm_px(90.0, 40.0).unwrap());
        assert!((left - 3.1).abs() < 0.1 && (right - 5.1).abs() < 0.1, "{name}: {left} {right}");
    }
    // At one place, straight from the visits: chips end where masks say so.
    let files: Vec<ExposureFile> =
        bench.warps.iter().map(|path| ExposureFile::open(path, &OpenOptions::default()).unwrap()).collect();
    let visits: Vec<(&dyn Exposure, f64)> = files.iter().map(|file| (file as &dyn Exposure, 1.0)).collect();
    let at =
        |x: f64| psf_at(&visits, (x, 40.0), &config.coadd).unwrap().map(|stamp| stamp.fwhm_px().unwrap());
    assert!((at(90.0).unwrap() - 5.1).abs() < 0.1);
    assert!((3.2..4.9).contains(&at(20.0).unwrap()));
    assert_eq!(at(500.0), None);
}

#[test]
fn psf_of_a_template_is_that_of_its_exposures_place() {
    let bench = Bench::new(&patchwork());
    let mut config = iterative();
    config.psf.grid_spacing = 56;
    bench.run(&config).unwrap();
    let whole = held_out(&small_field(4));
    for (x0, name, expected) in [(0, "left", 3.1), (70, "right", 5.1)] {
        let mut exposure = whole.clone();
        exposure.pixels = whole.pixels.sub_image(BBox::new(x0, 0, 40, 96)).unwrap();
        exposure.write(&bench.path("exposure.fits"));
        let output = bench.path(&format!("template_{name}.fits"));
        let request = TemplateRequest {
            coadds: vec![bench.path("run")],
            exposures: vec![bench.path("exposure.fits")],
            output: output.clone(),
            overwrite: false,
        };
        matched_templates(&request, &(&config).into(), &Unmonitored).unwrap();
        let width = psf_of(&output).fwhm_px(0.0, 0.0).unwrap();
        assert!((width - expected).abs() < 0.1, "{name}: {width}");
    }
}

#[test]
fn psf_of_subfilters_follows_the_seeing() {
    let bench = Bench::new(&warps(&small_field(3)));
    let summary = bench.run(&iterative()).unwrap();
    let widths: Vec<f64> = summary.psf.subfilter_fwhm_px.iter().map(|width| width.unwrap()).collect();
    let centre = |a: usize| f64::midpoint(summary.band.subfilters_nm[a][0], summary.band.subfilters_nm[a][1]);
    let expected = (centre(0) / centre(2)).powf(-0.2);
    assert!((widths[0] / widths[2] / expected - 1.0).abs() < 5e-3, "{widths:?} {expected}");
    for (a, width) in widths.iter().enumerate() {
        let psf = psf_of(&bench.path(&format!("run/subfilter_{a}.fits")));
        assert!((psf.fwhm_px(0.0, 0.0).unwrap() / width - 1.0).abs() < 1e-5);
    }
}

#[test]
fn psf_of_a_joint_run_is_that_of_the_solution_in_all_planes() {
    let bench = Bench::new(&warps(&small_field(3)));
    let mut config = iterative();
    config.solver.method = Method::Joint;
    // It is known, and not measured.
    config.psf.measure = true;
    let summary = bench.run(&config).unwrap();
    assert_eq!((summary.psf.origin, summary.psf.cells), (PsfOrigin::Solution, 0));
    assert!(summary.psf.subfilter_fwhm_px.iter().all(|width| *width == summary.psf_fwhm_px));
    let coadd = psf_of(&bench.path("run/coadd.fits"));
    assert_eq!(psf_of(&bench.path("run/subfilter_2.fits")), coadd);
}

/// The throughputs that the shared fields were drawn through, every 10 nm: LSST's g and u in GalSim
/// 2.8. Taken for top hats, they leave stars longer along the refraction, by 0.004 to 0.006 in
/// ellipticity.
const CURVES: [(&str, &str); 2] = [
    (
        "g_",
        "380 0\n390 0.014\n400 0.097\n410 0.211\n420 0.283\n430 0.310\n440 0.333\n450 0.354\n460 0.369\n470 0.380\n480 0.389\n\
         490 0.395\n500 0.399\n510 0.402\n520 0.406\n530 0.406\n540 0.387\n550 0.237\n560 0.075\n570 0\n",
    ),
    (
        "u_",
        "310 0\n320 0.003\n330 0.039\n340 0.086\n350 0.100\n360 0.107\n370 0.118\n380 0.137\n390 0.112\n400 0.051\n410 0\n",
    ),
];

#[test]
fn psf_measured_in_joint_coadds_is_what_fields_were_drawn_with_and_tells_its_error() {
    for seed in [21, 22, 23] {
        let warps = warps(&FieldConfig { seed, ..elliptical_field() });
        let truth = moments(warps[0].psf.as_ref().unwrap());
        let bench = Bench::new(&warps);
        let mut config = AssembleConfig::default();
        config.joint.seeing_exponent = 0.0;
        config.psf.measure = true;
        let quality = bench.run(&config).unwrap().psf.measured.unwrap();
        let path = bench.path("run/coadd.fits");
        check(&psf_of(&path).stamp_at(0.0, 0.0).unwrap().moments().unwrap(), &truth, PSF_SHAPE);
        let error = quality.ellipticity_error.unwrap();
        for (measured, truth) in quality.ellipticity.into_iter().zip(truth.ellipticity()) {
            let sigmas = (measured - truth).abs() / error;
            assert!(sigmas < PSF_SHAPE_SIGMAS, "seed {seed}: {measured} ± {error}, drawn with {truth}");
        }
        let cards = psf_cards(&path);
        assert_eq!(cards.i64("PSFSTARS"), Some(quality.stars as i64));
        let close = |keyword: &str, value: f64| (cards.f64(keyword).unwrap() - value).abs() < 1e-12;
        assert!(close("PSFE1", quality.ellipticity[0]) && close("PSFE2", quality.ellipticity[1]));
        assert!(close("PSFEERR", error) && close("PSFLEFT", quality.residual));
    }
}

/// Warps in which the PSF goes evenly from an elliptical one on the left to a round one on the
/// right.
fn warps_with_a_trend() -> Vec<Warp> {
    let right = warps(&FieldConfig {
        psf: PsfShape::Moffat { axis_ratio: 1.0, angle_deg: 0.0 },
        ..elliptical_field()
    });
    let mut mixed = warps(&elliptical_field());
    for (warp, right) in mixed.iter_mut().zip(right) {
        let last = (warp.pixels.image.ncols() - 1) as f32;
        for ((row, col), value) in warp.pixels.image.indexed_iter_mut() {
            *value += (right.pixels.image[[row, col]] - *value) * col as f32 / last;
        }
        warp.psf = None;
    }
    mixed
}

#[test]
fn psf_measured_follows_a_trend_over_the_patch() {
    let stamp = |axis_ratio: f64, angle_deg: f64| {
        let psf = PsfShape::Moffat { axis_ratio, angle_deg };
        warps(&FieldConfig { psf, ..elliptical_field() })[0].psf.clone().unwrap().mapv(f64::from)
    };
    let (left, right) = (stamp(0.8, 30.0), stamp(1.0, 0.0));
    let bench = Bench::new(&warps_with_a_trend());
    let mut config = iterative();
    config.psf.measure = true;
    config.psf.grid_spacing = 56;
    config.psf.seeing_exponent = 0.0;
    config.solver.iterative.accelerate_model = 1.0;
    let summary = bench.run(&config).unwrap();
    let quality = summary.psf.measured.unwrap();
    assert_eq!((quality.order, quality.cells.len(), summary.psf.cells), (1, 16, 16), "{quality:?}");
    for name in ["coadd", "subfilter_2"] {
        let psf = psf_of(&bench.path(&format!("run/{name}.fits")));
        for x in [27.5, 83.5, 139.5, 195.5] {
            let truth = Stamp::new(&left + (&right - &left) * (x / 223.0)).unwrap().moments().unwrap();
            check(&psf.stamp_at(x, 104.0).unwrap().moments().unwrap(), &truth, PSF_SHAPE);
        }
    }
    assert_eq!(psf_cards(&bench.path("run/coadd.fits")).i64("PSFORDER"), Some(1));
}

mod needs_shared {
    use super::*;
    use crate::inputs::simulated;

    /// Contrast between subfilters, which is amplified by default, makes stars that are not round;
    /// without it they are as they were drawn.
    #[test]
    #[ignore = "needs the simulated fields of ../shared"]
    fn psf_measured_in_the_shared_fields_is_what_they_were_drawn_with() {
        for name in ["g_constant", "u_high"] {
            let warps = simulated(name);
            let truth = psf_of(&warps[0]).stamp_at(0.0, 0.0).unwrap().moments().unwrap();
            let mut bench = Bench::new(&[]);
            bench.warps = warps;
            for (contrast, shape) in [(1.0, PSF_SHAPE), (3.0, PSF_SHAPE_OF_COADD)] {
                let mut config = iterative();
                config.psf.measure = true;
                config.solver.iterative.accelerate_model = contrast;
                let run = format!("run_{contrast}");
                let summary = bench.run_into(&run, &config).unwrap();
                assert_eq!(summary.psf.origin, PsfOrigin::Measured, "{:?}", summary.warnings);
                let psf = psf_of(&bench.path(&format!("{run}/coadd.fits")));
                check(&psf.stamp_at(0.0, 0.0).unwrap().moments().unwrap(), &truth, shape);
            }
        }
    }

    /// The joint method's planes have the sharpest visit's PSF; measured in their sum it is that,
    /// but for the noise of few stars.
    #[test]
    #[ignore = "needs the simulated fields of ../shared"]
    fn psf_measured_in_joint_coadds_is_that_of_the_solution() {
        for name in ["g_constant", "g_seeing", "u_high"] {
            let warps = simulated(name);
            let mut bench = Bench::new(&[]);
            bench.warps = warps;
            let (_, curve) = CURVES.into_iter().find(|(band, _)| name.starts_with(band)).unwrap();
            let throughput = Some(Throughput::parse(curve).unwrap());
            let mut config = AssembleConfig { throughput, ..AssembleConfig::default() };
            let psf =
                |run: &str| psf_of(&bench.path(&format!("{run}/coadd.fits"))).stamp_at(0.0, 0.0).unwrap();
            bench.run_into("known", &config).unwrap();
            config.psf.measure = true;
            let summary = bench.run_into("measured", &config).unwrap();
            assert_eq!(summary.psf.origin, PsfOrigin::Measured, "{:?}", summary.warnings);
            let (measured, truth) = (psf("measured").moments().unwrap(), psf("known").moments().unwrap());
            check(&measured, &truth, PSF_SHAPE);
            let error = summary.psf.measured.unwrap().ellipticity_error.unwrap();
            assert!(PSF_SHAPE_ERROR.contains(&error), "{name}: {error}");
        }
    }
}
