//! The final solve: a prior that frees colours where there is light.
//!
//! ```text
//! y = f t + E z,    z_j = P ∗ (τ u_j),    penalty  Σ_p Σ_j u_j² + floor Σ_k |t(k) − t₁(k)|²/σ²
//! τ(p)² = (β c(p))² + (τ₀ σ)²,    c = max(t₁, 0), t₁ the total of the first solve
//! ```
//!
//! The unknowns are the total `t`, free, and `u_j`, which make departures `z_j` from the flat spectrum (columns of `E`: slope,
//! curvature, …) that are PSF-shaped and proportional to the light around. As `u` is convolved with the PSF *after* the
//! factor that varies from place to place, no rims appear where it varies. The floor holds the total where no visit has data: to the first solve's,
//! not to 0, for bright stars would rather pay for departures than for their total, where data cannot tell them apart. Beyond the tile, where no visit can
//! have data, it is held in the same way, a little more firmly ([`MARGIN`]).
//!
//! # How it is solved
//!
//! By conjugate gradients, preconditioned by the same problem without masks ([`crate::joint::precondition::mask_free`]), with additions for light that no visit sees
//! ([`crate::joint::precondition::unobserved`]) and for stars that it is part of ([`crate::joint::precondition::cut_stars`]). The problem without masks is itself solved by a few
//! conjugate gradients only, and so not by the same linear operation every time: the outer iteration takes the flexible form
//! (Polak–Ribière).

use ndarray::{Array2, ArrayView2, s};
use rayon::prelude::*;
use rustfft::num_complex::Complex32;

use super::first::UniformSolve;
use super::krylov::{System, Workspace, conjugate_gradients};
use crate::joint::config::JointConfig;
use crate::joint::fourier::grid::Grid;
use crate::joint::fourier::modes::{add_scaled, add_weighted};
use crate::joint::operator::tile::{Slot, Tile, rms_error};
use crate::joint::operator::unknowns::{Unknowns, add_pixels, from_modes, to_modes};
use crate::joint::precondition::cut_stars::{Cut, cut_stars};
use crate::joint::precondition::mask_free::Stationary;
use crate::joint::precondition::schwarz::Schwarz;
use crate::joint::precondition::unobserved::Unseen;
use crate::joint::problem::spectrum::Spectrum;
use crate::joint::progress::Pace;
use crate::joint::robust::clip::FWHM_PER_SIGMA;
use crate::kernel::{Boundary, gaussian_filter};

/// How firmly the total is held to the first solve's beyond the tile, in units of the data's weight. With more, visits that are left out see more of the
/// first solve's errors in stars beyond the edge; with less, noise from there is brought further round the periodic grid.
pub(crate) const MARGIN: f64 = 3e-3;

/// The final solve on a tile.
pub(crate) struct SourceSolve<'a> {
    fractions: Vec<f32>,
    /// Departures, `subfilter × j`.
    departures: Vec<f32>,
    m: usize,
    /// |P| at every mode.
    amplitude: &'a [f32],
    /// τ at every pixel of the grid.
    width: Vec<f32>,
    /// The prior's weight on the total at every mode.
    total: Vec<f32>,
    /// The first solve's total, `kx × ky`.
    start: Vec<Complex32>,
    stationary: Stationary,
    /// Solves for light that no visit sees, …
    unseen: &'a Unseen,
    /// … and for stars of which they see a part.
    cut_stars: Schwarz,
    slots: Vec<Slot>,
    /// Model and back-projection, `kx × subfilter × ky`.
    model: Vec<Complex32>,
    back: Vec<Complex32>,
}

