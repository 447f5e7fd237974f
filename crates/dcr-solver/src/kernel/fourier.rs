//! Exact, band-limited shifts: a phase in Fourier space. They do not blur, but ring at sharp edges.
//!
//! A plane is extended by a border before its transform: the mirrored plane, faded from one edge
//! into the other, so that the periodic continuation has no step.

use std::f64::consts::TAU;
use std::sync::Arc;

use dcr_fft::num_complex::Complex64;
use dcr_fft::{ComplexToReal, Fft, Planner64, RealToComplex};
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis};

use super::region::{PixelShift, mirror};

/// Minimum border on each side of a plane, px.
const BORDER: usize = 24;

/// Prime factors of the transforms' lengths.
const PRIMES: [usize; 3] = [3, 5, 7];

/// Transforms for planes of one shape.
///
/// ```
/// use dcr_solver::PixelShift;
/// use dcr_solver::kernel::FourierPlan;
/// use ndarray::Array2;
///
/// let star = |x0: f32| {
///     Array2::from_shape_fn((24, 24), |(y, x)| {
///         (-((y as f32 - 12.0).powi(2) + (x as f32 - x0).powi(2)) / 6.0).exp()
///     })
/// };
/// let plan = FourierPlan::new((24, 24));
/// let mut shifted = plan.zeros();
/// let shift = PixelShift { dy: 0.0, dx: 0.3 };
/// plan.shift_add(&plan.forward(star(11.0).view()), shift, 1.0, &mut shifted);
/// let mut output = Array2::zeros((24, 24));
/// plan.inverse_add(shifted, output.view_mut());
/// assert!(output.iter().zip(&star(11.3)).all(|(got, expected)| (got - expected).abs() < 1e-3));
/// ```
pub struct FourierPlan {
    shape: (usize, usize),
    padded: (usize, usize),
    rows_forward: Arc<dyn RealToComplex<f64>>,
    rows_inverse: Arc<dyn ComplexToReal<f64>>,
    cols_forward: Arc<dyn Fft<f64>>,
    cols_inverse: Arc<dyn Fft<f64>>,
}

impl FourierPlan {
    /// A plan for planes of shape `(rows, cols)`, both at least 1.
    #[must_use]
    pub fn new(shape: (usize, usize)) -> Self {
        let fast_length = |n: usize| odd_fast_length(n + 2 * BORDER, &PRIMES);
        let padded = (fast_length(shape.0), fast_length(shape.1));
        let mut planner = Planner64::new();
        Self {
            shape,
            padded,
            rows_forward: planner.real_forward(padded.1),
            rows_inverse: planner.real_inverse(padded.1),
            cols_forward: planner.forward(padded.0),
            cols_inverse: planner.inverse(padded.0),
        }
    }

    /// Shape of the planes.
    #[must_use]
    pub fn shape(&self) -> (usize, usize) {
        self.shape
    }

    /// The transform of a plane: shape `(padded rows, padded cols / 2 + 1)`.
    #[must_use]
    pub fn forward(&self, plane: ArrayView2<f32>) -> Array2<Complex64> {
        assert_eq!(plane.dim(), self.shape, "a plan serves planes of one shape");
        let (rows, cols) = self.padded;
        let extended = self.extend(plane);
        let mut spectrum = Array2::zeros((rows, cols / 2 + 1));
        let mut line = self.rows_forward.make_input_vec();
        let mut out = self.rows_forward.make_output_vec();
        for (source, mut target) in extended.axis_iter(Axis(0)).zip(spectrum.axis_iter_mut(Axis(0))) {
            line.iter_mut().zip(source).for_each(|(l, s)| *l = *s);
            self.rows_forward.process(&mut line, &mut out).expect("lengths are the plan's own");
            target.iter_mut().zip(&out).for_each(|(t, o)| *t = *o);
        }
        transform_columns(&mut spectrum, self.cols_forward.as_ref());
        spectrum
    }

    /// Adds the plane with this transform to `output`, which has the plan's shape.
    pub fn inverse_add(&self, mut spectrum: Array2<Complex64>, mut output: ArrayViewMut2<f32>) {
        assert_eq!(output.dim(), self.shape, "a plan serves planes of one shape");
        let scale = 1.0 / (self.padded.0 * self.padded.1) as f64;
        transform_columns(&mut spectrum, self.cols_inverse.as_ref());
        let mut line = self.rows_inverse.make_input_vec();
        let mut out = self.rows_inverse.make_output_vec();
        for (source, mut target) in
            spectrum.axis_iter(Axis(0)).skip(BORDER).zip(output.axis_iter_mut(Axis(0)))
        {
            line.iter_mut().zip(source).for_each(|(l, s)| *l = *s);
            // Odd lengths have no Nyquist term; the mean is real except for rounding.
            line[0].im = 0.0;
            self.rows_inverse.process(&mut line, &mut out).expect("lengths are the plan's own");
            for (t, o) in target.iter_mut().zip(&out[BORDER..]) {
                *t += (o * scale) as f32;
            }
        }
    }

    /// `target += weight × source`, with `source`'s plane moved by `shift`.
    pub fn shift_add(
        &self,
        source: &Array2<Complex64>,
        shift: PixelShift,
        weight: f64,
        target: &mut Array2<Complex64>,
    ) {
        let phase_y = phases(self.padded.0, shift.dy, self.padded.0);
        let phase_x = phases(self.padded.1, shift.dx, self.padded.1 / 2 + 1);
        for ((py, source), mut target) in
            phase_y.iter().zip(source.axis_iter(Axis(0))).zip(target.axis_iter_mut(Axis(0)))
        {
            let py = py * weight;
            for ((t, s), px) in target.iter_mut().zip(source).zip(&phase_x) {
                *t += s * (py * px);
            }
        }
    }

