//! Outliers: pixels that deviate from the prediction for their own exposure.
//!
//! A pixel is an outlier where the residual
//!
//! ```text
//! |r| > n √(v + g c) + ε c
//! ```
//!
//! with the sky's variance `v`, the shot noise `g` per unit of signal, and the brightest prediction
//! `c` among the pixel and its eight neighbours. The same test is applied to residual and
//! prediction smoothed with the width of the PSF, of variance `1/(4πσ²)`, without the single
//! outliers, so that a cosmic ray does not take its surroundings with it. `ε` covers errors of the
//! PSF, which exceed the noise beside a bright star.

use std::ops::Range;

use multiversion::multiversion;
use ndarray::{Array2, ArrayView2};

use crate::joint::Noise;
use crate::kernel::{Boundary, copy_folded, filter_in_blocks, filter_row, gaussian_half_kernel};

/// The test for outliers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OutlierTest {
    /// Noise of the exposure's pixels.
    pub noise: Noise,
    /// `n`, the threshold in σ.
    pub sigmas: f64,
    /// `ε`, the relative error of the prediction.
    pub fraction: f64,
    /// Standard deviation of the PSF in px; 0 to test single pixels only.
    pub psf_sigma: f64,
}

impl OutlierTest {
    /// Distance in px within which pixels influence each other's test.
    #[must_use]
    pub fn reach(&self) -> usize {
        (4.0 * self.psf_sigma.max(0.0) + 0.5) as usize + 1
    }

    /// Outliers of a residual with its prediction. The residual is 0 without data.
    #[must_use]
    pub fn outliers(&self, residual: ArrayView2<f32>, prediction: ArrayView2<f32>) -> Array2<bool> {
        let (residual, prediction) = (residual.as_standard_layout(), prediction.as_standard_layout());
        let shape = residual.dim();
        let mut single = Array2::from_elem(shape, false);
        let own = Surroundings { half_kernel: vec![1.0], plane: prediction.view() };
        let mut marking = Marking::new(self, own, 1.0);
        for (y, (residual, mut hit)) in residual.rows().into_iter().zip(single.rows_mut()).enumerate() {
            let (Some(residual), Some(hit)) = (residual.to_slice(), hit.as_slice_mut()) else {
                unreachable!("planes in standard layout have contiguous rows")
            };
            marking.row((y, 0), residual, hit);
        }
        let sigma = self.psf_sigma;
        if sigma.is_nan() || sigma <= 0.0 {
            return single;
        }
        let mut all = single.clone();
        let around = Surroundings { half_kernel: gaussian_half_kernel(sigma), plane: prediction.view() };
        let averaged = 1.0 / (4.0 * std::f64::consts::PI * sigma * sigma);
        let mut marking = Marking::new(self, around, averaged.min(1.0));
        let has_hits: Vec<bool> =
            single.rows().into_iter().map(|row| row.to_slice().is_some_and(any)).collect();
        let without_hits = |y: isize, x: isize, row: &mut [f32]| {
            copy_folded(residual.view(), (y, x), Boundary::Reflect, row);
            let y = folded(y, shape.0);
            if has_hits[y] {
                for (value, x) in row.iter_mut().zip(x..) {
                    *value = if single[[y, folded(x, shape.1)]] { 0.0 } else { *value };
                }
            }
        };
        filter_in_blocks(shape, sigma, without_hits, |y, x, smooth| {
            let mut hit = all.row_mut(y);
            let Some(hit) = hit.as_slice_mut() else { unreachable!("a new array is in standard layout") };
            marking.row((y, x), smooth, &mut hit[x..x + smooth.len()]);
        });
        all
    }
}

/// Marks pixels whose residual, smoothed or not, exceeds the threshold.
///
/// Few pixels exceed it with a share of their own light, fewer with all of their own: only for
/// those the light of their neighbours is evaluated.
struct Marking<'a> {
    around: Surroundings<'a>,
    threshold: Threshold,
    /// Share of a pixel's own light in the first test.
    own_share: f32,
    suspected: Vec<bool>,
    line: Vec<f32>,
    light: Vec<f32>,
}

impl<'a> Marking<'a> {
    /// `averaged` is the factor on the variance from smoothing.
    fn new(test: &OutlierTest, around: Surroundings<'a>, averaged: f64) -> Self {
        let threshold = Threshold::new(test, averaged);
        let own_share = if threshold.rises() { around.share_of_own() } else { 0.0 };
        Self { around, threshold, own_share, suspected: vec![], line: vec![], light: vec![] }
    }

