//! CCDs of one visit, given as files of their own.

use std::path::PathBuf;

use dcr_coadd::Unmonitored;
use dcr_coadd::config::{AssembleConfig, SubtractConfig, ZeroPoint};
use dcr_difference::{SubtractRequest, TemplateRequest, matched_templates, subtract};
use ndarray::Array2;

use crate::field::{Bench, Warp, held_out, iterative, small_field, warps};

/// The column where the second CCD begins.
const SECOND: usize = 60;

/// A warp as its two CCDs have it.
fn split(warp: &Warp) -> [Warp; 2] {
    let ccd = |number: i64, without: std::ops::Range<usize>| {
        let mut ccd = warp.clone();
        ccd.set("CCDNUM", number);
        let no_data = ccd.planes.bits_of(["NO_DATA"]);
        for ((_, x), value) in ccd.pixels.image.indexed_iter_mut() {
            *value = if without.contains(&x) { f32::NAN } else { *value };
        }
        for ((_, x), value) in ccd.pixels.variance.indexed_iter_mut() {
            *value = if without.contains(&x) { 0.0 } else { *value };
        }
        for ((_, x), mask) in ccd.pixels.mask.indexed_iter_mut() {
            *mask = if without.contains(&x) { no_data } else { *mask };
        }
        ccd
    };
    [ccd(1, SECOND..usize::MAX), ccd(2, 0..SECOND)]
}

fn same_bits(a: &Array2<f32>, b: &Array2<f32>) -> bool {
    a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}

fn all_split(warps: &[Warp]) -> Vec<Warp> {
    warps.iter().flat_map(split).collect()
}

#[test]
fn ccds_of_a_visit_make_the_coadd_that_whole_visits_make() {
    let config = small_field(4);
    let whole = warps(&config);
    for settings in [AssembleConfig::default(), iterative()] {
        let (expected, ccds) = (Bench::new(&whole), Bench::new(&all_split(&whole)));
        let told = (expected.run(&settings).unwrap(), ccds.run(&settings).unwrap());
        assert_eq!((told.0.visits.len(), told.1.visits.len()), (4, 4));
        assert!(told.1.visits.iter().all(|visit| visit.other_files.len() == 1 && visit.usable > 0.9));
        for name in ["run/coadd.fits", "run/subfilter_0.fits", "run/plain.fits"] {
            let (a, b) = (expected.read(name), ccds.read(name));
            assert!(same_bits(&a.image, &b.image) && same_bits(&a.variance, &b.variance), "{name}");
            assert_eq!(a.mask, b.mask, "{name}");
        }
    }
}

#[test]
fn ccds_of_a_new_exposure_are_subtracted_as_one() {
    let config = small_field(4);
    let run = Bench::new(&warps(&config));
    run.run(&AssembleConfig::default()).unwrap();
    let new = held_out(&config);
    let residuals = |bench: &Bench| {
        let request = SubtractRequest {
            coadds: vec![run.path("run")],
            templates: vec![],
            exposures: bench.warps.clone(),
            output: bench.path("differences"),
            overwrite: false,
        };
        let summary = subtract(&request, &SubtractConfig::default(), &Unmonitored).unwrap();
        assert_eq!(summary.visits.len(), 1);
        let name = format!("differences/difference_{}.fits", summary.visits[0].visit);
        (bench.read(&name), summary.visits[0].matched)
    };
    let (one, two) = (Bench::new(std::slice::from_ref(&new)), Bench::new(&split(&new)));
    let ((a, counts), (b, of_ccds)) = (residuals(&one), residuals(&two));
    assert_eq!(counts, of_ccds);
    assert!(same_bits(&a.image, &b.image) && same_bits(&a.variance, &b.variance));
    let request = TemplateRequest {
        coadds: vec![run.path("run")],
        exposures: two.warps.clone(),
        output: two.path("templates"),
        overwrite: false,
    };
    let templates = matched_templates(&request, &SubtractConfig::default().template, &Unmonitored).unwrap();
    assert_eq!(templates.templates.len(), 1);
}

