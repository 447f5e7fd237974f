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
        self.holes.add_to_total(grid, residual, out);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use rustfft::num_complex::Complex64;

    use super::*;
    use crate::joint::operator::tile::{FULL, Slot, TileVisit, inner_product};
    use crate::joint::problem::visits::Noise;

    /// The flat spectrum of two subfilters.
    pub(crate) const FRACTIONS: [f32; 2] = [0.4, 0.6];

    /// Two visits on a grid, one of them blurred and both displaced, the transfer functions of two subfilters real planes' transforms.
    pub(crate) fn tile(shape: (usize, usize), padding: usize) -> Tile {
        let grid = Grid::new(shape, padding);
        let visit = |(i, sky_variance): (usize, f64)| {
            let [fy, fx] = [grid.frequencies().y, grid.frequencies().x];
            let mut transfer = vec![];
            for kx in &fx {
                for a in 0..2 {
                    let (dy, dx) = ((i as f64 - 0.4) * 1.3 + a as f64 * 0.5, 0.7 - i as f64 + 0.4 * a as f64);
                    transfer.extend(fy.iter().map(|ky| {
                        let blur = (-(8.0 + 6.0 * i as f64) * (kx * kx + ky * ky)).exp();
                        let phase = -std::f64::consts::TAU * (ky * dy + kx * dx);
                        let t = Complex64::from_polar(blur, phase);
                        Complex32::new(t.re as f32, t.im as f32)
                    }));
                }
            }
            let good = vec![FULL; shape.0 * shape.1];
            let noise = Noise { sky_variance, shot: 0.0 };
            TileVisit {
                transfer,
                image: vec![0.0; good.len()],
                used: good.clone(),
                good,
                noise,
                seeing_px: 3.0,
            }
        };
        let visits = [(0, 1.0), (1, 0.5)].map(visit).into();
        Tile::new(grid, 2, visits, 0.6)
    }

    /// The modes of a plane.
    pub(crate) fn modes(grid: &Grid, of: impl Fn(usize, usize) -> f32) -> Vec<Complex32> {
        let mut slot = Slot::new(grid);
        grid.forward(&mut slot.spectrum, 0..grid.ky(), &mut slot.scratch, |y, row| {
            row.iter_mut().enumerate().for_each(|(x, v)| *v = of(y, x));
        });
        slot.spectrum
    }

    /// What the data and a prior of this weight on the total make of light of the flat spectrum: the total's residual.
    pub(crate) fn residual_of(tile: &mut Tile, light: &[Complex32], prior: f32) -> Vec<Complex32> {
        let ky = tile.grid.ky();
        let mut model = vec![Complex32::default(); tile.unknowns()];
        for (model, light) in model.chunks_exact_mut(2 * ky).zip(light.chunks_exact(ky)) {
            model.chunks_exact_mut(ky).zip(FRACTIONS).for_each(|(model, f)| add_scaled(model, f, light));
        }
        let mut back = vec![Complex32::default(); tile.unknowns()];
        tile.add_hessian(&model, &mut back);
        let mut out: Vec<Complex32> = light.iter().map(|v| v * prior).collect();
        for (out, back) in out.chunks_exact_mut(ky).zip(back.chunks_exact(2 * ky)) {
            back.chunks_exact(ky).zip(FRACTIONS).for_each(|(back, f)| add_scaled(out, f, back));
        }
        out
    }

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
