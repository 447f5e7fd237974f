//! The Gaussian filter, as SciPy's `gaussian_filter`.

use multiversion::multiversion;
use ndarray::{Array2, ArrayView2, s};

use super::window::Window;

/// FWHM over σ of a Gaussian.
pub(crate) const FWHM_PER_SIGMA: f64 = 2.354_820_045;

/// Values beyond the edge of a plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boundary {
    /// Zeros.
    Zero,
    /// The plane, mirrored with its edge pixels repeated (SciPy's `"reflect"`).
    Reflect,
}

/// A plane convolved with a Gaussian of standard deviation `sigma` pixels.
///
/// The kernel is sampled at pixel centres, cut at `int(4σ + 0.5)` pixels and normalised; columns
/// first, then rows, sums in `f32`. Agrees with `scipy.ndimage.gaussian_filter` on `float32` to
/// 1e-6 of the peak. A `sigma` that is not positive leaves the plane as it is.
#[must_use]
pub fn gaussian_filter(plane: ArrayView2<f32>, sigma: f64, boundary: Boundary) -> Array2<f32> {
    if sigma.is_nan() || sigma <= 0.0 || plane.is_empty() {
        return plane.to_owned();
    }
    let mut out = Array2::zeros(plane.dim());
    filter_in_blocks(
        plane.dim(),
        sigma,
        |y, x, row| copy_folded(plane, (y, x), boundary, row),
        |y, x, filtered| {
            let mut row = out.row_mut(y);
            let Some(row) = row.as_slice_mut() else { unreachable!("a new array is in standard layout") };
            row[x..x + filtered.len()].copy_from_slice(filtered);
        },
    );
    out
}

/// [`gaussian_filter`] of a plane of this shape without a second one: `fill(y, x, row)` writes
/// pixels of row `y` from column `x` on, beyond the edge too, and `take(y, x, row)` gets them
/// filtered. `sigma` is positive.
pub(crate) fn filter_in_blocks(
    (rows, cols): (usize, usize),
    sigma: f64,
    mut fill: impl FnMut(isize, isize, &mut [f32]),
    mut take: impl FnMut(usize, usize, &[f32]),
) {
    let mut smoother = Smoother::new(sigma);
    let radius = smoother.radius() as isize;
    let mut block = Window::default();
    let mut filtered = [0.0; BLOCK.1];
    for top in (0..rows).step_by(BLOCK.0) {
        for left in (0..cols).step_by(BLOCK.1) {
            let (bottom, right) = ((top + BLOCK.0).min(rows), (left + BLOCK.1).min(cols));
            let around = |from: usize, to: usize| from as isize - radius..to as isize + radius;
            block.cover(around(top, bottom), around(left, right));
            block.fill(&mut fill);
            for y in top..bottom {
                let row = &mut filtered[..right - left];
                smoother.row(&block, (y as isize, left as isize), row);
                take(y, left, row);
            }
        }
    }
}

/// Rows and columns filtered at a time: they stay in a core's cache.
const BLOCK: (usize, usize) = (64, 512);

/// A Gaussian filter for planes in blocks with their surroundings.
pub(crate) struct Smoother {
    /// Weight at distance 0, 1, … radius.
    half_kernel: Vec<f32>,
    /// A row that is filtered along y.
    line: Vec<f32>,
}

impl Smoother {
    /// A filter as in [`gaussian_filter`]; `sigma` is positive.
    pub(crate) fn new(sigma: f64) -> Self {
        Self { half_kernel: gaussian_half_kernel(sigma), line: vec![] }
    }

    /// Radius of the kernel, by which a block must extend beyond the filtered pixels.
    pub(crate) fn radius(&self) -> usize {
        self.half_kernel.len() - 1
    }

    /// Filters the pixels of row `y`, from column `x` on.
    pub(crate) fn row(&mut self, block: &Window, (y, x): (isize, isize), out: &mut [f32]) {
        let radius = self.radius();
        let (left, width) = (x - radius as isize, out.len() + 2 * radius);
        self.line.resize(width, 0.0);
        let top = block.from(y - radius as isize, left);
        filter_column(&self.half_kernel, top, block.cols().len(), &mut self.line);
        filter_row(&self.half_kernel, &self.line, out);
    }
}

/// Half of the kernel of [`gaussian_filter`], in single precision.
pub(crate) fn gaussian_half_kernel(sigma: f64) -> Vec<f32> {
    gaussian_kernel(sigma).into_iter().map(|w| w as f32).collect()
}

/// Half of the kernel: weight at distance 0, 1, … `radius`.
fn gaussian_kernel(sigma: f64) -> Vec<f64> {
    let radius = (4.0 * sigma + 0.5) as usize;
    let mut half: Vec<f64> = (0..=radius).map(|i| (-0.5 * (i as f64 / sigma).powi(2)).exp()).collect();
    let sum = half[0] + 2.0 * half[1..].iter().sum::<f64>();
    half.iter_mut().for_each(|w| *w /= sum);
    half
}

