//! Offset and flux scale of an exposure, by least squares against its prediction; projections of
//! offsets.
//!
//! The residual is fitted by the prediction's derivatives with respect to a displacement, and by
//! the prediction itself.

use ndarray::{Array2, ArrayView2};

use crate::joint::operator::transfer::support_radius;
use crate::joint::problem::visits::Noise;
use crate::kernel::{PixelShift, dilate_diamond};
use crate::linalg::solve_positive_definite;

/// Pixels are fitted where the prediction exceeds this many σ of the sky.
const BRIGHT: f32 = 3.0;
/// Relative error of the prediction's shape, added to the noise, so that the very brightest stars
/// do not dominate.
const SHAPE_ERROR: f32 = 0.03;
/// Deviation from the fit, in σ, above which a pixel is left out of the next round.
const OUTLIER: f32 = 5.0;
/// Rounds of rejection.
const ROUNDS: usize = 3;
/// Minimum number of pixels of a fit.
const FEWEST: usize = 30;
/// Fraction of a pivot of the normal equations below which they are singular.
const SINGULAR: f64 = 1e-9;

/// Normal equations for (dy, dx, relative flux) of one visit; those of several tiles add.
#[derive(Clone, Debug, Default)]
pub(crate) struct OffsetFit {
    matrix: [[f64; 3]; 3],
    right_side: [f64; 3],
    pixels: usize,
}

impl OffsetFit {
    fn add_pixel(&mut self, columns: [f64; 3], residual: f64) {
        for i in 0..3 {
            self.right_side[i] += columns[i] * residual;
            for j in 0..3 {
                self.matrix[i][j] += columns[i] * columns[j];
            }
        }
        self.pixels += 1;
    }

    /// (dy, dx, relative flux), or `None` if the pixels do not determine them.
    pub(crate) fn solve(&self) -> Option<[f64; 3]> {
        if self.pixels < FEWEST {
            return None;
        }
        solve_positive_definite(&self.matrix.concat(), &self.right_side, SINGULAR)?.try_into().ok()
    }
}

/// A pixel of the fit, in units of its error: derivatives with respect to dy and dx, prediction,
/// and residual.
pub(crate) type FitPixel = [f32; 4];

/// True if a pixel with this prediction is fitted.
pub(crate) fn is_bright(model: f32, noise: &Noise) -> bool {
    model > BRIGHT * (noise.sky_variance as f32).sqrt()
}

/// A pixel of the fit from derivatives, prediction and image.
pub(crate) fn fit_pixel([by_dy, by_dx]: [f32; 2], model: f32, image: f32, noise: &Noise) -> FitPixel {
    let variance = noise.sky_variance as f32 + noise.shot as f32 * model + (SHAPE_ERROR * model).powi(2);
    [by_dy, by_dx, model, image - model].map(|v| v * variance.sqrt().recip())
}

/// Normal equations of pixels, without outliers.
pub(crate) fn fit_pixels(pixels: &[FitPixel]) -> OffsetFit {
    let mut fit = equations(pixels, None);
    for _ in 0..ROUNDS {
        let Some(solution) = fit.solve() else { break };
        fit = equations(pixels, Some(solution));
    }
    fit
}

/// Normal equations over the pixels that are not outliers of a solution.
fn equations(pixels: &[FitPixel], solution: Option<[f64; 3]>) -> OffsetFit {
    let mut fit = OffsetFit::default();
    for pixel in pixels {
        let [dy, dx, flux, residual] = pixel.map(f64::from);
        let explained = solution.map_or(residual, |[a, b, c]| a * dy + b * dx + c * flux);
        if (residual - explained).abs() < f64::from(OUTLIER) {
            fit.add_pixel([dy, dx, flux], residual);
        }
    }
    fit
}

