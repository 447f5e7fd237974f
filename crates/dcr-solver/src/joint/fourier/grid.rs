//! The Fourier grid of a tile: real two-dimensional transforms in single precision, arranged for
//! the solver.
//!
//! A tile lies in the middle of a larger, periodic grid, so that light displaced over its edge does
//! not come back on the other side. Only the half `kx ≥ 0` of the transform of a real plane is
//! kept, *transposed*: all `ky` of the first `kx`, then of the next. Transforms along `ky` are then
//! contiguous, and mode-by-mode arithmetic before and after them stays in cache. Along x, a few
//! rows at a time are gathered, transformed, handed out and put back: the plane itself is never
//! stored. Rows of the padding, where all weights are 0, are never transformed along x.
//!
//! Transforms are not normalised; the caller scales inverse transforms by [`Grid::scale`].
//!
//! Lengths are odd. An even length has a Nyquist frequency, at which a fractional displacement is
//! not real; any replacement is not local and draws stripes through the tile from every star that a
//! mask cuts. Two real rows are transformed as one complex row, at the cost of the usual trick for
//! even lengths.

use std::ops::Range;
use std::sync::Arc;

use dcr_fft::{Fft, Planner32};
use rayon::prelude::*;
use rustfft::num_complex::Complex32;

use super::frequencies::{Frequencies, multiplicity};
use crate::kernel::odd_fast_length;

/// Prime factors of the transforms' lengths.
const PRIMES: [usize; 4] = [3, 5, 7, 11];
/// Rows gathered at a time: two cache lines of every `kx`.
const BLOCK: usize = 16;

/// Transforms of planes of one shape.
pub(crate) struct Grid {
    /// Shape of the tile, `(rows, cols)`.
    pub(crate) shape: (usize, usize),
    /// Shape of the grid.
    pub(crate) padded: (usize, usize),
    rows_forward: Arc<dyn Fft<f32>>,
    rows_inverse: Arc<dyn Fft<f32>>,
    cols_forward: Arc<dyn Fft<f32>>,
    cols_inverse: Arc<dyn Fft<f32>>,
}

/// Workspace of one transform.
pub(crate) struct Scratch {
    transform: Vec<Complex32>,
    /// Rows gathered from the half plane.
    block: Vec<Complex32>,
    /// Two real rows: interleaved as one complex row, then separate.
    both: Vec<Complex32>,
    lines: [Vec<f32>; 2],
}

/// Direction of a transform along `ky`.
#[derive(Clone, Copy)]
pub(crate) enum Way {
    Forward,
    Inverse,
}

impl Grid {
    /// A grid for tiles of `shape` with at least `padding` pixels on each side.
    pub(crate) fn new(shape: (usize, usize), padding: usize) -> Self {
        let fast_length = |n: usize| odd_fast_length(n + 2 * padding, &PRIMES);
        let padded = (fast_length(shape.0), fast_length(shape.1));
        let mut planner = Planner32::new();
        Self {
            shape,
            padded,
            rows_forward: planner.forward(padded.1),
            rows_inverse: planner.inverse(padded.1),
            cols_forward: planner.forward(padded.0),
            cols_inverse: planner.inverse(padded.0),
        }
    }

    /// Number of `kx` kept.
    pub(crate) fn kx(&self) -> usize {
        self.padded.1 / 2 + 1
    }

    /// Number of `ky`.
    pub(crate) fn ky(&self) -> usize {
        self.padded.0
    }

    /// Modes kept, `kx × ky`.
    pub(crate) fn modes(&self) -> usize {
        self.kx() * self.ky()
    }

    /// Pixels of the grid.
    pub(crate) fn pixels(&self) -> usize {
        self.padded.0 * self.padded.1
    }

    /// Factor that normalises an inverse transform.
    pub(crate) fn scale(&self) -> f32 {
        (1.0 / self.pixels() as f64) as f32
    }

    /// Rows of the grid in which the tile lies.
    pub(crate) fn tile_rows(&self) -> Range<usize> {
        let start = (self.padded.0 - self.shape.0) / 2;
        start..start + self.shape.0
    }