    /// Tests the pixels of row `y` from column `x` on.
    fn row(&mut self, (y, x): (usize, usize), residual: &[f32], hit: &mut [bool]) {
        let Self { around, threshold, own_share, suspected, line, light } = self;
        let Some(plane) = around.plane.row(y).to_slice() else {
            unreachable!("planes in standard layout have contiguous rows")
        };
        suspected.resize(residual.len(), false);
        exceeding(residual, &plane[x..x + residual.len()], *own_share, *threshold, suspected);
        for start in (0..residual.len()).step_by(RUN) {
            let run = start..residual.len().min(start + RUN);
            let (residual, suspected) = (&residual[run.clone()], &mut suspected[run.clone()]);
            if !any(suspected) {
                continue;
            }
            if threshold.rises() {
                light.resize(run.len(), 0.0);
                around.smooth((y, x + start), line, light);
                exceeding(residual, light, 1.0 - ROUNDING, *threshold, suspected);
            }
            for i in (0..run.len()).filter(|i| suspected[*i]) {
                let at = (y, x + start + i);
                let mut exceeds =
                    |reach| residual[i].abs() > threshold.beside(around.brightest(at, reach, line));
                // The pixel's own light comes first: neighbours can only raise the threshold.
                hit[start + i] |= exceeds(0) && exceeds(1);
            }
        }
    }
}

/// True if a flag is set. Reading all is faster than stopping.
fn any(flags: &[bool]) -> bool {
    flags.iter().fold(false, |any, flag| any | flag)
}

/// Pixels of a row tested together.
const RUN: usize = 64;

/// Threshold on a residual.
#[derive(Clone, Copy)]
struct Threshold {
    sky: f32,
    shot: f32,
    sigmas: f32,
    fraction: f32,
    /// Threshold without light.
    empty: f32,
}

impl Threshold {
    fn new(test: &OutlierTest, averaged: f64) -> Self {
        let (sky, shot) = ((test.noise.sky_variance * averaged) as f32, (test.noise.shot * averaged) as f32);
        let (sigmas, fraction) = (test.sigmas as f32, test.fraction as f32);
        Self { sky, shot, sigmas, fraction, empty: sigmas * sky.sqrt() }
    }

    /// Threshold with that much light.
    #[inline(always)]
    fn beside(&self, bright: f32) -> f32 {
        self.sigmas * (self.sky + self.shot * bright).sqrt() + self.fraction * bright
    }

    /// True if more light never lowers the threshold.
    fn rises(&self) -> bool {
        self.sigmas >= 0.0 && self.shot >= 0.0 && self.fraction >= 0.0
    }
}

/// Residuals of a row that exceed the threshold both of empty sky and with a share of the light in
/// the pixel itself.
// No closures: they would not be compiled for the function's vector unit.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
fn exceeding(residual: &[f32], light: &[f32], share: f32, threshold: Threshold, out: &mut [bool]) {
    for ((out, r), light) in out.iter_mut().zip(residual).zip(light) {
        let r = r.abs();
        *out = (r > threshold.empty) & (r > threshold.beside(share * light.max(0.0)));
    }
}

/// A prediction, smoothed on demand.
struct Surroundings<'a> {
    /// Weight of a pixel at distance 0, 1, … along an axis.
    half_kernel: Vec<f32>,
    plane: ArrayView2<'a, f32>,
}

/// Relative difference between sums of light in another order.
const ROUNDING: f32 = 1e-4;

impl Surroundings<'_> {
    /// Lower bound of the share of its own light that a pixel keeps.
    fn share_of_own(&self) -> f32 {
        let middle = self.half_kernel[0];
        if self.half_kernel.len() == 1 { middle } else { middle * middle * (1.0 - ROUNDING) }
    }

    /// Smoothed pixels of row `y` from column `x` on, negative light excluded: those of
    /// [`Self::brightest`] except for rounding. `line` is scratch space.
    fn smooth(&self, (y, x): (usize, usize), line: &mut Vec<f32>, out: &mut [f32]) {
        self.smooth_along_y(y, &(x..x + out.len()), line);
        filter_row(&self.half_kernel, line, out);
    }

    /// Largest smoothed pixel within `reach` along both axes in the plane, negative light excluded.
    /// `line` is scratch space.
    fn brightest(&self, (y, x): (usize, usize), reach: usize, line: &mut Vec<f32>) -> f32 {
        let (rows, cols) = self.plane.dim();
        let radius = self.half_kernel.len() - 1;
        let columns = x.saturating_sub(reach)..(x + reach + 1).min(cols);
        let mut brightest = 0.0_f32;
        for row in y.saturating_sub(reach)..(y + reach + 1).min(rows) {
            self.smooth_along_y(row, &columns, line);
            for window in line.windows(2 * radius + 1) {
                let weights = (0..window.len()).map(|i| self.half_kernel[i.abs_diff(radius)]);
                brightest = brightest.max(weights.zip(window).map(|(w, v)| w * v).sum());
            }
        }
        brightest
    }

    /// Fills `line` with columns of a row and their surroundings for smoothing, smoothed along y.
    fn smooth_along_y(&self, row: usize, columns: &Range<usize>, line: &mut Vec<f32>) {
        let (rows, cols) = self.plane.dim();
        let radius = self.half_kernel.len() - 1;
        line.clear();
        line.resize(columns.len() + 2 * radius, 0.0);
        let is_inside = columns.start >= radius && columns.end + radius <= cols;
        for k in -(radius as isize)..=radius as isize {
            let weight = self.half_kernel[k.unsigned_abs()];
            let source = self.plane.row(folded(row as isize + k, rows));
            match source.to_slice().filter(|_| is_inside) {
                Some(source) => {
                    add_light(weight, &source[columns.start - radius..columns.end + radius], line)
                }
                None => {
                    for (i, sum) in line.iter_mut().enumerate() {
                        let col = folded((columns.start + i) as isize - radius as isize, cols);
                        *sum += weight * source[col].max(0.0);
                    }
                }
            }
        }
    }
}

