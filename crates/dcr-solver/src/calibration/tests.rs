use ndarray::{Array2, Zip};
use proptest::prelude::*;

use super::*;
use crate::kernel::PixelShift;

const SIDE: usize = 200;
/// σ of the stars, px.
const WIDTH: f64 = 1.6;

/// Places of the stars: a grid with irregular subpixel positions.
fn places() -> Vec<(f64, f64, f64)> {
    let place = |i: usize, j: usize| {
        let k = (7 * i + 3 * j) as f64;
        let (y, x) = (12.0 + 22.0 * i as f64 + (0.37 * k).sin(), 12.0 + 22.0 * j as f64 + (0.91 * k).cos());
        (y, x, 200.0 + 150.0 * (k * 1.3).sin() + if (i + j).is_multiple_of(5) { 1500.0 } else { 0.0 })
    };
    (0..9).flat_map(|i| (0..9).map(move |j| place(i, j))).collect()
}

/// Deterministic Gaussian noise of variance 1.
fn noise(seed: u64) -> Array2<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut uniform = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut next = move || (0..12).map(|_| uniform()).sum::<f64>() - 6.0;
    Array2::from_shape_simple_fn((SIDE, SIDE), move || next() as f32)
}

/// Stars drawn with the terms at their places.
fn drawn(stars: &[(f64, f64, f64)], terms: impl Fn(f64, f64) -> LocalTerms) -> Array2<f32> {
    let mut out = Array2::from_shape_fn((SIDE, SIDE), |(y, x)| terms(y as f64, x as f64).background as f32);
    for (y0, x0, peak) in stars {
        let local = terms(*y0, *x0);
        let [size, e1, e2] = local.moments;
        let (xx, yy, xy) = (WIDTH * WIDTH + size + e1, WIDTH * WIDTH + size - e1, e2);
        let determinant = xx * yy - xy * xy;
        let flux = peak * WIDTH * WIDTH * (1.0 + local.flux) / determinant.sqrt();
        for y in (*y0 as usize).saturating_sub(10)..(*y0 as usize + 11).min(SIDE) {
            for x in (*x0 as usize).saturating_sub(10)..(*x0 as usize + 11).min(SIDE) {
                let dy = y as f64 - y0 - local.displacement.dy;
                let dx = x as f64 - x0 - local.displacement.dx;
                let chi2 = (yy * dx * dx - 2.0 * xy * dx * dy + xx * dy * dy) / determinant;
                out[[y, x]] += (flux * (-0.5 * chi2).exp()) as f32;
            }
        }
    }
    out
}

fn fitted(image: &Array2<f32>, prediction: &Array2<f32>, good: &Array2<bool>) -> Option<Calibration> {
    let variance = Array2::ones(image.dim());
    let data = CalibrationData {
        image: image.view(),
        variance: variance.view(),
        prediction: prediction.view(),
        good: good.view(),
        fwhm_px: 2.3548 * WIDTH,
    };
    fit(&data, &CalibrationOrders::default())
}

fn all_good() -> Array2<bool> {
    Array2::from_elem((SIDE, SIDE), true)
}

/// Position relative to the middle, −1 to 1.
fn u(v: f64) -> f64 {
    2.0 * v / (SIDE - 1) as f64 - 1.0
}

