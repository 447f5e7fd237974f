//! A tile: its visits on a Fourier grid, with prediction and back-projection.
//!
//! ```text
//! s_i = F⁻¹ Σ_a A_ia y_a            r_a = Σ_i A_ia* F (w_i ·)
//! ```
//!
//! Visits are processed side by side, a batch at a time. Their contributions are added mode by mode
//! in the order of the visits, so that the sum does not depend on the number of threads.

use std::borrow::Cow;
use std::ops::Range;

use ndarray::{Array3, Axis};
use rayon::prelude::*;
use rustfft::num_complex::{Complex32, Complex64};

use super::transfer::PsfVariation;
use crate::joint::fourier::grid::{Grid, Scratch, Way};
use crate::joint::fourier::modes::{add_conjugate_product, add_product, add_scaled, inner, multiply};
use crate::joint::problem::visits::Noise;

use crate::linalg::hermitian::upper;

/// Pixel count of full weight: the sky is the only noise.
pub(crate) const FULL: u8 = 128;

/// Weight of a pixel relative to its full weight.
pub(crate) fn share(count: u8) -> f32 {
    f32::from(count) / f32::from(FULL)
}

/// Maximum visits of a batch: each has a buffer for a transform.
const BATCH: usize = 16;

/// A visit on a tile.
pub(crate) struct TileVisit {
    /// Transfer functions, laid out `kx × subfilter × ky`.
    pub(crate) transfer: Vec<Complex32>,
    /// Image as observed, row by row; 0 where not good.
    pub(crate) observed: Vec<f32>,
    /// Image that the transfer functions predict: the observed one less what calibration and the
    /// PSF of the place add to their prediction; 0 where not good.
    pub(crate) image: Vec<f32>,
    /// Counts of the pixels: [`FULL`] where the sky is the only noise, less where fixed sources add
    /// noise, 0 where the input flags the pixel.
    pub(crate) good: Vec<u8>,
    /// As `good`, and 0 where a pixel is clipped.
    pub(crate) used: Vec<u8>,
    /// Noise of the visit.
    pub(crate) noise: Noise,
    /// Seeing in pixels ([`super::PsfStamp::seeing_px`]).
    pub(crate) seeing_px: f64,
    /// Variation of the PSF over the tile; the transfer functions have the mean.
    pub(crate) variation: PsfVariation,
}

impl TileVisit {
    /// A visit without calibration or clipped pixels.
    pub(crate) fn new(
        transfer: Vec<Complex32>,
        image: Vec<f32>,
        good: Vec<u8>,
        noise: Noise,
        seeing_px: f64,
    ) -> Self {
        let (observed, used, variation) = (image.clone(), good.clone(), PsfVariation::default());
        Self { transfer, observed, image, good, used, noise, seeing_px, variation }
    }

    /// Mean weight of the pixels used, relative to full weight.
    pub(crate) fn cover(&self) -> f64 {
        let used = self.used.iter().map(|u| u64::from(*u)).sum::<u64>() as f64 / f64::from(FULL);
        used / self.used.len().max(1) as f64
    }

    /// Full weight of a pixel: the inverse sky variance.
    pub(crate) fn weight(&self) -> f64 {
        1.0 / self.noise.sky_variance
    }

    /// Weight per unit of [`Self::used`].
    fn unit(&self) -> f32 {
        self.weight() as f32 / f32::from(FULL)
    }

    /// Reduces the counts of pixels by the noise of that light.
    pub(crate) fn weigh_light(&mut self, light: &[f32]) {
        let (sky, shot) = (self.noise.sky_variance as f32, self.noise.shot as f32);
        for (good, light) in self.good.iter_mut().zip(light).filter(|(good, _)| **good != 0) {
            let share = sky / (sky + shot * light.max(0.0));
            *good = (share * f32::from(FULL)).round().max(1.0) as u8;
        }
        self.used.clone_from(&self.good);
    }

