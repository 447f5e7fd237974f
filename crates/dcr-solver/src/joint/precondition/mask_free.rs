//! The preconditioner of the final solve: the mask-free problem, in which every visit has its mean
//! coverage.
//!
//! With the mean Hessian `H`, the summed flux is eliminated mode by mode, and the components solve
//!
//! ```text
//! (1 + τ B τ) u = …,    B = F⁻¹ P (EᵀHE − EᵀHf fᵀHE/(fᵀHf + floor/σ²)) P F
//! ```
//!
//! at `2 (N − 1)` transforms an iteration, where the data take `2 V` and more. A few conjugate
//! gradients, preconditioned in turn ([`super::bright_stars`]), solve it well enough.

use ndarray::Array2;
use rayon::prelude::*;
use rustfft::num_complex::{Complex32, Complex64};

use super::bright_stars::BrightStars;
use crate::joint::fourier::grid::Grid;
use crate::joint::fourier::modes::{add_conjugate_product, apply_packed};
use crate::joint::operator::elimination::Elimination;
use crate::joint::operator::tile::{Buffer, Tile};
use crate::joint::operator::unknowns::{Unknowns, from_modes, to_modes};
use crate::joint::problem::spectrum::Spectrum;
use crate::joint::solve::krylov::{System, Workspace, conjugate_gradients};
use crate::linalg::hermitian::{Hermitian, upper};

/// Minimum of the inner iteration limit. More iterations are allowed if they take no longer than a
/// pass over the data.
const INNER_ITERATIONS: usize = 8;
/// Fraction of its initial residual at which the inner iteration ends.
const INNER_TOLERANCE: f64 = 0.03;

/// The mean Hessian in the space of unknowns, with the summed flux eliminated, and a workspace.
pub(crate) struct MaskFree {
    /// 1/(fᵀHf + floor/σ²), `kx × ky`.
    inverse_flux: Vec<f32>,
    /// P fᵀHE, `kx × j × ky`.
    coupling: Vec<Complex32>,
    /// B, upper triangles, `kx × pair × ky`.
    schur: Vec<Complex32>,
    /// Preconditioner of the components.
    discs: BrightStars,
    workspace: Workspace,
    /// Inner iteration limit.
    most: usize,
}

impl MaskFree {
    /// `components` are the columns of E, `amplitude` is |P| and `flux_prior` the prior weight on
    /// the summed flux at every mode; `width` is τ at every pixel of the grid, `fwhm_px` that of
    /// the PSF.
    pub(crate) fn new(
        tile: &Tile,
        spectrum: &Spectrum,
        components: &Array2<f64>,
        amplitude: &[f32],
        flux_prior: &[f32],
        width: &[f32],
        fwhm_px: f64,
    ) -> Self {
        let (n, m, grid) = (tile.n, tile.n - 1, &tile.grid);
        let (ky, f, pairs) = (grid.ky(), spectrum.fractions(), m * (m + 1) / 2);
        let covers = tile.covers();
        let mut inverse_flux = vec![0.0_f32; grid.modes()];
        let mut coupling = vec![Complex32::default(); m * grid.modes()];
        let mut schur = vec![Complex32::default(); pairs * grid.modes()];
        let single = |v: Complex64| Complex32::new(v.re as f32, v.im as f32);
        inverse_flux
            .par_chunks_exact_mut(ky)
            .zip(coupling.par_chunks_exact_mut(m * ky))
            .zip(schur.par_chunks_exact_mut(pairs * ky))
            .enumerate()
            .for_each(|(ix, ((inverse_flux, coupling), schur))| {
                let hessian = tile.mean_hessian(ix, &covers);
                let mut mode = Elimination::new(f, components);
                for i in 0..ky {
                    let mut h = Hermitian::zeros(n);
                    upper(n).enumerate().for_each(|(pair, (a, b))| h.add(a, b, hessian[pair * ky + i]));
                    mode.eliminate(&h, f64::from(flux_prior[ix * ky + i]));
                    let p = f64::from(amplitude[ix * ky + i]);
                    inverse_flux[i] = (1.0 / mode.flux) as f32;
                    let couplings = coupling.iter_mut().skip(i).step_by(ky);
                    couplings.zip(&mode.coupling).for_each(|(out, v)| *out = single(v * p));
                    let blocks = schur.iter_mut().skip(i).step_by(ky);
                    blocks.zip(&mode.schur).for_each(|(out, v)| *out = single(v * (p * p)));
                }
            });
        let discs = BrightStars::new(grid, width, &schur, m, fwhm_px);
        let most = (tile.visits.len() / m).clamp(INNER_ITERATIONS, 3 * INNER_ITERATIONS);
        let workspace = Workspace::new(Unknowns::zeros(grid, 0, m), false);
        Self { inverse_flux, coupling, schur, discs, workspace, most }
    }

