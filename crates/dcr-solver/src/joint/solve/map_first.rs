//! The first solve: a uniform prior, under which every mode of the mask-free problem is
//! independent.
//!
//! The penalty on a model is, with `z_a = y_a/f_a − t`, the summed flux `t` and the noise `σ` per
//! pixel of the weighted coadd,
//!
//! ```text
//! Σ_k Σ_a |z_a(k)|² / ((τσ)² S(k)) + floor Σ_k |t(k)|² / σ²,      S = |P|²/⟨|P|²⟩ + 10⁻³
//! ```
//!
//! Colours are expected on sources: the shape `S` is that of an unresolved source. Conjugate
//! gradients solve the normal equations. The preconditioner is the inverse of the mean Hessian,
//! mode by mode, with a correction for unobserved light
//! ([`crate::joint::precondition::unobserved`]).

use rayon::prelude::*;
use rustfft::num_complex::{Complex32, Complex64};

use super::krylov::{System, Workspace, conjugate_gradients, rms_error};
use crate::joint::config::JointConfig;
use crate::joint::fourier::grid::Grid;
use crate::joint::fourier::modes::{add_weighted, apply_packed};
use crate::joint::operator::tile::Tile;
use crate::joint::operator::transfer::Fiducial;
use crate::joint::operator::unknowns::Unknowns;
use crate::joint::precondition::unobserved::Unobserved;
use crate::joint::problem::spectrum::Spectrum;
use crate::joint::progress::IterationBudget;
use crate::linalg::hermitian::{Hermitian, upper};

/// Floor of the prior's shape, relative to its mean.
const SHAPE_FLOOR: f64 = 1e-3;

/// The penalty, mode by mode.
pub(crate) struct UniformPrior {
    /// `DᵀD` with `D = diag(1/f) − 1`, row by row.
    matrix: Vec<f32>,
    /// `1/((τσ)² S)` at every mode.
    strength: Vec<f32>,
    /// Prior weight on the summed flux at every mode: `floor/σ²`, and more where the window removes
    /// the data.
    pub(crate) flux_prior: Vec<f32>,
}

impl UniformPrior {
    pub(crate) fn new(
        grid: &Grid,
        spectrum: &Spectrum,
        fiducial: &Fiducial,
        sigma: f64,
        config: &JointConfig,
    ) -> Self {
        let amplitude = fiducial.amplitude();
        let n = spectrum.count();
        let f = spectrum.fractions();
        let d = |a: usize, b: usize| f64::from(u8::from(a == b)) / f[a] - 1.0;
        let element = |a: usize, b: usize| (0..n).map(|c| d(c, a) * d(c, b)).sum::<f64>();
        let matrix = match n {
            1 => vec![0.0],
            _ => (0..n * n).map(|i| element(i / n, i % n) as f32).collect(),
        };
        let power = |modes: &[f32]| modes.iter().map(|p| f64::from(*p).powi(2)).sum::<f64>();
        let rows = amplitude.chunks_exact(grid.ky()).enumerate();
        let mean: f64 = rows.map(|(ix, modes)| grid.multiplicity(ix) * power(modes)).sum();
        let width = config.uniform_width * sigma;
        let shape = |p: f32| f64::from(p).powi(2) / mean + SHAPE_FLOOR;
        let strength = amplitude.iter().map(|p| (1.0 / (width * width * shape(*p))) as f32).collect();
        Self { matrix, strength, flux_prior: flux_prior_weight(fiducial, flux_floor(n, config), sigma) }
    }

    /// `out = R y` for all `ky` of one `kx`.
    fn apply(&self, ix: usize, y: &[Complex32], out: &mut [Complex32]) {
        let n = self.matrix.len().isqrt();
        let ky = y.len() / n;
        out.fill(Complex32::default());
        for a in 0..n {
            let out = &mut out[a * ky..][..ky];
            for b in 0..n {
                let y = &y[b * ky..][..ky];
                add_weighted(out, 1.0, &self.flux_prior[ix * ky..][..ky], y);
                if n > 1 {
                    add_weighted(out, self.matrix[a * n + b], &self.strength[ix * ky..][..ky], y);
                }
            }
        }
    }

