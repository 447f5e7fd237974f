//! Comparison of the tiled pass with the same sums, pixel by pixel in `f64`.

use ndarray::{Array2, Array3, Axis};
use proptest::prelude::*;

use super::config::{Interpolation, IterativeConfig};
use super::planes::forward_support;
use super::project::{Pass, Projected};
use super::weights::Significance;
use crate::kernel::{Order, Region, prefilter, shift_scalar, support};
use crate::observation::{GOOD, InMemory, SubfilterShift, Visit};
use crate::{ForwardShift, PixelShift, SpectralBasis};

/// Relative rounding of `f32` sums of a few dozen terms.
const TOLERANCE: f64 = 3e-6;

/// The sums of a visit's metric, and that of the magnitudes of their terms, to which rounding is
/// relative: residuals are small differences of them.
#[derive(Clone, Copy, Debug, Default)]
struct MetricSums {
    of_residuals: f64,
    of_pixels: f64,
    of_terms: f64,
}

/// Expected results of a pass: Σ w·shift(r, −d) and the metric's sums.
fn plainly(
    observations: &InMemory,
    model: &Array3<f64>,
    order: Order,
    weight: &Array2<f64>,
) -> (Array3<f64>, Vec<MetricSums>) {
    let (n, rows, cols) = model.dim();
    let coefficients: Vec<Array2<f64>> = model.axis_iter(Axis(0)).map(|p| prefilter(p, order)).collect();
    let mut back = Array3::zeros((n, rows, cols));
    let mut sums = vec![];
    for visit in &observations.visits {
        let mut template = Array2::<f64>::zeros((rows, cols));
        for (shift, plane) in visit.shifts.iter().zip(&coefficients) {
            let pair = shift.forward_shifts();
            for s in pair {
                template = template + shift_scalar(plane.view(), *s, order) / pair.len() as f64;
            }
        }
        let inside = forward_support((rows, cols), &visit.shifts);
        let mut residual = Array2::<f64>::zeros((rows, cols));
        let mut sum = MetricSums::default();
        for y in inside.rows.clone() {
            for x in inside.cols.clone() {
                let pixel = f64::from(visit.image[[y, x]]);
                if visit.flags[[y, x]] & GOOD == 0 || !pixel.is_finite() {
                    continue;
                }
                residual[[y, x]] = pixel - template[[y, x]];
                let (weight, template) = (weight[[y, x]], template[[y, x]]);
                sum.of_residuals += residual[[y, x]].abs() * weight;
                sum.of_pixels += (pixel + template).abs() * weight / 2.0;
                sum.of_terms += (pixel.abs() + template.abs()) * weight;
            }
        }
        sums.push(sum);
        for (b, shift) in visit.shifts.iter().enumerate() {
            let moved = shift_scalar(residual.view(), shift.mean.reversed(), order);
            let mut plane = back.index_axis_mut(Axis(0), b);
            plane += &(moved * visit.weight);
        }
    }
    for mut plane in back.axis_iter_mut(Axis(0)) {
        let filtered = prefilter(plane.view(), order);
        plane.assign(&filtered);
    }
    (back, sums)
}

fn shift() -> impl Strategy<Value = PixelShift> {
    (-4.0..4.0_f64, -4.0..4.0_f64).prop_map(|(dy, dx)| PixelShift { dy, dx })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn tiles_give_what_plain_sums_give(
        (rows, cols) in prop_oneof![(1_usize..20, 1_usize..20), (60_usize..80, 1_usize..12), (1_usize..5, 250_usize..280)],
        order in prop_oneof![Just(Order::LINEAR), Just(Order::CUBIC), Just(Order::QUINTIC)],
        shifts in prop::collection::vec((shift(), shift(), shift()), 4),
        seed in 0_usize..1000,
    ) {
        let value = |k: usize, y: usize, x: usize| ((y * 31 + x * 17 + k * 13 + seed) % 23) as f32 - 4.0;
        let model = Array3::from_shape_fn((2, rows, cols), |(b, y, x)| value(b, y, x));
        let visits = shifts
            .chunks(2)
            .enumerate()
            .map(|(v, pair)| Visit {
                image: Array2::from_shape_fn((rows, cols), |(y, x)| match (y * 7 + x + v + seed) % 19 {
                    0 => f32::NAN,
                    1 => f32::INFINITY,
                    _ => value(v + 5, y, x),
                }),
                flags: Array2::from_shape_fn((rows, cols), |(y, x)| u8::from((y + x * 3 + v) % 11 != 0)),
                weight: 0.5 + v as f64,
                shifts: pair
                    .iter()
                    .map(|(blue, red, mean)| match (v + seed) % 2 {
                        0 => SubfilterShift::whole(*blue),
                        _ => SubfilterShift { forward: ForwardShift::Halves([*blue, *red]), mean: *mean },
                    })
                    .collect(),
            })
            .collect();
        let observations = InMemory { visits };
        let config = IterativeConfig { order: Interpolation::Spline(order), ..IterativeConfig::default() };
        let (domain, basis) = (Region::whole((rows, cols)), SpectralBasis::constant(2));
        let detected = Array2::from_elem((rows, cols), true);
        let pass = Pass {
            observations: &observations,
            cells: std::slice::from_ref(&domain),
            basis: &basis,
            config: &config,
            domain: &domain,
            detected: detected.view(),
            leaks: None,
        };
        let significance = Significance::new(model.view(), 0.3);
        let mut got = Projected::default();
        pass.run(model.view(), &significance, &mut got).unwrap();

        let weight = significance.of(&domain).mapv(f64::from);
        let (back, sums) = plainly(&observations, &model.mapv(f64::from), order, &weight);
        let peak = back.iter().fold(1.0_f64, |peak, v| peak.max(v.abs()));
        for (g, e) in got.back_byx.iter().zip(&back) {
            prop_assert!((f64::from(*g) - e).abs() < TOLERANCE * peak, "{g} {e}");
        }
        for (g, e) in got.metric_sums.iter().zip(&sums) {
            let allowed = TOLERANCE * (1.0 + e.of_terms);
            prop_assert!((g[0] - e.of_residuals).abs() <= allowed, "{g:?} {e:?}");
            prop_assert!((g[1] - e.of_pixels).abs() <= allowed, "{g:?} {e:?}");
        }
    }
}

#[test]
fn shift_beyond_the_image_leaves_no_residual() {
    let far = SubfilterShift::whole(PixelShift { dy: 50.0, dx: 0.0 });
    let visit = Visit {
        image: Array2::ones((8, 9)),
        flags: Array2::from_elem((8, 9), GOOD),
        weight: 1.0,
        shifts: vec![far, far],
    };
    assert!(support(8, 50.0).is_empty());
    let observations = InMemory { visits: vec![visit] };
    let (config, domain, basis) =
        (IterativeConfig::default(), Region::whole((8, 9)), SpectralBasis::constant(2));
    let detected = Array2::from_elem((8, 9), true);
    let model = Array3::ones((2, 8, 9));
    let pass = Pass {
        observations: &observations,
        cells: std::slice::from_ref(&domain),
        basis: &basis,
        config: &config,
        domain: &domain,
        detected: detected.view(),
        leaks: None,
    };
    let mut got = Projected::default();
    pass.run(model.view(), &Significance::new(model.view(), 0.1), &mut got).unwrap();
    assert_eq!(got.back_byx, Array3::<f32>::zeros((2, 8, 9)));
    assert_eq!(got.metric_sums, [[0.0; 2]]);
}
