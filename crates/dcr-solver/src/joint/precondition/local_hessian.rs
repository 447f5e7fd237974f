//! Hessian between nearby pixels, with edges and masks, for subdomains that are solved directly.
//!
//! Between light of component `a` at `p` and of `b` at `q`, the summed flux or a spectral
//! component, with a visit's kernels `k_i` and the prior `R`,
//!
//! ```text
//! H_ab(p, q) = R_ab(p − q) + Σ_i w_i Σ_{x observed} k_ia(x − p) k_ib(x − q)
//! ```
//!
//! The sum over observed pixels is the sum over all, `F⁻¹ k_ia* k_ib`, less the sum over the
//! unobserved. A few visits represent all, with the mean coverage of a pixel by all of them.

use rayon::prelude::*;
use rustfft::num_complex::Complex32;

use crate::joint::fourier::grid::Grid;
use crate::joint::operator::tile::{Tile, TileVisit, share};
use crate::joint::problem::visits::representatives_of;
use crate::linalg::cholesky::{Real, cholesky, triangle};

/// Missing weight, as a share of the full weight, below which a pixel is taken for observed.
const NEGLIGIBLE: f32 = 0.02;
/// Maximum number of representative visits.
const REPRESENTATIVES: usize = 6;

/// The summed flux or a spectral component: its spectrum over the subfilters, and its factor at
/// every mode, if any.
#[derive(Clone)]
pub(crate) struct Component<'a> {
    pub(crate) subfilters: Vec<f32>,
    pub(crate) amplitude: Option<&'a [f32]>,
}

/// Light of a component in a pixel.
#[derive(Clone, Copy)]
pub(crate) struct Unknown {
    pub(crate) component: usize,
    /// Row and column on the grid.
    pub(crate) pixel: (usize, usize),
    /// Unit of the unknown.
    pub(crate) unit: f32,
    /// Prior weight on this unknown alone, in that unit.
    pub(crate) prior: f32,
}

/// Kernels from light to pixels, and their products, as planes of the grid.
pub(crate) struct LocalHessian {
    padded: (usize, usize),
    /// Kernels of each representative, times the square root of its weight.
    of_visits: Vec<Vec<Vec<f32>>>,
    /// `R + Σ w F⁻¹ k_a* k_b`, rows of the lower triangle.
    everything: Vec<Vec<f32>>,
}

impl LocalHessian {
    /// `flux_prior` is the prior weight at every mode on the first component.
    pub(crate) fn new(tile: &Tile, components: &[Component], flux_prior: &[f32]) -> Self {
        let grid = &tile.grid;
        let every_row: Vec<usize> = (0..grid.padded.0).collect();
        let plane = |modes: &[Complex32], factor: f32| {
            let mut out = grid.rows_together(modes, &every_row);
            out.iter_mut().for_each(|v| *v *= grid.scale() * factor);
            out
        };
        let mut powers = vec![vec![Complex32::default(); grid.modes()]; triangle(components.len())];
        powers[0].iter_mut().zip(flux_prior).for_each(|(power, r)| power.re = *r);
        let mut of_visits = vec![];
        // One visit for every few of similar seeing.
        let (seeing, weight) = (|v: usize| tile.visits[v].seeing_px, |v: usize| tile.visits[v].weight());
        for (visit, weight) in representatives_of(tile.visits.len(), seeing, weight, REPRESENTATIVES) {
            let weight = weight as f32;
            let modes_of = |component: &Component| {
                let mut modes = vec![Complex32::default(); grid.modes()];
                tile.visits[visit].transfer_of(grid, &component.subfilters, &mut modes);
                for (modes, amplitude) in modes.iter_mut().zip(component.amplitude.unwrap_or_default()) {
                    *modes *= *amplitude;
                }
                modes
            };
            let modes: Vec<Vec<Complex32>> = components.iter().map(modes_of).collect();
            let pairs = (0..components.len()).flat_map(|a| (0..=a).map(move |b| (a, b)));
            for ((a, b), power) in pairs.zip(&mut powers) {
                let products = modes[a].iter().zip(&modes[b]).map(|(a, b)| a.conj() * b);
                power.iter_mut().zip(products).for_each(|(power, product)| *power += product * weight);
            }
            of_visits.push(modes.iter().map(|modes| plane(modes, weight.sqrt())).collect());
        }
        let everything = powers.iter().map(|power| plane(power, 1.0)).collect();
        Self { padded: grid.padded, of_visits, everything }
    }

    /// Diagonal element of a component, without masks.
    pub(crate) fn on_itself(&self, component: usize) -> f32 {
        self.everything[triangle(component) + component][0]
    }

    /// Cholesky factor of the Hessian between unknowns, whose eigenvalues are at least 1 in their
    /// units, given pixels around them with their missing weight.
    pub(crate) fn factor(&self, unknowns: &[Unknown], missing: &[((usize, usize), f32)]) -> Vec<f32> {
        let (rows, cols) = self.padded;
        // Lag from one pixel to another around the grid.
        let lag = |(y, x): (usize, usize), (y0, x0): (usize, usize)| {
            (y + rows - y0) % rows * cols + (x + cols - x0) % cols
        };
        let length = missing.len() * self.of_visits.len();
        let mut in_missing = Vec::with_capacity(unknowns.len() * length);
        for from in unknowns {
            for kernels in &self.of_visits {
                let response = |(at, weight): &((usize, usize), f32)| {
                    from.unit * weight.sqrt() * kernels[from.component][lag(*at, from.pixel)]
                };
                in_missing.extend(missing.iter().map(response));
            }
        }
        let in_missing = |i: usize| &in_missing[i * length..][..length];
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
                let (component, lag) = match to.component >= from.component {
                    true => (triangle(to.component) + from.component, lag(to.pixel, from.pixel)),
                    false => (triangle(from.component) + to.component, lag(from.pixel, to.pixel)),
                };
                let everything = self.everything[component][lag] * to.unit * from.unit;
                *value = everything - f32::dot(in_missing(i), in_missing(j));
            }
            row[i] += to.prior;
        });
        cholesky(&lower)
    }
}

/// Coverage of the tile: share of the visits' full weight at each pixel, for the counts named by
/// `flags`.
pub(crate) fn coverage(tile: &Tile, flags: impl Fn(&TileVisit) -> &[u8]) -> Vec<f32> {
    let all: f64 = tile.visits.iter().map(|visit| visit.weight()).sum();
    let mut out = vec![0.0; tile.grid.shape.0 * tile.grid.shape.1];
    for visit in &tile.visits {
        let weight = (visit.weight() / all) as f32;
        out.iter_mut().zip(flags(visit)).for_each(|(out, flag)| *out += weight * share(*flag));
    }
    out
}

/// Pixels of the grid around `some` that lack weight, with their missing weight.
pub(crate) fn missing(
    grid: &Grid,
    coverage: &[f32],
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
    let weight = |(y, x): (usize, usize)| match rows.contains(&y) && cols.contains(&x) {
        true => 1.0 - coverage[(y - rows.start) * cols.len() + x - cols.start],
        false => 1.0,
    };
    pixels.map(|pixel| (pixel, weight(pixel))).filter(|(_, weight)| *weight >= NEGLIGIBLE).collect()
}
