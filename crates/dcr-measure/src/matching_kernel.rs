//! PSF matching of two images (Alard and Lupton).
//!
//! The kernel is a sum of fixed shapes (Gaussians of three widths times polynomials, and a single
//! pixel) with coefficients that are constant or polynomials of the position. The background
//! between the images is a polynomial as well:
//!
//! ```text
//! B(p) ≈ Σ_i a_i(p) (k_i ∗ A)(p) + b(p)
//! ```
//!
//! The coefficients are fitted to stamps around bright sources by weighted least squares; deviating
//! pixels and stamps are rejected in rounds. Only the first shape has a sum, 1, and its coefficient
//! is constant: the flux ratio is the same everywhere, however the PSF varies.
//!
//! # References
//!
//! - C. Alard and R. H. Lupton, 1998, ApJ 503, 325: the method.
//! - C. Alard, 2000, A&AS 144, 363: coefficients that vary over the field, constant inside a stamp.

mod basis;
mod fit;
mod stamps;

use ndarray::{Array2, ArrayView2, Zip, s};
use rayon::prelude::*;

use crate::convolve::{correlate, turned};
pub use basis::Polynomial;
pub use fit::fit;
pub(crate) use fit::solve_positive;

/// Side of the tiles in which the kernel that variances go through is taken for constant, in px.
const VARIANCE_TILE: usize = 128;
/// Maximum share of a kernel's absolute weight on bad pixels, which are filled from their
/// neighbours, or beyond the edge.
const MISSING_WEIGHT: f64 = 0.02;

/// An image to be matched, or to match.
#[derive(Clone, Copy)]
pub struct Frame<'a> {
    /// Image, `(rows, cols)`.
    pub image: &'a Array2<f32>,
    /// Variance of each pixel.
    pub variance: &'a Array2<f32>,
    /// Pixels without valid data.
    pub bad: &'a Array2<bool>,
    /// FWHM of the PSF in px.
    pub fwhm_px: f64,
}

/// A kernel that cannot be fitted.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MatchError {
    /// There are too few bright sources.
    #[error(
        "found {found} bright sources to match PSFs on, and {needed} are needed; subtract without matching, or lower \
         subtract.kernel_order"
    )]
    TooFewSources {
        /// Sources found.
        found: usize,
        /// How many there should be.
        needed: usize,
    },
    /// The sources leave the kernel degenerate.
    #[error(
        "the bright sources do not determine a kernel; subtract without matching, or lower subtract.kernel_order"
    )]
    Undetermined,
}

/// A fitted kernel, with the background between the images.
#[derive(Clone, Debug)]
pub struct MatchingKernel {
    /// One image for each term of `place`: the kernel at `p` is `Σ_m P_m(p) terms[m]`.
    terms: Vec<Array2<f64>>,
    place: Polynomial,
    background: Vec<f64>,
    background_place: Polynomial,
    /// Quality of the fit.
    pub quality: MatchQuality,
}

/// How well a kernel was fitted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MatchQuality {
    /// Stamps that it was fitted to in the end.
    pub stamps: usize,
    /// Stamps that were left out.
    pub rejected: usize,
    /// Mean squared residual in them, in units of the noise.
    pub chi2: f64,
}

/// An image after convolution.
pub struct Convolved {
    /// Convolved image plus background.
    pub image: Array2<f32>,
    /// Variance of each pixel.
    pub variance: Array2<f32>,
    /// Pixels into which too much of bad ones came.
    pub bad: Array2<bool>,
}

impl MatchingKernel {
    /// Flux ratio: the sum of the kernel, the same at every position.
    pub fn sum(&self) -> f64 {
        self.terms[0].sum()
    }

    /// The background at a pixel.
    pub fn background(&self, row: usize, col: usize) -> f64 {
        let place = self.background_place.at(row as f64, col as f64);
        place.iter().zip(&self.background).map(|(p, b)| p * b).sum()
    }

    /// The kernel at a pixel.
    pub fn at(&self, row: f64, col: f64) -> Array2<f64> {
        let mut kernel = Array2::zeros(self.terms[0].dim());
        for (factor, term) in self.place.at(row, col).into_iter().zip(&self.terms) {
            kernel.scaled_add(factor, term);
        }
        kernel
    }