impl<'a> SourceSolve<'a> {
    /// `first` is the first solve, `fwhm_px` the PSF's, and light is seen from `reach` pixels around.
    pub(crate) fn new(
        tile: &mut Tile,
        spectrum: &Spectrum,
        amplitude: &'a [f32],
        first: &'a UniformSolve,
        (fwhm_px, reach): (f64, usize),
        config: &JointConfig,
    ) -> Self {
        let m = tile.n - 1;
        let departures = spectrum.departures(config.colour_damping);
        let mut slots: Vec<Slot> = (0..m).map(|_| Slot::new(&tile.grid)).collect();
        let start = total_of(first.model(), tile.n, tile.grid.ky());
        let width = width(&tile.grid, &start, tile.sigma, config, &mut slots[0]);
        let total = first.total();
        let fractions: Vec<f32> = spectrum.fractions().iter().map(|f| *f as f32).collect();
        let cut_stars = cut_stars(
            tile,
            &Cut {
                fractions: &fractions,
                departures: &departures,
                amplitude,
                total,
                margin: margin(tile.sigma),
                width: &width,
                fwhm_px,
                reach,
            },
        );
        let stationary = Stationary::new(tile, spectrum, &departures, amplitude, total, &width, fwhm_px);
        Self {
            fractions,
            departures: departures.iter().map(|e| *e as f32).collect(),
            m,
            amplitude,
            width,
            total: total.to_vec(),
            start,
            stationary,
            unseen: &first.unseen,
            cut_stars,
            slots,
            model: vec![Complex32::default(); tile.unknowns()],
            back: vec![Complex32::default(); tile.unknowns()],
        }
    }

    /// Solves, from the first solve's total and a flat spectrum: holes are filled already. The model is then in
    /// [`Self::into_model`]. Gives back the error that is left after each pass over the data.
    pub(crate) fn solve(&mut self, tile: &mut Tile, config: &JointConfig, pace: &mut Pace) -> Vec<f64> {
        let zeros = Unknowns::zeros(&tile.grid, 1, self.m);
        let mut x = Unknowns { modes: std::mem::take(&mut self.start), pixels: zeros.pixels.clone() };
        let mut workspace = Workspace::new(zeros, true);
        // The penalty has no pull at the start.
        self.residual(tile, &x, &mut workspace.residual);
        let (area, mut course) = (tile.area(), vec![]);
        let mut system = LastSystem { solve: self, tile };
        conjugate_gradients(&mut system, &mut x, &mut workspace, config.source_iterations, |_, squared| {
            let error = rms_error(squared, area);
            course.push(error);
            pace.step() && error >= config.source_tolerance
        });
        pace.skip(config.source_iterations - course.len());
        self.spread(&tile.grid, &x);
        course
    }

    /// The width of a uniform prior under which departures have about the noise that they have here, at every pixel of the tile: τ, averaged over
    /// the PSF. Found by comparison with the scatter of many draws of noise; an average of τ² is too wide on stars, one of ln τ too narrow.
    pub(crate) fn freedom(&self, grid: &Grid, fwhm_px: f64) -> Array2<f32> {
        own_pixels(grid, &gaussian_filter(self.width_on(grid), fwhm_px / FWHM_PER_SIGMA, Boundary::Zero))
    }

    /// τ at every pixel of the tile.
    pub(crate) fn width(&self, grid: &Grid) -> Array2<f32> {
        own_pixels(grid, &self.width_on(grid))
    }

