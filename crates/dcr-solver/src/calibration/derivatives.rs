//! Derivatives of a sampled image by central differences of fourth order.

use ndarray::ArrayView2;

/// Pixels that the differences reach.
const REACH: isize = 2;
/// First derivative, times 12.
const FIRST: [f32; 5] = [1.0, -8.0, 0.0, 8.0, -1.0];
/// Second derivative, times 12.
const SECOND: [f32; 5] = [-1.0, 16.0, -30.0, 16.0, -1.0];

/// An image and its derivatives at a pixel.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Local {
    pub(crate) value: f32,
    pub(crate) by_y: f32,
    pub(crate) by_x: f32,
    pub(crate) by_yy: f32,
    pub(crate) by_xx: f32,
    pub(crate) by_xy: f32,
}

impl Local {
    /// The derivatives at a pixel; values beyond the edges are those on the edges. `None` where a
    /// value is not finite.
    pub(crate) fn at(plane: &ArrayView2<f32>, y: usize, x: usize) -> Option<Self> {
        let (rows, cols) = plane.dim();
        let clamped = |i: usize, step: isize, n: usize| i.saturating_add_signed(step).min(n - 1);
        let mut out = Self { value: plane[[y, x]], ..Self::default() };
        let mut sum = 0.0;
        for (i, (first_y, second_y)) in FIRST.iter().zip(&SECOND).enumerate() {
            let row = clamped(y, i as isize - REACH, rows);
            let mut along_x = 0.0;
            for (j, first_x) in FIRST.iter().enumerate() {
                let value = plane[[row, clamped(x, j as isize - REACH, cols)]];
                sum += value;
                along_x += first_x * value;
            }
            out.by_xy += first_y * along_x / 144.0;
            let here = plane[[row, x]];
            out.by_y += first_y * here / 12.0;
            out.by_yy += second_y * here / 12.0;
        }
        for (j, (first, second)) in FIRST.iter().zip(&SECOND).enumerate() {
            let here = plane[[y, clamped(x, j as isize - REACH, cols)]];
            out.by_x += first * here / 12.0;
            out.by_xx += second * here / 12.0;
        }
        sum.is_finite().then_some(out)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    /// Fourth-order differences are exact for cubic polynomials.
    #[test]
    fn derivatives_of_a_cubic_are_exact() {
        let cubic = |y: f32, x: f32| 2.0 + y - 3.0 * x + 0.5 * y * y - x * y + 0.25 * x * x * x;
        let plane = Array2::from_shape_fn((9, 9), |(y, x)| cubic(y as f32 - 4.0, x as f32 - 4.0));
        let got = Local::at(&plane.view(), 5, 6).unwrap();
        let (y, x) = (1.0_f32, 2.0_f32);
        let expected = Local {
            value: cubic(y, x),
            by_y: 1.0 + y - x,
            by_x: -3.0 - y + 0.75 * x * x,
            by_yy: 1.0,
            by_xx: 1.5 * x,
            by_xy: -1.0,
        };
        for (got, expected) in [
            (got.value, expected.value),
            (got.by_y, expected.by_y),
            (got.by_x, expected.by_x),
            (got.by_yy, expected.by_yy),
            (got.by_xx, expected.by_xx),
            (got.by_xy, expected.by_xy),
        ] {
            assert!((got - expected).abs() < 1e-4, "{got} {expected}");
        }
    }

    #[test]
    fn derivatives_beside_missing_values_are_none() {
        let mut plane = Array2::zeros((9, 9));
        plane[[4, 4]] = f32::NAN;
        assert_eq!(Local::at(&plane.view(), 6, 6), None);
        assert_eq!(Local::at(&plane.view(), 7, 4), Some(Local::default()));
        assert_eq!(Local::at(&plane.view(), 0, 8), Some(Local::default()));
    }
}
