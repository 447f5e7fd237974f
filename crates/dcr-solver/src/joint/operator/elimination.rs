//! Elimination of the summed flux from the Hessian of one mode, as a Schur complement.
//!
//! With the Hessian `H` of the subfilters, the flat spectrum `f` and the spectral components
//! (columns of `E`),
//!
//! ```text
//! T = fᵀHf + prior,    c_j = fᵀHE_j,    S_jk = E_jᵀHE_k − c_j* c_k/T
//! ```

use ndarray::Array2;
use rustfft::num_complex::Complex64;

use crate::linalg::hermitian::{Hermitian, upper};

/// The blocks of one mode, and workspace for the next.
pub(crate) struct Elimination<'a> {
    fractions: &'a [f64],
    /// `E`, `(subfilters, components)`.
    components: &'a Array2<f64>,
    /// `H f`, then every `H E_j`, subfilter by subfilter.
    columns: Vec<Complex64>,
    /// `fᵀHf`, the data's weight on the summed flux.
    pub(crate) observed: f64,
    /// `T`.
    pub(crate) flux: f64,
    /// `c`.
    pub(crate) coupling: Vec<Complex64>,
    /// `S`, the upper triangle.
    pub(crate) schur: Vec<Complex64>,
}

impl<'a> Elimination<'a> {
    pub(crate) fn new(fractions: &'a [f64], components: &'a Array2<f64>) -> Self {
        let (n, m) = components.dim();
        Self {
            fractions,
            components,
            columns: vec![Complex64::default(); n * (m + 1)],
            observed: 0.0,
            flux: 0.0,
            coupling: vec![Complex64::default(); m],
            schur: vec![Complex64::default(); m * (m + 1) / 2],
        }
    }

    /// Computes the blocks of a mode from its Hessian and the prior's weight on the summed flux.
    pub(crate) fn eliminate(&mut self, h: &Hermitian, prior: f64) {
        let (f, e, n) = (self.fractions, self.components, self.fractions.len());
        for (j, column) in self.columns.chunks_exact_mut(n).enumerate() {
            let spectrum = |b: usize| if j == 0 { f[b] } else { e[[b, j - 1]] };
            for (a, out) in column.iter_mut().enumerate() {
                *out = (0..n).map(|b| h.at(a, b) * spectrum(b)).sum();
            }
        }
        let columns = &self.columns;
        let along_f = |j: usize| (0..n).map(|a| columns[j * n + a] * f[a]).sum::<Complex64>();
        self.observed = along_f(0).re;
        self.flux = self.observed + prior;
        self.coupling.iter_mut().enumerate().for_each(|(j, out)| *out = along_f(j + 1));
        for ((j, k), out) in upper(self.coupling.len()).zip(&mut self.schur) {
            let direct: Complex64 = (0..n).map(|a| columns[(k + 1) * n + a] * e[[a, j]]).sum();
            *out = direct - self.coupling[j].conj() * self.coupling[k] / self.flux;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The inverse of the whole matrix has the inverse of the Schur complement as its last block.
    #[test]
    fn eliminated_flux_leaves_the_block_of_the_inverse() {
        let mut h = Hermitian::zeros(3);
        for (pair, (a, b)) in upper(3).enumerate() {
            let off = Complex64::new(0.3 * pair as f64, if a == b { 0.0 } else { 0.2 - 0.1 * pair as f64 });
            h.add(a, b, off + if a == b { 3.0 } else { 0.0 });
        }
        let (f, prior) = ([0.5, 0.3, 0.2], 0.7);
        let e = Array2::from_shape_vec((3, 2), vec![0.5, 0.1, -0.2, -0.4, -0.3, 0.3]).unwrap();
        let mut elimination = Elimination::new(&f, &e);
        elimination.eliminate(&h, prior);
        // The Hessian in terms of the summed flux and the components.
        let column = |j: usize, a: usize| if j == 0 { f[a] } else { e[[a, j - 1]] };
        let mut whole = Hermitian::zeros(3);
        for (j, k) in upper(3) {
            let value: Complex64 = (0..3)
                .flat_map(|a| (0..3).map(move |b| (a, b)))
                .map(|(a, b)| h.at(a, b) * (column(j, a) * column(k, b)))
                .sum();
            whole.add(j, k, value + if j + k == 0 { prior } else { 0.0 });
        }
        let mut schur = Hermitian::zeros(2);
        upper(2).zip(&elimination.schur).for_each(|((j, k), s)| schur.add(j, k, *s));
        let (inverse, of_schur) = (whole.inverse(), schur.inverse());
        for (j, k) in upper(2) {
            assert!((inverse.at(j + 1, k + 1) - of_schur.at(j, k)).norm() < 1e-12);
        }
        assert!((whole.at(0, 0).re - elimination.flux).abs() < 1e-12);
        assert!((elimination.flux - elimination.observed - prior).abs() < 1e-12);
    }
}
