//! A displacement as a stencil, applied to rows: the innermost loops of the iterative solver.
//!
//! The sums are those of [`shift_add`](super::shift_add), but for planes with their mirrored
//! border, so that no pixel is special, and row by row, so that the caller can finish a row while
//! it is in the cache.

use multiversion::multiversion;

use super::region::{PixelShift, Region};
use super::shift::{Taps, blend_rows, slide};
use super::spline::Order;
use super::window::Window;

/// Maximum number of taps along an axis: those of order 5.
const MOST_TAPS: usize = 6;

/// The weights of a displacement, `order + 1` along each axis, for every pixel of a plane.
#[derive(Clone, Debug)]
pub(crate) struct Stencil {
    /// Added to an output index: the input index of the first tap.
    first: (isize, isize),
    taps: usize,
    weights_y: [f32; MOST_TAPS],
    weights_x: [f32; MOST_TAPS],
    /// Output pixels whose sample lies inside the plane.
    support: Region,
}

impl Stencil {
    /// The stencil that adds `weight ×` a plane of `shape`, displaced by `shift`.
    pub(crate) fn new(order: Order, shape: (usize, usize), shift: PixelShift, weight: f32) -> Self {
        let (y, x) = (Taps::new(order, shape.0, shift.dy), Taps::new(order, shape.1, shift.dx));
        let mut out = Self {
            first: (y.offset, x.offset),
            taps: y.weights.len(),
            weights_y: [0.0; MOST_TAPS],
            weights_x: [0.0; MOST_TAPS],
            support: Region { rows: y.support, cols: x.support },
        };
        out.weights_y.iter_mut().zip(y.weights).for_each(|(to, w)| *to = w as f32 * weight);
        out.weights_x.iter_mut().zip(x.weights).for_each(|(to, w)| *to = w as f32);
        out
    }

    /// Excess length of scratch space over a row that is added to.
    pub(crate) const SCRATCH: usize = MOST_TAPS - 1;

    /// The pixels of the plane whose sample lies inside it.
    pub(crate) fn support(&self) -> Region {
        self.support.clone()
    }

    /// True if all samples of a region lie inside the plane.
    pub(crate) fn reaches(&self, region: &Region) -> bool {
        self.support.intersection(region) == *region
    }

    /// Adds displaced windows to row `y` of the plane, from column `x` on.
    ///
    /// `blended` is scratch space, `out.len() + SCRATCH` long. The windows must reach as far as the
    /// taps do.
    pub(crate) fn add_rows<'a>(
        displaced: impl IntoIterator<Item = (&'a Self, &'a Window)>,
        (y, x): (usize, usize),
        blended: &mut [f32],
        out: &mut [f32],
    ) {
        let mut waiting: Option<Bilinear> = None;
        for (stencil, window) in displaced {
            let (top, left) = (y as isize + stencil.first.0, x as isize + stencil.first.1);
            let needed = out.len() + stencil.taps - 1;
            let row = |k: usize| window.row(top + k as isize, left, needed);
            if stencil.taps != 2 {
                blend_rows(&stencil.weights_y[..stencil.taps], row, &mut blended[..needed]);
                slide(&stencil.weights_x[..stencil.taps], &blended[..needed], out);
                continue;
            }
            let ([y0, y1, ..], [x0, x1, ..]) = (stencil.weights_y, stencil.weights_x);
            let this =
                Bilinear { weights: [y0 * x0, y0 * x1, y1 * x0, y1 * x1], above: row(0), below: row(1) };
            waiting = match waiting {
                None => Some(this),
                Some(first) => {
                    add_two_bilinear(first, this, out);
                    None
                }
            };
        }
        if let Some(last) = waiting {
            add_bilinear(last, out);
        }
    }
}

/// Two rows of a plane and their weights: `w0·above[i] + w1·above[i + 1] + w2·below[i] + w3·below[i
/// + 1]`.
#[derive(Clone, Copy)]
struct Bilinear<'a> {
    weights: [f32; 4],
    above: &'a [f32],
    below: &'a [f32],
}

#[multiversion(targets("x86_64+avx2"))]
fn add_bilinear(one: Bilinear, out: &mut [f32]) {
    let (n, w) = (out.len(), one.weights);
    let (a, b) = (&one.above[..n], &one.above[1..n + 1]);
    let (c, d) = (&one.below[..n], &one.below[1..n + 1]);
    for i in 0..n {
        out[i] += (w[0] * a[i] + w[1] * b[i]) + (w[2] * c[i] + w[3] * d[i]);
    }
}

/// [`add_bilinear`] of two in one pass: half the traffic.
#[multiversion(targets("x86_64+avx2"))]
fn add_two_bilinear(one: Bilinear, two: Bilinear, out: &mut [f32]) {
    let (n, v, w) = (out.len(), one.weights, two.weights);
    let (a, b) = (&one.above[..n], &one.above[1..n + 1]);
    let (c, d) = (&one.below[..n], &one.below[1..n + 1]);
    let (e, f) = (&two.above[..n], &two.above[1..n + 1]);
    let (g, h) = (&two.below[..n], &two.below[1..n + 1]);
    for i in 0..n {
        let first = (v[0] * a[i] + v[1] * b[i]) + (v[2] * c[i] + v[3] * d[i]);
        let second = (w[0] * e[i] + w[1] * f[i]) + (w[2] * g[i] + w[3] * h[i]);
        out[i] += first + second;
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use proptest::prelude::*;

    use super::super::region::mirror;
    use super::super::shift::shift_add;
    use super::*;

    proptest! {
        #[test]
        fn stencil_adds_what_shift_add_adds(
            (rows, cols) in (1_usize..12, 1_usize..40),
            (dy, dx) in (-4.0..4.0_f64, -4.0..4.0_f64),
            order in 0_u8..=5,
        ) {
            let Some(order) = Order::new(order) else { unreachable!("0 to 5 are orders") };
            let plane = Array2::from_shape_fn((rows, cols), |(y, x)| ((y * 31 + x * 17) % 11) as f32);
            let shift = PixelShift { dy, dx };
            let mut expected = Array2::ones((rows, cols));
            shift_add(plane.view(), shift, order, 0.7, expected.view_mut(), &Region::whole((rows, cols)));

            let mut window = Window::default();
            window.cover(-9..rows as isize + 9, -9..cols as isize + 9);
            window.fill(|y, x, out| {
                out.iter_mut().enumerate().for_each(|(i, o)| *o = plane[[mirror(y, rows), mirror(x + i as isize, cols)]]);
            });
            let stencil = Stencil::new(order, (rows, cols), shift, 0.7);
            let mut got = Array2::<f32>::ones((rows, cols));
            let mut blended = vec![0.0; cols + 5];
            let support = stencil.support();
            for y in support.rows {
                let inside = support.cols.clone();
                if let Some(row) = got.row_mut(y).as_slice_mut() {
                    Stencil::add_rows([(&stencil, &window)], (y, inside.start), &mut blended, &mut row[inside]);
                }
            }
            for (g, e) in got.iter().zip(&expected) {
                prop_assert!((g - e).abs() < 1e-5, "{g} {e}");
            }
        }
    }
}
