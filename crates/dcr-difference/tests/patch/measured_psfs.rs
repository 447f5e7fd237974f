//! PSFs as they come from measurements: with refraction in them, off their middle, narrow, or
//! missing.

use std::path::Path;

use dcr_coadd::config::{AssembleConfig, Method, SubtractConfig};
use dcr_coadd::{AssembleRequest, Summary, Unmonitored, assemble};
use dcr_difference::{PsfOf, SubtractRequest, SubtractSummary, TemplateRequest, matched_templates, subtract};
use dcr_image::Psf;
use dcr_image::fits::{Column, ColumnValues, ExposureToWrite, TableHdu, WriteOptions, write_exposure};
use dcr_image::header::{Card, Header};
use dcr_sim::{Field, FieldConfig, Source, SourceSettings, SourceShape, Spectrum};
use dcr_solver::joint::PsfIncludesDcr;
use ndarray::{Array2, Axis, s};

use crate::field::{Bench, Warp, held_out, small_field, warps};

/// The slope of colours with PSFEx models of the exposures' own stars against those with the PSFs
/// that the field was drawn with, if the models' refraction is taken out and if it is not.
const COLOUR_SLOPE_OF_MODELS: std::ops::Range<f64> = 0.9..1.1;
const COLOUR_SLOPE_UNCORRECTED: f64 = 1.3;
/// Coadds with stamps off their middle, once centred, of the peak: a star that is moved in its
/// stamp loses two rows of its wings (3.5e-4).
const SAME_COADD: f64 = 1e-3;

fn joint() -> AssembleConfig {
    let mut config = AssembleConfig::default();
    config.solver.method = Method::Joint;
    config
}

fn bright_field(visits: usize) -> FieldConfig {
    let field = small_field(visits);
    FieldConfig { sources: SourceSettings { flux_electrons: [2e4, 1e6], ..field.sources }, ..field }
}

/// What PSFEx makes of stars of flat spectrum in each visit: a constant model, with their
/// refraction in it.
fn write_models(bench: &Bench, config: &FieldConfig) {
    let (x, y) = (56.0, 48.0);
    let star = Source { id: 1, x, y, flux: 1.0, shape: SourceShape::Point, spectrum: Spectrum::Flat };
    let alone = FieldConfig { floor_electrons: 1e-9, ..config.clone() };
    let field = Field::with_catalogue(&alone, vec![star]).unwrap();
    for (plan, warp) in field.visits().iter().zip(&bench.warps) {
        let image = field.noiseless_from_all_wavelengths(plan).unwrap();
        let (row, column) = (y as usize, x as usize);
        let stamp = image.slice(s![row - 20..=row + 20, column - 20..=column + 20]);
        write_model(&warp.with_extension("psf"), &stamp.mapv(|value| value as f32));
    }
}

fn write_model(path: &Path, stamp: &Array2<f32>) {
    let values = ColumnValues::Images(stamp.clone().insert_axis(Axis(0)));
    let columns = vec![Column { name: "PSF_MASK".into(), unit: String::new(), values }];
    let cards = vec![Card::new("POLNAXIS", 0_i64), Card::new("POLNGRP", 0_i64), Card::new("PSF_SAMP", 1.0)];
    let tables = vec![TableHdu { name: "PSF_DATA".into(), columns, cards }];
    let file = ExposureToWrite { tables, ..ExposureToWrite::default() };
    write_exposure(path, &file, WriteOptions::default()).unwrap();
}

/// Blue over red of each bright star, as a magnitude.
fn colours(bench: &Bench, run: &str, config: &FieldConfig) -> Vec<f64> {
    let planes = bench.subfilters(run, 3);
    let field = Field::draw(config).unwrap();
    let inside = |source: &&Source| {
        let edge = source.x.min(source.y).min(111.0 - source.x).min(95.0 - source.y);
        edge > 10.0 && source.shape == SourceShape::Point
    };
    let sources: Vec<Source> = field.catalogue().map(|(source, _)| *source).collect();
    let light = |plane: &Array2<f32>, source: &Source| -> f64 {
        let (row, column) = (source.y.round() as usize, source.x.round() as usize);
        plane.slice(s![row - 4..=row + 4, column - 4..=column + 4]).iter().map(|v| f64::from(*v)).sum()
    };
    let colour =
        |source: &Source| -2.5 * (light(&planes[0].image, source) / light(&planes[2].image, source)).log10();
    sources.iter().filter(inside).map(colour).collect()
}

