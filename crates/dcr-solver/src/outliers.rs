//! Pixels that depart from what is predicted for their own exposure.
//!
//! A pixel is an outlier where the residual
//!
//! ```text
//! |r| > n √(v + g c) + ε c
//! ```
//!
//! with the sky's variance `v`, the shot noise `g` of a unit of signal, and `c` the brightest prediction among the pixel and its
//! eight neighbours; or where the same holds for residual and prediction smoothed with the width of the PSF, of variance `1/(4πσ²)`, outliers by themselves
//! left out, so that a cosmic ray does not take its surroundings with it. `ε` covers errors of the PSF: beside a bright star they exceed the noise.

use multiversion::multiversion;
use ndarray::{Array2, ArrayView2, Zip};

use crate::joint::Noise;
use crate::kernel::{Boundary, gaussian_filter, gaussian_half_kernel};

/// What makes a pixel an outlier.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OutlierTest {
    /// The noise of the exposure's pixels.
    pub noise: Noise,
    /// `n`.
    pub sigmas: f64,
    /// `ε`.
    pub fraction: f64,
    /// Standard deviation of the PSF in px; 0 to test single pixels only.
    pub psf_sigma: f64,
}

impl OutlierTest {
    /// How far in px a pixel has a say in whether another is an outlier.
    #[must_use]
    pub fn reach(&self) -> usize {
        (4.0 * self.psf_sigma.max(0.0) + 0.5) as usize + 1
    }

    /// The outliers among the pixels of a residual beside a prediction. The residual is 0 where there are no data.
    #[must_use]
    pub fn outliers(&self, residual: ArrayView2<f32>, prediction: ArrayView2<f32>) -> Array2<bool> {
        let (residual, prediction) = (residual.as_standard_layout(), prediction.as_standard_layout());
        let mut hit = Array2::from_elem(residual.dim(), false);
        let one = Surroundings { half_kernel: vec![1.0], plane: prediction.view() };
        self.mark(residual.view(), one, 1.0, &mut hit);
        let sigma = self.psf_sigma;
        if sigma > 0.0 {
            let mut rest = residual.into_owned();
            Zip::from(&mut rest).and(&hit).for_each(|r, hit| *r = if *hit { 0.0 } else { *r });
            let smooth = gaussian_filter(rest.view(), sigma, Boundary::Reflect);
            let averaged = 1.0 / (4.0 * std::f64::consts::PI * sigma * sigma);
            let around = Surroundings { half_kernel: gaussian_half_kernel(sigma), plane: prediction.view() };
            self.mark(smooth.view(), around, averaged.min(1.0), &mut hit);
        }
        hit
    }

    /// Marks the pixels whose residual exceeds the threshold; `averaged` is the variance left by smoothing.
    ///
    /// Most pixels do not exceed that beside a part of the light around them that is quickly had: only for the others all of it is looked up.
    fn mark(&self, residual: ArrayView2<f32>, around: Surroundings, averaged: f64, hit: &mut Array2<bool>) {
        let threshold = Threshold::new(self, averaged);
        let own_share = if threshold.rises() { around.least_share() } else { 0.0 };
        let mut line = vec![];
        let mut suspected = vec![false; residual.ncols()];
        for (y, residual) in residual.rows().into_iter().enumerate() {
            let (Some(residual), Some(light)) = (residual.to_slice(), around.plane.row(y).to_slice()) else {
                unreachable!("planes in standard layout have contiguous rows")
            };
            exceeding(residual, light, own_share, threshold, &mut suspected);
            for (first, suspected) in (0..).step_by(RUN).zip(suspected.chunks(RUN)) {
                if !suspected.iter().fold(false, |any, suspected| any | suspected) {
                    continue;
                }
                for x in (first..).zip(suspected).filter(|(_, suspected)| **suspected).map(|(x, _)| x) {
                    let (at, r) = ((y, x), residual[x].abs());
                    // The pixel itself decides most: its neighbours can only raise the limit.
                    hit[at] |= (!threshold.rises() || r > threshold.beside(around.at_least(at)))
                        && r > threshold.beside(around.brightest(at, 0, &mut line))
                        && r > threshold.beside(around.brightest(at, 1, &mut line));
                }
            }
        }
    }
}

