//! The preconditioner of the final solve: the same problem without masks, in which every visit weighs its mean coverage.
//!
//! With the mean Hessian `H`, the total is eliminated mode by mode, and what is left for the departures is
//!
//! ```text
//! (1 + τ B τ) u = …,    B = F⁻¹ P (EᵀHE − EᵀHf fᵀHE/(fᵀHf + floor/σ²)) P F
//! ```
//!
//! which takes `2 (N − 1)` transforms an iteration, where the data take `2 V` and more. A few conjugate gradients, preconditioned in turn
//! ([`super::bright_stars`]), solve it well enough.

use ndarray::Array2;
use rayon::prelude::*;
use rustfft::num_complex::{Complex32, Complex64};

use super::bright_stars::BrightStars;
use crate::joint::fourier::grid::Grid;
use crate::joint::fourier::modes::{add_conjugate_product, add_product};
use crate::joint::operator::elimination::Elimination;
use crate::joint::operator::tile::{Slot, Tile};
use crate::joint::operator::unknowns::{Unknowns, from_modes, to_modes};
use crate::joint::problem::spectrum::Spectrum;
use crate::joint::solve::krylov::{System, Workspace, conjugate_gradients};
use crate::linalg::hermitian::{Hermitian, upper};

/// The preconditioner's own iterations: at least this many are allowed, and as many more as take no longer than a pass over the data, …
const INNER_ITERATIONS: usize = 8;
/// … and fewer when its residual has fallen to this fraction. Less care costs more passes, more care saves none.
const INNER_TOLERANCE: f64 = 0.03;

/// The mean Hessian in the space of unknowns, `t` eliminated, and room to solve with it.
pub(crate) struct Stationary {
    /// 1/(fᵀHf + floor/σ²), `kx × ky`.
    inverse_total: Vec<f32>,
    /// P fᵀHE, `kx × j × ky`.
    coupling: Vec<Complex32>,
    /// B, upper triangles, `kx × pair × ky`.
    schur: Vec<Complex32>,
    /// Solves for the departures, nearly.
    discs: BrightStars,
    workspace: Workspace,
    /// The most iterations for the departures.
    most: usize,
}

impl Stationary {
    /// `departures` are the columns of E, `amplitude` is |P| and `total` the prior's weight on t at every mode; `width` is τ at every pixel of the grid,
    /// `fwhm_px` that of the PSF.
    pub(crate) fn new(
        tile: &Tile,
        spectrum: &Spectrum,
        departures: &Array2<f64>,
        amplitude: &[f32],
        total: &[f32],
        width: &[f32],
        fwhm_px: f64,
    ) -> Self {
        let (n, m, grid) = (tile.n, tile.n - 1, &tile.grid);
        let (ky, f, pairs) = (grid.ky(), spectrum.fractions(), m * (m + 1) / 2);
        let covers = tile.covers();
        let mut inverse_total = vec![0.0_f32; grid.modes()];
        let mut coupling = vec![Complex32::default(); m * grid.modes()];
        let mut schur = vec![Complex32::default(); pairs * grid.modes()];
        let single = |v: Complex64| Complex32::new(v.re as f32, v.im as f32);
        inverse_total
            .par_chunks_exact_mut(ky)
            .zip(coupling.par_chunks_exact_mut(m * ky))
            .zip(schur.par_chunks_exact_mut(pairs * ky))
            .enumerate()
            .for_each(|(ix, ((inverse_total, coupling), schur))| {
                let hessian = tile.mean_hessian(ix, &covers);
                let mut mode = Elimination::new(f, departures);
                for i in 0..ky {
                    let mut h = Hermitian::zeros(n);
                    upper(n).enumerate().for_each(|(pair, (a, b))| h.add(a, b, hessian[pair * ky + i]));
                    mode.eliminate(&h, f64::from(total[ix * ky + i]));
                    let p = f64::from(amplitude[ix * ky + i]);
                    inverse_total[i] = (1.0 / mode.total) as f32;
                    let couplings = coupling.iter_mut().skip(i).step_by(ky);
                    couplings.zip(&mode.coupling).for_each(|(out, v)| *out = single(v * p));
                    let blocks = schur.iter_mut().skip(i).step_by(ky);
                    blocks.zip(&mode.schur).for_each(|(out, v)| *out = single(v * (p * p)));
                }
            });
        let discs = BrightStars::new(grid, width, &schur, m, fwhm_px);
        let most = (tile.visits.len() / m).clamp(INNER_ITERATIONS, 3 * INNER_ITERATIONS);
        let workspace = Workspace::new(Unknowns::zeros(grid, 0, m), false);
        Self { inverse_total, coupling, schur, discs, workspace, most }
    }