/// Copies a row of a plane, from `(y, x)` on, either of which may lie beyond its edge.
pub(crate) fn copy_folded(
    plane: ArrayView2<f32>,
    (y, x): (isize, isize),
    boundary: Boundary,
    out: &mut [f32],
) {
    let Some(y) = folded(y, plane.nrows(), boundary) else { return out.fill(0.0) };
    let (source, n) = (plane.row(y), plane.ncols() as isize);
    let (before, beyond) = ((-x).clamp(0, out.len() as isize), (n - x).clamp(0, out.len() as isize));
    let inside = before as usize..(beyond.max(before)) as usize;
    for i in (0..inside.start).chain(inside.end..out.len()) {
        out[i] = folded(x + i as isize, source.len(), boundary).map_or(0.0, |x| source[x]);
    }
    if !inside.is_empty() {
        let from = (x + before) as usize;
        let source = source.slice(s![from..from + inside.len()]);
        match source.as_slice() {
            Some(source) => out[inside].copy_from_slice(source),
            None => out[inside].iter_mut().zip(source).for_each(|(o, v)| *o = *v),
        }
    }
}

/// Index beyond an axis of length `n`, folded back, or `None` where the boundary is zero.
fn folded(index: isize, n: usize, boundary: Boundary) -> Option<usize> {
    let length = n as isize;
    if (0..length).contains(&index) {
        return Some(index as usize);
    }
    match boundary {
        Boundary::Zero => None,
        Boundary::Reflect => {
            let i = index.rem_euclid(2 * length);
            Some(i.min(2 * length - 1 - i) as usize)
        }
    }
}

/// Pixels summed at a time, in registers.
const LANES: usize = 32;

/// `out[i] = Σ_k weights[|k|] · rows[radius + k][i]`, where row `r` begins at `rows[r · stride]`.
// No closures: they would not be compiled for the function's vector unit.
#[multiversion(targets("x86_64+avx2"))]
fn filter_column(half_kernel: &[f32], rows: &[f32], stride: usize, out: &mut [f32]) {
    let radius = half_kernel.len() - 1;
    let mut start = 0;
    while start < out.len() {
        let width = LANES.min(out.len() - start);
        let mut sums = [0.0_f32; LANES];
        if width == LANES {
            let centre = &rows[radius * stride + start..][..LANES];
            for lane in 0..LANES {
                sums[lane] = half_kernel[0] * centre[lane];
            }
            for k in 1..=radius {
                let above = &rows[(radius - k) * stride + start..][..LANES];
                let below = &rows[(radius + k) * stride + start..][..LANES];
                for lane in 0..LANES {
                    sums[lane] += half_kernel[k] * (above[lane] + below[lane]);
                }
            }
        } else {
            for (lane, sum) in sums[..width].iter_mut().enumerate() {
                let at = radius * stride + start + lane;
                *sum = half_kernel[0] * rows[at];
                for k in 1..=radius {
                    *sum += half_kernel[k] * (rows[at - k * stride] + rows[at + k * stride]);
                }
            }
        }
        out[start..start + width].copy_from_slice(&sums[..width]);
        start += LANES;
    }
}

/// `out[i] = Σ_k weights[|k|] · line[radius + i + k]`.
pub(crate) fn filter_row(half_kernel: &[f32], line: &[f32], out: &mut [f32]) {
    // A column of rows that begin one pixel after each other.
    filter_column(half_kernel, line, 1, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaussian_filter_keeps_a_flat_plane_flat_when_reflecting() {
        let flat = Array2::from_elem((5, 7), 3.0_f32);
        let out = gaussian_filter(flat.view(), 2.0, Boundary::Reflect);
        assert!(out.iter().all(|v| (v - 3.0).abs() < 1e-6));
    }

    #[test]
    fn gaussian_filter_conserves_flux_away_from_the_edge() {
        let mut star = Array2::zeros((41, 41));
        star[[20, 20]] = 10.0_f32;
        let out = gaussian_filter(star.view(), 2.0, Boundary::Zero);
        assert!((out.sum() - 10.0).abs() < 1e-5);
    }

    #[test]
    fn gaussian_filter_on_one_pixel_and_none() {
        let one = Array2::from_elem((1, 1), 2.0_f32);
        assert!((gaussian_filter(one.view(), 3.0, Boundary::Reflect)[[0, 0]] - 2.0).abs() < 1e-6);
        let none = Array2::<f32>::zeros((0, 4));
        assert_eq!(gaussian_filter(none.view(), 3.0, Boundary::Zero).dim(), (0, 4));
    }
}