    /// Transfer function of light with these fluxes in the subfilters, a half plane.
    pub(crate) fn transfer_of(&self, grid: &Grid, subfilters: &[f32], out: &mut [Complex32]) {
        let (ky, n) = (grid.ky(), subfilters.len());
        out.par_chunks_exact_mut(ky).zip(self.transfer.par_chunks_exact(n * ky)).for_each(|(out, t)| {
            out.fill(Complex32::default());
            t.chunks_exact(ky).zip(subfilters).for_each(|(t, f)| add_scaled(out, *f, t));
        });
    }

    /// Variance of a pixel from light other than fixed sources, given the prediction of all light.
    pub(crate) fn noise_of_light(&self, at: usize, prediction: f32) -> f32 {
        let (sky, shot) = (self.noise.sky_variance as f32, self.noise.shot as f32);
        let of_given = sky * (f32::from(FULL) / f32::from(self.good[at].max(1)) - 1.0);
        (shot * prediction - of_given).max(0.0)
    }
}

/// Buffer for one visit's transform.
pub(crate) struct Buffer {
    pub(crate) spectrum: Vec<Complex32>,
    pub(crate) scratch: Scratch,
}

/// The visits of a tile and their grid.
pub(crate) struct Tile {
    pub(crate) grid: Grid,
    /// Number of subfilters.
    pub(crate) n: usize,
    pub(crate) visits: Vec<TileVisit>,
    /// Noise per pixel of the weighted coadd of all visits of the patch.
    pub(crate) sigma: f64,
    pub(crate) buffers: Vec<Buffer>,
    /// Fixed sources ([`crate::joint::robust::saturated`]): part of every prediction and of the
    /// planes, but not of the model. Laid out as a model, or empty.
    pub(crate) fixed: Vec<Complex32>,
}

impl Tile {
    pub(crate) fn new(grid: Grid, n: usize, visits: Vec<TileVisit>, sigma: f64) -> Self {
        let batches = visits.len().div_ceil(BATCH).max(1);
        let buffers = (0..visits.len().div_ceil(batches)).map(|_| Buffer::new(&grid)).collect();
        Self { grid, n, visits, sigma, buffers, fixed: vec![] }
    }

    /// Modes of all planes together.
    pub(crate) fn unknowns(&self) -> usize {
        self.n * self.grid.modes()
    }

    /// Sets the fixed sources, and reduces the counts of pixels by the noise of their light.
    /// Weights must not follow sources that are estimated from the same few pixels; this light is
    /// known from thousands.
    pub(crate) fn set_fixed_sources(&mut self, light: Vec<Complex32>) {
        self.fixed = light;
        if self.fixed.is_empty() {
            return;
        }
        let mut predictions = vec![];
        let nothing = vec![Complex32::default(); self.unknowns()];
        self.with_predictions(&nothing, |_, _, light| light.to_vec(), |light| predictions.push(light));
        self.visits.iter_mut().zip(predictions).for_each(|(visit, light)| visit.weigh_light(&light));
    }

