//! Pixels that no light makes, in one exposure or in several: left out, and nothing else changes.

use dcr_coadd::Unmonitored;
use dcr_coadd::config::{AssembleConfig, Method, Statistic, SubtractConfig};
use dcr_difference::{SubtractRequest, SubtractSummary, subtract};
use dcr_image::MaskedImage;
use dcr_sim::Field;

use crate::field::{Bench, Warp, iterative, small_field, warp_again, warps};
use crate::tolerance::{BESIDE_GLITCHES, IN_GLITCHES};

/// Row of the tests' column, and of the pixels without a source.
const COLUMN: usize = 90;
const EMPTY: [(usize, usize); 3] = [(12, 15), (70, 60), (0, 0)];

fn joint() -> AssembleConfig {
    let mut config = AssembleConfig::default();
    config.solver.method = Method::Joint;
    config
}

/// The brightest pixel.
fn brightest(warp: &Warp) -> (usize, usize) {
    let pixels = warp.pixels.image.indexed_iter().filter(|(_, value)| value.is_finite());
    pixels.max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0
}

/// Adds glitches to four of the warps, and returns their places: of 10⁴ σ, on a star, a column, a
/// pair, and of both signs.
fn spoil(warps: &mut [Warp]) -> Vec<(usize, usize, usize)> {
    let sigma = warps[0].pixels.variance[EMPTY[0]].sqrt();
    let star = brightest(&warps[1]);
    let peak = warps[1].pixels.image[star];
    let mut places = vec![];
    let mut add = |warp: usize, (row, col): (usize, usize), value: f32| {
        warps[warp].pixels.image[[row, col]] += value;
        places.push((warp, row, col));
    };
    add(0, EMPTY[0], 1e4 * sigma);
    add(0, EMPTY[1], -9e29);
    add(1, star, 3e5 * sigma + 2.0 * peak);
    add(1, EMPTY[1], 9e29);
    for row in 0..96 {
        add(2, (row, COLUMN), 1e10);
    }
    add(3, (40, 33), 3e5);
    add(3, (40, 34), 3e5);
    add(3, EMPTY[2], -3e5);
    places
}

/// Largest difference in σ of the coadd, in the places and elsewhere, over the pixels that both
/// have.
fn differences(clean: &MaskedImage, other: &MaskedImage, places: &[(usize, usize, usize)]) -> [f32; 2] {
    let mut out = [0.0_f32; 2];
    for ((at, a), b) in clean.image.indexed_iter().zip(&other.image) {
        let near = places.iter().any(|(_, row, col)| row.abs_diff(at.0).max(col.abs_diff(at.1)) <= 4);
        let sigma = clean.variance[at].sqrt();
        if a.is_finite() && sigma.is_finite() {
            assert!(b.is_finite(), "{at:?}");
            let worst = &mut out[usize::from(near)];
            *worst = worst.max((a - b).abs() / sigma);
        }
    }
    out
}

fn check(config: &AssembleConfig) {
    let mut warps = warps(&small_field(6));
    let clean = Bench::new(&warps);
    let before = clean.run(config).unwrap();
    assert!(before.warnings.iter().all(|warning| warning.subject != "glitches"));
    let places = spoil(&mut warps);
    let spoilt = Bench::new(&warps);
    let summary = spoilt.run(config).unwrap();
    for name in ["run/coadd.fits", "run/plain.fits", "run/subfilter_0.fits"] {
        let [elsewhere, here] = differences(&clean.read(name), &spoilt.read(name), &places);
        assert!(elsewhere < BESIDE_GLITCHES && here < IN_GLITCHES, "{name}: {elsewhere} {here}");
    }
    let told: Vec<_> = summary.warnings.iter().filter(|warning| warning.subject == "glitches").collect();
    assert!(told.len() == 1 && told[0].text.starts_with("103 pixels of 4 exposures"), "{told:?}");
    for (i, (visit, clean)) in summary.visits.iter().zip(&before.visits).enumerate() {
        let own = places.iter().filter(|(warp, ..)| *warp == i).count();
        let others = visit.artefact_pixels.abs_diff(clean.artefact_pixels + own);
        // Who has the glitch is blamed, and nobody else.
        assert!(others <= 6, "{i}: {} {} {own}", visit.artefact_pixels, clean.artefact_pixels);
    }
}

#[test]
fn glitches_do_not_spread_in_the_joint_method() {
    check(&joint());
}

#[test]
fn glitches_do_not_spread_in_the_iterative_method() {
    check(&iterative());
}

/// The plain mean rejects nothing itself.
#[test]
fn glitches_are_not_in_a_mean() {
    let mut config = iterative();
    config.coadd.statistic = Statistic::Mean;
    check(&config);
}

fn subtracted(bench: &Bench, exposure: &Warp) -> SubtractSummary {
    exposure.write(&bench.path("exposure.fits"));
    let request = SubtractRequest {
        coadds: vec![bench.path("run")],
        templates: vec![],
        exposures: vec![bench.path("exposure.fits")],
        output: bench.path("out"),
        overwrite: true,
    };
    subtract(&request, &SubtractConfig::default(), &Unmonitored).unwrap()
}

#[test]
fn glitches_of_a_new_exposure_are_no_residuals() {
    let config = small_field(6);
    let field = Field::draw(&config).unwrap();
    let bench = Bench::new(&warps(&config));
    bench.run(&joint()).unwrap();
    let mut exposure = warp_again(&field, &field.held_out()[0], 0);
    let clean = subtracted(&bench, &exposure);
    for (at, value) in [(EMPTY[0], 2e5), (EMPTY[1], 9e29), ((50, 100), -1e10)] {
        exposure.pixels.image[at] = value;
    }
    let spoilt = subtracted(&bench, &exposure);
    assert_eq!(spoilt.matched, clean.matched);
    assert_eq!(spoilt.plain, clean.plain);
    let told = spoilt.warnings.iter().find(|warning| warning.subject == "glitches").unwrap();
    assert!(told.text.starts_with("3 pixels of 1 exposure cannot be light"), "{told:?}");
}
