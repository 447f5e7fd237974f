//! Light beyond the edges of a tile, for [`super::unobserved`].
//!
//! Near a long straight edge the problem is the same everywhere *along* it: block-Toeplitz.
//! Transformed along the edge, every frequency has a small Hessian
//!
//! ```text
//! H(o, o') = R(o − o') + Σ_i w_i Σ_{p inside} k_i(p − o)* k_i(p − o')
//! ```
//!
//! between the pixels outside, with a visit's kernel `k_i` across the edge for light of the flat
//! spectrum, and the prior `R` on the summed flux. Corners belong to the edges of both sides, and
//! masks inside are ignored.
//!
//! The sum over pixels inside is the sum over all, the transform of a mode's power, less the sum
//! over the few outside, where each diagonal of the matrix follows from its first element.

use std::ops::Range;
use std::sync::Arc;

use dcr_fft::{Fft, Planner32};
use rayon::prelude::*;
use rustfft::num_complex::{Complex32, Complex64};

use super::DAMPING;
use crate::joint::fourier::grid::Grid;
use crate::joint::fourier::modes::add_scaled;
use crate::joint::operator::tile::Tile;
use crate::linalg::hermitian::Hermitian;

/// Frequencies along an edge with a matrix of their own: kernels that reach a dozen pixels along
/// the edge resolve no more. Others use that of the nearest.
const MATRICES: usize = 64;
/// Lines transposed at a time: a cache line of every `kx`.
const LINES: usize = 8;

/// Half-plane problems at the edges of a tile.
pub(crate) struct BoundaryProblem {
    /// Above and below with one line per `kx`, left and right with one per `ky ≥ 0`; `None` without
    /// padding.
    rows: Option<HalfPlanes>,
    cols: Option<HalfPlanes>,
}

impl BoundaryProblem {
    /// `fractions` is the flat spectrum and `flux_prior` the prior weight on the summed flux at
    /// every mode.
    pub(crate) fn new(tile: &Tile, fractions: &[f32], flux_prior: &[f32]) -> Self {
        let (grid, ky) = (&tile.grid, tile.grid.ky());
        let mut rows = HalfPlanes::new(ky, grid.tile_rows(), grid.kx());
        let mut cols = HalfPlanes::new(grid.padded.1, grid.tile_cols(), ky / 2 + 1);
        let mut power: Vec<Complex32> = flux_prior.iter().map(|r| Complex32::new(*r, 0.0)).collect();
        let mut flat = vec![Complex32::default(); grid.modes()];
        for visit in &tile.visits {
            let weight = visit.weight() * visit.cover();
            visit.transfer_of(grid, fractions, &mut flat);
            let modes = power.par_iter_mut().with_min_len(ky).zip(&flat);
            modes.for_each(|(power, t)| power.re += weight as f32 * t.norm_sqr());
            if let Some(rows) = &mut rows {
                rows.leave_out(weight, |kx, line| line.copy_from_slice(&flat[kx * ky..][..ky]));
            }
            if let Some(cols) = &mut cols {
                cols.leave_out(weight, |ky, line| lines_along_x(grid, &flat, ky, line));
            }
        }
        if let Some(rows) = &mut rows {
            rows.conclude(|kx, line| line.copy_from_slice(&power[kx * ky..][..ky]));
        }
        if let Some(cols) = &mut cols {
            cols.conclude(|ky, line| lines_along_x(grid, &power, ky, line));
        }
        Self { rows, cols }
    }

    /// Adds the correction for the residual of the summed flux to `out`, half planes both.
    pub(crate) fn add(&self, grid: &Grid, residual: &[Complex32], out: &mut [Complex32]) {
        let (width, ky) = (grid.padded.1, grid.ky());
        if let Some(rows) = &self.rows {
            let mut lines = residual.to_vec();
            rows.solve(&mut lines);
            let columns = out.par_chunks_exact_mut(ky).zip(lines.par_chunks_exact(ky));
            columns.for_each(|(out, found)| add_scaled(out, DAMPING, found));
        }
        if let Some(cols) = &self.cols {
            let mut lines = vec![Complex32::default(); (ky / 2 + 1) * width];
            let blocks = lines.par_chunks_mut(LINES * width).enumerate();
            blocks.for_each(|(i, lines)| lines_along_x(grid, residual, i * LINES, lines));
            cols.solve(&mut lines);
            out.par_chunks_exact_mut(ky).enumerate().for_each(|(kx, out)| {
                let (below, above) = out.split_at_mut(ky / 2 + 1);
                let at = lines[kx..].iter().step_by(width);
                below.iter_mut().zip(at).for_each(|(out, v)| *out += DAMPING * v);
                let mirrored = lines[(width - kx) % width..].iter().step_by(width).skip(1);
                above.iter_mut().rev().zip(mirrored).for_each(|(out, v)| *out += DAMPING * v.conj());
            });
        }
    }
}