    /// A spectrum of zeros.
    #[must_use]
    pub fn zeros(&self) -> Array2<Complex64> {
        Array2::zeros((self.padded.0, self.padded.1 / 2 + 1))
    }

    /// The plane with its faded mirror border.
    fn extend(&self, plane: ArrayView2<f32>) -> Array2<f64> {
        let y_sources = extension(self.shape.0, self.padded.0);
        let x_sources = extension(self.shape.1, self.padded.1);
        let mut rows_done = Array2::zeros((self.shape.0, self.padded.1));
        for (source, mut target) in plane.axis_iter(Axis(0)).zip(rows_done.axis_iter_mut(Axis(0))) {
            for (t, (a, b, w)) in target.iter_mut().zip(&x_sources) {
                *t = (1.0 - w) * f64::from(source[*a]) + w * f64::from(source[*b]);
            }
        }
        let mut out = Array2::zeros(self.padded);
        for ((a, b, w), mut target) in y_sources.iter().zip(out.axis_iter_mut(Axis(0))) {
            let (a, b) = (rows_done.row(*a), rows_done.row(*b));
            for ((t, a), b) in target.iter_mut().zip(a).zip(b) {
                *t = (1.0 - w) * a + w * b;
            }
        }
        out
    }
}

/// Two source indices for every padded index, and the share of the second.
fn extension(n: usize, padded: usize) -> Vec<(usize, usize, f64)> {
    let gap = padded - n;
    (0..padded)
        .map(|i| {
            let inside = i as isize - BORDER as isize;
            if (0..n as isize).contains(&inside) {
                return (inside as usize, inside as usize, 0.0);
            }
            // Distance into the gap that runs from the last pixel around to the first.
            let beyond = (inside - n as isize).rem_euclid(padded as isize);
            let from_last = mirror(n as isize + beyond, n);
            let from_first = mirror(beyond - gap as isize, n);
            // A quarter of the gap belongs to each edge alone, so that distant pixels stay away
            // from the plane.
            let t = (2.0 * (beyond as f64 + 1.0) / (gap as f64 + 1.0) - 0.5).clamp(0.0, 1.0);
            (from_last, from_first, t * t * t * (t * (6.0 * t - 15.0) + 10.0))
        })
        .collect()
}

/// exp(−2πi k·shift/length) for the first `count` frequencies.
fn phases(length: usize, shift: f64, count: usize) -> Vec<Complex64> {
    (0..count)
        .map(|k| {
            let signed = if k <= length / 2 { k as f64 } else { k as f64 - length as f64 };
            Complex64::cis(-TAU * signed * shift / length as f64)
        })
        .collect()
}

fn transform_columns(spectrum: &mut Array2<Complex64>, fft: &dyn Fft<f64>) {
    let mut lane = vec![Complex64::default(); spectrum.nrows()];
    for mut column in spectrum.axis_iter_mut(Axis(1)) {
        lane.iter_mut().zip(&column).for_each(|(l, c)| *l = *c);
        fft.process(&mut lane);
        column.iter_mut().zip(&lane).for_each(|(c, l)| *c = *l);
    }
}

/// The smallest odd number ≥ `n` without prime factors other than `primes`.
///
/// Odd lengths have no Nyquist frequency, at which a fractional shift is not real.
pub(crate) fn odd_fast_length(n: usize, primes: &[usize]) -> usize {
    let rest = |candidate: usize| {
        primes.iter().fold(candidate, |mut rest, prime| {
            while rest % prime == 0 {
                rest /= prime;
            }
            rest
        })
    };
    (n | 1..).step_by(2).find(|candidate| rest(*candidate) == 1).unwrap_or(n | 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gaussian(shape: (usize, usize), y0: f64, x0: f64) -> Array2<f32> {
        Array2::from_shape_fn(shape, |(y, x)| {
            (-0.5 * ((y as f64 - y0).powi(2) + (x as f64 - x0).powi(2)) / 4.0).exp() as f32
        })
    }

    #[test]
    fn fourier_shift_moves_a_gaussian_exactly() {
        let (shape, shift) = ((40, 33), PixelShift { dy: 1.37, dx: -0.81 });
        let plan = FourierPlan::new(shape);
        let before = plan.forward(gaussian(shape, 20.0, 16.0).view());
        let mut after = plan.zeros();
        plan.shift_add(&before, shift, 1.0, &mut after);
        let mut moved = Array2::zeros(shape);
        plan.inverse_add(after, moved.view_mut());
        let expected = gaussian(shape, 21.37, 15.19);
        let worst = (&moved - &expected).iter().fold(0.0_f32, |m, d| m.max(d.abs()));
        assert!(worst < 2e-6, "{worst}");
    }

    #[test]
    fn fourier_shift_of_a_flat_plane_is_flat() {
        let plan = FourierPlan::new((9, 1));
        let before = plan.forward(Array2::from_elem((9, 1), 5.0_f32).view());
        let mut after = plan.zeros();
        plan.shift_add(&before, PixelShift { dy: 0.4, dx: 2.5 }, 1.0, &mut after);
        let mut moved = Array2::zeros((9, 1));
        plan.inverse_add(after, moved.view_mut());
        assert!(moved.iter().all(|v| (v - 5.0).abs() < 1e-5), "{moved}");
    }

    #[test]
    fn odd_fast_length_is_odd_and_smooth() {
        assert_eq!([1, 10, 22, 128].map(|n| odd_fast_length(n, &PRIMES)), [1, 15, 25, 135]);
    }
}
