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

use ndarray::{Array2, ArrayView2, Zip};

use crate::joint::Noise;
use crate::kernel::{Boundary, gaussian_filter};

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
        let positive = prediction.mapv(|m| m.max(0.0));
        let mut hit = self.exceeded(residual, brightest_neighbour(positive.view()).view(), 1.0);
        let sigma = self.psf_sigma;
        if sigma > 0.0 {
            let mut rest = residual.to_owned();
            Zip::from(&mut rest).and(&hit).for_each(|r, hit| *r = if *hit { 0.0 } else { *r });
            let smooth = |plane: ArrayView2<f32>| gaussian_filter(plane, sigma, Boundary::Reflect);
            let around = brightest_neighbour(smooth(positive.view()).view());
            let averaged = 1.0 / (4.0 * std::f64::consts::PI * sigma * sigma);
            let smoothed = self.exceeded(smooth(rest.view()).view(), around.view(), averaged.min(1.0));
            Zip::from(&mut hit).and(&smoothed).for_each(|hit, smoothed| *hit |= smoothed);
        }
        hit
    }

    /// Where the residual exceeds the threshold beside a prediction of `bright`; `averaged` is the variance left by smoothing.
    fn exceeded(&self, residual: ArrayView2<f32>, bright: ArrayView2<f32>, averaged: f64) -> Array2<bool> {
        let (sky, shot) = ((self.noise.sky_variance * averaged) as f32, (self.noise.shot * averaged) as f32);
        let (sigmas, fraction) = (self.sigmas as f32, self.fraction as f32);
        Zip::from(&residual)
            .and(&bright)
            .map_collect(|r, c| r.abs() > sigmas * (sky + shot * c).sqrt() + fraction * c)
    }
}

/// The largest of each pixel and its eight neighbours.
fn brightest_neighbour(plane: ArrayView2<f32>) -> Array2<f32> {
    let (rows, cols) = plane.dim();
    let mut along_x = plane.to_owned();
    for (mut out, row) in along_x.outer_iter_mut().zip(plane.outer_iter()) {
        for x in 0..cols {
            let after = (x + 1).min(cols - 1);
            out[x] = row[x.saturating_sub(1)].max(row[x]).max(row[after]);
        }
    }
    let mut out = along_x.clone();
    for y in 0..rows {
        for neighbour in [y.saturating_sub(1), (y + 1).min(rows - 1)] {
            out.row_mut(y).zip_mut_with(&along_x.row(neighbour), |o, n| *o = o.max(*n));
        }
    }
    out
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

    #[test]
    fn brightest_neighbour_of_a_point_is_a_square() {
        let mut point = Array2::zeros((5, 6));
        point[[2, 3]] = 1.0;
        for ((y, x), v) in brightest_neighbour(point.view()).indexed_iter() {
            assert_eq!(*v > 0.0, y.abs_diff(2) <= 1 && x.abs_diff(3) <= 1);
        }
        assert_eq!(brightest_neighbour(Array2::<f32>::ones((1, 1)).view()), Array2::<f32>::ones((1, 1)));
    }
}