fn slope(of: &[f64], against: &[f64]) -> f64 {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (x, y) = (mean(against), mean(of));
    let pairs = || against.iter().zip(of);
    pairs().map(|(a, b)| (a - x) * (b - y)).sum::<f64>() / pairs().map(|(a, _)| (a - x).powi(2)).sum::<f64>()
}

#[test]
fn psfex_models_of_exposures_hold_refraction_and_colours_are_right() {
    let field = bright_field(8);
    let bench = Bench::new(&warps(&field));
    write_models(&bench, &field);
    let run = |output: &str, psfs: bool, includes: PsfIncludesDcr| {
        let mut config = joint();
        config.input.psfs = psfs.then(|| "{dir}/{stem}.psf".to_owned());
        config.joint.psf_includes_dcr = includes;
        bench.run_into(output, &config).unwrap();
        colours(&bench, output, &field)
    };
    let truth = run("known", false, PsfIncludesDcr::Auto);
    assert!(truth.len() >= 6, "{truth:?}");
    let models = run("models", true, PsfIncludesDcr::Auto);
    let uncorrected = run("uncorrected", true, PsfIncludesDcr::Never);
    let (with, without) = (slope(&models, &truth), slope(&uncorrected, &truth));
    assert!(
        COLOUR_SLOPE_OF_MODELS.contains(&with),
        "{with} with the refraction taken out, {without} without"
    );
    assert!(without > COLOUR_SLOPE_UNCORRECTED, "{without}");
    // Stamps are taken as they are.
    let stamps = run("stamps", false, PsfIncludesDcr::Never);
    assert_eq!(stamps, truth);
}

/// A stamp as if it had been padded by a row and a column, so that the star is not in the middle of
/// it.
fn padded(stamp: &Array2<f32>) -> Array2<f32> {
    let (rows, cols) = stamp.dim();
    let mut out = Array2::zeros((rows + 1, cols + 1));
    out.slice_mut(s![1.., 1..]).assign(stamp);
    out
}

/// A stamp with the star a pixel to the left and two below.
fn moved(stamp: &Array2<f32>) -> Array2<f32> {
    let (rows, cols) = stamp.dim();
    let mut out = Array2::zeros((rows, cols));
    out.slice_mut(s![..rows - 2, ..cols - 1]).assign(&stamp.slice(s![2.., 1..]));
    out
}

#[test]
fn stamps_off_their_middle_make_the_same_coadd() {
    let centred = warps(&bright_field(4));
    let mut off = centred.clone();
    off[1].psf = off[1].psf.as_ref().map(moved);
    off[2].psf = off[2].psf.as_ref().map(padded);
    let run = |warps: &[Warp]| {
        let bench = Bench::new(warps);
        let summary = bench.run(&joint()).unwrap();
        (bench.read("run/coadd.fits").image, summary)
    };
    let ((expected, quiet), (got, told)) = (run(&centred), run(&off));
    let peak = expected.iter().fold(0.0_f32, |peak, value| peak.max(*value));
    let worst = (&got - &expected).iter().fold(0.0_f32, |worst, value| worst.max(value.abs()));
    assert!(f64::from(worst) < SAME_COADD * f64::from(peak), "{worst} of {peak}");
    let off_middle = |summary: &Summary| {
        let warnings = summary.warnings.iter().filter(|warning| warning.text.contains("off the middle"));
        warnings.map(|warning| (warning.subject.clone(), warning.text.clone())).collect::<Vec<_>>()
    };
    assert_eq!(off_middle(&quiet), []);
    let told = off_middle(&told);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].0 == "visit 1002" && told[0].1.contains("(-1.00, -2.00) px"), "{told:?}");
}

#[test]
fn visit_elsewhere_than_its_wcs_says_is_told_of() {
    let mut warps = warps(&bright_field(8));
    let before = warps[2].pixels.image.clone();
    let cols = before.ncols();
    warps[2].pixels.image.slice_mut(s![.., 1..]).assign(&before.slice(s![.., ..cols - 1]));
    let summary = Bench::new(&warps).run(&joint()).unwrap();
    let told: Vec<_> = summary.warnings.iter().filter(|warning| warning.subject == "offsets").collect();
    assert!(told.len() == 1 && told[0].text.contains("visit 1003 ("), "{:?}", summary.warnings);
}

