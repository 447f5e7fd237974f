//! Artefacts that nobody flagged: pixels that depart from the prediction for their own visit.
//!
//! The prediction has the visit's refraction and PSF, so what departs from it is not in the sky, or not always. A pixel is clipped where the residual
//!
//! ```text
//! |r| > n √(v + g c) + ε c
//! ```
//!
//! with the sky's variance `v`, the shot noise `g` of a unit of signal, and `c` the brightest prediction among the pixel and its
//! neighbours; or where the same holds for residual and prediction smoothed with the width of the PSF, of variance `1/(4πσ²)`. `ε` covers errors of the
//! PSF. Every round starts from the input's own flags, so that a pixel clipped early can come back.

use ndarray::{Array2, ArrayView2, Zip};

use super::config::JointConfig;
use super::fourier::Grid;
use super::operator::TileVisit;
use crate::kernel::{Boundary, dilate_diamond, gaussian_filter};

/// FWHM over σ of a Gaussian.
pub(crate) const FWHM_PER_SIGMA: f64 = 2.354_820_045;

/// Chooses the pixels of a visit to be used, given its prediction on the tile; thresholds in σ are multiplied by `factor`.
pub(crate) fn clip(grid: &Grid, visit: &mut TileVisit, model: &[f32], factor: f64, config: &JointConfig) {
    let shape = grid.shape;
    let plane =
        |values: Vec<f32>| Array2::from_shape_vec(shape, values).expect("planes have the tile's shape");
    let pixels = visit.image.iter().zip(&visit.good).zip(model);
    let residual = plane(pixels.map(|((s, good), m)| (s - m) * f32::from(*good)).collect());
    let positive = plane(model.iter().map(|m| m.max(0.0)).collect());
    let sigma = visit.fwhm_px / FWHM_PER_SIGMA;
    let threshold = Threshold {
        sigmas: config.clip_sigmas * factor,
        fraction: config.clip_fraction,
        sky: visit.noise.sky_variance,
        shot: visit.noise.shot,
    };
    let mut hit = threshold.exceeded(residual.view(), brightest_neighbour(positive.view()).view(), 1.0);
    if sigma > 0.0 {
        let smooth = |plane: &Array2<f32>| gaussian_filter(plane.view(), sigma, Boundary::Reflect);
        let around = brightest_neighbour(smooth(&positive).view());
        let averaged = 1.0 / (4.0 * std::f64::consts::PI * sigma * sigma);
        let smoothed = threshold.exceeded(smooth(&residual).view(), around.view(), averaged.min(1.0));
        Zip::from(&mut hit).and(&smoothed).for_each(|hit, smoothed| *hit |= smoothed);
    }
    let hit = dilate_diamond(hit.view(), config.clip_grow);
    for ((used, good), hit) in visit.used.iter_mut().zip(&visit.good).zip(&hit) {
        *used = good * u8::from(!hit);
    }
}

/// From which residual on a pixel is clipped.
struct Threshold {
    sigmas: f64,
    fraction: f64,
    sky: f64,
    shot: f64,
}

impl Threshold {
    /// Where the residual exceeds it, beside a prediction of `bright`; `averaged` is the variance left by smoothing.
    fn exceeded(&self, residual: ArrayView2<f32>, bright: ArrayView2<f32>, averaged: f64) -> Array2<bool> {
        let (sky, shot) = ((self.sky * averaged) as f32, (self.shot * averaged) as f32);
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
    use crate::joint::visits::Noise;

    fn visit(shape: (usize, usize)) -> TileVisit {
        let pixels = shape.0 * shape.1;
        TileVisit {
            transfer: vec![],
            image: vec![0.0; pixels],
            good: vec![1; pixels],
            used: vec![1; pixels],
            noise: Noise { sky_variance: 4.0, shot: 0.0 },
            fwhm_px: 3.0,
        }
    }

    #[test]
    fn clip_takes_out_a_cosmic_ray_and_its_neighbours_and_lets_them_back() {
        let grid = Grid::new((16, 16), 4);
        let mut visit = visit(grid.shape);
        visit.image[8 * 16 + 5] = 100.0;
        let config = JointConfig { clip_fraction: 0.0, ..JointConfig::default() };
        clip(&grid, &mut visit, &[0.0; 256], 1.0, &config);
        assert_eq!(visit.used[8 * 16 + 5], 0);
        assert_eq!(visit.used[7 * 16 + 5], 0);
        assert_eq!(visit.used[0], 1);
        let explained = visit.image.clone();
        clip(&grid, &mut visit, &explained, 1.0, &config);
        assert!(visit.used.iter().all(|u| *u == 1), "every round starts from the input's flags");
    }

    #[test]
    fn clip_never_uses_what_was_bad() {
        let grid = Grid::new((8, 8), 4);
        let mut visit = visit(grid.shape);
        visit.good[9] = 0;
        clip(&grid, &mut visit, &[0.0; 64], 1.0, &JointConfig::default());
        assert_eq!((visit.used[9], visit.used[8]), (0, 1));
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