/// Transposes the half plane with `kx ≥ 0`: all `kx` of the lines `ky ≥ 0` from `first` on.
fn lines_along_x(grid: &Grid, modes: &[Complex32], first: usize, lines: &mut [Complex32]) {
    let (width, ky_count) = (grid.padded.1, grid.ky());
    for (kx, column) in modes.chunks_exact(ky_count).enumerate() {
        for (ky, line) in (first..).zip(lines.chunks_exact_mut(width)) {
            line[(width - kx) % width] = column[(ky_count - ky) % ky_count].conj();
            line[kx] = column[ky];
        }
    }
}

/// Light beyond two opposite edges, on lines from one edge around the periodic grid to the other.
struct HalfPlanes {
    /// Length of a line, the first pixel outside, and the number of pixels outside.
    length: usize,
    first: usize,
    outside: usize,
    /// One Hessian per group of lines; [`Self::conclude`] replaces it by its inverse.
    matrices: Vec<Hermitian>,
    /// Lines per group, and lines in all.
    few: usize,
    lines: usize,
    forward: Arc<dyn Fft<f32>>,
    inverse: Arc<dyn Fft<f32>>,
}

impl HalfPlanes {
    fn new(length: usize, inside: Range<usize>, lines: usize) -> Option<Self> {
        let outside = length - inside.len();
        let few = lines.div_ceil(MATRICES);
        let mut planner = Planner32::new();
        (outside > 0).then(|| Self {
            length,
            first: inside.end,
            outside,
            matrices: vec![Hermitian::zeros(outside); lines.div_ceil(few)],
            few,
            lines,
            forward: planner.forward(length),
            inverse: planner.inverse(length),
        })
    }

    /// Calls `take` with every matrix and the inverse transform of its middle line, which `fill`
    /// writes.
    fn for_each_matrix(
        &mut self,
        fill: impl Fn(usize, &mut [Complex32]) + Sync,
        take: impl Fn(&mut Hermitian, &dyn Fn(isize) -> Complex64) + Sync,
    ) {
        let (length, few, lines, inverse) = (self.length, self.few, self.lines, &self.inverse);
        self.matrices.par_iter_mut().enumerate().for_each(|(i, matrix)| {
            let mut line = vec![Complex32::default(); length];
            fill((i * few + few / 2).min(lines - 1), &mut line);
            inverse.process(&mut line);
            take(matrix, &|at| {
                let value = line[at.rem_euclid(length as isize) as usize];
                Complex64::new(f64::from(value.re), f64::from(value.im)) / length as f64
            });
        });
    }

    /// Subtracts the Hessian of a visit over the pixels outside, given its transfer function on
    /// each line. The first row of a matrix gets its elements, other rows their differences from
    /// the element up and to the left.
    fn leave_out(&mut self, weight: f64, transfer: impl Fn(usize, &mut [Complex32]) + Sync) {
        let outside = self.outside;
        self.for_each_matrix(transfer, |matrix, kernel| {
            // Kernels from every pixel outside to the first of them, and to the next after the
            // last.
            let lags = |to: usize| (0..outside).map(move |from| kernel(to as isize - from as isize));
            let (first, after): (Vec<_>, Vec<_>) = (lags(0).collect(), lags(outside).collect());
            let reversed: Vec<_> = (0..outside).map(|to| kernel(to as isize).conj()).collect();
            for b in 0..outside {
                let seen: Complex64 =
                    (0..outside).map(|p| reversed[p] * kernel(p as isize - b as isize)).sum();
                matrix.values[b] -= weight * seen;
            }
            for (a, row) in matrix.values.chunks_exact_mut(outside).enumerate().skip(1) {
                let (of_first, of_after) = (weight * first[a].conj(), weight * after[a].conj());
                for b in a..outside {
                    row[b] += of_after * after[b] - of_first * first[b];
                }
            }
        });
    }