/// Pixels of a row that are looked through at a time.
const RUN: usize = 64;

/// What a residual must exceed.
#[derive(Clone, Copy)]
struct Threshold {
    sky: f32,
    shot: f32,
    sigmas: f32,
    fraction: f32,
    /// Where there is no light.
    empty: f32,
}

impl Threshold {
    fn new(test: &OutlierTest, averaged: f64) -> Self {
        let (sky, shot) = ((test.noise.sky_variance * averaged) as f32, (test.noise.shot * averaged) as f32);
        let (sigmas, fraction) = (test.sigmas as f32, test.fraction as f32);
        Self { sky, shot, sigmas, fraction, empty: sigmas * sky.sqrt() }
    }

    /// Beside so much light.
    #[inline(always)]
    fn beside(&self, bright: f32) -> f32 {
        self.sigmas * (self.sky + self.shot * bright).sqrt() + self.fraction * bright
    }

    /// Whether more light never lowers it.
    fn rises(&self) -> bool {
        self.sigmas >= 0.0 && self.shot >= 0.0 && self.fraction >= 0.0
    }
}

/// Which residuals of a row exceed the threshold both of empty sky and beside a share of the light in the pixel itself.
// No closures: they would not be compiled for the vector unit that the function is.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
fn exceeding(residual: &[f32], light: &[f32], share: f32, threshold: Threshold, out: &mut [bool]) {
    for ((out, r), light) in out.iter_mut().zip(residual).zip(light) {
        let r = r.abs();
        *out = (r > threshold.empty) & (r > threshold.beside(share * light.max(0.0)));
    }
}

/// A prediction, to be smoothed where it is asked for.
struct Surroundings<'a> {
    /// Weight of a pixel at distance 0, 1, … along an axis.
    half_kernel: Vec<f32>,
    plane: ArrayView2<'a, f32>,
}

/// Sums of light in another order differ by less than this share of them.
const ROUNDING: f32 = 1e-4;
/// Light from no further than this many px is most of what there is.
const NEAR: usize = 2;

impl Surroundings<'_> {
    /// The share of a pixel's light that is in it when smoothed, or less.
    fn least_share(&self) -> f32 {
        match self.half_kernel[..] {
            [middle] => middle * middle,
            [middle, ..] => middle * middle * (1.0 - ROUNDING),
            [] => 0.0,
        }
    }

    /// Less than [`Self::brightest`] of the pixel alone: what comes from nearby.
    fn at_least(&self, (y, x): (usize, usize)) -> f32 {
        let near = NEAR.min(self.half_kernel.len() - 1);
        let (rows, cols) = self.plane.dim();
        if near == 0 || y < near || x < near || y + near >= rows || x + near >= cols {
            return 0.0;
        }
        let mut sum = 0.0;
        for row in y - near..=y + near {
            let weight = self.half_kernel[row.abs_diff(y)];
            for col in x - near..=x + near {
                sum += weight * self.half_kernel[col.abs_diff(x)] * self.plane[[row, col]].max(0.0);
            }
        }
        sum * (1.0 - ROUNDING)
    }

    /// The largest of the pixels within `reach` along both axes in the plane, smoothed, without what is negative. `line` is scratch space.
    fn brightest(&self, (y, x): (usize, usize), reach: usize, line: &mut Vec<f32>) -> f32 {
        let (rows, cols) = self.plane.dim();
        let radius = self.half_kernel.len() - 1;
        let (left, right) = (x.saturating_sub(reach), (x + reach + 1).min(cols));
        line.resize(right - left + 2 * radius, 0.0);
        let mut brightest = 0.0_f32;
        for row in y.saturating_sub(reach)..(y + reach + 1).min(rows) {
            // Along y first, in the columns that are needed.
            line.fill(0.0);
            for k in -(radius as isize)..=radius as isize {
                let weight = self.half_kernel[k.unsigned_abs()];
                let source = self.plane.row(folded(row as isize + k, rows));
                match source.to_slice().filter(|_| left >= radius && right + radius <= cols) {
                    Some(source) => {
                        let source = &source[left - radius..right + radius];
                        line.iter_mut().zip(source).for_each(|(sum, v)| *sum += weight * v.max(0.0));
                    }
                    None => {
                        for (i, sum) in line.iter_mut().enumerate() {
                            let col = folded((left + i) as isize - radius as isize, cols);
                            *sum += weight * source[col].max(0.0);
                        }
                    }
                }
            }
            for window in line.windows(2 * radius + 1) {
                let weights = (0..window.len()).map(|i| self.half_kernel[i.abs_diff(radius)]);
                brightest = brightest.max(weights.zip(window).map(|(w, v)| w * v).sum());
            }
        }
        brightest
    }
}