#[test]
fn calibration_finds_every_term() {
    let truth = |y: f64, x: f64| LocalTerms {
        background: 0.5 + 0.3 * u(x) - 0.4 * u(y) * u(y),
        flux: 0.02 + 0.01 * u(y),
        displacement: PixelShift { dy: 0.04 * u(x) * u(y), dx: 0.05 - 0.06 * u(y) },
        moments: [0.12 + 0.05 * u(x), 0.06 * u(y), -0.05],
    };
    let prediction = drawn(&places(), |_, _| LocalTerms::default());
    let image = drawn(&places(), truth) + noise(1);
    let found = fitted(&image, &prediction, &all_good()).unwrap();
    for (y, x) in [(20.0, 30.0), (100.0, 100.0), (170.0, 60.0)] {
        let (got, expected) = (found.at(y, x), truth(y, x));
        assert!((got.background - expected.background).abs() < 0.04, "{got:?} {expected:?}");
        assert!((got.flux - expected.flux).abs() < 4e-3, "{got:?} {expected:?}");
        let apart = (got.displacement.dy - expected.displacement.dy)
            .hypot(got.displacement.dx - expected.displacement.dx);
        assert!(apart < 8e-3, "{got:?} {expected:?}");
        let moments = got.moments.iter().zip(expected.moments).all(|(a, b)| (a - b).abs() < 0.03);
        assert!(moments, "{got:?} {expected:?}");
    }
    let residual = &image - &found.apply(prediction.view());
    let worst = |plane: &Array2<f32>| plane.iter().fold(0.0_f32, |worst, r| worst.max(r.abs()));
    assert!(worst(&(&image - &prediction)) > 40.0 && worst(&residual) < 8.0, "{}", worst(&residual));
}

#[test]
fn calibration_of_noise_alone_is_none_of_the_terms() {
    let prediction = drawn(&places(), |_, _| LocalTerms::default());
    for seed in 1..6 {
        let found = fitted(&(&prediction + &noise(seed)), &prediction, &all_good()).unwrap();
        let middle = found.at(100.0, 100.0);
        assert!(middle.flux.abs() < 3e-3 && middle.background.abs() < 0.03, "{seed}: {found:?}");
        let change = &found.apply(prediction.view()) - &prediction;
        assert!(change.iter().all(|c| c.abs() < 4.0), "{seed}: {found:?}");
    }
    // Nothing is bright: only a background could be found, and there is none.
    let empty = Array2::zeros((SIDE, SIDE));
    let found = fitted(&noise(9), &empty, &all_good()).unwrap();
    assert_eq!((found.sources(), found.orders().flux, found.orders().moments), (0, None, None));
}

/// Registration removes the mean of a displacement, not its variation.
#[test]
fn calibration_finds_a_displacement_without_a_mean() {
    let truth = |y: f64, x: f64| LocalTerms {
        displacement: PixelShift { dy: 0.08 * (u(x) * u(x) - 0.33), dx: 0.1 * u(y) * u(x) },
        ..LocalTerms::default()
    };
    let prediction = drawn(&places(), |_, _| LocalTerms::default());
    let image = drawn(&places(), truth) + noise(8);
    let found = fitted(&image, &prediction, &all_good()).unwrap();
    assert_eq!(found.orders().displacement, Some(2));
    let (got, expected) = (found.at(170.0, 170.0).displacement, truth(170.0, 170.0).displacement);
    assert!((got.dy - expected.dy).hypot(got.dx - expected.dx) < 0.01, "{got:?} {expected:?}");
}

/// One star determines a constant, not a field.
#[test]
fn calibration_of_a_sparse_field_is_constant() {
    let stars = [(90.3, 110.2, 400.0), (60.1, 40.7, 150.0)];
    let shift = LocalTerms { displacement: PixelShift { dy: 0.0, dx: 0.1 }, ..LocalTerms::default() };
    let image = drawn(&stars, |_, _| shift) + noise(3);
    let found = fitted(&image, &drawn(&stars, |_, _| LocalTerms::default()), &all_good()).unwrap();
    assert_eq!(found.orders().displacement, Some(0), "{found:?}");
    assert!((found.at(5.0, 195.0).displacement.dx - 0.1).abs() < 0.02, "{found:?}");
}

/// Neither new sources nor variable ones nor moving ones change the calibration.
#[test]
fn calibration_ignores_what_changed() {
    let truth = LocalTerms { flux: 0.03, ..LocalTerms::default() };
    let prediction = drawn(&places(), |_, _| LocalTerms::default());
    let mut changed = places();
    for (i, (y, _, peak)) in changed.iter_mut().enumerate() {
        match i % 8 {
            0 => *peak *= 1.3,
            3 if i < 40 => *y += 0.4,
            _ => (),
        }
    }
    changed.push((50.0, 77.0, 900.0));
    let image = drawn(&changed, |_, _| truth) + noise(4);
    let found = fitted(&image, &prediction, &all_good()).unwrap();
    let middle = found.at(100.0, 100.0);
    assert!((middle.flux - 0.03).abs() < 5e-3 && middle.displacement.dy.abs() < 6e-3, "{middle:?}");
    assert!(found.sources() < 75, "{}", found.sources());
}

