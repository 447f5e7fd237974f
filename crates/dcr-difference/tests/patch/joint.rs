//! The joint solver, end to end: coadds, `model.fits`, and templates from it.

use std::path::PathBuf;

use dcr_coadd::Unmonitored;
use dcr_coadd::config::{AssembleConfig, Method, PixelsIn, TemplateConfig};
use dcr_coadd::model::{Model, ModelContent};
use dcr_difference::{TemplateRequest, TemplateSummary, matched_templates};
use dcr_image::{ExposureFile, MaskedImage, OpenOptions};
use dcr_sim::{FieldConfig, SourceSettings};
use ndarray::{Zip, s};

use crate::field::{Bench, Warp, held_out, peak, small_field, warps, without_calibration};
use crate::sky::{Grid, Sky};
use crate::tolerance::{JOINT_MATCHED, JOINT_WARPED, SEEN_IN_FLUX};

const NO_DATA: i32 = 1 << 8;

fn joint() -> AssembleConfig {
    let mut config = AssembleConfig::default();
    config.solver.method = Method::Joint;
    config
}

/// Few visits and bright stars.
fn bright_field(visits: usize) -> FieldConfig {
    let field = small_field(visits);
    FieldConfig { sources: SourceSettings { flux_electrons: [2e4, 1e6], ..field.sources }, ..field }
}

fn template(
    bench: &Bench,
    exposure: &Warp,
    config: &TemplateConfig,
) -> (TemplateSummary, MaskedImage, PathBuf) {
    exposure.write(&bench.path("exposure.fits"));
    let request = TemplateRequest {
        coadds: vec![bench.path("run")],
        exposures: vec![bench.path("exposure.fits")],
        output: bench.path("template.fits"),
        overwrite: true,
    };
    let summary = matched_templates(&request, config, &Unmonitored).unwrap();
    (summary, bench.read("template.fits"), bench.path("template.fits"))
}

/// Mean squared difference on sources, in units of both variances, where the template may be
/// trusted.
fn chi2(exposure: &Warp, template: &MaskedImage) -> f64 {
    let detected = exposure.planes.bits_of(["DETECTED"]);
    let (mut sum, mut count) = (0.0, 0.0);
    Zip::indexed(&exposure.pixels.image).and(&template.image).for_each(|at, s, t| {
        let mask = exposure.pixels.mask[at];
        if t.is_finite() && mask & detected != 0 && template.mask[at] & NO_DATA == 0 {
            sum += f64::from((s - t).powi(2) / (exposure.pixels.variance[at] + template.variance[at]));
            count += 1.0;
        }
    });
    assert!(count > 100.0, "{count}");
    sum / count
}

#[test]
fn joint_template_leaves_a_held_out_visit_with_noise() {
    let field = bright_field(8);
    let (bench, exposure) = (Bench::new(&warps(&field)), held_out(&field));
    let summary = bench.run(&joint()).unwrap();
    let found = summary.joint.as_ref().unwrap();
    assert!(found.visits.len() == 8 && found.visits.iter().all(|visit| visit.chi2 < 2.0), "{found:?}");
    assert!(summary.files.iter().all(|file| file.exists()), "{:?}", summary.files);
    assert!(bench.read("run/coadd.fits").image.iter().all(|value| value.is_finite()));

    let (made, registered, path) = template(&bench, &exposure, &(&joint()).into());
    assert!(chi2(&exposure, &registered) < JOINT_MATCHED, "{}", chi2(&exposure, &registered));
    assert!(made.templates[0].offset_px.is_some() && !made.templates[0].warped);
    let file = ExposureFile::open(&path, &OpenOptions::default()).unwrap();
    assert_eq!(file.header().text("PSFOF"), Some("exposure"));

    let mut config = joint();
    config.template.register = false;
    let (made, ..) = template(&bench, &exposure, &(&config).into());
    assert_eq!(made.templates[0].offset_px, None);
}