    /// Columns of the grid in which the tile lies.
    pub(crate) fn tile_cols(&self) -> Range<usize> {
        let start = (self.padded.1 - self.shape.1) / 2;
        start..start + self.shape.1
    }

    /// Multiplicity of a mode with this `kx` in a sum over all modes of a real plane, over the
    /// number of pixels. With this weight, sums over modes are sums over pixels.
    pub(crate) fn multiplicity(&self, kx: usize) -> f64 {
        multiplicity(kx, self.padded)
    }

    /// Frequencies of the modes.
    pub(crate) fn frequencies(&self) -> Frequencies {
        Frequencies::new(self.padded)
    }

    /// Workspace for transforms on this grid.
    pub(crate) fn scratch(&self) -> Scratch {
        let plans = [&self.cols_forward, &self.cols_inverse, &self.rows_forward, &self.rows_inverse];
        let transform = plans.map(|plan| plan.get_inplace_scratch_len()).into_iter().max().unwrap_or(0);
        let width = self.padded.1;
        Scratch {
            transform: vec![Complex32::default(); transform],
            block: vec![Complex32::default(); BLOCK * self.kx()],
            both: vec![Complex32::default(); width],
            lines: [vec![0.0; width], vec![0.0; width]],
        }
    }

    /// Transforms along `ky`, in place; for any whole number of `kx`.
    pub(crate) fn columns(&self, spectrum: &mut [Complex32], way: Way, scratch: &mut Scratch) {
        let fft = match way {
            Way::Forward => &self.cols_forward,
            Way::Inverse => &self.cols_inverse,
        };
        fft.process_with_scratch(spectrum, &mut scratch.transform);
    }

    /// Pixels from modes that are already transformed along `ky`: `read` gets every row in `rows`,
    /// not normalised.
    pub(crate) fn read_rows(
        &self,
        spectrum: &[Complex32],
        rows: Range<usize>,
        scratch: &mut Scratch,
        mut read: impl FnMut(usize, &[f32]),
    ) {
        for block in blocks(rows) {
            self.gather(spectrum, &block, &mut scratch.block);
            self.each_pair(&block, scratch, |scratch, first, pair| {
                self.pair_inverse(scratch, pair);
                pair.iter().zip(&scratch.lines).for_each(|(j, line)| read(first + j, line));
            });
        }
    }

    /// Modes from pixels, short of the transform along `ky`: `write` fills every row in `rows`; all
    /// other rows are 0.
    pub(crate) fn write_rows(
        &self,
        spectrum: &mut [Complex32],
        rows: Range<usize>,
        scratch: &mut Scratch,
        mut write: impl FnMut(usize, &mut [f32]),
    ) {
        self.clear_other_rows(spectrum, &rows);
        for block in blocks(rows) {
            self.each_pair(&block, scratch, |scratch, first, pair| {
                pair.iter().zip(&mut scratch.lines).for_each(|(j, line)| write(first + j, line));
                self.pair_forward(scratch, pair);
            });
            self.scatter(spectrum, &block, &scratch.block);
        }
    }

    /// Modes to pixels and back: `change` gets every row in `rows`, not normalised; all other rows
    /// are set to 0.
    pub(crate) fn change_rows(
        &self,
        spectrum: &mut [Complex32],
        rows: Range<usize>,
        scratch: &mut Scratch,
        mut change: impl FnMut(usize, &mut [f32]),
    ) {
        self.clear_other_rows(spectrum, &rows);
        for block in blocks(rows) {
            self.gather(spectrum, &block, &mut scratch.block);
            self.each_pair(&block, scratch, |scratch, first, pair| {
                self.pair_inverse(scratch, pair);
                pair.iter().zip(&mut scratch.lines).for_each(|(j, line)| change(first + j, line));
                self.pair_forward(scratch, pair);
            });
            self.scatter(spectrum, &block, &scratch.block);
        }
    }

    /// The transform of a plane that `write` fills row by row, zero outside `rows`.
    pub(crate) fn forward(
        &self,
        spectrum: &mut [Complex32],
        rows: Range<usize>,
        scratch: &mut Scratch,
        write: impl FnMut(usize, &mut [f32]),
    ) {
        self.write_rows(spectrum, rows, scratch, write);
        self.columns(spectrum, Way::Forward, scratch);
    }

