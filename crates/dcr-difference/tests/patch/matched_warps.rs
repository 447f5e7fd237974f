//! PSF-matched warps that are given, in whole runs: they find what the program's own convolution
//! finds, and must belong to their exposures.

use std::path::PathBuf;

use dcr_coadd::config::{AssembleConfig, FindArtefacts, ZeroPoint};
use dcr_coadd::{AssembleRequest, CoaddError, Summary, Unmonitored, assemble};
use dcr_image::{BBox, MaskedImage};
use dcr_sim::{Field, FieldConfig, PsfShape, VisitSettings};
use dcr_solver::kernel::{Boundary, gaussian_filter};
use ndarray::{Array2, Zip};

use crate::field::{Bench, Warp, iterative, small_field, unmarked_artefacts, warps, wcs};
use crate::tolerance::SAME_ARTEFACTS;

const CLIPPED: i32 = 1 << 9;
/// FWHM over σ of a Gaussian.
const FWHM_PER_SIGMA: f64 = 2.354_820_045;

fn static_sky() -> AssembleConfig {
    let mut config = iterative();
    config.artefacts.find = FindArtefacts::StaticSky;
    config
}

/// Gaussian seeing from 0.6 to 1.1″, with cosmic rays and trails that no mask tells of.
fn spoilt_field(visits: usize) -> FieldConfig {
    let field = small_field(visits);
    let visits = VisitSettings { seeing_arcsec: [0.6, 1.1], seeing_exponent: 0.0, ..field.visits };
    FieldConfig { psf: PsfShape::Gaussian, visits, artefacts: Some(unmarked_artefacts(1)), ..field }
}

fn fwhm_px(warp: &Warp) -> f64 {
    warp.header.f64("PSF-FWHM").unwrap()
}

/// The warps at the PSF of the broadest, convolved with Gaussians.
fn matched(warps: &[Warp]) -> Vec<Warp> {
    let broadest = warps.iter().map(fwhm_px).fold(0.0, f64::max);
    warps.iter().map(|warp| at_seeing(warp, broadest)).collect()
}

fn at_seeing(warp: &Warp, fwhm: f64) -> Warp {
    let sigma = (fwhm.powi(2) - fwhm_px(warp).powi(2)).max(0.0).sqrt() / FWHM_PER_SIGMA;
    let mut out = warp.clone();
    out.set("PSF-FWHM", fwhm);
    out.psf = None;
    let bad = warp.planes.bits_of(["NO_DATA", "BAD", "SAT"]);
    let MaskedImage { image, mask, variance, .. } = &mut out.pixels;
    let good = mask.mapv(|mask| f32::from(u8::from(mask & bad == 0)));
    let masked = Zip::from(&*image).and(&good).map_collect(|v, good| if *good > 0.0 { *v } else { 0.0 });
    let convolved = |plane: &Array2<f32>| gaussian_filter(plane.view(), sigma, Boundary::Zero);
    let (sum, weight) = (convolved(&masked), convolved(&good));
    let mut point = Array2::zeros((81, 81));
    point[[40, 40]] = 1.0_f32;
    let left: f32 = convolved(&point).iter().map(|k| k * k).sum();
    Zip::from(image).and(&sum).and(&weight).for_each(|value, sum, weight| {
        *value = if *weight < 0.98 { f32::NAN } else { sum / weight };
    });
    variance.mapv_inplace(|variance| variance * left);
    mask.mapv_inplace(|mask| mask & !bad);
    out
}

/// A bench with PSF-matched warps beside the others.
struct Both {
    bench: Bench,
    matched: Bench,
}

impl Both {
    fn new(warps: &[Warp], matched: &[Warp]) -> Self {
        Self { bench: Bench::new(warps), matched: Bench::new(matched) }
    }

    fn run(&self, name: &str, config: &AssembleConfig) -> Result<Summary, CoaddError> {
        // In another order than the exposures.
        let matched: Vec<PathBuf> = self.matched.warps.iter().rev().cloned().collect();
        let request = AssembleRequest { matched, ..self.bench.request(name) };
        assemble(&request, config, &Unmonitored)
    }

    fn clipped(&self, name: &str) -> Array2<bool> {
        self.bench.read(&format!("{name}/coadd.fits")).mask.mapv(|mask| mask & CLIPPED != 0)
    }
}

#[test]
fn matched_warps_find_what_convolution_finds() {
    let warps = warps(&spoilt_field(12));
    let both = Both::new(&warps, &matched(&warps));
    let own = both.bench.run_into("own", &static_sky()).unwrap();
    let given = both.run("given", &static_sky()).unwrap();
    let (a, b) = (both.clipped("own"), both.clipped("given"));
    let shared = a.iter().zip(&b).filter(|(a, b)| **a && **b).count();
    let any = a.iter().zip(&b).filter(|(a, b)| **a || **b).count();
    assert!(any > 300 && shared as f64 >= SAME_ARTEFACTS * any as f64, "{shared} of {any}");
    let pixels = |summary: &Summary| summary.visits.iter().map(|v| v.artefact_pixels as f64).sum::<f64>();
    assert!((pixels(&given) / pixels(&own) - 1.0).abs() < 1.0 - SAME_ARTEFACTS);
    assert!(
        given.warnings.iter().all(|warning| !warning.text.contains("PSF-matched")),
        "{:?}",
        given.warnings
    );
}