    /// τ at every pixel of the grid.
    pub(crate) fn width_on(&self, grid: &Grid) -> ArrayView2<'_, f32> {
        ArrayView2::from_shape(grid.padded, &self.width).expect("the width covers the grid")
    }

    /// The solved model, `kx × subfilter × ky`.
    pub(crate) fn into_model(self) -> Vec<Complex32> {
        self.model
    }

    /// What the data say about `x`.
    fn residual(&mut self, tile: &mut Tile, x: &Unknowns, out: &mut Unknowns) {
        self.spread(&tile.grid, x);
        let mut back = std::mem::take(&mut self.back);
        back.fill(Complex32::default());
        tile.add_residual(Some(&self.model), &mut back);
        self.gather(&tile.grid, &back, out);
        self.back = back;
    }

    /// `z ≈ M⁻¹ r`.
    fn precondition(&mut self, grid: &Grid, residual: &Unknowns, z: &mut Unknowns) {
        self.stationary.precondition(grid, &self.width, &mut self.slots, residual, z);
        self.unseen.add_to_total(grid, &residual.modes, &mut z.modes);
        self.cut_stars.add(grid, (&residual.modes, &residual.pixels), (&mut z.modes, &mut z.pixels));
    }

    /// The Hessian: data and penalty.
    fn apply(&mut self, tile: &mut Tile, x: &Unknowns, out: &mut Unknowns) {
        self.spread(&tile.grid, x);
        let mut back = std::mem::take(&mut self.back);
        back.fill(Complex32::default());
        tile.add_hessian(&self.model, &mut back);
        self.gather(&tile.grid, &back, out);
        self.back = back;
        let ky = tile.grid.ky();
        let totals = out.modes.par_chunks_exact_mut(ky).zip(x.modes.par_chunks_exact(ky));
        let totals = totals.zip(self.total.par_chunks_exact(ky));
        totals.for_each(|((out, x), floor)| add_weighted(out, 1.0, floor, x));
        tile.add_margin(margin(tile.sigma), &x.modes, &mut out.modes);
        add_pixels(&tile.grid, &mut out.pixels, 1.0, &x.pixels);
    }

    /// `y = f t + E P τ u`, into `model`.
    fn spread(&mut self, grid: &Grid, x: &Unknowns) {
        to_modes(grid, &self.width, &x.pixels, &mut self.slots);
        let (ky, n, m, slots) = (grid.ky(), self.fractions.len(), self.m, &self.slots);
        let (fractions, departures, amplitude) = (&self.fractions, &self.departures, self.amplitude);
        self.model.par_chunks_exact_mut(n * ky).enumerate().for_each(|(ix, out)| {
            let part = ix * ky..(ix + 1) * ky;
            out.fill(Complex32::default());
            for (a, out) in out.chunks_exact_mut(ky).enumerate() {
                add_scaled(out, fractions[a], &x.modes[part.clone()]);
                for (j, slot) in slots.iter().enumerate() {
                    add_weighted(
                        out,
                        departures[a * m + j],
                        &amplitude[part.clone()],
                        &slot.spectrum[part.clone()],
                    );
                }
            }
        });
    }

    /// The transpose of `spread`.
    fn gather(&mut self, grid: &Grid, back: &[Complex32], out: &mut Unknowns) {
        let (ky, n, m) = (grid.ky(), self.fractions.len(), self.m);
        let (fractions, departures, amplitude) = (&self.fractions, &self.departures, self.amplitude);
        out.modes.par_chunks_exact_mut(ky).zip(back.par_chunks_exact(n * ky)).for_each(|(out, back)| {
            out.fill(Complex32::default());
            back.chunks_exact(ky).zip(fractions).for_each(|(back, f)| add_scaled(out, *f, back));
        });
        self.slots.par_iter_mut().enumerate().for_each(|(j, slot)| {
            let inputs = back.chunks_exact(n * ky).zip(amplitude.chunks_exact(ky));
            for (out, (back, amplitude)) in slot.spectrum.chunks_exact_mut(ky).zip(inputs) {
                out.fill(Complex32::default());
                for (a, back) in back.chunks_exact(ky).enumerate() {
                    add_weighted(out, departures[a * m + j], amplitude, back);
                }
            }
        });
        from_modes(grid, &self.width, &mut self.slots, &mut out.pixels);
    }
}

/// The normal equations of the final solve.
struct LastSystem<'a, 'b> {
    solve: &'a mut SourceSolve<'b>,
    tile: &'a mut Tile,
}

impl System for LastSystem<'_, '_> {
    fn grid(&self) -> &Grid {
        &self.tile.grid
    }

    fn apply(&mut self, x: &Unknowns, out: &mut Unknowns) {
        self.solve.apply(self.tile, x, out);
    }

    fn precondition(&mut self, r: &Unknowns, out: &mut Unknowns) {
        self.solve.precondition(&self.tile.grid, r, out);
    }
}

/// The weight with which the total is held beyond the tile.
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

/// The total of a model: `kx × ky` from `kx × subfilter × ky`.
fn total_of(model: &[Complex32], n: usize, ky: usize) -> Vec<Complex32> {
    let mut out = vec![Complex32::default(); model.len() / n];
    for (total, rows) in out.chunks_exact_mut(ky).zip(model.chunks_exact(n * ky)) {
        rows.chunks_exact(ky).for_each(|row| add_scaled(total, 1.0, row));
    }
    out
}

/// τ at every pixel of the grid, given the first solve's total.
fn width(grid: &Grid, total: &[Complex32], sigma: f64, config: &JointConfig, slot: &mut Slot) -> Vec<f32> {
    slot.spectrum.copy_from_slice(total);
    let mut out = Vec::with_capacity(grid.pixels());
    let (scale, beta) = (grid.scale(), config.colour_width as f32);
    let floor = (config.colour_floor * sigma) as f32;
    grid.inverse(&mut slot.spectrum, 0..grid.padded.0, &mut slot.scratch, |_, line| {
        out.extend(line.iter().map(|v| (beta * (v * scale).max(0.0)).hypot(floor)));
    });
    out
}
