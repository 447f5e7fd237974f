//! Least-squares fit of a Gaussian to a narrow image (Levenberg–Marquardt).
//!
//! The model is `A exp(−½ |L⁻¹ r|²)` about a centre, with a lower triangular `L` whose square is
//! the covariance. Logarithms keep its diagonal positive.

use ndarray::ArrayView2;

use super::Moments;

/// Amplitude, centre and triangle: `[A, x, y, ln L₁₁, L₂₁, ln L₂₂]`.
const PARAMETERS: usize = 6;
/// Pixels on each side of the centre included in the fit: the extent of a narrow image.
const REACH_PX: isize = 7;
/// Pixels around the centre in which the quality of the fit is assessed.
const CORE_PX: f64 = 3.0;
/// Maximum share of the squared image in the core that a fit may leave; for pure noise it exceeds
/// one half.
const MOST_LEFT: f64 = 0.5;
/// Minimum σ in pixels along the narrower axis that pixels can constrain: the neighbours have 4e-6
/// of the peak.
const NARROWEST_PX: f64 = 0.2;
/// Maximum σ in pixels of a fit.
const WIDEST_PX: f64 = 4.0;
/// Initial σ in pixels.
const FIRST_SIGMA_PX: f64 = 0.8;
const MAX_STEPS: usize = 200;
/// Change of all parameters at convergence.
const SETTLED: f64 = 1e-11;

type Vector = [f64; PARAMETERS];
type Matrix = [Vector; PARAMETERS];

/// Centre and moments of the best-fitting Gaussian about a position; `None` if the fit fails.
pub(super) fn narrow_moments(image: ArrayView2<'_, f64>, place: (f64, f64)) -> Option<Moments> {
    let fit = Window::about(image, place)?;
    let mut at = [fit.peak, fit.start.0, fit.start.1, FIRST_SIGMA_PX.ln(), 0.0, FIRST_SIGMA_PX.ln()];
    let (mut cost, mut damping) = (fit.squares(&at), 1e-3);
    let mut settled = false;
    for _ in 0..MAX_STEPS {
        let (normal, gradient) = fit.normal(&at);
        let step = solve(damped(normal, damping), gradient)?;
        let mut next = at;
        next.iter_mut().zip(step).for_each(|(value, step)| *value += step);
        let next_cost = fit.squares(&next);
        if next_cost <= cost {
            settled = step.iter().zip(&at).all(|(s, v)| s.abs() <= SETTLED * v.abs().max(1.0));
            (at, cost, damping) = (next, next_cost, damping * 0.3);
        } else {
            // Without a downhill step, the minimum is reached to rounding.
            settled = damping > 1e8;
            damping *= 10.0;
        }
        if settled {
            break;
        }
    }
    let [amplitude, x, y, l11, l21, l22] = at;
    let (l11, l22) = (l11.exp(), l22.exp());
    let (xx, xy, yy) = (l11 * l11, l11 * l21, l21 * l21 + l22 * l22);
    let (mean, half) = (f64::midpoint(xx, yy), (0.25 * (xx - yy).powi(2) + xy * xy).sqrt());
    let narrow_enough = mean - half >= NARROWEST_PX * NARROWEST_PX && mean + half <= WIDEST_PX * WIDEST_PX;
    let inside =
        (0.0..=image.ncols() as f64 - 1.0).contains(&x) && (0.0..=image.nrows() as f64 - 1.0).contains(&y);
    if !(settled && amplitude > 0.0 && narrow_enough && inside && fit.tells(&at)) {
        return None;
    }
    Some(Moments { x, y, xx, xy, yy, flux: std::f64::consts::TAU * amplitude * l11 * l22 })
}

/// The pixels of the fit.
struct Window {
    /// Column, row and value.
    pixels: Vec<(f64, f64, f64)>,
    peak: f64,
    start: (f64, f64),
}

impl Window {
    /// The pixels about the brightest one within 1.5 pixels of a position.
    fn about(image: ArrayView2<'_, f64>, (x, y): (f64, f64)) -> Option<Self> {
        let value = |column: isize, row: isize| {
            let at = (usize::try_from(row).ok()?, usize::try_from(column).ok()?);
            image.get(at).copied()
        };
        let (column, row) = (x.round() as isize, y.round() as isize);
        let near = (-1..=1).flat_map(|dy| (-1..=1).map(move |dx| (column + dx, row + dy)));
        let bright = near.filter_map(|at| Some((value(at.0, at.1)?, at)));
        let (peak, (column, row)) = bright.max_by(|a, b| a.0.total_cmp(&b.0)).filter(|best| best.0 > 0.0)?;
        let around = |middle: isize| middle - REACH_PX..=middle + REACH_PX;
        let pixels = around(row).flat_map(|row| around(column).map(move |column| (column, row)));
        let pixels =
            pixels.filter_map(|(column, row)| Some((column as f64, row as f64, value(column, row)?)));
        Some(Self { pixels: pixels.collect(), peak, start: (column as f64, row as f64) })
    }

