//! The final solve: a prior that frees colours in proportion to the light.
//!
//! ```text
//! y = f t + E z,    z_j = P ∗ (τ u_j),    penalty  Σ_p Σ_j u_j² + floor Σ_k |t(k) − t₁(k)|²/σ²
//! τ(p)² = (β c(p))² + (τ₀ σ)²,    c = max(t₁, 0), t₁ the summed flux of the first solve
//! ```
//!
//! The unknowns are the summed flux `t`, which is free, and `u_j`. They make spectral components
//! `z_j` (columns of `E`: slope, curvature, …) that are PSF-shaped and proportional to the light
//! around. As `u` is convolved with the PSF *after* multiplication by the prior scale τ, no rims
//! appear where τ varies. The floor holds the flux where no visit has data. It holds it to the
//! first solve, not to 0: bright stars would pay with components for flux where the data cannot
//! separate them. Beyond the tile, where no visit can have data, the flux is held in the same way,
//! a little more firmly ([`MARGIN`]).
//!
//! # Method
//!
//! Conjugate gradients, preconditioned by the mask-free problem
//! ([`crate::joint::precondition::mask_free`]) with corrections for unobserved light
//! ([`crate::joint::precondition::unobserved`]) and for stars cut by an edge or a hole
//! ([`crate::joint::precondition::cut_stars`]). The mask-free problem is itself solved by a few
//! conjugate gradients only, and therefore not by the same linear operator every time: the outer
//! iteration has the flexible form (Polak–Ribière).

use ndarray::{Array2, ArrayView2, s};
use rayon::prelude::*;
use rustfft::num_complex::Complex32;

use super::krylov::{System, Workspace, conjugate_gradients, rms_error};
use super::map_first::FirstSolve;
use crate::joint::config::JointConfig;
use crate::joint::fourier::grid::Grid;
use crate::joint::fourier::modes::{add_scaled, add_weighted};
use crate::joint::operator::tile::{Buffer, Tile};
use crate::joint::operator::unknowns::{Unknowns, add_pixels, from_modes, to_modes};
use crate::joint::precondition::cut_stars::{FinalProblem, cut_stars};
use crate::joint::precondition::mask_free::MaskFree;
use crate::joint::precondition::schwarz::Schwarz;
use crate::joint::precondition::unobserved::Unobserved;
use crate::joint::problem::spectrum::Spectrum;
use crate::joint::progress::IterationBudget;
use crate::kernel::{Boundary, FWHM_PER_SIGMA, gaussian_filter};

/// Weight with which the flux beyond the tile is held to the first solve, in units of the data's.
/// More brings the first solve's errors in stars beyond the edge into held-out visits; less brings
/// noise from there around the periodic grid.
pub(crate) const MARGIN: f64 = 3e-3;

/// The final solve on a tile.
pub(crate) struct FinalSolve<'a> {
    tile: &'a mut Tile,
    fractions: Vec<f32>,
    /// Spectral components, `subfilter × j`.
    components: Vec<f32>,
    m: usize,
    /// |P| at every mode.
    amplitude: &'a [f32],
    /// τ at every pixel of the grid.
    width: Vec<f32>,
    /// Prior weight on the summed flux at every mode.
    flux_prior: Vec<f32>,
    /// Summed flux of the first solve, `kx × ky`.
    start: Vec<Complex32>,
    mask_free: MaskFree,
    /// Correction for unobserved light.
    unobserved: &'a Unobserved,
    /// Correction for partly observed stars.
    cut_stars: Schwarz,
    buffers: Vec<Buffer>,
    /// Model and back-projection, `kx × subfilter × ky`.
    model: Vec<Complex32>,
    back: Vec<Complex32>,
}