/// That they are given says what they are for; the summary records it.
#[test]
fn matched_warps_are_compared_with_the_static_sky() {
    let warps = warps(&small_field(5));
    let both = Both::new(&warps, &matched(&warps));
    let summary = both.run("run", &iterative()).unwrap();
    assert_eq!(summary.configuration.artefacts.find, FindArtefacts::StaticSky);
    assert!(summary.warnings.iter().any(|warning| warning.text.contains("PSF-matched warps are given")));
    let mut off = iterative();
    off.artefacts.find = FindArtefacts::Off;
    let error = both.run("off", &off).unwrap_err().to_string();
    assert!(error.contains(r#"need artefacts.find = "static_sky" (it is "off")"#), "{error}");
}

/// Only the visits that are used need one.
#[test]
fn matched_warps_of_other_visits_are_not_looked_at() {
    let warps = warps(&small_field(6));
    let both = Both::new(&warps[..5], &matched(&warps));
    assert_eq!(both.run("run", &static_sky()).unwrap().visits.len(), 5);
    let both = Both::new(&warps, &matched(&warps)[1..]);
    let mut config = static_sky();
    config.input.visits = Some((1002..=1006).collect());
    assert_eq!(both.run("run", &config).unwrap().visits.len(), 5);
}

/// Visits without a good pixel are dropped with their PSF-matched warps; the others keep theirs.
#[test]
fn matched_warps_stay_with_their_visits() {
    let mut warps = warps(&small_field(6));
    let matched = matched(&warps);
    let bad = warps[1].planes.bits_of(["BAD"]);
    warps[1].pixels.mask.fill(bad);
    for at in [(30, 50), (30, 51), (31, 50), (31, 51)] {
        warps[3].pixels.image[at] += 5000.0;
    }
    let mut spoilt = matched.clone();
    spoilt[3] = at_seeing(&warps[3], fwhm_px(&matched[3]));
    let summary = Both::new(&warps, &spoilt).run("run", &static_sky()).unwrap();
    let found: Vec<(u64, usize)> = summary.visits.iter().map(|v| (v.visit, v.artefact_pixels)).collect();
    assert!(found.contains(&(1004, found[2].1)) && found[2].1 >= 4, "{found:?}");
}

#[test]
fn matched_warp_without_pixels_finds_nothing() {
    let warps = warps(&small_field(5));
    let mut matched = matched(&warps);
    matched[2].pixels.image.fill(f32::NAN);
    let summary = Both::new(&warps, &matched).run("run", &static_sky()).unwrap();
    assert_eq!(summary.visits[2].artefact_pixels, 0);
    assert!(summary.warnings.iter().any(|warning| warning.text.contains("has no usable pixel: no artefact")));
}

/// What is said when the third of four PSF-matched warps is changed.
fn message(change: impl FnOnce(&mut Warp), config: &AssembleConfig) -> String {
    let warps = warps(&small_field(4));
    let mut matched = matched(&warps);
    change(&mut matched[2]);
    let both = Both::new(&warps, &matched);
    let error = both.run("run", config).unwrap_err();
    assert!(!both.bench.path("run").exists(), "a failed run leaves no folder");
    error.to_string()
}

#[test]
fn matched_warps_must_belong_to_their_exposures() {
    let config = static_sky();
    let missing = message(|warp| warp.set("VISIT", 77_i64), &config);
    assert!(missing.contains("no PSF-matched warp for its visit 1003"), "{missing}");
    assert!(missing.contains("PSF-matched warps given: 77, 1001, 1002, 1004"), "{missing}");
    let twice = message(|warp| warp.set("VISIT", 1001_i64), &config);
    assert!(twice.contains("both have the visit number 1001"), "{twice}");
    let size = |warp: &mut Warp| warp.pixels = warp.pixels.sub_image(BBox::new(0, 0, 100, 90)).unwrap();
    assert!(message(size, &config).contains("it covers the pixels [0:100, 0:90]"));
    let place = |warp: &mut Warp| warp.wcs = wcs(&Field::draw(&small_field(4)).unwrap(), 0.25);
    assert!(message(place, &config).contains("up to 0.250 px away"));
    let unit = message(|warp| warp.unit = Some("adu".into()), &config);
    assert!(unit.contains(r#"BUNIT is "adu", but"#), "{unit}");
    let filter = message(|warp| warp.set("FILTER", "r"), &config);
    assert!(filter.contains(r#"the filter is "r", but"#), "{filter}");
}

#[test]
fn matched_warps_must_be_at_the_zero_point_of_their_exposures() {
    let mut warps = warps(&small_field(4));
    warps.iter_mut().for_each(|warp| warp.set("MAGZERO", 30.0));
    let mut matched = matched(&warps);
    matched[2].set("MAGZERO", 30.5);
    let light = 10_f32.powf(0.4 * 0.5);
    matched[2].pixels.image *= light;
    matched[2].pixels.variance *= light * light;
    let found = |summary: Summary| summary.visits.iter().map(|visit| visit.artefact_pixels).sum::<usize>();
    let alike = found(Both::new(&warps, &self::matched(&warps)).run("run", &static_sky()).unwrap());
    let both = Both::new(&warps, &matched);
    let error = both.run("off", &static_sky()).unwrap_err().to_string();
    assert!(error.contains("its zero point is 30.5 mag, but") && error.contains("has 30"), "{error}");
    let mut scaled = static_sky();
    scaled.input.zero_point = ZeroPoint::Header;
    let found = found(both.run("header", &scaled).unwrap());
    assert!(found.abs_diff(alike) < 20, "{found} {alike}");
    matched[2].header = matched[2].header.iter().filter(|card| card.keyword != "MAGZERO").cloned().collect();
    let error = Both::new(&warps, &matched).run("run", &scaled).unwrap_err().to_string();
    assert!(error.contains("has no magnitude zero point"), "{error}");
}
