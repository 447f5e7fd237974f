//! Cardinal B-splines of order 0 to 5: weights of a shift, and the prefilter that turns pixels into coefficients.
//!
//! A spline through the pixels is a sum of B-splines with coefficients `c`; `c` follows from the pixels by one
//! recursive filter per pole and axis (Unser, Aldroubi & Eden 1993, IEEE Trans. Signal Process. 41, 821), here with
//! mirror symmetry about the outermost pixels' centres and in `f64` inside.

use ndarray::{Array2, ArrayView2, ArrayViewMut1, Axis};

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

    /// As a number.
    #[must_use]
    pub fn get(self) -> u8 {
        self.0
    }

    /// Whether pixels must be turned into coefficients first.
    #[must_use]
    pub fn needs_prefilter(self) -> bool {
        self.0 > 1
    }

    /// How far beyond a sample's own pixel the taps can reach.
    #[must_use]
    pub fn reach(self) -> usize {
        usize::from(self.0) / 2 + 1
    }

    /// For a sample at `index + displacement`: the first tap's index relative to `index`, and the weights.
    pub(crate) fn taps(self, displacement: f64) -> (isize, Vec<f64>) {
        let order = usize::from(self.0);
        // Odd orders are centred between two pixels, even ones on the nearest.
        let anchor = if order % 2 == 1 { displacement.floor() } else { (displacement + 0.5).floor() };
        let first = anchor as isize - (order / 2) as isize;
        let weights = (0..=order).map(|k| basis(order, displacement - (first + k as isize) as f64)).collect();
        (first, weights)
    }

    /// Poles of the prefilter: the roots inside the unit circle of the B-spline's samples (Unser et al. 1993, table I).
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

/// Turns pixels into B-spline coefficients of the given order, with mirror boundaries; orders 0 and 1 are copied.
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

/// [`prefilter`] for an `f32` plane: `f64` inside, rounded once at the end.
#[must_use]
pub fn prefilter_f32(pixels: ArrayView2<f32>, order: Order) -> Array2<f32> {
    if !order.needs_prefilter() {
        return pixels.to_owned();
    }
    prefilter(pixels.mapv(f64::from).view(), order).mapv(|v| v as f32)
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
