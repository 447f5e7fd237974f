//! The reference's whole runs, repeated with its preset on the same files.

use std::fs::File;
use std::path::{Path, PathBuf};

use dcr_coadd::config::{AssembleConfig, TemplateConfig};
use dcr_coadd::geometry::shifts::{Split, reference_shifts};
use dcr_coadd::{AssembleRequest, Summary, Unmonitored, assemble};
use dcr_difference::{TemplateRequest, matched_templates};
use dcr_image::fits::MissingVariance;
use dcr_image::{ExposureFile, MaskedImage, OpenOptions};
use dcr_physics::{Angle, Band, RefractionModel, Wavelength, subfilter_dispersion};
use dcr_solver::SpectralBasis;
use dcr_solver::iterative::{Gain, Interpolation, predict};
use dcr_solver::kernel::Order;
use ndarray::{Array2, Array3, ArrayView2, Axis};
use ndarray_npy::NpzReader;

use crate::inputs::{golden, json, numbers};
use crate::tolerance::{GOLDEN_GAIN, GOLDEN_METRIC, GOLDEN_MODEL, ROUNDING};

/// The reference's settings of the golden runs.
pub(crate) fn reference_config(settings: &serde_json::Value) -> AssembleConfig {
    let mut config = AssembleConfig::reference();
    let number = |key: &str| settings[key].as_f64().unwrap();
    config.band.name = Some("g".into());
    config.band.effective_wavelength_nm = Some(number("effectiveWavelength"));
    config.band.bandwidth_nm = Some(number("bandwidth"));
    config.input.unit = Some("nJy".into());
    config.model.subfilters = number("dcrNumSubfilters") as usize;
    config.model.split_subfilters = settings["splitSubfilters"].as_bool().unwrap();
    config.model.split_threshold = number("splitThreshold");
    config.coadd.subregion_size = numbers(&settings["subregionSize"])
        .into_iter()
        .map(|side| side as usize)
        .collect::<Vec<_>>()
        .try_into()
        .unwrap();
    let solver = &mut config.solver.iterative;
    solver.max_iterations = settings["maxNumIter"].as_u64().map(|n| n as usize);
    solver.min_iterations = settings["minNumIter"].as_u64().map(|n| n as usize);
    solver.base_gain = settings["baseGain"].as_f64();
    if !settings["useProgressiveGain"].as_bool().unwrap() {
        solver.gain = Gain::Fixed;
    }
    solver.use_model_weights = settings["useModelWeights"].as_bool().unwrap();
    solver.regularize_model_iterations = number("regularizeModelIterations");
    solver.regularize_model_frequency = number("regularizeModelFrequency");
    solver.accelerate_model = number("accelerateModel");
    config
}

/// Runs a golden run into `output`.
pub(crate) fn run(folder: &Path, name: &str, output: &Path) -> Summary {
    let settings = json(&folder.join(format!("{name}.json")));
    let request = AssembleRequest {
        warps: (1000..1008).map(|visit| folder.join(format!("run_small/warp_{visit}.fits"))).collect(),
        matched: vec![],
        template: Some(folder.join("run_small/template.fits")),
        output: output.to_owned(),
        overwrite: false,
    };
    assemble(&request, &reference_config(&settings["config"]), &Unmonitored).unwrap()
}

pub(crate) fn open(path: PathBuf) -> ExposureFile {
    ExposureFile::open(&path, &OpenOptions::default()).unwrap()
}

pub(crate) fn largest(a: ArrayView2<f32>, b: ArrayView2<f32>) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max)
}