    /// A model with the fixed sources added.
    pub(crate) fn with_fixed_sources<'a>(&self, y: &'a [Complex32]) -> Cow<'a, [Complex32]> {
        if self.fixed.is_empty() {
            return y.into();
        }
        y.iter().zip(&self.fixed).map(|(y, fixed)| y + fixed).collect()
    }

    /// Calls `fill` to put a plane's transform into every visit's buffer, and adds their
    /// back-projections to `out`.
    pub(crate) fn back_project(
        &mut self,
        out: &mut [Complex32],
        fill: impl Fn(&Grid, &mut TileVisit, &mut Buffer) + Sync,
    ) {
        let (grid, buffers, n) = (&self.grid, &mut self.buffers, self.n);
        let ky = grid.ky();
        for batch in self.visits.chunks_mut(buffers.len().max(1)) {
            batch
                .par_iter_mut()
                .zip(buffers.par_iter_mut())
                .for_each(|(visit, buffer)| fill(grid, visit, buffer));
            let (batch, buffers) = (&*batch, &*buffers);
            out.par_chunks_exact_mut(n * ky).enumerate().for_each(|(ix, out)| {
                for (visit, buffer) in batch.iter().zip(buffers) {
                    let residual = &buffer.spectrum[ix * ky..][..ky];
                    let transfer = &visit.transfer[ix * n * ky..][..n * ky];
                    for (out, transfer) in out.chunks_exact_mut(ky).zip(transfer.chunks_exact(ky)) {
                        add_conjugate_product(out, transfer, residual);
                    }
                }
            });
        }
    }

    /// `out += Σ_i A_i* F w_i F⁻¹ A_i y`: the Hessian of the data.
    pub(crate) fn add_hessian(&mut self, y: &[Complex32], out: &mut [Complex32]) {
        let n = self.n;
        self.back_project(out, |grid, visit, buffer| {
            visit.predict(grid, n, y, buffer);
            let (weight, cols) = (visit.unit() * grid.scale(), grid.tile_cols());
            let start = grid.tile_rows().start;
            grid.change_rows(&mut buffer.spectrum, grid.tile_rows(), &mut buffer.scratch, |row, line| {
                let used = &visit.used[(row - start) * cols.len()..][..cols.len()];
                line[..cols.start].fill(0.0);
                line[cols.end..].fill(0.0);
                weigh(&mut line[cols.clone()], weight, used);
            });
            grid.columns(&mut buffer.spectrum, Way::Forward, &mut buffer.scratch);
        });
    }

    /// `out += strength·F M F⁻¹ flux`, with `M` 1 outside the tile: a penalty on light where no
    /// visit can have data.
    pub(crate) fn add_margin(&self, strength: f32, flux: &[Complex32], out: &mut [Complex32]) {
        let (grid, factor) = (&self.grid, strength * self.grid.scale());
        let (inside_rows, cols, rows) = (grid.tile_rows(), grid.tile_cols(), 0..grid.padded.0);
        let rows: Vec<usize> = rows.collect();
        let mut plane = grid.rows_together(flux, &rows);
        plane.par_chunks_exact_mut(grid.padded.1).enumerate().for_each(|(row, line)| {
            line.iter_mut().for_each(|v| *v *= factor);
            if inside_rows.contains(&row) {
                line[cols.clone()].fill(0.0);
            }
        });
        grid.add_rows_together(&rows, &plane, out);
    }

    /// `out += Σ_i A_i* F w_i (s_i − F⁻¹ A_i y)`: back-projected residual of a model. `None` is the
    /// model without light.
    pub(crate) fn add_residual(&mut self, y: Option<&[Complex32]>, out: &mut [Complex32]) {
        let n = self.n;
        let y = match y {
            Some(y) => Some(self.with_fixed_sources(y)),
            None if self.fixed.is_empty() => None,
            None => Some(self.fixed.clone().into()),
        };
        self.back_project(out, |grid, visit, buffer| {
            let (cols, start) = (grid.tile_cols(), grid.tile_rows().start);
            let (weight, scale) = (visit.unit(), grid.scale());
            let at = |row: usize| (row - start) * cols.len();
            let (used, image) = (&visit.used, &visit.image);
            let compare = |row: usize, line: &mut [f32], scale: f32| {
                line[..cols.start].fill(0.0);
                line[cols.end..].fill(0.0);
                let (image, used) = (&image[at(row)..][..cols.len()], &used[at(row)..][..cols.len()]);
                subtract_from(&mut line[cols.clone()], scale, image, weight, used);
            };
            let (spectrum, scratch) = (&mut buffer.spectrum, &mut buffer.scratch);
            match &y {
                Some(y) => {
                    predict(grid, n, &visit.transfer, y, spectrum, scratch, |_, _| {});
                    grid.change_rows(spectrum, grid.tile_rows(), scratch, |row, line| {
                        compare(row, line, scale)
                    });
                }
                None => grid.write_rows(spectrum, grid.tile_rows(), scratch, |row, line| {
                    line.fill(0.0);
                    compare(row, line, 0.0);
                }),
            }
            grid.columns(spectrum, Way::Forward, scratch);
        });
    }

    /// As [`Tile::add_residual`], after `choose` has selected the pixels used, given each visit's
    /// prediction row by row.
    pub(crate) fn add_chosen_residual(
        &mut self,
        y: &[Complex32],
        out: &mut [Complex32],
        choose: impl Fn(&Grid, &mut TileVisit, &[f32]) + Sync,
    ) {
        let (n, y) = (self.n, self.with_fixed_sources(y));
        self.back_project(out, |grid, visit, buffer| {
            visit.predict(grid, n, &y, buffer);
            let model = tile_plane(grid, &buffer.spectrum, &mut buffer.scratch);
            choose(grid, visit, &model);
            let (cols, start) = (grid.tile_cols(), grid.tile_rows().start);
            let (weight, spectrum, scratch) = (visit.unit(), &mut buffer.spectrum, &mut buffer.scratch);
            grid.forward(spectrum, grid.tile_rows(), scratch, |row, line| {
                let part = (row - start) * cols.len()..(row - start + 1) * cols.len();
                line.fill(0.0);
                line[cols.clone()].copy_from_slice(&model[part.clone()]);
                subtract_from(
                    &mut line[cols.clone()],
                    1.0,
                    &visit.image[part.clone()],
                    weight,
                    &visit.used[part],
                );
            });
        });
    }

    /// Mask-free Hessian of the data, `Σ_i c_i w_i A_i* A_iᵀ` with each visit's covered fraction
    /// `c_i`, for all `ky` of one `kx`: the upper triangle, laid out `pair × ky`.
    pub(crate) fn mean_hessian(&self, ix: usize, covers: &[f64]) -> Vec<Complex64> {
        let (n, ky) = (self.n, self.grid.ky());
        let mut out = vec![Complex64::default(); n * (n + 1) / 2 * ky];
        for (visit, cover) in self.visits.iter().zip(covers) {
            add_hessian(&mut out, n, visit.weight() * cover, &visit.transfer[ix * n * ky..][..n * ky]);
        }
        out
    }

    /// Every visit's covered fraction.
    pub(crate) fn covers(&self) -> Vec<f64> {
        self.visits.iter().map(TileVisit::cover).collect()
    }

    /// Pixels of the tile.
    pub(crate) fn area(&self) -> usize {
        self.grid.shape.0 * self.grid.shape.1
    }

    /// The planes of a set of modes within the tile and `border` pixels around it, `plane × row ×
    /// column`.
    pub(crate) fn planes(&self, y: &[Complex32], border: usize) -> Array3<f32> {
        self.planes_without_fixed(&self.with_fixed_sources(y), border)
    }

    /// As [`Tile::planes`], without the fixed sources.
    pub(crate) fn planes_without_fixed(&self, y: &[Complex32], border: usize) -> Array3<f32> {
        let (grid, n) = (&self.grid, self.n);
        let mut out = Array3::zeros((n, grid.shape.0 + 2 * border, grid.shape.1 + 2 * border));
        let mut buffer = Buffer::new(grid);
        let (rows, cols) = (grow(grid.tile_rows(), border), grow(grid.tile_cols(), border));
        for (a, mut plane) in out.axis_iter_mut(Axis(0)).enumerate() {
            let targets = buffer.spectrum.chunks_exact_mut(grid.ky());
            for (target, modes) in targets.zip(y.chunks_exact(n * grid.ky())) {
                target.copy_from_slice(&modes[a * grid.ky()..][..grid.ky()]);
            }
            grid.inverse(&mut buffer.spectrum, rows.clone(), &mut buffer.scratch, |row, line| {
                let target = plane.row_mut(row - rows.start);
                target.into_iter().zip(&line[cols.clone()]).for_each(|(t, v)| *t = v * grid.scale());
            });
        }
        out
    }
}