    /// `z ≈ M⁻¹ r`, the problem without masks.
    /// `width` is τ at every pixel of the grid, and there is a slot for each departure.
    pub(crate) fn precondition(
        &mut self,
        grid: &Grid,
        width: &[f32],
        slots: &mut [Slot],
        r: &Unknowns,
        z: &mut Unknowns,
    ) {
        let (ky, m) = (grid.ky(), slots.len());
        // t on its own, and what it says about u.
        let totals = z.modes.par_chunks_exact_mut(ky).zip(r.modes.par_chunks_exact(ky));
        totals.zip(self.inverse_total.par_chunks_exact(ky)).for_each(|((out, t), inverse)| {
            out.iter_mut().zip(t).zip(inverse).for_each(|((out, t), inverse)| *out = t * *inverse);
        });
        slots.par_iter_mut().enumerate().for_each(|(j, slot)| {
            let inputs = self.coupling.chunks_exact(m * ky).zip(z.modes.chunks_exact(ky));
            for (out, (coupling, t)) in slot.spectrum.chunks_exact_mut(ky).zip(inputs) {
                out.fill(Complex32::default());
                add_conjugate_product(out, &coupling[j * ky..][..ky], t);
            }
        });
        let residual = &mut self.workspace.residual;
        from_modes(grid, width, slots, &mut residual.pixels);
        let rows = residual.pixels.par_chunks_mut(grid.padded.1).zip(r.pixels.par_chunks(grid.padded.1));
        rows.for_each(|(out, r)| out.iter_mut().zip(r).for_each(|(out, r)| *out = r - *out));
        self.solve_departures(grid, width, slots, &mut z.pixels);
        // t given u.
        to_modes(grid, width, &z.pixels, slots);
        let slots = &*slots;
        z.modes.par_chunks_exact_mut(ky).enumerate().for_each(|(ix, t)| {
            let part = ix * ky..(ix + 1) * ky;
            let inverse = &self.inverse_total[part.clone()];
            let coupling = &self.coupling[ix * m * ky..][..m * ky];
            for i in 0..ky {
                let from_u: Complex32 =
                    (0..m).map(|j| coupling[j * ky + i] * slots[j].spectrum[part.start + i]).sum();
                t[i] -= from_u * inverse[i];
            }
        });
    }

    /// A few conjugate gradients on `(1 + τBτ) u = r`, from 0, with `r` in the workspace.
    fn solve_departures(&mut self, grid: &Grid, width: &[f32], slots: &mut [Slot], u: &mut Vec<f32>) {
        let mut x = Unknowns { modes: vec![], pixels: std::mem::take(u) };
        x.pixels.fill(0.0);
        let Self { schur, discs, workspace, most, .. } = self;
        let mut system = DepartureSystem { grid, width, slots, schur, discs };
        conjugate_gradients(&mut system, &mut x, workspace, *most, |first, squared| {
            squared > INNER_TOLERANCE * INNER_TOLERANCE * first
        });
        *u = x.pixels;
    }
}

/// `1 + τBτ`, preconditioned on bright stars.
struct DepartureSystem<'a> {
    grid: &'a Grid,
    width: &'a [f32],
    slots: &'a mut [Slot],
    schur: &'a [Complex32],
    discs: &'a BrightStars,
}

impl System for DepartureSystem<'_> {
    fn grid(&self) -> &Grid {
        self.grid
    }

    fn apply(&mut self, x: &Unknowns, out: &mut Unknowns) {
        to_modes(self.grid, self.width, &x.pixels, self.slots);
        apply_schur(self.grid, self.schur, self.slots);
        from_modes(self.grid, self.width, self.slots, &mut out.pixels);
        out.add(1.0, x, self.grid);
    }

    fn precondition(&mut self, r: &Unknowns, out: &mut Unknowns) {
        self.discs.apply(self.grid, &r.pixels, &mut out.pixels);
    }
}

/// The slots' modes, multiplied with B.
pub(crate) fn apply_schur(grid: &Grid, schur: &[Complex32], slots: &mut [Slot]) {
    let (ky, m) = (grid.ky(), slots.len());
    let pairs = m * (m + 1) / 2;
    let mut rows: Vec<_> = slots.iter_mut().map(|s| s.spectrum.chunks_exact_mut(ky)).collect();
    let mut before = vec![Complex32::default(); m * ky];
    for schur in schur.chunks_exact(pairs * ky) {
        let mut now: Vec<&mut [Complex32]> = rows.iter_mut().filter_map(Iterator::next).collect();
        for (before, now) in before.chunks_exact_mut(ky).zip(&mut now) {
            before.copy_from_slice(now);
            now.fill(Complex32::default());
        }
        for ((j, k), b) in upper(m).zip(schur.chunks_exact(ky)) {
            add_product(now[j], b, &before[k * ky..][..ky]);
            if j != k {
                add_conjugate_product(now[k], b, &before[j * ky..][..ky]);
            }
        }
    }
}