/// An exposure displaced by a known offset is found there.
#[test]
fn joint_template_is_registered_to_its_exposure() {
    let field = bright_field(6);
    let bench = Bench::new(&warps(&field));
    bench.run(&joint()).unwrap();
    let offset = |warp: &Warp| template(&bench, warp, &(&joint()).into()).0.templates[0].offset_px.unwrap();
    let mut exposure = held_out(&field);
    let [x, y] = offset(&exposure);
    let (rows, cols) = exposure.pixels.image.dim();
    let before = exposure.pixels.clone();
    for row in 0..rows {
        for col in 1..cols {
            exposure.pixels.image[[row, col]] = before.image[[row, col - 1]];
            exposure.pixels.mask[[row, col]] = before.mask[[row, col - 1]];
        }
    }
    let [moved_x, moved_y] = offset(&exposure);
    assert!((moved_x - x - 1.0).abs() < 0.03 && (moved_y - y).abs() < 0.03, "{x} {y} {moved_x} {moved_y}");
}

/// On other pixels the exposure's own PSF is brought to the patch's, and the template back.
#[test]
fn joint_template_is_right_on_other_grids() {
    let sky = Sky::new(40);
    let own = Grid::own();
    let bench = Bench::new(&sky.warps(&own, 6));
    bench.run(&joint()).unwrap();
    for grid in [Grid { east: 0.06, north: -0.03, ..own }, Grid { rotation_deg: 47.0, size: (80, 80), ..own }]
    {
        let exposure = sky.exposure(&grid);
        let (made, template, _) = template(&bench, &exposure, &(&joint()).into());
        let chi = chi2(&exposure, &template);
        assert!(made.templates[0].warped && chi < JOINT_WARPED, "{chi}");
    }
}

/// Exposures of another zero point, and with a background, are coadded, but named.
#[test]
fn joint_run_tells_of_zero_points_and_backgrounds() {
    let mut warps = warps(&bright_field(6));
    warps[1].pixels.image *= 1.2;
    warps[4].pixels.image += 40.0;
    let summary = Bench::new(&warps).run(&joint()).unwrap();
    let told = |subject: &str| {
        let mut of = summary.warnings.iter().filter(|warning| warning.subject == subject);
        (of.next().map_or(String::new(), |warning| warning.text.clone()), of.count())
    };
    let (zero_points, more) = told("zero points");
    assert!(zero_points.starts_with("In 1 of 6 visits") && more == 0, "{zero_points}");
    assert!(zero_points.contains("visit 1002 (") && zero_points.contains("by +1"), "{zero_points}");
    let (background, more) = told("background");
    assert!(background.contains("in 1 of 6 visits") && more == 0, "{background}");
    assert!(background.contains("visit 1005 ("), "{background}");
}

#[test]
fn joint_run_of_one_visit_says_that_colours_are_unknown() {
    let bench = Bench::new(&warps(&small_field(1)));
    let summary = bench.run(&joint()).unwrap();
    assert!(summary.warnings.iter().any(|warning| warning.subject == "colours"), "{:?}", summary.warnings);
    assert!(bench.subfilters("run", 3).iter().all(|s| s.image.iter().all(|v| v.is_finite())));
}

#[test]
fn joint_run_with_one_subfilter() {
    let field = bright_field(4);
    let bench = Bench::new(&warps(&field));
    let mut config = joint();
    config.model.subfilters = 1;
    bench.run(&config).unwrap();
    let (plane, sum) = (bench.read("run/subfilter_0.fits"), bench.read("run/coadd.fits"));
    assert_eq!(plane.image, sum.image);
    // All of the field's light is there.
    let light = |image: &ndarray::Array2<f32>| image.iter().map(|v| f64::from(*v)).sum::<f64>();
    let visits = warps(&field);
    let mean = visits.iter().map(|warp| light(&warp.pixels.image)).sum::<f64>() / visits.len() as f64;
    assert!((light(&sum.image) / mean - 1.0).abs() < SEEN_IN_FLUX, "{} {mean}", light(&sum.image));
    let (_, template, _) = template(&bench, &held_out(&field), &(&config).into());
    assert!(peak(&template.image) > 0.0);
}