    /// `z ≈ M⁻¹ r`, the mask-free problem.
    ///
    /// `width` is τ at every pixel of the grid, and there is one buffer per component.
    pub(crate) fn precondition(
        &mut self,
        grid: &Grid,
        width: &[f32],
        buffers: &mut [Buffer],
        r: &Unknowns,
        z: &mut Unknowns,
    ) {
        let (ky, m) = (grid.ky(), buffers.len());
        // The flux by itself, and its contribution to the components.
        let totals = z.modes.par_chunks_exact_mut(ky).zip(r.modes.par_chunks_exact(ky));
        totals.zip(self.inverse_flux.par_chunks_exact(ky)).for_each(|((out, t), inverse)| {
            out.iter_mut().zip(t).zip(inverse).for_each(|((out, t), inverse)| *out = t * *inverse);
        });
        buffers.par_iter_mut().enumerate().for_each(|(j, buffer)| {
            let inputs = self.coupling.chunks_exact(m * ky).zip(z.modes.chunks_exact(ky));
            for (out, (coupling, t)) in buffer.spectrum.chunks_exact_mut(ky).zip(inputs) {
                out.fill(Complex32::default());
                add_conjugate_product(out, &coupling[j * ky..][..ky], t);
            }
        });
        let residual = &mut self.workspace.residual;
        from_modes(grid, width, buffers, &mut residual.pixels);
        let rows = residual.pixels.par_chunks_mut(grid.padded.1).zip(r.pixels.par_chunks(grid.padded.1));
        rows.for_each(|(out, r)| out.iter_mut().zip(r).for_each(|(out, r)| *out = r - *out));
        self.solve_components(grid, width, buffers, &mut z.pixels);
        // The flux given the components.
        to_modes(grid, width, &z.pixels, buffers);
        let buffers = &*buffers;
        z.modes.par_chunks_exact_mut(ky).enumerate().for_each(|(ix, t)| {
            let part = ix * ky..(ix + 1) * ky;
            let inverse = &self.inverse_flux[part.clone()];
            let coupling = &self.coupling[ix * m * ky..][..m * ky];
            for i in 0..ky {
                let from_u: Complex32 =
                    (0..m).map(|j| coupling[j * ky + i] * buffers[j].spectrum[part.start + i]).sum();
                t[i] -= from_u * inverse[i];
            }
        });
    }

    /// A few conjugate gradients on `(1 + τBτ) u = r`, from 0, with `r` in the workspace.
    fn solve_components(&mut self, grid: &Grid, width: &[f32], buffers: &mut [Buffer], u: &mut Vec<f32>) {
        let mut x = Unknowns { modes: vec![], pixels: std::mem::take(u) };
        x.pixels.fill(0.0);
        let Self { schur, discs, workspace, most, .. } = self;
        let mut system = ComponentSystem { grid, width, buffers, schur, discs };
        conjugate_gradients(&mut system, &mut x, workspace, *most, |first, squared| {
            squared > INNER_TOLERANCE * INNER_TOLERANCE * first
        });
        *u = x.pixels;
    }
}

/// `1 + τBτ`, preconditioned on bright stars.
struct ComponentSystem<'a> {
    grid: &'a Grid,
    width: &'a [f32],
    buffers: &'a mut [Buffer],
    schur: &'a [Complex32],
    discs: &'a BrightStars,
}

impl System for ComponentSystem<'_> {
    fn grid(&self) -> &Grid {
        self.grid
    }

    fn apply(&mut self, x: &Unknowns, out: &mut Unknowns) {
        to_modes(self.grid, self.width, &x.pixels, self.buffers);
        apply_schur(self.grid, self.schur, self.buffers);
        from_modes(self.grid, self.width, self.buffers, &mut out.pixels);
        out.add(1.0, x, self.grid);
    }

    fn precondition(&mut self, r: &Unknowns, out: &mut Unknowns) {
        self.discs.apply(self.grid, &r.pixels, &mut out.pixels);
    }
}

/// `b ← B b`, for the modes in the buffers.
pub(crate) fn apply_schur(grid: &Grid, schur: &[Complex32], buffers: &mut [Buffer]) {
    let (ky, m) = (grid.ky(), buffers.len());
    let pairs = m * (m + 1) / 2;
    let mut rows: Vec<_> = buffers.iter_mut().map(|s| s.spectrum.chunks_exact_mut(ky)).collect();
    let mut before = vec![Complex32::default(); m * ky];
    for schur in schur.chunks_exact(pairs * ky) {
        let mut now: Vec<&mut [Complex32]> = rows.iter_mut().filter_map(Iterator::next).collect();
        before.chunks_exact_mut(ky).zip(&now).for_each(|(before, now)| before.copy_from_slice(now));
        apply_packed(schur, &before, &mut now);
    }
}
