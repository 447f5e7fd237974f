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
use crate::joint::linalg::hermitian::{Hermitian, upper};
use crate::joint::linalg::krylov::{System, Workspace, conjugate_gradients};
use crate::joint::operator::tile::{Slot, Tile};
use crate::joint::operator::unknowns::{
    Unknowns, add_planes, from_modes, inner_planes, to_modes, turn_planes,
};
use crate::joint::problem::spectrum::Spectrum;

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
    workspace: Workspace<Vec<f32>>,
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
                let mut columns = vec![Complex64::default(); n * n];
                for i in 0..ky {
                    let mut h = Hermitian::zeros(n);
                    upper(n).enumerate().for_each(|(pair, (a, b))| h.add(a, b, hessian[pair * ky + i]));
                    // H f, and H E.
                    for a in 0..n {
                        columns[a] = (0..n).map(|b| h.at(a, b) * f[b]).sum();
                        for j in 0..m {
                            columns[(j + 1) * n + a] = (0..n).map(|b| h.at(a, b) * departures[[b, j]]).sum();
                        }
                    }
                    let p = f64::from(amplitude[ix * ky + i]);
                    let along_f = |j: usize| (0..n).map(|a| columns[j * n + a] * f[a]).sum::<Complex64>();
                    let tt = along_f(0).re + f64::from(total[ix * ky + i]);
                    inverse_total[i] = (1.0 / tt) as f32;
                    for j in 0..m {
                        coupling[j * ky + i] = single(along_f(j + 1) * p);
                    }
                    for (pair, (j, k)) in upper(m).enumerate() {
                        let direct: Complex64 =
                            (0..n).map(|a| columns[(k + 1) * n + a] * departures[[a, j]]).sum();
                        let value = (direct - along_f(j + 1).conj() * along_f(k + 1) / tt) * (p * p);
                        schur[pair * ky + i] = single(value);
                    }
                }
            });
        let discs = BrightStars::new(grid, width, &schur, m, fwhm_px);
        let most = (tile.visits.len() / m).clamp(INNER_ITERATIONS, 3 * INNER_ITERATIONS);
        let zeros = || vec![0.0; m * grid.pixels()];
        let workspace = Workspace { residual: zeros(), direction: zeros(), product: zeros(), previous: None };
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
        let totals = z.total.par_chunks_exact_mut(ky).zip(r.total.par_chunks_exact(ky));
        totals.zip(self.inverse_total.par_chunks_exact(ky)).for_each(|((out, t), inverse)| {
            out.iter_mut().zip(t).zip(inverse).for_each(|((out, t), inverse)| *out = t * *inverse);
        });
        slots.par_iter_mut().enumerate().for_each(|(j, slot)| {
            let inputs = self.coupling.chunks_exact(m * ky).zip(z.total.chunks_exact(ky));
            for (out, (coupling, t)) in slot.spectrum.chunks_exact_mut(ky).zip(inputs) {
                out.fill(Complex32::default());
                add_conjugate_product(out, &coupling[j * ky..][..ky], t);
            }
        });
        let residual = &mut self.workspace.residual;
        from_modes(grid, width, slots, residual);
        let planes = residual.par_chunks_mut(grid.padded.1).zip(r.departures.par_chunks(grid.padded.1));
        planes.for_each(|(out, r)| out.iter_mut().zip(r).for_each(|(out, r)| *out = r - *out));
        self.solve_departures(grid, width, slots, &mut z.departures);
        // t given u.
        to_modes(grid, width, &z.departures, slots);
        let slots = &*slots;
        z.total.par_chunks_exact_mut(ky).enumerate().for_each(|(ix, t)| {
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
        u.fill(0.0);
        let Self { schur, discs, workspace, most, .. } = self;
        let mut system = DepartureSystem { grid, width, slots, schur, discs };
        conjugate_gradients(&mut system, u, workspace, *most, |first, squared| {
            squared > INNER_TOLERANCE * INNER_TOLERANCE * first
        });
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
    type Vector = Vec<f32>;

    fn apply(&mut self, x: &Vec<f32>, out: &mut Vec<f32>) {
        to_modes(self.grid, self.width, x, self.slots);
        apply_schur(self.grid, self.schur, self.slots);
        from_modes(self.grid, self.width, self.slots, out);
        add_planes(self.grid, out, 1.0, x);
    }

    fn precondition(&mut self, r: &Vec<f32>, out: &mut Vec<f32>) {
        self.discs.apply(self.grid, r, out);
    }

    fn inner(&self, a: &Vec<f32>, b: &Vec<f32>) -> f64 {
        inner_planes(self.grid, a, b)
    }

    fn add(&self, y: &mut Vec<f32>, step: f32, x: &Vec<f32>) {
        add_planes(self.grid, y, step, x);
    }

    fn scale_and_add(&self, y: &mut Vec<f32>, factor: f32, x: &Vec<f32>) {
        turn_planes(self.grid, y, factor, x);
    }

    fn copy(&self, y: &mut Vec<f32>, x: &Vec<f32>) {
        y.copy_from_slice(x);
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