impl<'a> FinalSolve<'a> {
    /// `first` is the first solve, `fwhm_px` that of the PSF, and `reach` the distance in pixels
    /// from which unobserved light is constrained.
    pub(crate) fn new(
        tile: &'a mut Tile,
        spectrum: &Spectrum,
        amplitude: &'a [f32],
        first: &'a FirstSolve,
        (fwhm_px, reach): (f64, usize),
        config: &JointConfig,
    ) -> Self {
        let m = tile.n - 1;
        let components = spectrum.components(config.colour_damping);
        let mut buffers: Vec<Buffer> = (0..m).map(|_| Buffer::new(&tile.grid)).collect();
        let start = summed_flux(first.model(), tile.n, tile.grid.ky());
        let width = width(&tile.grid, &start, tile.sigma, config, &mut buffers[0]);
        let flux_prior = first.flux_prior();
        let fractions: Vec<f32> = spectrum.fractions().iter().map(|f| *f as f32).collect();
        let cut_stars = cut_stars(
            tile,
            &FinalProblem {
                fractions: &fractions,
                components: &components,
                amplitude,
                flux_prior,
                margin: margin(tile.sigma),
                width: &width,
                fwhm_px,
                reach,
            },
        );
        let mask_free = MaskFree::new(tile, spectrum, &components, amplitude, flux_prior, &width, fwhm_px);
        Self {
            fractions,
            components: components.iter().map(|e| *e as f32).collect(),
            m,
            amplitude,
            width,
            flux_prior: flux_prior.to_vec(),
            start,
            mask_free,
            unobserved: &first.unobserved,
            cut_stars,
            buffers,
            model: vec![Complex32::default(); tile.unknowns()],
            back: vec![Complex32::default(); tile.unknowns()],
            tile,
        }
    }

    /// Solves, from the first solve's flux and a flat spectrum, so that holes are filled already.
    /// The model is then in [`Self::into_model`]. Returns the remaining error after each pass over
    /// the data.
    pub(crate) fn solve(&mut self, config: &JointConfig, budget: &mut IterationBudget) -> Vec<f64> {
        let zeros = Unknowns::zeros(&self.tile.grid, 1, self.m);
        let mut x = Unknowns { modes: std::mem::take(&mut self.start), pixels: zeros.pixels.clone() };
        let mut workspace = Workspace::new(zeros, true);
        // The residual is that of the data alone: the penalty is 0 at the start.
        self.spread(&x);
        self.back.fill(Complex32::default());
        self.tile.add_residual(Some(&self.model), &mut self.back);
        self.gather(&mut workspace.residual);
        let (area, mut history) = (self.tile.area(), vec![]);
        conjugate_gradients(self, &mut x, &mut workspace, config.source_iterations, |_, squared| {
            let error = rms_error(squared, area);
            history.push(error);
            budget.step() && error >= config.source_tolerance
        });
        budget.skip(config.source_iterations - history.len());
        self.spread(&x);
        history
    }

    /// Uniform prior scale under which the components have about the same noise, at every pixel of
    /// the tile: τ, averaged over the PSF. An average of τ² is too wide on stars, one of ln τ too
    /// narrow.
    pub(crate) fn smoothed_prior_scale(&self, fwhm_px: f64) -> Array2<f32> {
        let sigma = fwhm_px / FWHM_PER_SIGMA;
        own_pixels(&self.tile.grid, &gaussian_filter(self.width_on_grid(), sigma, Boundary::Zero))
    }

    /// τ at every pixel of the tile.
    pub(crate) fn width(&self) -> Array2<f32> {
        own_pixels(&self.tile.grid, &self.width_on_grid())
    }

    /// τ at every pixel of the grid.
    pub(crate) fn width_on_grid(&self) -> ArrayView2<'_, f32> {
        ArrayView2::from_shape(self.tile.grid.padded, &self.width).expect("the width covers the grid")
    }

    /// The solved model, `kx × subfilter × ky`.
    pub(crate) fn into_model(self) -> Vec<Complex32> {
        self.model
    }

    /// `y = f t + E P τ u`, into `model`.
    fn spread(&mut self, x: &Unknowns) {
        let grid = &self.tile.grid;
        to_modes(grid, &self.width, &x.pixels, &mut self.buffers);
        let (ky, n, m, buffers) = (grid.ky(), self.fractions.len(), self.m, &self.buffers);
        let (fractions, components, amplitude) = (&self.fractions, &self.components, self.amplitude);
        self.model.par_chunks_exact_mut(n * ky).enumerate().for_each(|(ix, out)| {
            let part = ix * ky..(ix + 1) * ky;
            out.fill(Complex32::default());
            for (a, out) in out.chunks_exact_mut(ky).enumerate() {
                add_scaled(out, fractions[a], &x.modes[part.clone()]);
                for (j, buffer) in buffers.iter().enumerate() {
                    add_weighted(
                        out,
                        components[a * m + j],
                        &amplitude[part.clone()],
                        &buffer.spectrum[part.clone()],
                    );
                }
            }
        });
    }

    /// The transpose of `spread`, from `back`.
    fn gather(&mut self, out: &mut Unknowns) {
        let (grid, back) = (&self.tile.grid, &self.back);
        let (ky, n, m) = (grid.ky(), self.fractions.len(), self.m);
        let (fractions, components, amplitude) = (&self.fractions, &self.components, self.amplitude);
        out.modes.par_chunks_exact_mut(ky).zip(back.par_chunks_exact(n * ky)).for_each(|(out, back)| {
            out.fill(Complex32::default());
            back.chunks_exact(ky).zip(fractions).for_each(|(back, f)| add_scaled(out, *f, back));
        });
        self.buffers.par_iter_mut().enumerate().for_each(|(j, buffer)| {
            let inputs = back.chunks_exact(n * ky).zip(amplitude.chunks_exact(ky));
            for (out, (back, amplitude)) in buffer.spectrum.chunks_exact_mut(ky).zip(inputs) {
                out.fill(Complex32::default());
                for (a, back) in back.chunks_exact(ky).enumerate() {
                    add_weighted(out, components[a * m + j], amplitude, back);
                }
            }
        });
        from_modes(grid, &self.width, &mut self.buffers, &mut out.pixels);
    }
}

