//! Shift of a plane by a fraction of a pixel: the operation in which the iterative solver spends
//! its time.
//!
//! ```text
//! output[y, x] += input[y − dy, x − dx]
//! ```
//!
//! with the value between pixels from B-splines of order 0 to 5 (order 1 is bilinear). All pixels
//! have the same shift, so the two-dimensional interpolation is one set of `order + 1` weights per
//! axis: a few rows are blended into one, and that row is blended with itself, moved.
//!
//! For orders above 1 the input holds B-spline *coefficients* ([`super::spline::prefilter`]), not
//! pixels.
//!
//! # Edges
//!
//! A sample between the first and the last pixel centre, `[0, n − 1]` on both axes, is inside; taps
//! of the spline beyond the edge are mirrored about the outermost pixel. A sample outside adds
//! nothing; [`support`] has the pixels with a sample inside. This is
//! `scipy.ndimage.shift(mode="constant", cval=0, prefilter=False)`.

use std::ops::Range;

use multiversion::multiversion;
use ndarray::{ArrayView2, ArrayViewMut2, s};

use super::region::{PixelShift, Region, mirror};
use super::spline::Order;

/// Indices along one axis, out of `0..n`, whose sample at `index − shift` lies inside `[0, n − 1]`.
#[must_use]
pub fn support(n: usize, shift: f64) -> Range<usize> {
    let last = n as f64 - 1.0;
    if !shift.is_finite() {
        return 0..0;
    }
    let first_inside = shift.max(0.0).ceil();
    let last_inside = (last + shift.min(0.0)).floor();
    if first_inside > last_inside {
        return 0..0;
    }
    first_inside as usize..last_inside as usize + 1
}

/// One axis of a shift: index offset of the first tap, and the taps' weights.
pub(crate) struct Taps {
    /// Added to an output index: the input index of the first tap.
    pub(crate) offset: isize,
    /// `order + 1` weights.
    pub(crate) weights: Vec<f64>,
    /// Output indices with support.
    pub(crate) support: Range<usize>,
}

impl Taps {
    pub(crate) fn new(order: Order, n: usize, shift: f64) -> Self {
        let (offset, weights) = order.taps(-shift);
        Self { offset, weights, support: support(n, shift) }
    }
}

/// Adds `weight × input`, moved by `shift`, to the part `region` of the output plane.
///
/// `input` covers a whole plane (pixels for orders 0 and 1, coefficients above); `output` covers
/// `region` of it. Pixels whose sample lies outside the input stay as they are (module docs). Sums
/// are in `f32`; against the same operation in `f64` the result is within 1e-6 of the input's peak.
///
/// # Panics
///
/// If `output` has not the shape of `region`, or `region` reaches beyond the input.
///
/// # Example
///
/// ```
/// use dcr_solver::kernel::{Order, PixelShift, Region, shift_add};
/// use ndarray::{Array2, array};
///
/// let star = array![[0.0, 0.0, 0.0], [0.0, 8.0, 0.0], [0.0, 0.0, 0.0]];
/// let mut template = Array2::zeros((3, 3));
/// let everywhere = Region::whole((3, 3));
/// let shift = PixelShift { dy: 0.0, dx: 0.25 };
/// shift_add(star.view(), shift, Order::LINEAR, 1.0, template.view_mut(), &everywhere);
/// assert_eq!(template.row(1).to_vec(), [0.0, 6.0, 2.0]);
/// ```
pub fn shift_add(
    input: ArrayView2<f32>,
    shift: PixelShift,
    order: Order,
    weight: f32,
    mut output: ArrayViewMut2<f32>,
    region: &Region,
) {
    let (rows, cols) = input.dim();
    assert_eq!(output.dim(), region.shape(), "the output must have the region's shape");
    assert!(region.rows.end <= rows && region.cols.end <= cols, "the region must lie inside the input");
    let along_y = Taps::new(order, rows, shift.dy);
    let along_x = Taps::new(order, cols, shift.dx);
    let x_inside = Region { rows: 0..rows, cols: along_x.support.clone() }.intersection(region).cols;
    if x_inside.is_empty() {
        return;
    }
    let weights_y: Vec<f32> = along_y.weights.iter().map(|w| *w as f32 * weight).collect();
    let weights_x: Vec<f32> = along_x.weights.iter().map(|w| *w as f32).collect();
    let taps = weights_x.len();

    // Columns of the samples, beyond the edge too, where they are mirrored.
    let first = x_inside.start as isize + along_x.offset;
    let needed = x_inside.len() + taps - 1;
    let inner =
        first.clamp(0, cols as isize) as usize..(first + needed as isize).clamp(0, cols as isize) as usize;
    let left = (inner.start as isize - first) as usize;
    let mut blended = vec![0.0_f32; needed];

    for y in region.rows.start.max(along_y.support.start)..region.rows.end.min(along_y.support.end) {
        let row = |k: usize| {
            let index = mirror(y as isize + along_y.offset + k as isize, rows);
            input.row(index)
        };
        let inner_row = |k| row(k).to_slice().map_or(&[][..], |whole| &whole[inner.clone()]);
        blend_rows(&weights_y, inner_row, &mut blended[left..left + inner.len()]);
        for i in (0..left).chain(left + inner.len()..needed) {
            let x = mirror(first + i as isize, cols);
            blended[i] = weights_y.iter().enumerate().map(|(k, w)| w * row(k)[x]).sum();
        }
        let mut target = output.row_mut(y - region.rows.start);
        let target =
            target.slice_mut(s![x_inside.start - region.cols.start..x_inside.end - region.cols.start]);
        match target.into_slice() {
            Some(target) => slide(&weights_x, &blended, target),
            None => unreachable!("rows of an output plane are contiguous"),
        }
    }
}

