//! Light that no visit sees, or hardly any: what it adds to the solves' preconditioners.
//!
//! The mean Hessian, which makes the preconditioners, takes all light for seen equally well. Of what lies beyond a tile's edges, or in a hole that every
//! visit has, such as a saturated star's core, the data tell a hundred times less, and conjugate gradients would find it last
//! of all, after dozens of passes, and with it the light of all that an edge cuts or a halo reaches. In both places, however, the problem is small: along an
//! edge it falls apart into frequencies ([`super::boundary`]), and a hole has a few hundred pixels ([`super::holes`]). There it is solved directly, for the total at
//! the flat spectrum, and a share of that is added to what the mean Hessian makes of the residual.

use rayon::prelude::*;
use rustfft::num_complex::Complex32;

use super::boundary::Edges;
use super::holes::holes;
use super::schwarz::Schwarz;
use crate::joint::fourier::grid::Grid;
use crate::joint::fourier::modes::add_scaled;
use crate::joint::operator::tile::Tile;

/// Solves for the light that visits do not see.
pub(crate) struct Unseen {
    fractions: Vec<f32>,
    edges: Edges,
    holes: Schwarz,
}

impl Unseen {
    /// `fractions` are the flat spectrum's, `total` is the prior's weight on the total at every mode, and light in a hole is seen from
    /// `reach` pixels around.
    pub(crate) fn new(tile: &Tile, fractions: &[f64], total: &[f32], reach: usize) -> Self {
        let fractions: Vec<f32> = fractions.iter().map(|f| *f as f32).collect();
        let edges = Edges::new(tile, &fractions, total);
        let holes = holes(tile, &fractions, total, reach);
        Self { fractions, edges, holes }
    }

    /// Adds to `out` what a residual says of light outside and in holes; both are laid out as a model.
    pub(crate) fn add(&self, grid: &Grid, residual: &[Complex32], out: &mut [Complex32]) {
        let (ky, row) = (grid.ky(), self.fractions.len() * grid.ky());
        let mut total = vec![Complex32::default(); grid.modes()];
        total.par_chunks_exact_mut(ky).zip(residual.par_chunks_exact(row)).for_each(|(total, r)| {
            r.chunks_exact(ky).zip(&self.fractions).for_each(|(r, f)| add_scaled(total, *f, r));
        });
        let mut found = vec![Complex32::default(); grid.modes()];
        self.add_to_total(grid, &total, &mut found);
        out.par_chunks_exact_mut(row).zip(found.par_chunks_exact(ky)).for_each(|(out, found)| {
            out.chunks_exact_mut(ky).zip(&self.fractions).for_each(|(out, f)| add_scaled(out, *f, found));
        });
    }

    /// Adds to a total what its residual says of it outside and in holes.
    pub(crate) fn add_to_total(&self, grid: &Grid, residual: &[Complex32], out: &mut [Complex32]) {
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
    fn unseen_light_is_added_to_each_subfilter_by_its_fraction() {
        let mut tile = tile((21, 21), 0);
        tile.visits.iter_mut().for_each(|visit| visit.good[5 * 21 + 8] = 0);
        let unseen = Unseen::new(&tile, &FRACTIONS.map(f64::from), &vec![0.05; tile.grid.modes()], 4);
        // The same in both: the total's residual is that of each, for fractions sum to 1.
        let residual = modes(&tile.grid, |y, x| ((y * 7 + x * 5) % 13) as f32);
        let both: Vec<Complex32> = residual.chunks_exact(21).flat_map(|row| [row, row].concat()).collect();
        let mut out = vec![Complex32::default(); tile.unknowns()];
        unseen.add(&tile.grid, &both, &mut out);
        let mut total = vec![Complex32::default(); tile.grid.modes()];
        unseen.add_to_total(&tile.grid, &residual, &mut total);
        assert!(inner_product(&tile.grid, &residual, &total) > 0.0);
        for (out, total) in out.chunks_exact(2 * 21).zip(total.chunks_exact(21)) {
            for (a, f) in FRACTIONS.iter().enumerate() {
                assert!(out[a * 21..][..21].iter().zip(total).all(|(out, t)| (out - t * f).norm() < 1e-4));
            }
        }
    }
}