/// A range extended by `border` at both ends.
pub(crate) fn grow(range: Range<usize>, border: usize) -> Range<usize> {
    range.start - border..range.end + border
}

impl TileVisit {
    /// Transform of the visit's prediction, already taken along `ky`.
    pub(crate) fn predict(&self, grid: &Grid, n: usize, y: &[Complex32], buffer: &mut Buffer) {
        predict(grid, n, &self.transfer, y, &mut buffer.spectrum, &mut buffer.scratch, |_, _| {});
    }
}

impl Buffer {
    pub(crate) fn new(grid: &Grid) -> Self {
        Self { spectrum: vec![Complex32::default(); grid.modes()], scratch: grid.scratch() }
    }
}

/// Adds `weight·A*Aᵀ` for all `ky` of one `kx`, `pair × ky`, with `A` as `subfilter × ky`.
pub(crate) fn add_hessian(out: &mut [Complex64], n: usize, weight: f64, transfer: &[Complex32]) {
    let ky = transfer.len() / n;
    for (out, (a, b)) in out.chunks_exact_mut(ky).zip(upper(n)) {
        add_outer(out, weight, &transfer[a * ky..][..ky], &transfer[b * ky..][..ky]);
    }
}

/// `Σ_a A_a y_a`, modified by `change` for all `ky` of each `kx`, then transformed along `ky`.
pub(crate) fn predict(
    grid: &Grid,
    n: usize,
    transfer: &[Complex32],
    y: &[Complex32],
    spectrum: &mut [Complex32],
    scratch: &mut Scratch,
    change: impl Fn(usize, &mut [Complex32]),
) {
    let ky = grid.ky();
    let inputs = transfer.chunks_exact(n * ky).zip(y.chunks_exact(n * ky));
    for (ix, (out, (transfer, y))) in spectrum.chunks_exact_mut(ky).zip(inputs).enumerate() {
        multiply(out, &transfer[..ky], &y[..ky]);
        for a in 1..n {
            add_product(out, &transfer[a * ky..][..ky], &y[a * ky..][..ky]);
        }
        change(ix, out);
        grid.columns(out, Way::Inverse, scratch);
    }
}

