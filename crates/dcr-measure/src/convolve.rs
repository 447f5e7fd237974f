//! Correlation of planes with small kernels: `out(p) = Σ_m k(m) plane(p + m)`, with 0 beyond the
//! plane. Strips of rows run in parallel.

use multiversion::multiversion;
use ndarray::{Array2, ArrayView2, s};
use rayon::prelude::*;

/// Kernel weights smaller than this share of the largest are left out.
const NEGLIGIBLE: f64 = 1e-9;
/// Rows that are one piece of work: with those around them they stay in a core's cache.
const STRIP_ROWS: usize = 32;

/// Correlates a plane with an odd-sided kernel centred at `m = 0`. The result is independent of the
/// number of threads.
pub fn correlate(plane: ArrayView2<f32>, kernel: ArrayView2<f64>) -> Array2<f32> {
    correlate_rows(plane.dim(), kernel, |row, line| match plane.row(row).as_slice() {
        Some(pixels) => line.copy_from_slice(pixels),
        None => line.iter_mut().zip(plane.row(row)).for_each(|(to, from)| *to = *from),
    })
}

/// As [`correlate`], of a plane of this shape whose rows are written by `write_row`.
pub(crate) fn correlate_rows(
    (rows, cols): (usize, usize),
    kernel: ArrayView2<f64>,
    write_row: impl Fn(usize, &mut [f32]) + Sync,
) -> Array2<f32> {
    let (half_y, half_x) = (kernel.nrows() / 2, kernel.ncols() / 2);
    let largest = kernel.iter().fold(0.0_f64, |largest, weight| largest.max(weight.abs()));
    let taps: Vec<((usize, usize), f32)> = kernel
        .indexed_iter()
        .filter(|(_, weight)| weight.abs() > NEGLIGIBLE * largest)
        .map(|(at, weight)| (at, *weight as f32))
        .collect();
    let mut out = Array2::zeros((rows, cols));
    let Some(pixels) = out.as_slice_mut().filter(|pixels| !pixels.is_empty()) else { return out };
    let padded_cols = cols + 2 * half_x;
    pixels.par_chunks_mut(STRIP_ROWS * cols).enumerate().for_each_init(
        Vec::new,
        |padded, (strip, target)| {
            let (first, height) = (strip * STRIP_ROWS, target.len() / cols);
            padded.clear();
            padded.resize((height + 2 * half_y) * padded_cols, 0.0_f32);
            for (line, row) in padded.chunks_exact_mut(padded_cols).zip(first..) {
                // `row` counts from the first of the zeros above the plane.
                let Some(row) = row.checked_sub(half_y).filter(|row| *row < rows) else { continue };
                write_row(row, &mut line[half_x..half_x + cols]);
            }
            let offsets: Vec<(usize, f32)> =
                taps.iter().map(|((i, j), weight)| (i * padded_cols + j, *weight)).collect();
            for (row, target) in target.chunks_exact_mut(cols).enumerate() {
                sum_taps(&padded[row * padded_cols..], &offsets, target);
            }
        },
    );
    out
}

/// Pixels of a row that are summed at a time, in registers.
const BLOCK: usize = 64;

/// `out[x] = Σ_m weight_m · source[x + offset_m]`. The first target that the machine has is taken.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
fn sum_taps(source: &[f32], taps: &[(usize, f32)], out: &mut [f32]) {
    let mut blocks = out.chunks_exact_mut(BLOCK);
    let mut start = 0;
    for block in &mut blocks {
        let mut sums = [0.0_f32; BLOCK];
        for &(offset, weight) in taps {
            let values = &source[start + offset..][..BLOCK];
            for lane in 0..BLOCK {
                sums[lane] += weight * values[lane];
            }
        }
        block.copy_from_slice(&sums);
        start += BLOCK;
    }
    let rest = blocks.into_remainder();
    for &(offset, weight) in taps {
        let values = &source[start + offset..][..rest.len()];
        rest.iter_mut().zip(values).for_each(|(sum, value)| *sum += weight * value);
    }
}

/// A kernel for planes small enough to stay in a core's cache.
pub struct SmallKernel {
    height: usize,
    width: usize,
    /// Weights of each source row of a block for all rows of the block; 0 outside the kernel.
    taps: Vec<Vec<[f32; ROWS]>>,
}

/// Rows and columns of a block summed at a time, in registers. A source row is read once per block.
const ROWS: usize = 4;
const LANES: usize = 32;

impl SmallKernel {
    /// Prepares a kernel of any shape.
    pub fn new(kernel: ArrayView2<f32>) -> Self {
        let (height, width) = kernel.dim();
        let weight = |i: Option<usize>, j| i.and_then(|i| kernel.get((i, j))).copied().unwrap_or(0.0);
        let side_by_side = |source: usize, j| std::array::from_fn(|row| weight(source.checked_sub(row), j));
        let of_source = |source| (0..width).map(|j| side_by_side(source, j)).collect();
        Self { height, width, taps: (0..height + ROWS - 1).map(of_source).collect() }
    }