    /// The penalty's matrix at one mode.
    pub(crate) fn at(&self, mode: usize) -> Hermitian {
        let n = self.matrix.len().isqrt();
        let mut out = Hermitian::zeros(n);
        for (a, b) in upper(n) {
            let value = f64::from(self.matrix[a * n + b]) * f64::from(self.strength[mode])
                + f64::from(self.flux_prior[mode]);
            out.add(a, b, Complex64::from(value));
        }
        out
    }
}

/// The first solve on a tile, with its workspace. It can be continued after masks have changed.
pub(crate) struct FirstSolve {
    prior: UniformPrior,
    /// Inverse of the mean Hessian: upper triangles, laid out `kx × pair × ky`.
    inverse: Vec<Complex32>,
    /// Correction for unobserved light.
    pub(crate) unobserved: Unobserved,
    /// The model: modes of the subfilters.
    model: Unknowns,
    workspace: Workspace,
    started: bool,
}

impl FirstSolve {
    /// `reach` is the distance in pixels from which unobserved light is constrained.
    pub(crate) fn new(tile: &Tile, prior: UniformPrior, spectrum: &Spectrum, reach: usize) -> Self {
        let unobserved = Unobserved::new(tile, spectrum.fractions(), &prior.flux_prior, reach);
        let zeros = Unknowns::zeros(&tile.grid, tile.n, 0);
        let inverse = inverse_mean_hessian(tile, &prior);
        Self {
            prior,
            inverse,
            unobserved,
            model: zeros.clone(),
            workspace: Workspace::new(zeros, false),
            started: false,
        }
    }

    /// Prior weight on the summed flux at every mode.
    pub(crate) fn flux_prior(&self) -> &[f32] {
        &self.prior.flux_prior
    }

    /// True before the first call of [`Self::start`] or [`Self::restore`].
    pub(crate) fn is_fresh(&self) -> bool {
        !self.started
    }

    /// The model, `kx × subfilter × ky`.
    pub(crate) fn model(&self) -> &[Complex32] {
        &self.model.modes
    }

    /// The model, from which [`Self::restore`] continues later.
    pub(crate) fn into_model(self) -> Vec<Complex32> {
        self.model.modes
    }

    /// Continues from the model of an earlier solve.
    pub(crate) fn restore(&mut self, model: Vec<Complex32>) {
        (self.model.modes, self.started) = (model, true);
    }

    /// Solves from zero, within `limits`: iterations and tolerance. Returns the remaining error
    /// after each iteration.
    pub(crate) fn start(
        &mut self,
        tile: &mut Tile,
        limits: (usize, f64),
        budget: &mut IterationBudget,
    ) -> Vec<f64> {
        self.model.modes.fill(Complex32::default());
        self.workspace.residual.modes.fill(Complex32::default());
        tile.add_residual(None, &mut self.workspace.residual.modes);
        self.started = true;
        self.iterate(tile, limits, budget)
    }

    /// Continues from the present model after masks or displacements have changed. `data` adds the
    /// data's residual of the model.
    pub(crate) fn resume(
        &mut self,
        tile: &mut Tile,
        limits: (usize, f64),
        budget: &mut IterationBudget,
        data: impl FnOnce(&mut Tile, &[Complex32], &mut [Complex32]),
    ) -> Vec<f64> {
        let (prior, model) = (&self.prior, &self.model.modes);
        let row = tile.n * tile.grid.ky();
        let residual = &mut self.workspace.residual.modes;
        residual.par_chunks_exact_mut(row).zip(model.par_chunks_exact(row)).enumerate().for_each(
            |(ix, (residual, model))| {
                prior.apply(ix, model, residual);
                residual.iter_mut().for_each(|r| *r = -*r);
            },
        );
        data(tile, model, residual);
        self.iterate(tile, limits, budget)
    }