    /// The image convolved, and its background added.
    pub fn apply(&self, frame: &Frame<'_>) -> Convolved {
        let (rows, cols) = frame.image.dim();
        let kept = |plane: &Array2<f32>| {
            Zip::from(plane).and(frame.bad).map_collect(|value, bad| if *bad { 0.0 } else { *value })
        };
        let known = filled(frame);
        let mut image = Array2::<f32>::zeros((rows, cols));
        for (m, term) in self.terms.iter().enumerate() {
            let part = correlate(known.view(), turned(term.view()).view());
            Zip::indexed(&mut image).and(&part).for_each(|(row, col), out, part| {
                *out += (self.place.term(m, row as f64, col as f64) * f64::from(*part)) as f32;
            });
        }
        let middle = self.at((rows as f64 - 1.0) / 2.0, (cols as f64 - 1.0) / 2.0);
        let good = frame.bad.mapv(|bad| if bad { 0.0 } else { 1.0 });
        let reached = correlate(good.view(), turned(middle.mapv(f64::abs).view()).view());
        let enough = ((1.0 - MISSING_WEIGHT) * middle.mapv(f64::abs).sum()) as f32;
        let bad = Zip::from(frame.bad).and(&reached).map_collect(|bad, reached| *bad || *reached < enough);
        for ((row, col), value) in image.indexed_iter_mut() {
            *value += self.background(row, col) as f32;
        }
        let variance = self.variance(kept(frame.variance).view());
        Convolved { image, variance, bad }
    }

    /// The variance of the convolved image, tile by tile.
    fn variance(&self, variance: ArrayView2<f32>) -> Array2<f32> {
        let squared = |kernel: Array2<f64>| turned(kernel.mapv(|weight| weight * weight).view());
        if self.terms.len() == 1 {
            return correlate(variance, squared(self.terms[0].clone()).view());
        }
        let (rows, cols) = variance.dim();
        let half = self.terms[0].nrows() / 2;
        let tiles: Vec<_> =
            dcr_image::BBox::new(0, 0, cols, rows).tiles((VARIANCE_TILE, VARIANCE_TILE)).collect();
        let done: Vec<Array2<f32>> = tiles
            .par_iter()
            .map(|tile| {
                let (x0, y0) = (tile.x0 as usize, tile.y0 as usize);
                let (top, left) = (y0.saturating_sub(half), x0.saturating_sub(half));
                let around = variance.slice(s![
                    top..(y0 + tile.height + half).min(rows),
                    left..(x0 + tile.width + half).min(cols)
                ]);
                let (x, y) = tile.centre();
                let out = correlate(around, squared(self.at(y, x)).view());
                out.slice(s![y0 - top..y0 - top + tile.height, x0 - left..x0 - left + tile.width]).to_owned()
            })
            .collect();
        let mut out = Array2::zeros((rows, cols));
        for (tile, part) in tiles.iter().zip(done) {
            let (x0, y0) = (tile.x0 as usize, tile.y0 as usize);
            out.slice_mut(s![y0..y0 + tile.height, x0..x0 + tile.width]).assign(&part);
        }
        out
    }
}

/// Image with bad pixels replaced by the Gaussian mean of the good ones within a FWHM; 0 without
/// good ones.
fn filled(frame: &Frame<'_>) -> Array2<f32> {
    let reach = frame.fwhm_px.ceil() as usize;
    let (rows, cols) = frame.image.dim();
    let weight_at = |distance: f64| (-4.0 * (distance / frame.fwhm_px).powi(2)).exp();
    let mut out = frame.image.clone();
    for ((row, col), bad) in frame.bad.indexed_iter() {
        if !bad {
            continue;
        }
        let (mut sum, mut weights) = (0.0, 0.0);
        for r in row.saturating_sub(reach)..(row + reach + 1).min(rows) {
            for c in col.saturating_sub(reach)..(col + reach + 1).min(cols) {
                if !frame.bad[[r, c]] {
                    let weight = weight_at((r as f64 - row as f64).hypot(c as f64 - col as f64));
                    sum += weight * f64::from(frame.image[[r, c]]);
                    weights += weight;
                }
            }
        }
        out[[row, col]] = if weights > 0.0 { (sum / weights) as f32 } else { 0.0 };
    }
    out
}

#[cfg(test)]
mod tests;