/// New sources on a third of the galaxies, all brighter than their hosts: the flux scale is that of
/// the majority.
#[test]
fn calibration_is_not_biased_by_one_sided_changes() {
    let faint: Vec<_> = places().into_iter().map(|(y, x, _)| (y, x, 100.0)).collect();
    let mut changed = faint.clone();
    for (y, x, _) in faint.iter().step_by(3) {
        changed.push((y + 0.8, *x, 160.0));
    }
    let prediction = drawn(&faint, |_, _| LocalTerms::default());
    let image = drawn(&changed, |_, _| LocalTerms::default()) + noise(10);
    let middle = fitted(&image, &prediction, &all_good()).unwrap().at(100.0, 100.0);
    assert!(middle.flux.abs() < 6e-3 && middle.displacement.dy.abs() < 0.01, "{middle:?}");
}

/// Most stars vary: no flux scale is better than a wrong one.
#[test]
fn calibration_of_a_field_of_variables_has_no_flux_scale() {
    let mut changed = places();
    for (i, (_, _, peak)) in changed.iter_mut().enumerate() {
        *peak *= [1.0, 1.4, 0.7, 1.25, 0.55][i % 5];
    }
    let prediction = drawn(&places(), |_, _| LocalTerms::default());
    let image = drawn(&changed, |_, _| LocalTerms::default()) + noise(11);
    let found = fitted(&image, &prediction, &all_good()).unwrap();
    assert_eq!(found.orders().flux, None, "{found:?}");
}

#[test]
fn calibration_uses_good_pixels_alone_and_keeps_holes() {
    let prediction = drawn(&places(), |_, _| LocalTerms::default());
    let truth = LocalTerms { flux: -0.02, background: -1.0, ..LocalTerms::default() };
    let mut image = drawn(&places(), |_, _| truth) + noise(5);
    let (mut good, mut holed) = (all_good(), prediction.clone());
    image.slice_mut(ndarray::s![.., 40..60]).fill(1e6);
    good.slice_mut(ndarray::s![.., 40..60]).fill(false);
    holed.slice_mut(ndarray::s![100..130, ..]).fill(f32::NAN);
    image[[3, 3]] = f32::NAN;
    let found = fitted(&image, &holed, &good).unwrap();
    let middle = found.at(80.0, 100.0);
    assert!((middle.flux + 0.02).abs() < 4e-3 && (middle.background + 1.0).abs() < 0.03, "{middle:?}");
    let corrected = found.apply(holed.view());
    Zip::from(&corrected).and(&holed).for_each(|c, h| assert_eq!(c.is_nan(), h.is_nan()));
    good.fill(false);
    assert_eq!(fitted(&image, &holed, &good), None);
}

#[test]
fn calibration_does_not_depend_on_threads() {
    let prediction = drawn(&places(), |_, _| LocalTerms::default());
    let image = drawn(&places(), |_, x| LocalTerms { flux: 0.02 * u(x), ..LocalTerms::default() }) + noise(6);
    let results: Vec<_> = [1, 2, 5]
        .into_iter()
        .map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| fitted(&image, &prediction, &all_good()))
        })
        .collect();
    assert!(results[0].is_some() && results[0] == results[1] && results[0] == results[2]);
}

#[test]
fn calibration_without_terms_is_none() {
    let (plane, variance, good) = (noise(7), Array2::ones((SIDE, SIDE)), all_good());
    let data = CalibrationData {
        image: plane.view(),
        variance: variance.view(),
        prediction: plane.view(),
        good: good.view(),
        fwhm_px: 3.0,
    };
    assert_eq!(fit(&data, &CalibrationOrders::NONE), None);
}

