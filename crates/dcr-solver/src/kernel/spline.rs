//! Cardinal B-splines of order 0 to 5: weights of a shift, and the prefilter that turns pixels into
//! coefficients.
//!
//! A spline through the pixels is a sum of B-splines with coefficients `c`; `c` follows from the
//! pixels by one recursive filter per pole and axis (Unser, Aldroubi & Eden 1993, IEEE Trans.
//! Signal Process. 41, 821), here with mirror symmetry about the outermost pixels' centres and in
//! `f64` inside.

use multiversion::multiversion;
use ndarray::{Array2, ArrayView2, ArrayViewMut1, ArrayViewMut2, Axis, s};

use super::region::mirror;

/// The order of a B-spline, 0 (nearest pixel) to 5 (quintic).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order(u8);

impl Order {
    /// Bilinear.
    pub const LINEAR: Self = Self(1);
    /// Cubic.
    pub const CUBIC: Self = Self(3);
    /// Quintic.
    pub const QUINTIC: Self = Self(5);

    /// An order from 0 to 5, `None` beyond.
    #[must_use]
    pub fn new(order: u8) -> Option<Self> {
        (order <= 5).then_some(Self(order))
    }

    /// The order as a number.
    #[must_use]
    pub fn get(self) -> u8 {
        self.0
    }

    /// True if pixels must be turned into coefficients first.
    #[must_use]
    pub fn needs_prefilter(self) -> bool {
        self.0 > 1
    }

    /// Reach of the taps beyond a sample's own pixel.
    #[must_use]
    pub fn reach(self) -> usize {
        usize::from(self.0) / 2 + 1
    }

    /// For a sample at `index + displacement`: the first tap's index relative to `index`, and the
    /// weights.
    pub(crate) fn taps(self, displacement: f64) -> (isize, Vec<f64>) {
        let order = usize::from(self.0);
        // Odd orders are centred between two pixels, even ones on the nearest.
        let anchor = if order % 2 == 1 { displacement.floor() } else { (displacement + 0.5).floor() };
        let first = anchor as isize - (order / 2) as isize;
        let weights = (0..=order).map(|k| basis(order, displacement - (first + k as isize) as f64)).collect();
        (first, weights)
    }

    /// Poles of the prefilter: the roots inside the unit circle of the B-spline's samples (Unser et
    /// al. 1993, table I).
    fn poles(self) -> Vec<f64> {
        match self.0 {
            2 => vec![8.0_f64.sqrt() - 3.0],
            3 => vec![3.0_f64.sqrt() - 2.0],
            4 => {
                let r = 304.0_f64.sqrt();
                vec![
                    (664.0 - 438976.0_f64.sqrt()).sqrt() + r - 19.0,
                    (664.0 + 438976.0_f64.sqrt()).sqrt() - r - 19.0,
                ]
            }
            5 => {
                let r = 105.0_f64.sqrt();
                vec![
                    (67.5 - 4436.25_f64.sqrt()).sqrt() + r / 2.0 - 6.5,
                    (67.5 + 4436.25_f64.sqrt()).sqrt() - r / 2.0 - 6.5,
                ]
            }
            _ => vec![],
        }
    }
}

/// The centred B-spline of order `n` at `x`, by the recursion of Cox and de Boor.
fn basis(n: usize, x: f64) -> f64 {
    if n == 0 {
        return if (-0.5..0.5).contains(&x) { 1.0 } else { 0.0 };
    }
    let half = (n as f64 + 1.0) / 2.0;
    ((half + x) * basis(n - 1, x + 0.5) + (half - x) * basis(n - 1, x - 0.5)) / n as f64
}

/// Turns pixels into B-spline coefficients of the given order, with mirror boundaries; orders 0 and
/// 1 are copied.
///
/// Agrees with `scipy.ndimage.spline_filter(order, mode="mirror")` to rounding.
#[must_use]
pub fn prefilter(pixels: ArrayView2<f64>, order: Order) -> Array2<f64> {
    let mut coefficients = pixels.to_owned();
    for axis in [Axis(0), Axis(1)] {
        for lane in coefficients.lanes_mut(axis) {
            filter_lane(lane, &order.poles());
        }
    }
    coefficients
}

/// [`prefilter`] for an `f32` plane, in `f32`: within 1e-6 of the coefficients' peak of the same in
/// `f64`.
///
/// A recursion cannot be vectorised along itself, so lines are filtered side by side: all columns
/// along y, and rows in groups along x.
#[must_use]
pub fn prefilter_f32(pixels: ArrayView2<f32>, order: Order) -> Array2<f32> {
    let mut out = pixels.as_standard_layout().into_owned();
    prefilter_in_place(out.view_mut(), order);
    out
}