/// An index beyond the plane, mirrored at its edge.
fn folded(index: isize, length: usize) -> usize {
    let length = length as isize;
    let index = index.rem_euclid(2 * length);
    index.min(2 * length - 1 - index) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(fraction: f64, psf_sigma: f64) -> OutlierTest {
        let noise = Noise { sky_variance: 4.0, shot: 0.0 };
        OutlierTest { noise, sigmas: 5.0, fraction, psf_sigma }
    }

    #[test]
    fn outlier_is_what_exceeds_noise_and_share_of_the_neighbours_light() {
        let mut residual = Array2::zeros((9, 9));
        let mut prediction = Array2::zeros((9, 9));
        (residual[[4, 4]], prediction[[3, 3]]) = (14.9, 50.0);
        let hit = |test: OutlierTest| test.outliers(residual.view(), prediction.view());
        assert!(!hit(test(0.1, 0.0))[[4, 4]], "the threshold is 10 + 5");
        assert!(hit(test(0.09, 0.0))[[4, 4]]);
        prediction[[3, 3]] = -50.0;
        assert!(test(0.1, 0.0).outliers((-&residual).view(), prediction.view())[[4, 4]]);
    }

    #[test]
    fn outlier_may_be_too_faint_for_single_pixels() {
        let sigma = 1.5;
        let mut residual = Array2::zeros((31, 31));
        for ((y, x), r) in residual.indexed_iter_mut() {
            let r2 = (y as f64 - 15.0).powi(2) + (x as f64 - 15.0).powi(2);
            *r = 8.0 * (-r2 / (2.0 * sigma * sigma)).exp() as f32;
        }
        let nothing = Array2::zeros(residual.dim());
        assert!(!test(0.05, 0.0).outliers(residual.view(), nothing.view()).iter().any(|hit| *hit));
        assert!(test(0.05, sigma).outliers(residual.view(), nothing.view())[[15, 15]]);
    }

    #[test]
    fn outliers_of_nothing_and_of_one_pixel() {
        for shape in [(0, 0), (0, 3), (1, 1)] {
            let plane = Array2::<f32>::zeros(shape);
            assert!(test(0.05, 1.5).outliers(plane.view(), plane.view()).iter().all(|hit| !hit));
        }
    }

    /// Looked up pixel by pixel it is what filtering the whole plane gives.
    #[test]
    fn surroundings_are_those_of_the_filtered_plane() {
        let plane = Array2::from_shape_fn((14, 17), |(y, x)| ((7 * y + 5 * x) % 11) as f32 - 3.0);
        let around = Surroundings { half_kernel: gaussian_half_kernel(1.4), plane: plane.view() };
        let positive = plane.mapv(|v: f32| v.max(0.0));
        let smooth = gaussian_filter(positive.view(), 1.4, Boundary::Reflect);
        let mut line = vec![];
        for ((y, x), _) in plane.indexed_iter() {
            let near = smooth.slice(ndarray::s![
                y.saturating_sub(1)..(y + 2).min(14),
                x.saturating_sub(1)..(x + 2).min(17)
            ]);
            let expected = near.iter().copied().fold(0.0, f32::max);
            assert!((around.brightest((y, x), 1, &mut line) - expected).abs() < 1e-5);
        }
        let one = Surroundings { half_kernel: vec![1.0], plane: plane.view() };
        assert_eq!(one.brightest((0, 0), 1, &mut line), 4.0_f32.max(plane[[1, 1]]).max(plane[[0, 1]]));
    }
}