    /// The plane of a transform, row by row, not normalised. Overwrites the transform.
    pub(crate) fn inverse(
        &self,
        spectrum: &mut [Complex32],
        rows: Range<usize>,
        scratch: &mut Scratch,
        read: impl FnMut(usize, &[f32]),
    ) {
        self.columns(spectrum, Way::Inverse, scratch);
        self.read_rows(spectrum, rows, scratch, read);
    }

    /// Rows of the plane of a transform, one after the other, not normalised. All threads work on
    /// this one transform.
    pub(crate) fn rows_together(&self, spectrum: &[Complex32], rows: &[usize]) -> Vec<f32> {
        let (kx_count, ky_count, width) = (self.kx(), self.ky(), self.padded.1);
        let mut columns = spectrum.to_vec();
        columns
            .par_chunks_exact_mut(ky_count)
            .for_each_init(|| self.scratch(), |scratch, column| self.columns(column, Way::Inverse, scratch));
        let mut out = vec![0.0; rows.len() * width];
        let blocks = out.par_chunks_mut(BLOCK * width).zip(rows.par_chunks(BLOCK));
        blocks.for_each_init(
            || self.scratch(),
            |scratch, (out, rows)| {
                for (kx, column) in columns.chunks_exact(ky_count).enumerate() {
                    rows.iter()
                        .enumerate()
                        .for_each(|(j, row)| scratch.block[j * kx_count + kx] = column[*row]);
                }
                self.each_pair(&(0..rows.len()), scratch, |scratch, _, pair| {
                    self.pair_inverse(scratch, pair);
                    for (j, line) in pair.iter().zip(&scratch.lines) {
                        out[j * width..][..width].copy_from_slice(line);
                    }
                });
            },
        );
        out
    }

    /// Adds the transform of a plane given by some of its rows; all other rows are 0. All threads
    /// work on this one transform.
    pub(crate) fn add_rows_together(&self, rows: &[usize], pixels: &[f32], spectrum: &mut [Complex32]) {
        let (kx_count, ky_count, width) = (self.kx(), self.ky(), self.padded.1);
        let mut lines = vec![Complex32::default(); rows.len() * kx_count];
        let blocks = lines.par_chunks_mut(BLOCK * kx_count).zip(pixels.par_chunks(BLOCK * width));
        blocks.for_each_init(
            || self.scratch(),
            |scratch, (lines, pixels)| {
                self.each_pair(&(0..lines.len() / kx_count), scratch, |scratch, _, pair| {
                    for (j, line) in pair.iter().zip(&mut scratch.lines) {
                        line.copy_from_slice(&pixels[j * width..][..width]);
                    }
                    self.pair_forward(scratch, pair);
                });
                lines.copy_from_slice(&scratch.block[..lines.len()]);
            },
        );
        spectrum.par_chunks_exact_mut(ky_count).enumerate().for_each_init(
            || (self.scratch(), vec![Complex32::default(); ky_count]),
            |(scratch, column), (kx, out)| {
                column.fill(Complex32::default());
                rows.iter().enumerate().for_each(|(j, row)| column[*row] = lines[j * kx_count + kx]);
                self.columns(column, Way::Forward, scratch);
                out.iter_mut().zip(&*column).for_each(|(out, v)| *out += v);
            },
        );
    }

    /// Calls `of(scratch, first row of the block, indices in the block)` for the rows of a block,
    /// two by two.
    fn each_pair(
        &self,
        block: &Range<usize>,
        scratch: &mut Scratch,
        mut of: impl FnMut(&mut Scratch, usize, &[usize]),
    ) {
        for j in (0..block.len()).step_by(2) {
            let pair = [j, j + 1];
            of(scratch, block.start, &pair[..2.min(block.len() - j)]);
        }
    }