    fn squares(&self, at: &Vector) -> f64 {
        self.pixels.iter().map(|&(x, y, value)| (value - model(at, x, y).0).powi(2)).sum()
    }

    /// Matrix and right-hand side of the normal equations.
    fn normal(&self, at: &Vector) -> (Matrix, Vector) {
        let (mut matrix, mut vector) = (Matrix::default(), Vector::default());
        for &(x, y, value) in &self.pixels {
            let (expected, slopes) = model(at, x, y);
            for (i, slope) in slopes.iter().enumerate() {
                vector[i] += slope * (value - expected);
                for (j, other) in slopes.iter().enumerate() {
                    matrix[i][j] += slope * other;
                }
            }
        }
        (matrix, vector)
    }

    /// Whether the fit explains most of the light in the core.
    fn tells(&self, at: &Vector) -> bool {
        let core = self.pixels.iter().filter(|(x, y, _)| (x - at[1]).hypot(y - at[2]) <= CORE_PX);
        let (mut all, mut left) = (0.0, 0.0);
        for &(x, y, value) in core {
            all += value * value;
            left += (value - model(at, x, y).0).powi(2);
        }
        left <= MOST_LEFT * all
    }
}

/// The Gaussian at a pixel, and its derivatives.
fn model(&[amplitude, x0, y0, l11, l21, l22]: &Vector, x: f64, y: f64) -> (f64, Vector) {
    let (l11, l22) = (l11.exp(), l22.exp());
    let u = (x - x0) / l11;
    let v = (y - y0 - l21 * u) / l22;
    let unit = (-0.5 * (u * u + v * v)).exp();
    let value = amplitude * unit;
    let slope = |du: f64, dv: f64| -value * (u * du + v * dv);
    let slopes = [
        unit,
        slope(-1.0 / l11, l21 / (l11 * l22)),
        slope(0.0, -1.0 / l22),
        slope(-u, l21 * u / l22),
        slope(0.0, -u / l22),
        slope(0.0, -v),
    ];
    (value, slopes)
}

fn damped(mut matrix: Matrix, damping: f64) -> Matrix {
    for (i, row) in matrix.iter_mut().enumerate() {
        row[i] *= 1.0 + damping;
    }
    matrix
}

/// Gaussian elimination with pivots; `None` for a singular matrix.
fn solve(mut matrix: Matrix, mut vector: Vector) -> Option<Vector> {
    for column in 0..PARAMETERS {
        let pivot = (column..PARAMETERS)
            .max_by(|a, b| matrix[*a][column].abs().total_cmp(&matrix[*b][column].abs()))?;
        if matrix[pivot][column] == 0.0 || !matrix[pivot][column].is_finite() {
            return None;
        }
        matrix.swap(column, pivot);
        vector.swap(column, pivot);
        let (above, below) = matrix.split_at_mut(column + 1);
        let pivot = &above[column];
        for (row, left) in (column + 1..).zip(below) {
            let factor = left[column] / pivot[column];
            left.iter_mut().zip(pivot).skip(column).for_each(|(value, of_pivot)| *value -= factor * of_pivot);
            vector[row] -= factor * vector[column];
        }
    }
    for column in (0..PARAMETERS).rev() {
        let known: f64 = (column + 1..PARAMETERS).map(|k| matrix[column][k] * vector[k]).sum();
        vector[column] = (vector[column] - known) / matrix[column][column];
    }
    vector.iter().all(|value| value.is_finite()).then_some(vector)
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    #[test]
    fn gaussian_is_recovered_with_flux_and_covariance() {
        let (xx, xy, yy) = (0.7, 0.2, 0.5);
        let determinant: f64 = xx * yy - xy * xy;
        let image = Array2::from_shape_fn((15, 17), |(row, column)| {
            let (x, y) = (column as f64 - 8.3, row as f64 - 6.8);
            3.0 * (-0.5 * (yy * x * x - 2.0 * xy * x * y + xx * y * y) / determinant).exp()
        });
        let got = narrow_moments(image.view(), (8.0, 7.0)).unwrap();
        for (got, expected) in [(got.x, 8.3), (got.y, 6.8), (got.xx, xx), (got.xy, xy), (got.yy, yy)] {
            assert!((got - expected).abs() < 1e-8, "{got} is not {expected}");
        }
        assert!((got.flux / (3.0 * std::f64::consts::TAU * determinant.sqrt()) - 1.0).abs() < 1e-8);
    }

    #[test]
    fn nothing_fits_a_single_pixel_zeros_or_a_plane() {
        let mut one = Array2::zeros((11, 11));
        assert!(narrow_moments(one.view(), (5.0, 5.0)).is_none());
        one[[5, 5]] = 1.0;
        assert!(narrow_moments(one.view(), (5.0, 5.0)).is_none());
        assert!(narrow_moments(Array2::ones((11, 11)).view(), (5.0, 5.0)).is_none());
        assert!(narrow_moments(one.view(), (50.0, -5.0)).is_none());
    }
}