/// `sum[i] += weight · light[i]`, except for negative light.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
fn add_light(weight: f32, light: &[f32], sum: &mut [f32]) {
    for (sum, light) in sum.iter_mut().zip(light) {
        *sum += weight * light.max(0.0);
    }
}

/// Index beyond the plane, mirrored at its edge.
fn folded(index: isize, length: usize) -> usize {
    let length = length as isize;
    let index = index.rem_euclid(2 * length);
    index.min(2 * length - 1 - index) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::gaussian_filter;

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

    /// The test by its definition: whole planes, and all light around every pixel.
    fn by_the_letter(test: &OutlierTest, residual: &Array2<f32>, prediction: &Array2<f32>) -> Array2<bool> {
        let exceeded = |residual: &Array2<f32>, half_kernel: Vec<f32>, averaged: f64| {
            let around = Surroundings { half_kernel, plane: prediction.view() };
            let threshold = Threshold::new(test, averaged);
            let mut line = vec![];
            Array2::from_shape_fn(residual.dim(), |at| {
                let mut limit = |reach| threshold.beside(around.brightest(at, reach, &mut line));
                let r = residual[at].abs();
                r > threshold.empty && r > limit(0) && r > limit(1)
            })
        };
        let single = exceeded(residual, vec![1.0], 1.0);
        let mut rest = residual.clone();
        rest.zip_mut_with(&single, |r, hit| *r = if *hit { 0.0 } else { *r });
        let sigma = test.psf_sigma;
        let smooth = gaussian_filter(rest.view(), sigma, Boundary::Reflect);
        let averaged = 1.0 / (4.0 * std::f64::consts::PI * sigma * sigma);
        single | exceeded(&smooth, gaussian_half_kernel(sigma), averaged)
    }

    /// Pixels excluded beforehand are never outliers: noise, stars predicted a little too faint,
    /// cosmic rays on and off them; more than a block.
    #[test]
    fn outliers_are_those_of_the_letter() {
        let shape = (70, 530);
        let mut state = 3_u64;
        let mut even = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 24) as f32
        };
        let mut stars = Array2::<f32>::zeros(shape);
        let place = |even: &mut dyn FnMut() -> f32| {
            [(even() * shape.0 as f32) as usize, (even() * shape.1 as f32) as usize]
        };
        for _ in 0..150 {
            let at = place(&mut even);
            stars[at] += 50.0 / (even() + 1e-3) - 40.0;
        }
        let prediction = gaussian_filter(stars.view(), 1.6, Boundary::Reflect);
        let mut residual = prediction.mapv(|light| 0.04 * light + 2.0 * (even() + even() + even() - 1.5));
        for _ in 0..40 {
            residual[place(&mut even)] += 60.0;
        }
        let mut counts = vec![];
        for (shot, fraction, psf_sigma) in
            [(0.02, 0.05, 1.6), (0.0, 0.03, 1.6), (0.5, 0.0, 2.5), (-0.01, 0.02, 1.6)]
        {
            let noise = Noise { sky_variance: 1.0, shot };
            let test = OutlierTest { noise, sigmas: 5.0, fraction, psf_sigma };
            let hit = test.outliers(residual.view(), prediction.view());
            assert_eq!(hit, by_the_letter(&test, &residual, &prediction), "{test:?}");
            let columns_first = residual.t().as_standard_layout().into_owned();
            assert_eq!(hit, test.outliers(columns_first.t(), prediction.view()), "any memory layout");
            counts.push(hit.iter().filter(|hit| **hit).count());
        }
        assert!(counts.iter().all(|count| (30..5000).contains(count)), "{counts:?}");
    }

    /// Pixel by pixel it equals the filtered plane.
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
            let mut at = [0.0];
            around.smooth((y, x), &mut line, &mut at);
            assert!((at[0] / smooth[[y, x]] - 1.0).abs() < ROUNDING / 10.0);
        }
        let one = Surroundings { half_kernel: vec![1.0], plane: plane.view() };
        assert_eq!(one.brightest((0, 0), 1, &mut line), 4.0_f32.max(plane[[1, 1]]).max(plane[[0, 1]]));
    }
}