/// Compares everything that a golden run has; gives the largest differences: model, metric, gain.
fn check_run(name: &str) {
    let folder = golden();
    let output = tempfile::tempdir().unwrap();
    let summary = run(&folder, name, output.path());
    let expected = json(&folder.join(format!("{name}.json")));
    let mut arrays = NpzReader::new(File::open(folder.join(format!("{name}.npz"))).unwrap()).unwrap();
    let model: Array3<f32> = arrays.by_name("dcrCoadds").unwrap();
    let variance: Array2<f32> = arrays.by_name("dcrCoadd_variance").unwrap();
    let counts: Array3<u16> = arrays.by_name("dcrNImages").unwrap();
    let peak = model.iter().fold(0.0_f64, |peak, v| peak.max(f64::from(v.abs())));

    for (a, plane) in model.axis_iter(Axis(0)).enumerate() {
        let path = output.path().join(format!("subfilter_{a}.fits"));
        let read = open(path.clone()).read(open(path.clone()).bbox()).unwrap();
        let difference = largest(read.image.view(), plane) / peak;
        assert!(difference < GOLDEN_MODEL, "{name}, subfilter {a}: {difference:e}");
        let relative = read.variance.iter().zip(&variance).map(|(a, b)| f64::from((a / b - 1.0).abs()));
        assert!(relative.fold(0.0, f64::max) < ROUNDING);
        let options = OpenOptions {
            image_hdu: Some("N_IMAGE".into()),
            missing_variance: MissingVariance::Estimate,
            ..OpenOptions::default()
        };
        let n_image = ExposureFile::open(&path, &options).unwrap().read_image(read.bbox).unwrap();
        assert_eq!(n_image.mapv(|n| n as u16), counts.index_axis(Axis(0), a));
    }
    let sum: Array2<f32> = arrays.by_name("coadd").unwrap();
    let coadd = open(output.path().join("coadd.fits"));
    let coadd = coadd.read(coadd.bbox()).unwrap();
    assert!(largest(coadd.image.view(), sum.view()) / peak < GOLDEN_MODEL);

    let regions = expected["subregions"].as_array().unwrap();
    assert_eq!(summary.regions.len(), regions.len());
    for (region, expected) in summary.regions.iter().zip(regions) {
        let report = &region.report;
        let metrics: Vec<f64> = std::iter::once(report.initial_metric)
            .chain(report.iterations.iter().map(|iteration| iteration.metric))
            .collect();
        let expected_metrics = numbers(&expected["convergence"]);
        assert_eq!(metrics.len(), expected_metrics.len(), "{name}: iterations");
        for (got, expected) in metrics.iter().zip(&expected_metrics) {
            assert!((got / expected - 1.0).abs() < GOLDEN_METRIC, "{name}: metric {got}, not {expected}");
        }
        let gains: Vec<f64> = report.iterations.iter().map(|iteration| iteration.gain).collect();
        for (got, expected) in gains.iter().zip(numbers(&expected["gain"])) {
            assert!((got - expected).abs() < GOLDEN_GAIN, "{name}: gain {got}, not {expected}");
        }
    }
}

#[test]
fn golden_n2_fixed() {
    check_run("run_small_n2_fixed");
}

#[test]
fn golden_n3() {
    check_run("run_small_n3");
}

#[test]
fn golden_n3_with_faulty_fallback() {
    check_run("run_small_n3_thr0.4");
}

/// The matched template of a visit that was not in the run, from the reference's own subfilters
/// written as a run.
fn heldout_template(change: impl FnOnce(&mut TemplateConfig)) -> (MaskedImage, NpzReader<File>, f64) {
    let folder = golden();
    let output = tempfile::tempdir().unwrap();
    run(&folder, "run_small_n3", &output.path().join("run"));
    let mut config = TemplateConfig::from(&AssembleConfig::reference());
    change(&mut config);
    let request = TemplateRequest {
        coadds: vec![output.path().join("run")],
        exposures: vec![folder.join("heldout_warp_1008.fits")],
        output: output.path().join("one.fits"),
        overwrite: false,
    };
    let summary = matched_templates(&request, &config, &Unmonitored).unwrap();
    assert_eq!(summary.templates[0].visit, 1008);
    let file = open(output.path().join("one.fits"));
    let arrays = NpzReader::new(File::open(folder.join("template_heldout.npz")).unwrap()).unwrap();
    let mut model = NpzReader::new(File::open(folder.join("run_small_n3.npz")).unwrap()).unwrap();
    let model: Array3<f32> = model.by_name("dcrCoadds").unwrap();
    let peak = model.sum_axis(Axis(0)).iter().fold(0.0_f64, |peak, v| peak.max(f64::from(v.abs())));
    (file.read(file.bbox()).unwrap(), arrays, peak)
}

