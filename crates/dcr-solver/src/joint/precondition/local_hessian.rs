//! The Hessian between pixels near each other, with edges and masks as they are: for the parts of preconditioners that solve directly.
//!
//! Between light of one kind at `p` and of another at `q`, kinds being the total and the departures, with a visit's kernels `k_i` for them and the prior `R`,
//!
//! ```text
//! H_ab(p, q) = R_ab(p − q) + Σ_i w_i Σ_{x seen} k_ia(x − p) k_ib(x − q)
//! ```
//!
//! where the sum over all that is seen is that over everything, `F⁻¹ k_ia* k_ib`, less that over what is not. A few visits stand for all, with the share of
//! weight that all of them together have in a pixel.

use rayon::prelude::*;
use rustfft::num_complex::Complex32;

use crate::joint::fourier::grid::Grid;
use crate::joint::operator::tile::{Tile, TileVisit, share};
use crate::joint::problem::visits::representatives_of;
use crate::linalg::cholesky::{Real, cholesky, triangle};

/// Pixels that lack less than this share of all weight are taken for seen.
const LITTLE: f32 = 0.02;
/// The most visits that stand for all.
const REPRESENTATIVES: usize = 6;

/// A kind of light: what subfilters have of it, and the factor at every mode, if there is one.
#[derive(Clone)]
pub(crate) struct Kind<'a> {
    pub(crate) subfilters: Vec<f32>,
    pub(crate) amplitude: Option<&'a [f32]>,
}

/// Light of a kind in a pixel.
#[derive(Clone, Copy)]
pub(crate) struct Unknown {
    pub(crate) kind: usize,
    /// Row and column on the grid.
    pub(crate) pixel: (usize, usize),
    /// Its unit.
    pub(crate) unit: f32,
    /// What holds it by itself, in that unit.
    pub(crate) held: f32,
}

/// What pixels see of light elsewhere, as planes of the grid.
pub(crate) struct Local {
    padded: (usize, usize),
    /// For each visit that stands for some, the root of their weight times its kernels.
    of_visits: Vec<Vec<Vec<f32>>>,
    /// `R + Σ w F⁻¹ k_a* k_b`, rows of the lower triangle.
    everything: Vec<Vec<f32>>,
}

impl Local {
    /// `total` is the prior's weight at every mode on the first kind.
    pub(crate) fn new(tile: &Tile, kinds: &[Kind], total: &[f32]) -> Self {
        let grid = &tile.grid;
        let every_row: Vec<usize> = (0..grid.padded.0).collect();
        let plane = |modes: &[Complex32], factor: f32| {
            let mut out = grid.rows_together(modes, &every_row);
            out.iter_mut().for_each(|v| *v *= grid.scale() * factor);
            out
        };
        let mut powers = vec![vec![Complex32::default(); grid.modes()]; triangle(kinds.len())];
        powers[0].iter_mut().zip(total).for_each(|(power, r)| power.re = *r);
        let mut of_visits = vec![];
        // One visit for every few of like seeing.
        let (seeing, weight) = (|v: usize| tile.visits[v].seeing_px, |v: usize| tile.visits[v].weight());
        for (visit, weight) in representatives_of(tile.visits.len(), seeing, weight, REPRESENTATIVES) {
            let weight = weight as f32;
            let modes_of = |kind: &Kind| {
                let mut modes = vec![Complex32::default(); grid.modes()];
                tile.visits[visit].transfer_of(grid, &kind.subfilters, &mut modes);
                for (modes, amplitude) in modes.iter_mut().zip(kind.amplitude.unwrap_or_default()) {
                    *modes *= *amplitude;
                }
                modes
            };
            let modes: Vec<Vec<Complex32>> = kinds.iter().map(modes_of).collect();
            let pairs = (0..kinds.len()).flat_map(|a| (0..=a).map(move |b| (a, b)));
            for ((a, b), power) in pairs.zip(&mut powers) {
                let products = modes[a].iter().zip(&modes[b]).map(|(a, b)| a.conj() * b);
                power.iter_mut().zip(products).for_each(|(power, product)| *power += product * weight);
            }
            of_visits.push(modes.iter().map(|modes| plane(modes, weight.sqrt())).collect());
        }
        let everything = powers.iter().map(|power| plane(power, 1.0)).collect();
        Self { padded: grid.padded, of_visits, everything }
    }