/// `out = Σ_k weights[k] · row(k)`; rows are as long as `out`.
pub(crate) fn blend_rows<'a>(weights: &[f32], row: impl Fn(usize) -> &'a [f32], out: &mut [f32]) {
    match *weights {
        [w0] => blend1(w0, row(0), out),
        [w0, w1] => blend2([w0, w1], row(0), row(1), out),
        [w0, w1, w2, w3] => blend4([w0, w1, w2, w3], [row(0), row(1), row(2), row(3)], out),
        _ => {
            blend1(weights[0], row(0), out);
            for (k, w) in weights.iter().enumerate().skip(1) {
                blend_more(*w, row(k), out);
            }
        }
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn blend1(w: f32, a: &[f32], out: &mut [f32]) {
    for (o, a) in out.iter_mut().zip(a) {
        *o = w * a;
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn blend_more(w: f32, a: &[f32], out: &mut [f32]) {
    for (o, a) in out.iter_mut().zip(a) {
        *o += w * a;
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn blend2(w: [f32; 2], a: &[f32], b: &[f32], out: &mut [f32]) {
    for ((o, a), b) in out.iter_mut().zip(a).zip(b) {
        *o = w[0] * a + w[1] * b;
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn blend4(w: [f32; 4], rows: [&[f32]; 4], out: &mut [f32]) {
    let n = out.len();
    let [a, b, c, d] = rows.map(|r| &r[..n]);
    for i in 0..n {
        out[i] = w[0] * a[i] + w[1] * b[i] + w[2] * c[i] + w[3] * d[i];
    }
}

/// `out[i] += Σ_k weights[k] · row[i + k]`.
// Blending of rows is bound by the cache, and no faster with wider vectors; this is.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
pub(crate) fn slide(weights: &[f32], row: &[f32], out: &mut [f32]) {
    let n = out.len();
    match *weights {
        [w0] => {
            for (o, a) in out.iter_mut().zip(row) {
                *o += w0 * a;
            }
        }
        [w0, w1] => {
            let (a, b) = (&row[..n], &row[1..n + 1]);
            for i in 0..n {
                out[i] += w0 * a[i] + w1 * b[i];
            }
        }
        [w0, w1, w2, w3] => {
            let (a, b, c, d) = (&row[..n], &row[1..n + 1], &row[2..n + 2], &row[3..n + 3]);
            for i in 0..n {
                out[i] += w0 * a[i] + w1 * b[i] + w2 * c[i] + w3 * d[i];
            }
        }
        _ => {
            for (k, w) in weights.iter().enumerate() {
                for (o, a) in out.iter_mut().zip(&row[k..k + n]) {
                    *o += w * a;
                }
            }
        }
    }
}

/// The same shift of a whole plane, pixel by pixel in `f64`: the yardstick for every faster path.
///
/// Returns the shifted plane, 0 where a sample lies outside.
#[must_use]
pub fn shift_scalar(input: ArrayView2<f64>, shift: PixelShift, order: Order) -> ndarray::Array2<f64> {
    let (rows, cols) = input.dim();
    let along_y = Taps::new(order, rows, shift.dy);
    let along_x = Taps::new(order, cols, shift.dx);
    let mut output = ndarray::Array2::zeros((rows, cols));
    for y in along_y.support.clone() {
        for x in along_x.support.clone() {
            for (ky, wy) in along_y.weights.iter().enumerate() {
                for (kx, wx) in along_x.weights.iter().enumerate() {
                    let from_y = mirror(y as isize + along_y.offset + ky as isize, rows);
                    let from_x = mirror(x as isize + along_x.offset + kx as isize, cols);
                    output[[y, x]] += wy * wx * input[[from_y, from_x]];
                }
            }
        }
    }
    output
}