/// Pixels of the tile from a transform already taken along `ky`.
pub(crate) fn tile_plane(grid: &Grid, spectrum: &[Complex32], scratch: &mut Scratch) -> Vec<f32> {
    let mut plane = Vec::with_capacity(grid.shape.0 * grid.shape.1);
    let (cols, scale) = (grid.tile_cols(), grid.scale());
    grid.read_rows(spectrum, grid.tile_rows(), scratch, |_, line| {
        plane.extend(line[cols.clone()].iter().map(|v| v * scale));
    });
    plane
}

/// Inner product of two sets of modes (any number of planes), summed over pixels: `kx` by `kx`, in
/// order.
pub(crate) fn inner_product(grid: &Grid, a: &[Complex32], b: &[Complex32]) -> f64 {
    let chunk = (a.len() / grid.kx()).max(1);
    let parts: Vec<f64> = a
        .par_chunks_exact(chunk)
        .zip(b.par_chunks_exact(chunk))
        .enumerate()
        .map(|(ix, (a, b))| grid.multiplicity(ix) * inner(a, b))
        .collect();
    parts.iter().sum()
}

/// `line *= weight` where used, 0 elsewhere.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
fn weigh(line: &mut [f32], weight: f32, used: &[u8]) {
    let n = line.len();
    let used = &used[..n];
    for i in 0..n {
        line[i] *= weight * f32::from(used[i]);
    }
}

/// `line = weight·(image − scale·line)` where used, 0 elsewhere.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
fn subtract_from(line: &mut [f32], scale: f32, image: &[f32], weight: f32, used: &[u8]) {
    let n = line.len();
    let (image, used) = (&image[..n], &used[..n]);
    for i in 0..n {
        line[i] = (image[i] - scale * line[i]) * (weight * f32::from(used[i]));
    }
}

/// `out += weight·a*·b`, in double precision.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
fn add_outer(out: &mut [Complex64], weight: f64, a: &[Complex32], b: &[Complex32]) {
    let n = out.len();
    let (a, b) = (&a[..n], &b[..n]);
    for i in 0..n {
        let (ar, ai) = (f64::from(a[i].re) * weight, f64::from(a[i].im) * weight);
        let (br, bi) = (f64::from(b[i].re), f64::from(b[i].im));
        out[i].re += ar * br + ai * bi;
        out[i].im += ar * bi - ai * br;
    }
}