/// A visit without a good pixel is dropped; pixels that no visit has are flagged in coadds and
/// templates, whatever their mask says.
#[test]
fn joint_run_without_data_in_places() {
    let field = bright_field(5);
    let mut warps = warps(&field);
    let bad = warps[0].planes.bits_of(["BAD"]);
    warps[0].pixels.mask.fill(bad);
    for warp in &mut warps[1..] {
        warp.pixels.mask.slice_mut(ndarray::s![40..52, 50..62]).fill(bad);
        warp.pixels.image.slice_mut(ndarray::s![40..52, 50..62]).fill(f32::NAN);
    }
    let bench = Bench::new(&warps);
    let summary = bench.run(&joint()).unwrap();
    assert_eq!((summary.dropped.len(), summary.joint.as_ref().unwrap().visits.len()), (1, 4));
    let coadd = bench.read("run/coadd.fits");
    assert!(coadd.mask[[46, 56]] & NO_DATA != 0 && coadd.mask[[20, 20]] & NO_DATA == 0);
    let (_, template, _) = template(&bench, &held_out(&field), &(&joint()).into());
    // It reaches as far as refraction and the PSF do.
    assert!(template.mask[[46, 56]] & NO_DATA != 0 && template.mask[[38, 56]] & NO_DATA != 0);
    assert!(template.mask[[10, 10]] & NO_DATA == 0);
    assert!(template.image.iter().all(|value| value.is_finite()));
}

#[test]
fn joint_run_needs_psfs() {
    let mut warps = warps(&small_field(2));
    warps[1].psf = None;
    let bench = Bench::new(&warps);
    // The FWHM in the header stands in for a stamp, ...
    bench.run(&joint()).unwrap();
    // ... and without it there is nothing to go by.
    let nothing = dcr_image::header::Header::new();
    let mut bare = warps[1].clone();
    bare.header =
        warps[1].header.iter().filter(|card| card.keyword != "PSF-FWHM").fold(nothing, |mut header, card| {
            header.set(&card.keyword, card.value.clone());
            header
        });
    let bench = Bench::new(&[warps[0].clone(), bare]);
    let message = bench.failure(&joint());
    assert!(message.contains("warp_1.fits: it has no PSF") && message.contains("input.psfs"), "{message}");
}

#[test]
fn joint_run_does_not_depend_on_threads_or_memory() {
    let bench = Bench::new(&warps(&small_field(4)));
    let mut config = joint();
    config.joint.tile_size = 64;
    config.joint.tile_overlap = 16;
    let on = |threads: usize, output: &str, config: &AssembleConfig| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| bench.run_into(output, config)).unwrap();
        bench.subfilters(output, 3)
    };
    let (one, three) = (on(1, "one", &config), on(3, "three", &config));
    config.coadd.pixels_in = PixelsIn::Disk;
    let disk = on(2, "disk", &config);
    for ((one, three), disk) in one.iter().zip(&three).zip(&disk) {
        assert_eq!((&one.image, &one.mask, &one.variance), (&three.image, &three.mask, &three.variance));
        assert_eq!((&one.image, &one.mask, &one.variance), (&disk.image, &disk.mask, &disk.variance));
    }
}

/// A folder whose `model.fits` is gone, or of another run, makes no templates.
#[test]
fn model_file_is_checked() {
    let field = small_field(2);
    let bench = Bench::new(&warps(&field));
    bench.run(&joint()).unwrap();
    let mut other = joint();
    other.joint.colour_width = 2.0;
    bench.run_into("other", &other).unwrap();
    held_out(&field).write(&bench.path("exposure.fits"));
    let failure = || {
        let request = TemplateRequest {
            coadds: vec![bench.path("run")],
            exposures: vec![bench.path("exposure.fits")],
            output: bench.path("template.fits"),
            overwrite: true,
        };
        matched_templates(&request, &(&joint()).into(), &Unmonitored).unwrap_err().to_string()
    };
    std::fs::copy(bench.path("other/model.fits"), bench.path("run/model.fits")).unwrap();
    assert!(failure().contains("files of several runs"), "{}", failure());
    std::fs::remove_file(bench.path("run/model.fits")).unwrap();
    assert!(failure().contains("there is no such file"), "{}", failure());
}

