//! Errors of a visit's position and flux scale, by least squares against its own prediction.
//!
//! The residual is fitted by the prediction's derivatives with respect to a displacement, and by
//! the prediction itself. The mean of all offsets is a displacement of the sky, and offsets
//! proportional to the visits' refraction are a change of the reference wavelength. The data
//! constrain neither, so both are projected out; they would drift from round to round and take the
//! colours with them.

use std::f64::consts::TAU;

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;
use rustfft::num_complex::Complex32;

use crate::joint::fourier::grid::Grid;
use crate::joint::operator::tile::{Buffer, TileVisit, predict, tile_plane};
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
    pub(crate) fn add(&mut self, other: &Self) {
        for i in 0..3 {
            self.right_side[i] += other.right_side[i];
            for j in 0..3 {
                self.matrix[i][j] += other.matrix[i][j];
            }
        }
        self.pixels += other.pixels;
    }

    fn add_pixel(&mut self, columns: [f64; 3], residual: f64) {
        for i in 0..3 {
            self.right_side[i] += columns[i] * residual;
            for j in 0..3 {
                self.matrix[i][j] += columns[i] * columns[j];
            }
        }
        self.pixels += 1;
    }

    /// Error of the relative flux.
    pub(crate) fn flux_error(&self) -> Option<f64> {
        let variances = solve_positive_definite(&self.matrix.concat(), &[0.0, 0.0, 1.0], SINGULAR)?;
        variances.last().map(|variance| variance.max(0.0).sqrt())
    }

    /// (dy, dx, relative flux), or `None` if the pixels do not determine them.
    pub(crate) fn solve(&self) -> Option<[f64; 3]> {
        if self.pixels < FEWEST {
            return None;
        }
        solve_positive_definite(&self.matrix.concat(), &self.right_side, SINGULAR)?.try_into().ok()
    }
}

/// The prediction on a tile and its derivatives with respect to a displacement along y and x.
pub(crate) struct Derivatives {
    pub(crate) model: Vec<f32>,
    pub(crate) by_dy: Vec<f32>,
    pub(crate) by_dx: Vec<f32>,
}

impl Derivatives {
    pub(crate) fn new(
        grid: &Grid,
        n: usize,
        transfer: &[Complex32],
        y: &[Complex32],
        buffer: &mut Buffer,
    ) -> Self {
        let slope = |f: f64| (-TAU * f) as f32;
        let along_y: Vec<f32> = grid.frequencies().y.into_iter().map(slope).collect();
        let along_x: Vec<f32> = grid.frequencies().x.into_iter().map(slope).collect();
        let mut plane = |turn: &dyn Fn(usize, &mut [Complex32])| {
            predict(grid, n, transfer, y, &mut buffer.spectrum, &mut buffer.scratch, turn);
            tile_plane(grid, &buffer.spectrum, &mut buffer.scratch)
        };
        let times_i =
            |mode: &mut Complex32, factor: f32| *mode = Complex32::new(-factor * mode.im, factor * mode.re);
        Self {
            model: plane(&|_, _| {}),
            by_dy: plane(&|_, row| row.iter_mut().zip(&along_y).for_each(|(mode, f)| times_i(mode, *f))),
            by_dx: plane(&|ix, row| row.iter_mut().for_each(|mode| times_i(mode, along_x[ix]))),
        }
    }
}

/// Fits a visit to its prediction over used pixels inside `within` (row by row; `None`:
/// everywhere).
pub(crate) fn fit(visit: &TileVisit, prediction: &Derivatives, within: Option<&[bool]>) -> OffsetFit {
    let pixels: Vec<FitPixel> = (0..visit.image.len())
        .filter(|i| visit.used[*i] != 0 && within.is_none_or(|w| w[*i]))
        .filter(|i| is_bright(prediction.model[*i], &visit.noise))
        .map(|i| {
            let derivatives = [prediction.by_dy[i], prediction.by_dx[i]];
            fit_pixel(derivatives, prediction.model[i], visit.image[i], &visit.noise)
        })
        .collect();
    fit_pixels(&pixels)
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
    let ones = vec![(1.0, 0.0); offsets.len()];
    let across = vec![(0.0, 1.0); offsets.len()];
    let along: Vec<(f64, f64)> = refraction.iter().map(|d| (d.dy, d.dx)).collect();
    let inner =
        |a: &[(f64, f64)], b: &[(f64, f64)]| a.iter().zip(b).map(|(a, b)| a.0 * b.0 + a.1 * b.1).sum::<f64>();
    let remove = |from: &mut Vec<(f64, f64)>, direction: &[(f64, f64)]| {
        let part = inner(from, direction);
        from.iter_mut().zip(direction).for_each(|(v, d)| *v = (v.0 - part * d.0, v.1 - part * d.1));
    };
    let mut basis: Vec<Vec<(f64, f64)>> = vec![];
    for mut direction in [ones, across, along] {
        let before = inner(&direction, &direction);
        basis.iter().for_each(|known| remove(&mut direction, known));
        let norm = inner(&direction, &direction);
        // With equal refraction in all visits the third direction is in the first two.
        if norm > 1e-9 * before && norm > 0.0 {
            let length = norm.sqrt();
            direction.iter_mut().for_each(|v| *v = (v.0 / length, v.1 / length));
            basis.push(direction);
        }
    }
    let mut values: Vec<(f64, f64)> = offsets.iter().map(|o| (o.dy, o.dx)).collect();
    basis.iter().for_each(|known| remove(&mut values, known));
    offsets.iter_mut().zip(values).for_each(|(o, (dy, dx))| *o = PixelShift { dy, dx });
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

/// Fits of every visit of a tile.
pub(crate) fn fit_tile(
    grid: &Grid,
    n: usize,
    visits: &[TileVisit],
    buffers: &mut [Buffer],
    y: &[Complex32],
    within: Option<&[bool]>,
) -> Vec<OffsetFit> {
    let mut out = Vec::with_capacity(visits.len());
    for batch in visits.chunks(buffers.len().max(1)) {
        let fits: Vec<OffsetFit> = batch
            .par_iter()
            .zip(buffers.par_iter_mut())
            .map(|(visit, buffer)| fit(visit, &Derivatives::new(grid, n, &visit.transfer, y, buffer), within))
            .collect();
        out.extend(fits);
    }
    out
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
