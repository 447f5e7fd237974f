//! How a source's light is spread inside the subfilters.

use ndarray::{Array2, Array3, ArrayView3, Axis};

/// The shares of each subfilter's flux among the half-subfilters ("halves") of the whole band.
///
/// Plane `y_b` is the flux of subfilter `b`. The light in half `h` (0 blue, 1 red) of subfilter `c` is
/// `Σ_b share[b, 2c + h]·y_b`. With a spectrum that is constant inside each subfilter, a subfilter's flux lies in its own two
/// halves, one half each. With a smooth spectrum the neighbours tilt it, and shares may be negative; the two halves of
/// `c` still sum to `δ_bc`, for `y_b` is the flux of subfilter `b` and of no other.
#[derive(Clone, Debug, PartialEq)]
pub struct SpectralBasis {
    shares_bh: Array2<f64>,
}

impl SpectralBasis {
    /// A constant spectrum inside each of `n` subfilters.
    #[must_use]
    pub fn constant(n: usize) -> Self {
        Self { shares_bh: Array2::from_shape_fn((n, 2 * n), |(b, h)| if h / 2 == b { 0.5 } else { 0.0 }) }
    }

    /// Any shares, of shape `(n, 2n)`; `None` when the halves of `c` do not sum to `δ_bc` within 1e-9.
    #[must_use]
    pub fn new(shares_bh: Array2<f64>) -> Option<Self> {
        let n = shares_bh.nrows();
        let cardinal = shares_bh.ncols() == 2 * n
            && (0..n).all(|b| {
                (0..n).all(|c| {
                    let sum = shares_bh[[b, 2 * c]] + shares_bh[[b, 2 * c + 1]];
                    (sum - f64::from(u8::from(b == c))).abs() < 1e-9
                })
            });
        cardinal.then_some(Self { shares_bh })
    }

    /// Number of subfilters.
    #[must_use]
    pub fn subfilters(&self) -> usize {
        self.shares_bh.nrows()
    }

    /// The light in every half: planes of shape `(2n, rows, cols)` from `(n, rows, cols)`.
    #[must_use]
    pub fn halves(&self, model_byx: ArrayView3<f32>) -> Array3<f32> {
        let (n, rows, cols) = model_byx.dim();
        assert_eq!(n, self.subfilters(), "one plane for each subfilter");
        let mut out = Array3::zeros((2 * n, rows, cols));
        for (h, mut half) in out.axis_iter_mut(Axis(0)).enumerate() {
            for (b, plane) in model_byx.axis_iter(Axis(0)).enumerate() {
                let share = self.shares_bh[[b, h]] as f32;
                if share != 0.0 {
                    half.scaled_add(share, &plane);
                }
            }
        }
        out
    }
}
