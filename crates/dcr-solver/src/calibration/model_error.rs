//! The error of a prediction that is proportional to its flux.
//!
//! What calibration leaves of errors of the PSF, the model's resolution and colours grows with the
//! flux of a source, and exceeds the noise of the brightest. It is described by one fraction `ε`
//! of the prediction `m`, an error of variance
//!
//! ```text
//! ε² M²,    M² = 4π σ² (G ∗ m²)
//! ```
//!
//! with the Gaussian `G` of the PSF's width `σ`, since residuals extend over the whole star. The
//! factor is the number of pixels of the PSF: errors of a star are correlated over them, so that
//! `ε` is the error of a star's flux. `ε` makes the largest residuals near bright stars, filtered
//! with the PSF, as large as errors are: a low quantile of the stars decides, so that variable ones
//! do not.

use ndarray::{Array2, Zip};

use super::terms::CalibrationData;
use crate::kernel::{Boundary, FWHM_PER_SIGMA, gaussian_filter};

/// Total S/N from which stars measure the error: no fraction that they allow matters to fainter
/// ones.
const BRIGHT: f32 = 100.0;
/// Total S/N below which pixels are sky.
const FAINT: f32 = 5.0;
/// Median square of a normal distribution.
const MEDIAN_SQUARE: f32 = 0.454_94;
/// Minimum number of stars.
const FEWEST: usize = 3;
/// Quantile of the stars that decides, since up to half of them can be variable or have new sources
/// beside them, and the largest residual within a FWHM that it has without an error, in σ (measured
/// on simulated fields in exposures of poor seeing).
const QUANTILE: f64 = 0.3;
const EXPECTED: f64 = 1.8;
/// Largest fraction: more is no small error, and would hide changes.
const MOST: f64 = 0.03;
/// Steps of bisection.
const STEPS: usize = 30;

/// The error of a prediction in proportion to its flux.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModelError {
    /// Error as a fraction of the flux; 0 if stars show noise alone.
    pub fraction: f64,
    /// Number of stars that it was measured on.
    pub stars: usize,
}

/// A pixel near a star's peak: squared residual, its variance from noise, and that per squared
/// fraction, all filtered.
type StarPixel = [f64; 3];

impl ModelError {
    /// Measures the error on stars of S/N above 100. `None` of fewer than three.
    ///
    /// `data` has the calibrated prediction and the variance of its difference from the image.
    ///
    /// # Panics
    ///
    /// If the arrays differ in shape.
    #[must_use]
    pub fn measure(data: &CalibrationData) -> Option<Self> {
        let stars = stars(data);
        if stars.len() < FEWEST {
            return None;
        }
        let count = stars.len();
        if largest_residual(&stars, 0.0) <= EXPECTED {
            return Some(Self { fraction: 0.0, stars: count });
        }
        let (mut low, mut high) = (0.0, MOST);
        for _ in 0..STEPS {
            let middle = 0.5 * (low + high);
            if largest_residual(&stars, middle) > EXPECTED { low = middle } else { high = middle }
        }
        Some(Self { fraction: high, stars: count })
    }

    /// Variance that the error adds to every pixel of a prediction, for a PSF of that FWHM.
    #[must_use]
    pub fn variance(&self, prediction: ndarray::ArrayView2<f32>, fwhm_px: f64) -> Array2<f32> {
        squared_light(prediction, fwhm_px) * (self.fraction * self.fraction) as f32
    }
}

/// `M²` of a prediction; pixels that are not finite count as 0.
fn squared_light(prediction: ndarray::ArrayView2<f32>, fwhm_px: f64) -> Array2<f32> {
    let squares = prediction.mapv(|m| if m.is_finite() { m * m } else { 0.0 });
    let sigma = fwhm_px / FWHM_PER_SIGMA;
    let pixels = (4.0 * std::f64::consts::PI * sigma * sigma) as f32;
    gaussian_filter(squares.view(), sigma, Boundary::Reflect).mapv(|m| pixels * m.max(0.0))
}