/// Projects out of the visits' offsets their degeneracies with the sky: the mean, and offsets
/// proportional to `refraction`, each visit's displacement from one end of the band to the other.
pub(crate) fn project(offsets: &mut [PixelShift], refraction: &[PixelShift]) {
    let flat = |shifts: &[PixelShift]| shifts.iter().flat_map(|d| [d.dy, d.dx]).collect::<Vec<f64>>();
    let along = |axis: usize| (0..2 * offsets.len()).map(|i| f64::from(u8::from(i % 2 == axis))).collect();
    let shared = vec![along(0), along(1), flat(refraction)];
    let mut values = flat(offsets);
    project_out(&mut values, shared);
    offsets.iter_mut().zip(values.chunks_exact(2)).for_each(|(o, v)| *o = PixelShift { dy: v[0], dx: v[1] });
}

/// Removes from `values` their components along all `directions`.
pub(crate) fn project_out(values: &mut [f64], directions: Vec<Vec<f64>>) {
    let inner = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let remove = |from: &mut [f64], direction: &[f64]| {
        let part = inner(from, direction);
        from.iter_mut().zip(direction).for_each(|(v, d)| *v -= part * d);
    };
    let mut basis: Vec<Vec<f64>> = vec![];
    for mut direction in directions {
        let before = inner(&direction, &direction);
        basis.iter().for_each(|known| remove(&mut direction, known));
        let norm = inner(&direction, &direction);
        // A direction may lie in the others, as that of equal refraction in all visits.
        if norm > 1e-9 * before && norm > 0.0 {
            let length = norm.sqrt();
            direction.iter_mut().for_each(|v| *v /= length);
            basis.push(direction);
        }
    }
    basis.iter().for_each(|known| remove(values, known));
}

/// Trusted pixels: none within the largest displacement and twice the FWHM of an uncovered one. The
/// model is a guess in a hole, and a poor one in the wings of the saturated star that made it.
pub(crate) fn trusted_pixels(covered_yx: ArrayView2<bool>, furthest: f64, fwhm_px: f64) -> Array2<bool> {
    if covered_yx.iter().all(|c| *c) {
        return covered_yx.to_owned();
    }
    dilate_diamond(covered_yx.mapv(|c| !c).view(), support_radius(furthest, fwhm_px)).mapv(|hole| !hole)
}

/// The largest displacement along an axis.
pub(crate) fn furthest(displacements: &[PixelShift]) -> f64 {
    displacements.iter().map(|d| d.max_component()).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_keep_what_the_sky_cannot_explain() {
        let refraction = [(1.0, 0.0), (0.0, 1.0), (-0.5, 0.7)].map(|(dy, dx)| PixelShift { dy, dx });
        let mut offsets: Vec<PixelShift> =
            refraction.iter().map(|d| PixelShift { dy: 0.3 + 0.2 * d.dy, dx: -0.1 + 0.2 * d.dx }).collect();
        project(&mut offsets, &refraction);
        assert!(offsets.iter().all(|o| o.max_component() < 1e-12), "{offsets:?}");
        offsets = [(0.1, 0.0), (-0.2, 0.1), (0.1, -0.1)].map(|(dy, dx)| PixelShift { dy, dx }).to_vec();
        project(&mut offsets, &refraction);
        let once = offsets.clone();
        project(&mut offsets, &refraction);
        for (a, b) in once.iter().zip(&offsets) {
            assert!((a.dy - b.dy).abs() < 1e-12 && (a.dx - b.dx).abs() < 1e-12);
        }
        assert!(once.iter().any(|o| o.max_component() > 0.01));
    }

    #[test]
    fn offsets_of_one_visit_are_nothing() {
        let mut offsets = [PixelShift { dy: 0.4, dx: 1.0 }];
        project(&mut offsets, &[PixelShift { dy: 1.0, dx: 0.2 }]);
        assert!(offsets[0].max_component() < 1e-12);
    }

    #[test]
    fn offset_fit_without_light_is_none() {
        assert_eq!(OffsetFit::default().solve(), None);
        assert_eq!(OffsetFit { pixels: 1000, ..OffsetFit::default() }.solve(), None);
    }
}