#[test]
fn psf_without_a_peak_is_refused_by_name() {
    let mut warps = warps(&small_field(2));
    warps[1].psf = Some(Array2::ones((25, 25)));
    let message = Bench::new(&warps).failure(&joint());
    assert!(message.contains("warp_1.fits") && message.contains("HDU 4 (PSF)"), "{message}");
    assert!(message.contains("the PSF stamp has no peak"), "{message}");
}

#[test]
fn widths_are_the_same_in_every_part_of_a_summary() {
    let bench = Bench::new(&warps(&small_field(3)));
    let summary = bench.run(&joint()).unwrap();
    let found = summary.joint.as_ref().unwrap();
    for (visit, seen) in summary.visits.iter().zip(&found.visits) {
        assert!(visit.psf_fwhm_px.is_some() && visit.psf_fwhm_px == seen.fwhm_px, "{visit:?} {seen:?}");
    }
    assert!(summary.psf_fwhm_px.is_some() && summary.psf_fwhm_px == found.fiducial_fwhm_px);
    let sharpest = summary.visits.iter().filter_map(|visit| visit.psf_fwhm_px).fold(f64::INFINITY, f64::min);
    assert!((summary.psf_fwhm_px.unwrap() - sharpest).abs() < 1e-6);
}

/// A run, and an exposure written beside it.
fn run_and_exposure(exposure: &Warp) -> Bench {
    let bench = Bench::new(&warps(&small_field(4)));
    let request = AssembleRequest { output: bench.path("run"), ..bench.request("run") };
    assemble(&request, &joint(), &Unmonitored).unwrap();
    exposure.write(&bench.path("exposure.fits"));
    bench
}

fn subtracted(bench: &Bench, config: &SubtractConfig) -> SubtractSummary {
    let request = SubtractRequest {
        coadds: vec![bench.path("run")],
        templates: vec![],
        exposures: vec![bench.path("exposure.fits")],
        output: bench.path("differences"),
        overwrite: true,
    };
    subtract(&request, config, &Unmonitored).unwrap()
}

#[test]
fn template_with_the_coadds_psf_is_told_of() {
    let mut exposure = held_out(&small_field(4));
    exposure.psf = None;
    let without = exposure.header.iter().filter(|card| card.keyword != "PSF-FWHM");
    exposure.header = without.fold(Header::new(), |mut header, card| {
        header.set(&card.keyword, card.value.clone());
        header
    });
    let bench = run_and_exposure(&exposure);
    let request = TemplateRequest {
        coadds: vec![bench.path("run")],
        exposures: vec![bench.path("exposure.fits")],
        output: bench.path("template.fits"),
        overwrite: false,
    };
    let made = matched_templates(&request, &(&joint()).into(), &Unmonitored).unwrap();
    assert_eq!(made.templates[0].psf_of, Some(PsfOf::Coadd));
    let told = |warnings: &[dcr_coadd::Warning]| {
        warnings.iter().filter(|warning| warning.text.contains("has the PSF of the coadd, FWHM ")).count()
    };
    assert_eq!(told(&made.warnings), 1, "{:?}", made.warnings);
    let summary = subtracted(&bench, &SubtractConfig::default());
    assert_eq!((told(&summary.warnings), summary.visits[0].template_psf_of), (1, Some(PsfOf::Coadd)));
}

#[test]
fn exposure_with_a_narrow_psf_is_subtracted() {
    let mut exposure = held_out(&small_field(4));
    let narrow = Psf::Gaussian { fwhm_px: 1.5 }.stamp_at(0.0, 0.0).unwrap();
    exposure.psf = Some(narrow.pixels().mapv(|value| value as f32));
    let bench = run_and_exposure(&exposure);
    let summary = subtracted(&bench, &SubtractConfig::default());
    let width = summary.visits[0].psf_fwhm_px;
    assert!((width - 1.65).abs() < 0.05, "{width}");
    assert_eq!(summary.visits[0].template_psf_of, Some(PsfOf::Exposure));
    assert!(!summary.warnings.iter().any(|warning| warning.text.contains("PSF of the coadd")));
}
