//! Derivatives of a sampled image by central differences of fourth order.

use ndarray::{Array2, ArrayView1, ArrayView2, s};

/// Pixels that the differences reach.
const REACH: usize = 2;
/// First derivative.
const FIRST: [f32; 5] = [1.0 / 12.0, -8.0 / 12.0, 0.0, 8.0 / 12.0, -1.0 / 12.0];
/// Second derivative.
const SECOND: [f32; 5] = [-1.0 / 12.0, 16.0 / 12.0, -30.0 / 12.0, 16.0 / 12.0, -1.0 / 12.0];

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

/// An image with the values on its edges continued beyond them.
pub(crate) struct Continued {
    plane: Array2<f32>,
}

/// The derivatives at all pixels of a row.
#[derive(Clone, Debug, Default)]
pub(crate) struct RowDerivatives {
    pub(crate) value: Vec<f32>,
    pub(crate) by_y: Vec<f32>,
    pub(crate) by_x: Vec<f32>,
    pub(crate) by_yy: Vec<f32>,
    pub(crate) by_xx: Vec<f32>,
    pub(crate) by_xy: Vec<f32>,
    /// First derivative along y, beyond both ends too.
    slope: Vec<f32>,
}

impl Continued {
    pub(crate) fn new(image: &ArrayView2<f32>) -> Self {
        let (rows, cols) = image.dim();
        let inside = |i: usize, n: usize| i.saturating_sub(REACH).min(n.saturating_sub(1));
        let mut plane = Array2::zeros((rows + 2 * REACH, cols + 2 * REACH));
        if rows > 0 && cols > 0 {
            for (y, mut row) in plane.rows_mut().into_iter().enumerate() {
                let from = image.row(inside(y, rows));
                row.slice_mut(s![REACH..REACH + cols]).assign(&from);
                row.slice_mut(s![..REACH]).fill(from[0]);
                row.slice_mut(s![REACH + cols..]).fill(from[cols - 1]);
            }
        }
        Self { plane }
    }

    /// The derivatives in row `y` of the image.
    pub(crate) fn row(&self, y: usize, out: &mut RowDerivatives) {
        let rows: [ArrayView1<f32>; 5] = std::array::from_fn(|i| self.plane.row(y + i));
        let rows = rows.each_ref().map(|row| row.as_slice().expect("a new plane is contiguous"));
        let n = rows[0].len() - 2 * REACH;
        out.slope.resize(n + 2 * REACH, 0.0);
        for plane in
            [&mut out.by_y, &mut out.by_x, &mut out.by_yy, &mut out.by_xx, &mut out.by_xy, &mut out.value]
        {
            plane.resize(n, 0.0);
        }
        weighted(&FIRST, rows, &mut out.slope);
        weighted(&SECOND, rows.map(|row| &row[REACH..]), &mut out.by_yy);
        weighted(&FIRST, windows(rows[REACH], n), &mut out.by_x);
        weighted(&SECOND, windows(rows[REACH], n), &mut out.by_xx);
        weighted(&FIRST, windows(&out.slope, n), &mut out.by_xy);
        out.value.copy_from_slice(&rows[REACH][REACH..REACH + n]);
        out.by_y.copy_from_slice(&out.slope[REACH..REACH + n]);
    }

    /// The derivatives at a pixel of the image; `None` where a value is not finite.
    pub(crate) fn at(&self, y: usize, x: usize) -> Option<Local> {
        let mut out = Local { value: self.plane[[y + REACH, x + REACH]], ..Local::default() };
        let mut sum = 0.0;
        for (i, (first, second)) in FIRST.iter().zip(&SECOND).enumerate() {
            let mut along_x = 0.0;
            for (j, first_x) in FIRST.iter().enumerate() {
                let value = self.plane[[y + i, x + j]];
                sum += value;
                along_x += first_x * value;
            }
            out.by_xy += first * along_x;
            let (in_column, in_row) = (self.plane[[y + i, x + REACH]], self.plane[[y + REACH, x + i]]);
            out.by_y += first * in_column;
            out.by_yy += second * in_column;
            out.by_x += first * in_row;
            out.by_xx += second * in_row;
        }
        sum.is_finite().then_some(out)
    }
}

/// A row at the five steps that differences reach.
fn windows(row: &[f32], n: usize) -> [&[f32]; 5] {
    std::array::from_fn(|i| &row[i..i + n])
}

/// Weighted sums of five rows.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
fn weighted(weights: &[f32; 5], rows: [&[f32]; 5], out: &mut [f32]) {
    let n = out.len();
    let [a, b, c, d, e] = rows.map(|row| &row[..n]);
    for x in 0..n {
        out[x] =
            weights[0] * a[x] + weights[1] * b[x] + weights[2] * c[x] + weights[3] * d[x] + weights[4] * e[x];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fourth-order differences are exact for cubic polynomials.
    #[test]
    fn derivatives_of_a_cubic_are_exact() {
        let cubic = |y: f32, x: f32| 2.0 + y - 3.0 * x + 0.5 * y * y - x * y + 0.25 * x * x * x;
        let plane = Array2::from_shape_fn((9, 9), |(y, x)| cubic(y as f32 - 4.0, x as f32 - 4.0));
        let continued = Continued::new(&plane.view());
        let got = continued.at(5, 6).unwrap();
        let (y, x) = (1.0_f32, 2.0_f32);
        let expected = Local {
            value: cubic(y, x),
            by_y: 1.0 + y - x,
            by_x: -3.0 - y + 0.75 * x * x,
            by_yy: 1.0,
            by_xx: 1.5 * x,
            by_xy: -1.0,
        };
        let close = |got: f32, expected: f32| (got - expected).abs() < 1e-4;
        let same = |got: &Local| {
            let first = close(got.by_y, expected.by_y) && close(got.by_x, expected.by_x);
            let second = close(got.by_yy, expected.by_yy) && close(got.by_xx, expected.by_xx);
            close(got.value, expected.value) && first && second && close(got.by_xy, expected.by_xy)
        };
        assert!(same(&got), "{got:?} {expected:?}");
        assert!(same(&in_row(&continued, 5, 6)), "{:?}", in_row(&continued, 5, 6));
    }

    /// A pixel of a row.
    fn in_row(continued: &Continued, y: usize, x: usize) -> Local {
        let mut row = RowDerivatives::default();
        continued.row(y, &mut row);
        Local {
            value: row.value[x],
            by_y: row.by_y[x],
            by_x: row.by_x[x],
            by_yy: row.by_yy[x],
            by_xx: row.by_xx[x],
            by_xy: row.by_xy[x],
        }
    }

    #[test]
    fn derivatives_beside_missing_values_are_none() {
        let mut plane = Array2::zeros((9, 9));
        plane[[4, 4]] = f32::NAN;
        let continued = Continued::new(&plane.view());
        assert_eq!(continued.at(6, 6), None);
        for (y, x) in [(7, 4), (0, 8)] {
            assert_eq!(continued.at(y, x), Some(Local::default()));
            assert_eq!(in_row(&continued, y, x), Local::default());
        }
    }
}