    /// What the data say of light of a kind in one pixel.
    pub(crate) fn on_itself(&self, kind: usize) -> f32 {
        self.everything[triangle(kind) + kind][0]
    }

    /// The Cholesky factor of the Hessian between unknowns, which is not less than 1 in their units. Some pixels around lack weight, and so much of it.
    pub(crate) fn factor(&self, unknowns: &[Unknown], lacking: &[((usize, usize), f32)]) -> Vec<f32> {
        let (rows, cols) = self.padded;
        // From one pixel to another, round the grid.
        let lag = |(y, x): (usize, usize), (y0, x0): (usize, usize)| {
            (y + rows - y0) % rows * cols + (x + cols - x0) % cols
        };
        let length = lacking.len() * self.of_visits.len();
        let mut in_lacking = Vec::with_capacity(unknowns.len() * length);
        for from in unknowns {
            for kernels in &self.of_visits {
                let seen = |(at, lack): &((usize, usize), f32)| {
                    from.unit * lack.sqrt() * kernels[from.kind][lag(*at, from.pixel)]
                };
                in_lacking.extend(lacking.iter().map(seen));
            }
        }
        let in_lacking = |i: usize| &in_lacking[i * length..][..length];
        let mut lower = vec![0.0; triangle(unknowns.len())];
        let mut parts = Vec::with_capacity(unknowns.len());
        let mut rest = lower.as_mut_slice();
        for i in 0..unknowns.len() {
            let (row, after) = rest.split_at_mut(i + 1);
            parts.push(row);
            rest = after;
        }
        parts.into_par_iter().enumerate().for_each(|(i, row)| {
            let to = &unknowns[i];
            for (j, value) in row.iter_mut().enumerate() {
                let from = &unknowns[j];
                let (kind, lag) = match to.kind >= from.kind {
                    true => (triangle(to.kind) + from.kind, lag(to.pixel, from.pixel)),
                    false => (triangle(from.kind) + to.kind, lag(from.pixel, to.pixel)),
                };
                let everything = self.everything[kind][lag] * to.unit * from.unit;
                *value = everything - f32::dot(in_lacking(i), in_lacking(j));
            }
            row[i] += to.held;
        });
        cholesky(&lower)
    }
}

/// The share of all visits' weight that pixels of the tile have, of those that a visit's flags name.
pub(crate) fn seen(tile: &Tile, flags: impl Fn(&TileVisit) -> &[u8]) -> Vec<f32> {
    let all: f64 = tile.visits.iter().map(|visit| visit.weight()).sum();
    let mut out = vec![0.0; tile.grid.shape.0 * tile.grid.shape.1];
    for visit in &tile.visits {
        let weight = (visit.weight() / all) as f32;
        out.iter_mut().zip(flags(visit)).for_each(|(out, flag)| *out += weight * share(*flag));
    }
    out
}

/// Pixels of the grid around some that lack weight, and how much of it.
pub(crate) fn lacking(
    grid: &Grid,
    seen: &[f32],
    some: &[(usize, usize)],
    reach: usize,
) -> Vec<((usize, usize), f32)> {
    let (rows, cols) = (grid.tile_rows(), grid.tile_cols());
    let around = |of: fn(&(usize, usize)) -> usize, n: usize| {
        let (first, last) = some.iter().map(of).fold((n, 0), |(a, b), v| (a.min(v), b.max(v)));
        first.saturating_sub(reach)..(last + reach + 1).min(n)
    };
    let (box_rows, box_cols) = (around(|p| p.0, grid.padded.0), around(|p| p.1, grid.padded.1));
    let pixels = box_rows.flat_map(|y| box_cols.clone().map(move |x| (y, x)));
    let lack = |(y, x): (usize, usize)| match rows.contains(&y) && cols.contains(&x) {
        true => 1.0 - seen[(y - rows.start) * cols.len() + x - cols.start],
        false => 1.0,
    };
    pixels.map(|pixel| (pixel, lack(pixel))).filter(|(_, lack)| *lack >= LITTLE).collect()
}
