//! What keeps a solution sensible: clamps between iterations and between subfilters (ALGORITHM §6.4 to §6.9, §12.2).

use ndarray::{Array2, Array3, ArrayView2, ArrayView3, ArrayViewMut2, Axis, Zip};
use rayon::prelude::*;

use super::config::{FrequencyClamp, IterationClamp, IterativeConfig};
use super::weights::background_noise;
use crate::kernel::{Boundary, gaussian_filter, open_diamond};

/// Noise estimates keep this far from the edge, px.
const NOISE_MARGIN: usize = 5;

/// Sets pixels beyond a bound to the bound, unless they stand in groups smaller than `width` (radius in px of a
/// diamond): these look like noise. High first, then low; `None` leaves that side free.
pub fn clamp_groups(
    mut plane: ArrayViewMut2<f32>,
    high: Option<ArrayView2<f32>>,
    low: Option<ArrayView2<f32>>,
    width: usize,
) {
    let mut side = |bound: Option<ArrayView2<f32>>, beyond: fn(f32, f32) -> bool| {
        let Some(bound) = bound else { return };
        let flags = Zip::from(&plane).and(&bound).map_collect(|v, b| beyond(*v, *b));
        let flags = open_diamond(flags.view(), width);
        Zip::from(&mut plane).and(&bound).and(&flags).for_each(|v, b, f| {
            if *f {
                *v = *b;
            }
        });
    };
    side(high, |v, bound| v > bound);
    side(low, |v, bound| v < bound);
}

/// Keeps `new` near `old`: no pixel changes by more than the clamp allows (ALGORITHM §6.4; §12.2 for the symmetric form).
pub fn clamp_iteration(
    mut new: ArrayViewMut2<f32>,
    old: ArrayView2<f32>,
    noise: f64,
    config: &IterativeConfig,
) {
    let factor = config.regularize_model_iterations as f32;
    if factor == 0.0 {
        return;
    }
    let (high, low) = match config.iteration_clamp {
        IterationClamp::Reference => (old.mapv(|y| y.abs() * factor), old.mapv(|y| y / factor)),
        IterationClamp::Symmetric => {
            let room = |y: f32| y.abs() * (factor - 1.0) + 3.0 * noise as f32;
            (old.mapv(|y| y + room(y)), old.mapv(|y| y - room(y)))
        }
    };
    clamp_groups(new.view_mut(), Some(high.view()), Some(low.view()), config.regularization_width);
}

/// What the frequency clamp looks at besides the planes themselves.
pub struct Surroundings<'a> {
    /// The model before this step, `(subfilters, rows, cols)`.
    pub old_byx: ArrayView3<'a, f32>,
    /// Pixels without sources and faults.
    pub background: ArrayView2<'a, bool>,
    /// Share of each subfilter in a flat spectrum.
    pub fractions: &'a [f64],
}

/// Keeps the planes' ratios sensible.
pub fn clamp_frequency(new_byx: &mut Array3<f32>, around: &Surroundings, config: &IterativeConfig) {
    if config.regularize_model_frequency == 0.0 || new_byx.len_of(Axis(0)) < 2 {
        return;
    }
    match config.frequency_clamp {
        FrequencyClamp::Conserving => conserving(new_byx, around, config),
        FrequencyClamp::Reference => reference(new_byx, around, config),
    }
}

/// Flux-conserving and sign-blind: colours are smooth.
///
/// Let `t = Σ_a y_a` and `δ_a = y_a − f_a t`, which sum to 0 over subfilters. A source's δ looks like the source, so δ_a
/// is replaced by `c_a t`, where `c_a = G(δ_a t) / (G(t²) + noise²)` is the least-squares slope of δ_a on t in a Gaussian
/// neighbourhood (`regularization_width`), and shrinks to 0 where there is only noise. The `c_a` sum to 0 too: t does not change in
/// any pixel. Last, all δ of a pixel are scaled by one factor so that no `c_a` exceeds `f_a·(√clamp − 1)` nor falls below
/// `f_a·(1/√clamp − 1)`.
fn conserving(new_byx: &mut Array3<f32>, around: &Surroundings, config: &IterativeConfig) {
    let width = config.regularization_width.max(1) as f64;
    let root = config.regularize_model_frequency.sqrt() as f32;
    let total = new_byx.sum_axis(Axis(0));
    let noise = background_noise(total.view(), around.background, NOISE_MARGIN);
    let power = gaussian_filter(total.mapv(|t| t * t).view(), width, Boundary::Reflect);
    // Two degrees of smoothing: the slope's own noise is that of as many pixels as the Gaussian averages.
    let floor = (noise * noise) as f32;
    let slopes: Vec<Array2<f32>> = new_byx
        .axis_iter(Axis(0))
        .collect::<Vec<_>>()
        .into_par_iter()
        .zip(around.fractions)
        .map(|(plane, fraction)| {
            let fraction = *fraction as f32;
            let product = Zip::from(&plane).and(&total).map_collect(|y, t| (y - fraction * t) * t);
            let mut slope = gaussian_filter(product.view(), width, Boundary::Reflect);
            slope.zip_mut_with(&power, |c, p| *c = if *p + floor > 0.0 { *c / (p + floor) } else { 0.0 });
            slope
        })
        .collect();
    let mut scale = Array2::<f32>::ones(total.dim());
    for (slope, fraction) in slopes.iter().zip(around.fractions) {
        let (high, low) = (*fraction as f32 * (root - 1.0), *fraction as f32 * (1.0 / root - 1.0));
        scale.zip_mut_with(slope, |s, c| {
            if *c > high {
                *s = s.min(high / c);
            } else if *c < low {
                *s = s.min(low / c);
            }
        });
    }
    for ((mut plane, slope), fraction) in new_byx.axis_iter_mut(Axis(0)).zip(&slopes).zip(around.fractions) {
        let fraction = *fraction as f32;
        Zip::from(&mut plane)
            .and(slope)
            .and(&scale)
            .and(&total)
            .for_each(|y, c, s, t| *y = (fraction + c * s) * t);
    }
}

/// ALGORITHM §6.9, as the established implementation does it.
fn reference(new_byx: &mut Array3<f32>, around: &Surroundings, config: &IterativeConfig) {
    let width = config.regularization_width as f64;
    let root = config.regularize_model_frequency.sqrt() as f32;
    let noise = background_noise(new_byx.index_axis(Axis(0), 0), around.background, NOISE_MARGIN);
    let Some(mut mean) = around.old_byx.mean_axis(Axis(0)) else { return };
    mean.mapv_inplace(|v| if v.is_finite() && v > 0.0 { v } else { 0.0 });
    if mean.iter().all(|v| *v == 0.0) {
        return;
    }
    let floor = (3.0 * noise / (2.0 * width)) as f32;
    let smoothed = |plane: ArrayView2<f32>| gaussian_filter(plane, width, Boundary::Zero) + floor;
    let smooth = smoothed(mean.view());
    let (high, low) = (&smooth * root, &smooth / root);
    new_byx.axis_iter_mut(Axis(0)).collect::<Vec<_>>().into_par_iter().for_each(|mut plane| {
        clamp_groups(plane.view_mut(), Some(high.view()), Some(low.view()), config.regularization_width);
        let ratio = smoothed(plane.view()) / &smooth;
        let blurred = gaussian_filter(ratio.view(), width / 3.0, Boundary::Reflect);
        Zip::from(&mut plane)
            .and(&ratio)
            .and(&blurred)
            .and(&mean)
            .for_each(|y, q, b, m| *y = (q + 3.0 * (q - b)) * m);
    });
}