/// The error measured on an image against stars without any.
fn model_error(image: &Array2<f32>, stars: &[(f64, f64, f64)]) -> Option<ModelError> {
    let prediction = drawn(stars, |_, _| LocalTerms::default());
    let (variance, good) = (Array2::ones(image.dim()), all_good());
    ModelError::measure(&CalibrationData {
        image: image.view(),
        variance: variance.view(),
        prediction: prediction.view(),
        good: good.view(),
        fwhm_px: 2.3548 * WIDTH,
    })
}

/// The stars, with each flux multiplied by a factor of its index.
fn changed(factor: impl Fn(usize) -> f64) -> Vec<(f64, f64, f64)> {
    let stars = places().into_iter().enumerate();
    stars.map(|(i, (y, x, peak))| (y, x, peak * factor(i))).collect()
}

#[test]
fn model_error_is_that_of_the_stars() {
    for (true_error, expected) in [(0.0, 0.0..0.002), (0.01, 0.005..0.015)] {
        let stars = changed(|i| 1.0 + true_error * [1.0, -1.0, 1.0, -1.0, -1.0][i % 5]);
        let image = drawn(&stars, |_, _| LocalTerms::default()) + noise(12);
        let found = model_error(&image, &places()).unwrap();
        assert!(expected.contains(&found.fraction) && found.stars > 60, "{true_error}: {found:?}");
    }
}

/// Variable stars and new sources beside others do not hide themselves.
#[test]
fn model_error_ignores_what_changed() {
    let mut stars = changed(|i| if i % 3 == 0 { 1.4 } else { 1.0 });
    stars.extend(places().into_iter().skip(1).step_by(6).map(|(y, x, _)| (y + 2.0, x, 300.0)));
    let image = drawn(&stars, |_, _| LocalTerms::default()) + noise(13);
    let found = model_error(&image, &places()).unwrap();
    assert!(found.fraction < 0.002, "{found:?}");
}

/// A star of S/N 1000 loses its significance; one of S/N 30 keeps it.
#[test]
fn model_error_matters_to_bright_stars_alone() {
    let error = ModelError { fraction: 0.01, stars: 10 };
    let of_peak = |peak: f64| {
        let star = drawn(&[(100.0, 100.0, peak)], |_, _| LocalTerms::default());
        error.variance(star.view(), 2.3548 * WIDTH)[[100, 100]]
    };
    let (bright, faint) = (of_peak(180.0), of_peak(5.3));
    assert!(bright > 20.0 && faint < 0.05, "{bright} {faint}");
}

#[test]
fn model_error_of_few_or_faint_stars_is_unknown() {
    let two = &places()[..2];
    assert_eq!(model_error(&drawn(two, |_, _| LocalTerms::default()), two), None);
    let faint: Vec<_> = places().into_iter().map(|(y, x, _)| (y, x, 15.0)).collect();
    assert_eq!(model_error(&(drawn(&faint, |_, _| LocalTerms::default()) + noise(14)), &faint), None);
}

proptest! {
    /// Any planes give finite coefficients or none.
    #[test]
    fn calibration_is_finite(scale in -1e6_f32..1e6, offset in -1e6_f32..1e6, rows in 1_usize..12, cols in 1_usize..12) {
        let image = Array2::from_shape_fn((rows, cols), |(y, x)| offset + scale * ((y * 31 + x * 17) % 7) as f32);
        let prediction = image.mapv(|v| 0.3 * v);
        let (variance, good) = (Array2::ones((rows, cols)), Array2::from_elem((rows, cols), true));
        let data = CalibrationData {
            image: image.view(),
            variance: variance.view(),
            prediction: prediction.view(),
            good: good.view(),
            fwhm_px: 3.0,
        };
        if let Some(found) = fit(&data, &CalibrationOrders::default()) {
            prop_assert!(found.apply(prediction.view()).iter().all(|v| v.is_finite()));
        }
    }
}