/// Quantile over the stars of their largest residual in σ, for an error of this fraction.
fn largest_residual(stars: &[Vec<StarPixel>], fraction: f64) -> f64 {
    let largest = |star: &Vec<StarPixel>| {
        let squared = |[r2, noise, light]: &StarPixel| r2 / (noise + fraction * fraction * light);
        star.iter().map(squared).fold(0.0, f64::max).sqrt()
    };
    let mut values: Vec<f64> = stars.iter().map(largest).collect();
    let index = (values.len() as f64 * QUANTILE) as usize;
    *values.select_nth_unstable_by(index, f64::total_cmp).1
}

/// The bright stars' pixels within one FWHM of their peaks.
fn stars(data: &CalibrationData) -> Vec<Vec<StarPixel>> {
    let sigma = data.fwhm_px / FWHM_PER_SIGMA;
    let mut residual = &data.image - &data.prediction;
    let mut usable = data.good.to_owned();
    Zip::from(&mut usable).and(&residual).and(&data.variance).for_each(|usable, r, v| {
        *usable &= r.is_finite() && *v > 0.0 && v.is_finite();
    });
    Zip::from(&mut residual).and(&usable).for_each(|r, usable| {
        if !usable {
            *r = 0.0
        }
    });
    let over = |plane: Array2<f32>, sigma: f64| gaussian_filter(plane.view(), sigma, Boundary::Reflect);
    // The squared kernel is a narrower Gaussian of less weight.
    let squared = (4.0 * std::f64::consts::PI * sigma * sigma).recip() as f32;
    let narrower = sigma / std::f64::consts::SQRT_2;
    let variance =
        Zip::from(&data.variance).and(&usable).map_collect(|v, usable| if *usable { *v } else { 0.0 });
    let mut noise = over(variance, narrower) * squared;
    let light = over(squared_light(data.prediction, data.fwhm_px), narrower) * squared;
    let flux = over(data.prediction.mapv(|m| if m.is_finite() { m } else { 0.0 }), sigma);
    let residual = over(residual, sigma);
    noise *= correlation(&residual, &noise, &flux, &usable);
    let (rows, cols) = flux.dim();
    let reach = data.fwhm_px.ceil() as usize;
    let disc = |(y, x): (usize, usize)| {
        let (top, left) = (y.saturating_sub(reach), x.saturating_sub(reach));
        (top..rows.min(y + reach + 1)).flat_map(move |v| (left..cols.min(x + reach + 1)).map(move |u| (v, u)))
    };
    let signal = |at: (usize, usize)| flux[at] / noise[at].sqrt();
    let is_peak = |at: &(usize, usize)| {
        usable[*at] && signal(*at) > BRIGHT && disc(*at).all(|near| flux[near] <= flux[*at] && usable[near])
    };
    let peaks = flux.indexed_iter().map(|(at, _)| at).filter(is_peak);
    let pixel = |at: (usize, usize)| [residual[at].powi(2), noise[at], light[at]].map(f64::from);
    peaks.map(|peak| disc(peak).map(pixel).collect()).collect()
}

/// Variance of the filtered residual in the sky over that of independent pixels: resampling
/// correlates them.
fn correlation(
    residual: &Array2<f32>,
    noise: &Array2<f32>,
    flux: &Array2<f32>,
    usable: &Array2<bool>,
) -> f32 {
    let pixels = residual.iter().zip(noise).zip(flux.iter().zip(usable));
    let of_sky = pixels.filter(|((_, noise), (flux, usable))| **usable && **flux < FAINT * noise.sqrt());
    let mut squares: Vec<f32> = of_sky.map(|((residual, noise), _)| residual * residual / noise).collect();
    if squares.is_empty() {
        return 1.0;
    }
    let middle = squares.len() / 2;
    *squares.select_nth_unstable_by(middle, f32::total_cmp).1 / MEDIAN_SQUARE
}