/// The normal equations of the final solve: data and penalty.
impl System for FinalSolve<'_> {
    fn grid(&self) -> &Grid {
        &self.tile.grid
    }

    fn apply(&mut self, x: &Unknowns, out: &mut Unknowns) {
        self.spread(x);
        self.back.fill(Complex32::default());
        self.tile.add_hessian(&self.model, &mut self.back);
        self.gather(out);
        let (tile, ky) = (&self.tile, self.tile.grid.ky());
        let fluxes = out.modes.par_chunks_exact_mut(ky).zip(x.modes.par_chunks_exact(ky));
        let fluxes = fluxes.zip(self.flux_prior.par_chunks_exact(ky));
        fluxes.for_each(|((out, x), prior)| add_weighted(out, 1.0, prior, x));
        tile.add_margin(margin(tile.sigma), &x.modes, &mut out.modes);
        add_pixels(&tile.grid, &mut out.pixels, 1.0, &x.pixels);
    }

    fn precondition(&mut self, r: &Unknowns, out: &mut Unknowns) {
        let grid = &self.tile.grid;
        self.mask_free.precondition(grid, &self.width, &mut self.buffers, r, out);
        self.unobserved.add_to_flux(grid, &r.modes, &mut out.modes);
        self.cut_stars.add(grid, (&r.modes, &r.pixels), (&mut out.modes, &mut out.pixels));
    }
}

/// Prior weight that holds the flux beyond the tile.
fn margin(sigma: f64) -> f32 {
    (MARGIN / (sigma * sigma)) as f32
}

/// The tile's part of a plane of the grid.
fn own_pixels<S: ndarray::Data<Elem = f32>>(
    grid: &Grid,
    plane: &ndarray::ArrayBase<S, ndarray::Ix2>,
) -> Array2<f32> {
    plane.slice(s![grid.tile_rows(), grid.tile_cols()]).to_owned()
}

/// Summed flux of a model: `kx × ky` from `kx × subfilter × ky`.
fn summed_flux(model: &[Complex32], n: usize, ky: usize) -> Vec<Complex32> {
    let mut out = vec![Complex32::default(); model.len() / n];
    for (flux, rows) in out.chunks_exact_mut(ky).zip(model.chunks_exact(n * ky)) {
        rows.chunks_exact(ky).for_each(|row| add_scaled(flux, 1.0, row));
    }
    out
}

/// τ at every pixel of the grid, from the summed flux of the first solve.
fn width(grid: &Grid, flux: &[Complex32], sigma: f64, config: &JointConfig, buffer: &mut Buffer) -> Vec<f32> {
    buffer.spectrum.copy_from_slice(flux);
    let mut out = Vec::with_capacity(grid.pixels());
    let (scale, beta) = (grid.scale(), config.colour_width as f32);
    let floor = (config.colour_floor * sigma) as f32;
    grid.inverse(&mut buffer.spectrum, 0..grid.padded.0, &mut buffer.scratch, |_, line| {
        out.extend(line.iter().map(|v| (beta * (v * scale).max(0.0)).hypot(floor)));
    });
    out
}