/// Where the template has support, it is the reference's.
fn check_template(read: &MaskedImage, expected: &Array2<f32>, peak: f64) {
    let supported = read.image.iter().filter(|value| value.is_finite()).count();
    assert!(supported > read.image.len() * 8 / 10, "{supported}");
    let difference = read
        .image
        .iter()
        .zip(expected)
        .filter(|(value, _)| value.is_finite())
        .map(|(value, expected)| f64::from((value - expected).abs()))
        .fold(0.0, f64::max);
    assert!(difference / peak < GOLDEN_MODEL, "{:e}", difference / peak);
}

#[test]
fn golden_template_of_order_3() {
    let (read, mut arrays, peak) = heldout_template(|_| {});
    check_template(&read, &arrays.by_name("template_o3").unwrap(), peak);
    let variance: Array2<f32> = arrays.by_name("variance").unwrap();
    for (got, expected) in read.variance.iter().zip(&variance).filter(|(got, _)| got.is_finite()) {
        assert!(f64::from((got / expected - 1.0).abs()) < ROUNDING, "{got} {expected}");
    }
}

#[test]
fn golden_template_of_order_1() {
    let order_1 = |config: &mut TemplateConfig| config.template.order = Interpolation::Spline(Order::LINEAR);
    let (read, mut arrays, peak) = heldout_template(order_1);
    check_template(&read, &arrays.by_name("template_o1").unwrap(), peak);
}

#[test]
fn golden_template_unsplit() {
    let unsplit = |config: &mut TemplateConfig| config.template.split_subfilters = false;
    let (read, mut arrays, peak) = heldout_template(unsplit);
    check_template(&read, &arrays.by_name("template_o3_nosplit").unwrap(), peak);
}

/// With a threshold of 0.5 px, which all subfilters of this visit reach (the bluest and the reddest
/// halves lie 0.54 px apart and more). What happens below it is in the run with the faulty
/// fallback.
#[test]
fn golden_template_with_a_threshold() {
    let folder = golden();
    let file = open(folder.join("heldout_warp_1008.fits"));
    let visit = file.visit();
    let site = visit.site.unwrap();
    let air = RefractionModel::Reference.at(&site, &visit.weather.complete(site.elevation_m).0);
    let settings = json(&folder.join("run_small_n3.json"));
    let number = |key: &str| settings["config"][key].as_f64().unwrap();
    let band =
        Band::new("g", Wavelength::from_nm(number("effectiveWavelength")), number("bandwidth")).unwrap();
    let grid = band.wavelength_grid(3).unwrap();
    let dispersion =
        subfilter_dispersion(&grid, air.as_ref(), visit.altitude.unwrap(), band.effective()).unwrap();
    let q = visit.parallactic_angle.unwrap().radians() - visit.rotator_angle.unwrap().radians();
    let shifts = reference_shifts(&dispersion, Angle::from_radians(q), 0.2, Split::From(0.5));
    let npz = |name: &str| NpzReader::new(File::open(folder.join(name)).unwrap()).unwrap();
    let model: Array3<f32> = npz("run_small_n3.npz").by_name("dcrCoadds").unwrap();
    let expected: Array2<f32> = npz("template_heldout.npz").by_name("template_o3_thr").unwrap();
    let got = predict(model.view(), &SpectralBasis::constant(3), &shifts, Order::CUBIC);
    let peak = expected.iter().fold(0.0_f64, |peak, v| peak.max(f64::from(v.abs())));
    assert!(largest(got.view(), expected.view()) / peak < GOLDEN_MODEL);
}