    /// [`correlate`] restricted to positions where the kernel lies inside the plane. Each side of
    /// the result is shorter than that of the plane by the side of the kernel less one.
    ///
    /// The plane is finite and in standard layout.
    pub fn correlate_inside(&self, plane: ArrayView2<f32>) -> Array2<f32> {
        let (rows, cols) = plane.dim();
        let inner = |n: usize, side: usize| (n + 1).saturating_sub(side);
        let (out_rows, out_cols) = (inner(rows, self.height), inner(cols, self.width));
        let mut out = Array2::zeros((out_rows, out_cols));
        let plane: Vec<&[f32]> = plane.rows().into_iter().filter_map(|row| row.to_slice()).collect();
        assert!(plane.len() == rows, "rows are contiguous");
        let needed = LANES + self.width - 1;
        let is_small = out_rows < ROWS || out_cols < LANES;
        let mut padded = vec![0.0; if is_small { self.taps.len() * needed } else { 0 }];
        let mut sums = [[0.0; LANES]; ROWS];
        for (y, x) in starts(out_rows, ROWS).flat_map(|y| starts(out_cols, LANES).map(move |x| (y, x))) {
            let mut sources: Vec<&[f32]> = Vec::with_capacity(self.taps.len());
            if is_small {
                // What lies beyond the plane is 0.
                for (line, row) in padded.chunks_exact_mut(needed).zip(&plane[y..]) {
                    let row = &row[x..cols.min(x + needed)];
                    line[..row.len()].copy_from_slice(row);
                }
                sources.extend(padded.chunks_exact(needed));
            } else {
                sources.extend(plane[y..y + self.taps.len()].iter().map(|row| &row[x..x + needed]));
            }
            correlate_block(&sources, &self.taps, &mut sums);
            let (y_end, x_end) = (out_rows.min(y + ROWS), out_cols.min(x + LANES));
            for (mut row, sums) in out.slice_mut(s![y..y_end, x..x_end]).rows_mut().into_iter().zip(&sums) {
                row.iter_mut().zip(sums).for_each(|(out, sum)| *out = *sum);
            }
        }
        out
    }
}

/// Starts of the blocks that cover `0..length`. The last block overlaps its predecessor and repeats
/// its results.
fn starts(length: usize, block: usize) -> impl Iterator<Item = usize> {
    (0..length).step_by(block).map(move |start| start.min(length.saturating_sub(block)))
}

/// `sums[r][x] = Σ_ij kernel[i][j] · sources[r + i][x + j]`, each in the order of `i`, then `j`.
// No closures: they would not be compiled for the vector unit that the function is.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
fn correlate_block(sources: &[&[f32]], taps: &[Vec<[f32; ROWS]>], sums: &mut [[f32; LANES]; ROWS]) {
    let mut block = [[0.0_f32; LANES]; ROWS];
    for (source, taps) in sources.iter().zip(taps) {
        for (values, weights) in source.windows(LANES).zip(taps) {
            for row in 0..ROWS {
                for lane in 0..LANES {
                    block[row][lane] += weights[row] * values[lane];
                }
            }
        }
    }
    *sums = block;
}

/// The kernel turned by half a turn, for convolution instead of correlation.
pub fn turned(kernel: ArrayView2<f64>) -> Array2<f64> {
    kernel.slice(s![..;-1, ..;-1]).to_owned()
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn correlation_is_the_sum_of_moved_planes() {
        let plane = array![[1.0_f32, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0], [9.0, 10.0, 11.0, 12.0]];
        let kernel = array![[0.0, 0.0, 0.0], [0.0, 2.0, 10.0], [0.0, 0.0, 100.0]];
        let out = correlate(plane.view(), kernel.view());
        assert_eq!(out[[0, 0]], 2.0 + 20.0 + 600.0);
        assert_eq!(out[[1, 3]], 16.0);
        assert_eq!(out[[2, 2]], 22.0 + 120.0);
        let convolved = correlate(plane.view(), turned(kernel.view()).view());
        assert_eq!(convolved[[1, 1]], 12.0 + 50.0 + 100.0);
    }

    /// Bit for bit, whole blocks or not.
    #[test]
    fn correlation_inside_is_the_inner_part() {
        for (shape, (height, width)) in
            [((9, 52), (3, 5)), ((40, 90), (7, 7)), ((4, 200), (3, 3)), ((50, 21), (9, 5))]
        {
            let plane = Array2::from_shape_fn(shape, |(y, x)| ((3 * y + 5 * x) % 7) as f32 / 3.0);
            let kernel = Array2::from_shape_fn((height, width), |(y, x)| 0.1 + (y * 2 + x) as f64);
            let whole = correlate(plane.view(), kernel.view());
            let inside =
                SmallKernel::new(kernel.mapv(|weight| weight as f32).view()).correlate_inside(plane.view());
            let (y, x) = (height / 2, width / 2);
            assert_eq!(inside, whole.slice(s![y..shape.0 - y, x..shape.1 - x]), "{shape:?}");
        }
        let larger = SmallKernel::new(Array2::ones((10, 3)).view());
        assert_eq!(larger.correlate_inside(Array2::zeros((9, 52)).view()).dim(), (0, 50));
    }

    #[test]
    fn correlation_of_planes_smaller_than_the_kernel() {
        let kernel = Array2::from_elem((9, 9), 1.0);
        for shape in [(1, 1), (2, 5), (0, 0), (3, 0)] {
            let out = correlate(Array2::from_elem(shape, 1.0).view(), kernel.view());
            assert!(out.iter().all(|value| *value == (shape.0 * shape.1) as f32));
        }
    }
}