/// Left to the program, the method is joint unless something speaks against it, and the run says
/// which it was.
#[test]
fn method_follows_from_psfs_and_settings() {
    let mut warps = warps(&small_field(2));
    let taken = |warps: &[Warp], change: fn(&mut AssembleConfig)| {
        let (bench, mut config) = (Bench::new(warps), AssembleConfig::default());
        change(&mut config);
        let summary = bench.run(&config).unwrap();
        let warned = summary.warnings.iter().any(|warning| warning.subject == "method");
        let model = Model::open(&bench.path("run")).unwrap();
        (summary.configuration.solver.method, warned, matches!(model.content, ModelContent::Joint(_)))
    };
    assert_eq!(taken(&warps, |_| {}), (Method::Joint, false, true));
    assert_eq!(taken(&warps, |c| c.model.subfilters = 1), (Method::Iterative, false, false));
    assert_eq!(
        taken(&warps, |c| c.solver.iterative.max_iterations = Some(2)),
        (Method::Iterative, false, false)
    );
    assert_eq!(taken(&warps, |c| c.solver.method = Method::Iterative), (Method::Iterative, false, false));
    // A FWHM is not a PSF.
    warps[1].psf = None;
    assert_eq!(taken(&warps, |_| {}), (Method::Iterative, true, false));
}

/// An exposure with a wrong zero point, a sloping sky and a sudden source: the template follows the
/// first two, not the last.
#[test]
fn joint_template_is_calibrated_against_its_exposure() {
    let field = bright_field(8);
    let bench = Bench::new(&warps(&field));
    bench.run(&joint()).unwrap();
    let mut exposure = held_out(&field);
    let unchanged = chi2(&exposure, &template(&bench, &exposure, &(&joint()).into()).1);
    let (rows, sigma) = (exposure.pixels.image.nrows() as f32, exposure.pixels.variance[[10, 10]].sqrt());
    for ((y, x), value) in exposure.pixels.image.indexed_iter_mut() {
        let (dy, dx) = (y as f32 - 70.0, x as f32 - 50.0);
        let new = 60.0 * sigma * (-(dy * dy + dx * dx) / 5.0).exp();
        *value = 1.03 * *value + sigma * (2.0 * y as f32 / rows - 1.0) + new;
    }
    let calibrated = |settings: &dyn Fn(&mut AssembleConfig)| {
        let mut config = joint();
        settings(&mut config);
        template(&bench, &exposure, &(&config).into())
    };
    let (made, with, path) = calibrated(&|_| ());
    let found = made.templates[0].calibration.clone().unwrap();
    assert!((found.middle.flux - 0.03).abs() < 0.005, "{found:?}");
    let slope = (found.corners[2].background - found.corners[0].background) / f64::from(sigma);
    assert!((slope - 2.0).abs() < 0.2, "{found:?}");
    let file = ExposureFile::open(&path, &OpenOptions::default()).unwrap();
    assert_eq!(file.header().f64("CALFLUX"), Some(found.middle.flux));

    let (made, without, _) = calibrated(&|config| without_calibration(&mut config.template));
    assert_eq!(made.templates[0].calibration, None);
    let new = |template: &MaskedImage| f64::from(exposure.pixels.image[[70, 50]] - template.image[[70, 50]]);
    assert!((new(&with) / (60.0 * f64::from(sigma)) - 1.0).abs() < 0.05, "{}", new(&with));
    // The new source is in neither template.
    exposure.pixels.mask.slice_mut(s![60..80, 40..60]).fill(0);
    let [with, without] = [&with, &without].map(|template| chi2(&exposure, template));
    assert!(with < 1.1 * 1.03_f64.powi(2) * unchanged, "{with} {without} {unchanged} {found:?}");
    assert!(without > 1.3 * with, "{with} {without} {unchanged}");
}