/// [`prefilter_f32`] in place.
///
/// # Panics
///
/// If the plane is not contiguous.
pub(crate) fn prefilter_in_place(mut out: ArrayViewMut2<f32>, order: Order) {
    let (rows, cols) = out.dim();
    for pole in order.poles() {
        if rows > 1 {
            let Some(plane) = out.as_slice_mut() else { unreachable!("the plane is contiguous") };
            filter_rows_together(plane, cols, pole);
        }
        if cols > 1 {
            let mut side_by_side = vec![0.0_f32; cols * LANES];
            for first in (0..rows).step_by(LANES) {
                let lanes = LANES.min(rows - first);
                for (lane, row) in out.slice(s![first..first + lanes, ..]).outer_iter().enumerate() {
                    row.iter().enumerate().for_each(|(x, v)| side_by_side[x * LANES + lane] = *v);
                }
                filter_rows_together(&mut side_by_side, LANES, pole);
                for (lane, mut row) in
                    out.slice_mut(s![first..first + lanes, ..]).outer_iter_mut().enumerate()
                {
                    row.iter_mut().enumerate().for_each(|(x, v)| *v = side_by_side[x * LANES + lane]);
                }
            }
        }
    }
}

/// Lines filtered side by side along x.
const LANES: usize = 16;

/// Filters every column of a plane of `width` columns, at least two rows, with one pole.
fn filter_rows_together(plane: &mut [f32], width: usize, pole: f64) {
    let rows = plane.len() / width;
    let gain = ((1.0 - pole) * (1.0 - 1.0 / pole)) as f32;
    let z = pole as f32;
    plane.iter_mut().for_each(|v| *v *= gain);

    // The causal start: a geometric sum over the mirrored signal, to single precision.
    let horizon = ((f64::from(f32::EPSILON) / 10.0).ln() / pole.abs().ln()).ceil() as usize;
    let mut start = plane[..width].to_vec();
    let mut power = z;
    for k in 1..=horizon {
        let from = mirror(k as isize, rows) * width;
        add_scaled(&mut start, power, &plane[from..from + width]);
        power *= z;
    }
    plane[..width].copy_from_slice(&start);
    for y in 1..rows {
        let (above, row) = plane[(y - 1) * width..].split_at_mut(width);
        add_scaled(&mut row[..width], z, above);
    }

    let (before, last) = plane[(rows - 2) * width..].split_at_mut(width);
    let factor = z / (z * z - 1.0);
    for (l, b) in last.iter_mut().zip(before.iter()) {
        *l = (z * b + *l) * factor;
    }
    for y in (0..rows - 1).rev() {
        let (row, below) = plane[y * width..].split_at_mut(width);
        anticausal(row, z, &below[..width]);
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn add_scaled(row: &mut [f32], factor: f32, other: &[f32]) {
    for (r, o) in row.iter_mut().zip(other) {
        *r += factor * o;
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn anticausal(row: &mut [f32], z: f32, below: &[f32]) {
    for (r, b) in row.iter_mut().zip(below) {
        *r = z * (b - *r);
    }
}

/// One line through the causal and the anticausal filter of every pole.
fn filter_lane(mut c: ArrayViewMut1<f64>, poles: &[f64]) {
    let n = c.len();
    if n < 2 {
        return;
    }
    let gain: f64 = poles.iter().map(|z| (1.0 - z) * (1.0 - 1.0 / z)).product();
    c.mapv_inplace(|v| v * gain);
    for &z in poles {
        c[0] = causal_start(&c, z);
        for i in 1..n {
            c[i] += z * c[i - 1];
        }
        c[n - 1] = (z * c[n - 2] + c[n - 1]) * z / (z * z - 1.0);
        for i in (0..n - 1).rev() {
            c[i] = z * (c[i + 1] - c[i]);
        }
    }
}

/// The causal filter's first value: its sum over the whole mirrored, periodic signal.
fn causal_start(c: &ArrayViewMut1<f64>, z: f64) -> f64 {
    let n = c.len();
    let last = z.powi(n as i32 - 1);
    let mut sum = c[0] + last * c[n - 1];
    let mut power = z;
    let mut mirrored = last * last / z;
    for i in 1..n - 1 {
        sum += (power + mirrored) * c[i];
        power *= z;
        mirrored /= z;
    }
    sum / (1.0 - last * last)
}
