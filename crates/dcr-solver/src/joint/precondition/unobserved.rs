//! Correction of the preconditioners for unobserved light.
//!
//! The mean Hessian assumes that all light is observed equally well. Beyond a tile's edges and in a
//! hole common to all visits, such as the core of a saturated star, the data constrain light a
//! hundred times less. Conjugate gradients would find it last, after dozens of passes, and with it
//! the light of everything that an edge cuts or a halo reaches. In both places the problem is
//! small: along an edge it separates into frequencies ([`super::boundary`]), and a hole has a few
//! hundred pixels ([`super::holes`]). It is solved there directly, for the summed flux at the flat
//! spectrum, and the damped solution is added to that of the mean Hessian.

use rayon::prelude::*;
use rustfft::num_complex::Complex32;

use super::boundary::BoundaryProblem;
use super::holes::holes;
use super::schwarz::Schwarz;
use crate::joint::fourier::grid::Grid;
use crate::joint::fourier::modes::add_scaled;
use crate::joint::operator::tile::Tile;

/// Direct solutions for unobserved light.
pub(crate) struct Unobserved {
    fractions: Vec<f32>,
    edges: BoundaryProblem,
    holes: Schwarz,
}

impl Unobserved {
    /// `fractions` is the flat spectrum, `flux_prior` the prior weight on the summed flux at every
    /// mode, and `reach` the distance in pixels from which light in a hole is constrained.
    pub(crate) fn new(tile: &Tile, fractions: &[f64], flux_prior: &[f32], reach: usize) -> Self {
        let fractions: Vec<f32> = fractions.iter().map(|f| *f as f32).collect();
        let edges = BoundaryProblem::new(tile, &fractions, flux_prior);
        let holes = holes(tile, &fractions, flux_prior, reach);
        Self { fractions, edges, holes }
    }

    /// Adds the correction for a residual to `out`; both are laid out as a model.
    pub(crate) fn add(&self, grid: &Grid, residual: &[Complex32], out: &mut [Complex32]) {
        let (ky, row) = (grid.ky(), self.fractions.len() * grid.ky());
        let mut flux_prior = vec![Complex32::default(); grid.modes()];
        flux_prior.par_chunks_exact_mut(ky).zip(residual.par_chunks_exact(row)).for_each(
            |(flux_prior, r)| {
                r.chunks_exact(ky).zip(&self.fractions).for_each(|(r, f)| add_scaled(flux_prior, *f, r));
            },
        );
        let mut found = vec![Complex32::default(); grid.modes()];
        self.add_to_flux(grid, &flux_prior, &mut found);
        out.par_chunks_exact_mut(row).zip(found.par_chunks_exact(ky)).for_each(|(out, found)| {
            out.chunks_exact_mut(ky).zip(&self.fractions).for_each(|(out, f)| add_scaled(out, *f, found));
        });
    }

    /// Adds the correction for the residual of the summed flux to `out`, half planes both.
    pub(crate) fn add_to_flux(&self, grid: &Grid, residual: &[Complex32], out: &mut [Complex32]) {
        self.edges.add(grid, residual, out);
        self.holes.add(grid, (residual, &[]), (out, &mut []));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::joint::fixtures::{FRACTIONS, modes, tile};
    use crate::joint::operator::tile::inner_product;

    #[test]
    fn unobserved_light_is_added_to_each_subfilter_by_its_fraction() {
        let mut tile = tile((21, 21), 0);
        tile.visits.iter_mut().for_each(|visit| visit.good[5 * 21 + 8] = 0);
        let unobserved = Unobserved::new(&tile, &FRACTIONS.map(f64::from), &vec![0.05; tile.grid.modes()], 4);
        // Equal in both: the flux's residual is that of each, for the fractions sum to 1.
        let residual = modes(&tile.grid, |y, x| ((y * 7 + x * 5) % 13) as f32);
        let both: Vec<Complex32> = residual.chunks_exact(21).flat_map(|row| [row, row].concat()).collect();
        let mut out = vec![Complex32::default(); tile.unknowns()];
        unobserved.add(&tile.grid, &both, &mut out);
        let mut flux_prior = vec![Complex32::default(); tile.grid.modes()];
        unobserved.add_to_flux(&tile.grid, &residual, &mut flux_prior);
        assert!(inner_product(&tile.grid, &residual, &flux_prior) > 0.0);
        for (out, flux_prior) in out.chunks_exact(2 * 21).zip(flux_prior.chunks_exact(21)) {
            for (a, f) in FRACTIONS.iter().enumerate() {
                assert!(
                    out[a * 21..][..21].iter().zip(flux_prior).all(|(out, t)| (out - t * f).norm() < 1e-4)
                );
            }
        }
    }
}