    /// Adds the Hessian of the visits over all pixels, and the prior, both as power by mode; then
    /// inverts.
    fn conclude(&mut self, power: impl Fn(usize, &mut [Complex32]) + Sync) {
        let n = self.outside;
        self.for_each_matrix(power, |matrix, everything| {
            for a in 1..n {
                for b in a..n {
                    let before = matrix.values[(a - 1) * n + b - 1];
                    matrix.values[a * n + b] += before;
                }
            }
            for a in 0..n {
                for b in a..n {
                    let value = matrix.values[a * n + b] + everything(a as isize - b as isize);
                    matrix.values[a * n + b] = value;
                    matrix.values[b * n + a] = value.conj();
                }
            }
            *matrix = matrix.inverse();
        });
    }

    /// Replaces residuals, on every line, by the light outside that causes them.
    fn solve(&self, lines: &mut [Complex32]) {
        let (n, length, scale) = (self.outside, self.length, 1.0 / self.length as f64);
        let room = self.inverse.get_inplace_scratch_len().max(self.forward.get_inplace_scratch_len());
        let blocks = lines.par_chunks_mut(self.few * length).zip(&self.matrices);
        blocks.for_each_init(
            || (vec![Complex32::default(); room], vec![Complex64::default(); n]),
            |(scratch, residual), (block, matrix)| {
                for line in block.chunks_exact_mut(length) {
                    self.inverse.process_with_scratch(line, scratch);
                    for (i, r) in residual.iter_mut().enumerate() {
                        let value = line[(self.first + i) % length];
                        *r = Complex64::new(f64::from(value.re), f64::from(value.im)) * scale;
                    }
                    line.fill(Complex32::default());
                    for (i, row) in matrix.values.chunks_exact(n).enumerate() {
                        let light: Complex64 = row.iter().zip(&*residual).map(|(m, r)| m * r).sum();
                        line[(self.first + i) % length] = Complex32::new(light.re as f32, light.im as f32);
                    }
                    self.forward.process_with_scratch(line, scratch);
                }
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::joint::fixtures::{FRACTIONS, hessian_times_flux, modes, tile};
    use crate::joint::operator::tile::inner_product;

    #[test]
    fn edges_undo_what_the_data_do_to_light_outside() {
        // An odd length without padding has no edges; the other direction is exact.
        for (shape, outside) in [((16, 21), (5, 0)), ((21, 16), (0, 5))] {
            let mut tile = tile(shape, 0);
            assert_eq!((tile.grid.padded.0 - shape.0, tile.grid.padded.1 - shape.1), outside);
            let prior = vec![0.05; tile.grid.modes()];
            let (rows, cols) = (tile.grid.tile_rows(), tile.grid.tile_cols());
            let light = modes(&tile.grid, |y, x| match rows.contains(&y) && cols.contains(&x) {
                true => 0.0,
                false => ((y * 31 + x * 17) % 23) as f32 - 9.0,
            });
            let residual = hessian_times_flux(&mut tile, &light, prior[0]);
            let mut found = vec![Complex32::default(); tile.grid.modes()];
            BoundaryProblem::new(&tile, &FRACTIONS, &prior).add(&tile.grid, &residual, &mut found);
            let largest = light.iter().map(|v| v.norm()).fold(0.0, f32::max);
            for (found, light) in found.iter().zip(&light) {
                assert!((found / DAMPING - light).norm() < 1e-4 * largest, "{found} {light}");
            }
        }
    }

    #[test]
    fn edges_of_a_tile_with_both_are_symmetric_and_positive() {
        let tile = tile((13, 16), 4);
        let edges = BoundaryProblem::new(&tile, &FRACTIONS, &vec![0.05; tile.grid.modes()]);
        let plane = |seed: usize| modes(&tile.grid, |y, x| ((y * seed + x * 17 + y * x) % 29) as f32 - 14.0);
        let apply = |residual: &[Complex32]| {
            let mut out = vec![Complex32::default(); tile.grid.modes()];
            edges.add(&tile.grid, residual, &mut out);
            out
        };
        let inner = |a: &[Complex32], b: &[Complex32]| inner_product(&tile.grid, a, b);
        let (a, b) = (plane(31), plane(7));
        let (there, back) = (inner(&a, &apply(&b)), inner(&b, &apply(&a)));
        assert!((there / back - 1.0).abs() < 1e-5, "{there} {back}");
        assert!(inner(&a, &apply(&a)) > 0.0);
    }

    #[test]
    fn edges_without_padding_add_nothing() {
        let tile = tile((21, 21), 0);
        let edges = BoundaryProblem::new(&tile, &FRACTIONS, &vec![0.05; tile.grid.modes()]);
        let mut out = vec![Complex32::default(); tile.grid.modes()];
        edges.add(&tile.grid, &vec![Complex32::ONE; tile.grid.modes()], &mut out);
        assert!(out.iter().all(|v| *v == Complex32::default()));
    }
}
