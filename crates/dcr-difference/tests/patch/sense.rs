//! Sets that make no sense as a whole: what is said of them, and how the run ends.

use dcr_coadd::config::{AssembleConfig, Method};
use dcr_coadd::{Outcome, Summary};

use crate::field::{Bench, Warp, iterative, small_field, warps};

fn joint() -> AssembleConfig {
    let mut config = AssembleConfig::default();
    config.solver.method = Method::Joint;
    config
}

fn four() -> Vec<Warp> {
    warps(&small_field(4))
}

/// The warnings about a subject.
fn said<'a>(summary: &'a Summary, subject: &str) -> Vec<&'a str> {
    let warnings = summary.warnings.iter().filter(|warning| warning.subject.starts_with(subject));
    warnings.map(|warning| warning.text.as_str()).collect()
}

#[test]
fn sense_of_a_good_set_is_not_doubted() {
    for config in [joint(), iterative()] {
        let summary = Bench::new(&four()).run(&config).unwrap();
        for subject in ["background", "variance", "masks", "glitches", "visit"] {
            assert_eq!(said(&summary, subject), [""; 0], "{subject}");
        }
        assert_eq!(summary.outcome, Outcome::Done);
    }
}

#[test]
fn sense_of_an_inverted_mask_is_doubted_and_no_variance_is_infinite() {
    let mut warps = four();
    for warp in &mut warps {
        let bad = warp.planes.bits_of(["BAD"]);
        for ((row, _), mask) in warp.pixels.mask.indexed_iter_mut() {
            *mask = if (40..42).contains(&row) { *mask & !bad } else { *mask | bad };
        }
    }
    for config in [joint(), iterative()] {
        let bench = Bench::new(&warps);
        let summary = bench.run(&config).unwrap();
        let masks = said(&summary, "masks");
        assert_eq!(masks.len(), 1);
        assert!(masks[0].contains("in 4 of 4 visits") && masks[0].contains("98 %"), "{masks:?}");
        assert!(masks[0].contains("have BAD") && masks[0].contains("inverted"), "{masks:?}");
        assert_eq!(summary.outcome, Outcome::DoneWithRemarks);
        assert_eq!(summary.remarks.iter().filter(|remark| remark.contains("were not used")).count(), 4);
        for name in ["run/coadd.fits", "run/subfilter_0.fits", "run/plain.fits"] {
            let file = bench.read(name);
            let unknown: Vec<_> =
                file.variance.iter().zip(&file.mask).filter(|(v, _)| !v.is_finite()).collect();
            assert!(!unknown.is_empty(), "{name}");
            assert!(unknown.iter().all(|(v, mask)| v.is_nan() && **mask & (1 << 8) != 0), "{name}");
        }
    }
}

#[test]
fn sense_of_noise_that_variances_contradict_is_doubted() {
    let mut warps = four();
    warps[1].pixels.variance /= 9.0;
    warps[2].pixels.variance *= 1e4;
    let summary = Bench::new(&warps).run(&iterative()).unwrap();
    let variance = said(&summary, "variance");
    assert_eq!(variance.len(), 2, "{variance:?}");
    assert!(variance[0].contains("in 1 of 4 visits") && variance[0].contains("visit 1002"), "{variance:?}");
    assert!(variance[1].contains("in 1 of 4 visits") && variance[1].contains("visit 1003"), "{variance:?}");
}

#[test]
fn sense_of_a_variance_that_varies_in_a_visit_is_doubted_where_one_number_is_used() {
    let mut warps = four();
    for warp in &mut warps[1..3] {
        let cols = warp.pixels.variance.ncols();
        for ((_, col), variance) in warp.pixels.variance.indexed_iter_mut() {
            *variance *= if col < cols / 2 { 25.0 } else { 1.0 };
        }
    }
    let bench = Bench::new(&warps);
    let with = bench.run(&joint()).unwrap();
    let text = said(&with, "variance").join(" ");
    assert!(text.contains("varies in 2 of 4 visits by more than a factor of 2"), "{text}");
    let without = bench.run_into("iterative", &iterative()).unwrap();
    assert!(!said(&without, "variance").join(" ").contains("varies"));
}

#[test]
fn sense_of_a_sloping_sky_is_doubted() {
    let mut warps = four();
    let (rows, sigma) = (warps[2].pixels.image.nrows() as f32, warps[2].pixels.variance[[10, 10]].sqrt());
    for ((row, _), value) in warps[2].pixels.image.indexed_iter_mut() {
        *value += 2.4 * sigma * (row as f32 / rows - 0.5);
    }
    let summary = Bench::new(&warps).run(&iterative()).unwrap();
    let text = said(&summary, "background").join(" ");
    assert!(text.contains("slopes by more than 0.5 σ") && text.contains("in 1 of 4 visits"), "{text}");
    assert!(text.contains("visit 1003") && (text.contains(": 2.4 σ") || text.contains(": 2.3 σ")), "{text}");
    assert!(said(&summary, "variance").is_empty(), "a slope is no noise");
}

/// The sky of one visit is far from that of the others: it is fitted, and no pixel is lost.
#[test]
fn sense_of_a_sky_that_differs_is_fitted_and_undone() {
    let mut warps = warps(&small_field(8));
    let sigma = warps[3].pixels.variance[[10, 10]].sqrt();
    warps[3].pixels.image += 30.0 * sigma;
    let summary = Bench::new(&warps).run(&joint()).unwrap();
    assert!(said(&summary, "visit 1004").is_empty(), "{:?}", summary.warnings);
    assert!(
        said(&summary, "background").iter().any(|text| text.contains("fitted and undone")),
        "{:?}",
        summary.warnings
    );
    assert_eq!(summary.outcome, Outcome::Done);
    let joint = summary.joint.unwrap();
    assert!(joint.visits.iter().all(|visit| visit.clipped < 0.01), "{:?}", joint.visits);
}

/// One of the visits is of another field: most of it is clipped.
#[test]
fn sense_of_a_visit_that_is_mostly_clipped_is_doubted() {
    let mut warps = warps(&small_field(8));
    let sigma = warps[3].pixels.variance[[10, 10]].sqrt();
    // Squares of 6 px: no smooth sky.
    for ((y, x), value) in warps[3].pixels.image.indexed_iter_mut() {
        *value += if (y / 6 + x / 6).is_multiple_of(2) { 30.0 } else { -30.0 } * sigma;
    }
    let summary = Bench::new(&warps).run(&joint()).unwrap();
    let lost = said(&summary, "visit 1004");
    assert!(
        lost.iter().any(|text| text.contains("of its good pixels contradict the other visits")),
        "{lost:?}"
    );
    assert_eq!(summary.outcome, Outcome::DoneWithRemarks);
    assert!(summary.remarks.iter().any(|remark| remark.contains("visit 1004")), "{:?}", summary.remarks);
}