    /// Rows of the block to pixels.
    fn pair_inverse(&self, scratch: &mut Scratch, pair: &[usize]) {
        let (kx, width) = (self.kx(), self.padded.1);
        let both = &mut scratch.both;
        let a = &scratch.block[pair[0] * kx..][..kx];
        match pair.get(1) {
            Some(j) => join(a, &scratch.block[j * kx..][..kx], both),
            None => join(a, &vec![Complex32::default(); kx], both),
        }
        self.rows_inverse.process_with_scratch(both, &mut scratch.transform);
        let [first, second] = &mut scratch.lines;
        for (z, (a, b)) in both[..width].iter().zip(first.iter_mut().zip(second)) {
            (*a, *b) = (z.re, z.im);
        }
    }

    /// Pixels to rows of the block.
    fn pair_forward(&self, scratch: &mut Scratch, pair: &[usize]) {
        let kx = self.kx();
        if pair.len() == 1 {
            // Values of an earlier pair would change the last digit.
            scratch.lines[1].fill(0.0);
        }
        let both = &mut scratch.both;
        for (z, (a, b)) in both.iter_mut().zip(scratch.lines[0].iter().zip(&scratch.lines[1])) {
            *z = Complex32::new(*a, *b);
        }
        self.rows_forward.process_with_scratch(both, &mut scratch.transform);
        let rows = &mut scratch.block[pair[0] * kx..][..pair.len() * kx];
        let (a, b) = rows.split_at_mut(kx);
        split(both, a, b);
    }

    fn gather(&self, spectrum: &[Complex32], rows: &Range<usize>, block: &mut [Complex32]) {
        let kx_count = self.kx();
        for (kx, column) in spectrum.chunks_exact(self.ky()).enumerate() {
            for (j, value) in column[rows.clone()].iter().enumerate() {
                block[j * kx_count + kx] = *value;
            }
        }
    }

    fn scatter(&self, spectrum: &mut [Complex32], rows: &Range<usize>, block: &[Complex32]) {
        let kx_count = self.kx();
        for (kx, column) in spectrum.chunks_exact_mut(self.ky()).enumerate() {
            for (j, value) in column[rows.clone()].iter_mut().enumerate() {
                *value = block[j * kx_count + kx];
            }
        }
    }

    fn clear_other_rows(&self, spectrum: &mut [Complex32], rows: &Range<usize>) {
        for column in spectrum.chunks_exact_mut(self.ky()) {
            column[..rows.start].fill(Complex32::default());
            column[rows.end..].fill(Complex32::default());
        }
    }
}

/// Rows in blocks.
fn blocks(rows: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let end = rows.end;
    rows.step_by(BLOCK).map(move |start| start..(start + BLOCK).min(end))
}

/// The transform of `a + ib`, given the halves with `k ≥ 0` of the transforms of two real rows of
/// odd length.
fn join(a: &[Complex32], b: &[Complex32], both: &mut [Complex32]) {
    let (low, high) = both.split_at_mut(a.len());
    for ((z, a), b) in low.iter_mut().zip(a).zip(b) {
        *z = Complex32::new(a.re - b.im, a.im + b.re);
    }
    for ((z, a), b) in high.iter_mut().rev().zip(&a[1..]).zip(&b[1..]) {
        *z = Complex32::new(a.re + b.im, b.re - a.im);
    }
    // The mean of a real row is real, but for rounding.
    low[0] = Complex32::new(a[0].re, b[0].re);
}