    /// Conjugate gradients from the present model and its residual. Returns the remaining error
    /// after each iteration.
    fn iterate(
        &mut self,
        tile: &mut Tile,
        (iterations, tolerance): (usize, f64),
        budget: &mut IterationBudget,
    ) -> Vec<f64> {
        let mut history = vec![];
        let Self { prior, inverse, unobserved, model, workspace, .. } = self;
        let area = tile.area();
        let mut system = FirstSystem { tile, prior, inverse, unobserved };
        conjugate_gradients(&mut system, model, workspace, iterations, |_, squared| {
            let error = rms_error(squared, area);
            history.push(error);
            budget.step() && error >= tolerance
        });
        budget.skip(iterations - history.len());
        history
    }
}

/// The normal equations of the first solve, preconditioned by the inverse mean Hessian.
struct FirstSystem<'a> {
    tile: &'a mut Tile,
    prior: &'a UniformPrior,
    inverse: &'a [Complex32],
    unobserved: &'a Unobserved,
}

impl System for FirstSystem<'_> {
    fn grid(&self) -> &Grid {
        &self.tile.grid
    }

    fn apply(&mut self, x: &Unknowns, out: &mut Unknowns) {
        let (row, prior) = (self.tile.n * self.tile.grid.ky(), self.prior);
        let rows = out.modes.par_chunks_exact_mut(row).zip(x.modes.par_chunks_exact(row));
        rows.enumerate().for_each(|(ix, (out, x))| prior.apply(ix, x, out));
        self.tile.add_hessian(&x.modes, &mut out.modes);
    }

    fn precondition(&mut self, r: &Unknowns, out: &mut Unknowns) {
        let (n, ky) = (self.tile.n, self.tile.grid.ky());
        out.modes
            .par_chunks_exact_mut(n * ky)
            .zip(r.modes.par_chunks_exact(n * ky))
            .zip(self.inverse.par_chunks_exact(n * (n + 1) / 2 * ky))
            .for_each(|((out, r), inverse)| {
                apply_packed(inverse, r, &mut out.chunks_exact_mut(ky).collect::<Vec<_>>());
            });
        self.unobserved.add(&self.tile.grid, &r.modes, &mut out.modes);
    }
}

/// Prior weight on the summed flux in units of the data's. With one subfilter, where the first
/// solve is the final one and its pull towards 0 remains, it is a tenth.
pub(crate) fn flux_floor(subfilters: usize, config: &JointConfig) -> f64 {
    if subfilters == 1 { 0.1 * config.total_floor } else { config.total_floor }
}

/// Prior weight on the summed flux at every mode: `floor/σ²`, and `(1 − w²)/σ²` more for the window
/// `w`, so that noise is not amplified where the window removes the data.
pub(crate) fn flux_prior_weight(fiducial: &Fiducial, floor: f64, sigma: f64) -> Vec<f32> {
    fiducial.window().map(|w| ((floor + 1.0 - w * w) / (sigma * sigma)) as f32).collect()
}

fn inverse_mean_hessian(tile: &Tile, prior: &UniformPrior) -> Vec<Complex32> {
    let (n, ky) = (tile.n, tile.grid.ky());
    let pairs = n * (n + 1) / 2;
    let covers = tile.covers();
    let mut out = vec![Complex32::default(); tile.grid.kx() * pairs * ky];
    out.par_chunks_exact_mut(pairs * ky).enumerate().for_each(|(ix, out)| {
        let hessian = tile.mean_hessian(ix, &covers);
        for iy in 0..ky {
            let mut matrix = prior.at(ix * ky + iy);
            for (pair, (a, b)) in upper(n).enumerate() {
                matrix.add(a, b, hessian[pair * ky + iy]);
            }
            let inverse = matrix.inverse();
            for (pair, (a, b)) in upper(n).enumerate() {
                let value = inverse.at(a, b);
                out[pair * ky + iy] = Complex32::new(value.re as f32, value.im as f32);
            }
        }
    });
    out
}