#[test]
fn zero_points_of_ccds_bring_each_to_its_visits_scale() {
    let whole = warps(&small_field(3));
    let mut settings = iterative();
    settings.input.zero_point = ZeroPoint::Header;
    let with_zero_points = |warp: &Warp, magnitudes: [f64; 2]| {
        let mut ccds = split(warp);
        for (ccd, magnitude) in ccds.iter_mut().zip(magnitudes) {
            ccd.set("MAGZERO", magnitude);
            ccd.pixels.image *= 10_f64.powf(0.4 * (magnitude - 25.0)) as f32;
            ccd.pixels.variance *= 10_f64.powf(0.8 * (magnitude - 25.0)) as f32;
        }
        ccds
    };
    let alike: Vec<Warp> = whole.iter().flat_map(|warp| with_zero_points(warp, [25.0, 25.0])).collect();
    let other: Vec<Warp> = whole.iter().flat_map(|warp| with_zero_points(warp, [25.0, 25.75])).collect();
    let (alike, other) = (Bench::new(&alike), Bench::new(&other));
    alike.run(&settings).unwrap();
    other.run(&settings).unwrap();
    let (a, b) = (alike.read("run/plain.fits"), other.read("run/plain.fits"));
    let noise = a.variance.iter().copied().filter(|v| v.is_finite()).fold(f32::INFINITY, f32::min).sqrt();
    for (a, b) in a.image.iter().zip(&b.image).filter(|(a, _)| a.is_finite()) {
        assert!((a - b).abs() < 1e-3 * noise.max(a.abs()), "{a} {b}");
    }
    // Where they are not used, it is told that they differ.
    settings.input.zero_point = ZeroPoint::Off;
    let told = other.run_into("off", &settings).unwrap();
    assert!(told.warnings.iter().any(|w| w.text.contains("different zero points")), "{:?}", told.warnings);
}

#[test]
fn files_of_one_visit_that_are_no_parts_of_it_are_refused() {
    let refusal = |change: &dyn Fn(&mut [Warp; 2])| {
        let mut ccds = split(&warps(&small_field(1))[0]);
        change(&mut ccds);
        let message = Bench::new(&ccds).failure(&iterative());
        assert!(
            message.starts_with("/warp_0.fits and /warp_1.fits both have the visit number 1001, but "),
            "{message}"
        );
        message
    };
    let same_detector = refusal(&|ccds| ccds[1].set("CCDNUM", 1_i64));
    assert!(same_detector.contains("both are of one detector (CCDNUM 1)"), "{same_detector}");
    let unknown = refusal(&|ccds| ccds[1].set("CCDNUM", ""));
    assert!(unknown.contains("neither detectors nor times"), "{unknown}");
    let exposed = refusal(&|ccds| ccds[1].set("EXPTIME", 99.0));
    assert!(exposed.contains("they were exposed for"), "{exposed}");
    let overlap = refusal(&|ccds| {
        let again = warps(&small_field(1)).remove(0);
        ccds[1].pixels = again.pixels;
    });
    assert!(overlap.contains("both have data in 100 % of the pixels"), "{overlap}");
    let elsewhen = refusal(&|ccds| {
        for (ccd, date) in ccds.iter_mut().zip(["2025-01-01T03:00:00", "2025-01-01T03:10:00"]) {
            ccd.set("DATE-OBS", date);
            ccd.set("DATE-AVG", date);
            ccd.set("TIMESYS", "TAI");
        }
    });
    assert!(elsewhen.contains("middles are 600 s apart"), "{elsewhen}");
}

#[test]
fn ccds_without_a_name_are_joined_by_their_time_and_told() {
    let date = |warp: &mut Warp| {
        warp.set("DATE-AVG", "2025-01-01T03:00:00");
        warp.set("TIMESYS", "TAI");
        warp.set("CCDNUM", "");
    };
    let mut ccds = all_split(&warps(&small_field(1)));
    ccds.iter_mut().for_each(date);
    let bench = Bench::new(&ccds);
    let mut settings = iterative();
    settings.input.geometry = dcr_physics::GeometrySource::Header;
    let told = bench.run(&settings).unwrap();
    let files: Vec<PathBuf> =
        told.visits[0].other_files.iter().chain([&told.visits[0].file]).cloned().collect();
    assert_eq!(files.len(), 2);
    assert!(
        told.warnings.iter().any(|w| w.text.contains("No header card names the detector")),
        "{:?}",
        told.warnings
    );
}