/// The reverse of [`join`]; an empty `b` is left out.
fn split(both: &[Complex32], a: &mut [Complex32], b: &mut [Complex32]) {
    let (low, high) = both.split_at(a.len());
    let half = |v: f32| 0.5 * v;
    let mirrored = || std::iter::once(&low[0]).chain(high.iter().rev());
    for ((a, z), m) in a.iter_mut().zip(low).zip(mirrored()) {
        *a = Complex32::new(half(z.re + m.re), half(z.im - m.im));
    }
    for ((b, z), m) in b.iter_mut().zip(low).zip(mirrored()) {
        *b = Complex32::new(half(z.im + m.im), half(m.re - z.re));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plane(grid: &Grid) -> Vec<f32> {
        (0..grid.pixels()).map(|i| ((i * 37 + i / 7 * 11) % 101) as f32 - 50.0).collect()
    }

    #[test]
    fn fourier_there_and_back_is_where_it_began() {
        let grid = Grid::new((13, 22), 5);
        let (plane, mut scratch) = (plane(&grid), grid.scratch());
        let mut spectrum = vec![Complex32::default(); grid.modes()];
        let width = grid.padded.1;
        grid.forward(&mut spectrum, 0..grid.padded.0, &mut scratch, |y, row| {
            row.copy_from_slice(&plane[y * width..][..width]);
        });
        let energy: f64 = (0..grid.kx())
            .map(|kx| {
                let modes = &spectrum[kx * grid.ky()..][..grid.ky()];
                grid.multiplicity(kx) * modes.iter().map(|m| f64::from(m.norm_sqr())).sum::<f64>()
            })
            .sum();
        let expected: f64 = plane.iter().map(|v| f64::from(v * v)).sum();
        assert!((energy / expected - 1.0).abs() < 1e-5, "{energy} {expected}");
        grid.inverse(&mut spectrum, 0..grid.padded.0, &mut scratch, |y, row| {
            for (got, expected) in row.iter().zip(&plane[y * width..]) {
                assert!((got * grid.scale() - expected).abs() < 1e-4, "{got} {expected}");
            }
        });
    }

    #[test]
    fn fourier_by_all_threads_is_the_same() {
        let grid = Grid::new((37, 22), 5);
        let (plane, mut buffer) = (plane(&grid), (vec![Complex32::default(); grid.modes()], grid.scratch()));
        // One row is without a partner in its block.
        let (width, rows): (usize, Vec<usize>) =
            (grid.padded.1, (1..48).filter(|y| y % 3 > 0).chain([48]).collect());
        assert_eq!(rows.len() % 16, 1);
        let chosen: Vec<f32> = rows.iter().flat_map(|y| plane[y * width..][..width].to_vec()).collect();
        grid.forward(&mut buffer.0, 0..grid.padded.0, &mut buffer.1, |y, row| match rows.contains(&y) {
            true => row.copy_from_slice(&plane[y * width..][..width]),
            false => row.fill(0.0),
        });
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut together = vec![Complex32::ONE; grid.modes()];
            pool.install(|| grid.add_rows_together(&rows, &chosen, &mut together));
            (pool.install(|| grid.rows_together(&buffer.0, &rows)), together)
        };
        let (back, together) = with(1);
        assert!((2..6).all(|threads| with(threads) == (back.clone(), together.clone())));
        for (a, b) in together.iter().zip(&buffer.0) {
            assert!((a - b - Complex32::ONE).norm() < 1e-2, "{a} {b}");
        }
        for (a, b) in back.iter().zip(&chosen) {
            assert!((a * grid.scale() - b).abs() < 1e-4, "{a} {b}");
        }
    }

    #[test]
    fn fourier_phases_move_a_gaussian() {
        let grid = Grid::new((40, 33), 12);
        let mut scratch = grid.scratch();
        let gaussian = |y: f64, x: f64| (-0.5 * ((y - 30.0).powi(2) + (x - 28.0).powi(2)) / 4.0).exp();
        let mut spectrum = vec![Complex32::default(); grid.modes()];
        grid.forward(&mut spectrum, 0..grid.padded.0, &mut scratch, |y, row| {
            row.iter_mut().enumerate().for_each(|(x, v)| *v = gaussian(y as f64, x as f64) as f32);
        });
        let [py, px] = grid.frequencies().phases(1.37, -0.81);
        for (column, px) in spectrum.chunks_exact_mut(grid.ky()).zip(&px) {
            for (mode, py) in column.iter_mut().zip(&py) {
                let factor = px * py;
                *mode *= Complex32::new(factor.re as f32, factor.im as f32);
            }
        }
        grid.inverse(&mut spectrum, 0..grid.padded.0, &mut scratch, |y, row| {
            for (x, got) in row.iter().enumerate() {
                let expected = gaussian(y as f64 - 1.37, x as f64 + 0.81);
                assert!((f64::from(got * grid.scale()) - expected).abs() < 2e-6, "{y} {x}");
            }
        });
    }

    #[test]
    fn fourier_lengths_are_fast() {
        assert_eq!([1, 16, 304, 1072].map(|n| odd_fast_length(n, &PRIMES)), [1, 21, 315, 1089]);
    }
}
