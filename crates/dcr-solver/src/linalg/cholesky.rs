//! Cholesky factors of dense real symmetric matrices, packed as the rows of the lower triangle, one
//! after the other.

use rustfft::num_traits::Float;

/// Right-hand sides solved at a time.
pub(crate) const LANES: usize = 8;

/// A floating-point number with a fast inner product.
pub(crate) trait Real: Float {
    /// `Σ a·b` over the length of `a`.
    fn dot(a: &[Self], b: &[Self]) -> Self;
}

impl Real for f32 {
    fn dot(a: &[f32], b: &[f32]) -> f32 {
        dot_single(a, b)
    }
}

impl Real for f64 {
    fn dot(a: &[f64], b: &[f64]) -> f64 {
        dot_double(a, b)
    }
}

/// Number of elements in a triangle of `n` rows.
pub(crate) fn triangle(n: usize) -> usize {
    n * (n + 1) / 2
}

/// Cholesky factor of a matrix whose eigenvalues are at least 1.
///
/// A pivot below 1 is rounding, and is taken as 1.
pub(crate) fn cholesky<T: Real>(lower: &[T]) -> Vec<T> {
    factor(lower, |_, pivot| pivot.max(T::one()))
}

/// Solves `matrix · x = right_side` for a symmetric positive definite matrix.
///
/// `matrix` has `n²` elements, row by row, for the `n` elements of `right_side`; only its lower
/// triangle is read. Returns `None` if the matrix is not positive definite to working precision,
/// that is if a pivot is at most the fraction `singular` of its diagonal element (0 asks for
/// positive pivots), or if the solution is not finite.
///
/// # Panics
///
/// If `matrix` has fewer than `n²` elements.
#[must_use]
pub fn solve_positive_definite(matrix: &[f64], right_side: &[f64], singular: f64) -> Option<Vec<f64>> {
    let n = right_side.len();
    let lower: Vec<f64> = (0..n).flat_map(|i| &matrix[i * n..][..=i]).copied().collect();
    let mut definite = true;
    let factor = factor(&lower, |diagonal, pivot| {
        definite &= pivot > singular * diagonal;
        pivot
    });
    let mut x = right_side.to_vec();
    solve_lower(&factor, &mut x);
    for i in (0..n).rev() {
        let sum: f64 = (i + 1..n).map(|k| factor[triangle(k) + i] * x[k]).sum();
        x[i] = (x[i] - sum) / factor[triangle(i) + i];
    }
    (definite && x.iter().all(|v| v.is_finite())).then_some(x)
}

/// The factor `L` of `L Lᵀ`. `pivot` gets a diagonal element and its remainder after elimination,
/// and returns the pivot.
fn factor<T: Real>(lower: &[T], mut pivot: impl FnMut(T, T) -> T) -> Vec<T> {
    let mut out: Vec<T> = Vec::with_capacity(lower.len());
    let (mut start, mut n) = (0, 0);
    while start < lower.len() {
        for j in 0..n {
            let (row, other) = (&out[start..], &out[triangle(j)..][..=j]);
            let value = (lower[start + j] - T::dot(&row[..j], &other[..j])) / other[j];
            out.push(value);
        }
        let (row, diagonal) = (&out[start..], lower[start + n]);
        let root = pivot(diagonal, diagonal - T::dot(row, row)).sqrt();
        out.push(root);
        n += 1;
        start += n;
    }
    out
}

/// `x ← L⁻¹ x`.
fn solve_lower<T: Real>(factor: &[T], x: &mut [T]) {
    for i in 0..x.len() {
        let row = &factor[triangle(i)..][..=i];
        x[i] = (x[i] - T::dot(&row[..i], &x[..i])) / row[i];
    }
}

/// `x ← (L Lᵀ)⁻¹ x`.
pub(crate) fn solve_triangles<T: Real>(factor: &[T], x: &mut [T]) {
    solve_lower(factor, x);
    for i in (0..x.len()).rev() {
        let row = &factor[triangle(i)..][..=i];
        let value = x[i] / row[i];
        x[i] = value;
        x[..i].iter_mut().zip(row).for_each(|(x, l)| *x = *x - value * *l);
    }
}

/// `x ← (L Lᵀ)⁻¹ x` for several right-hand sides side by side.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
pub(crate) fn solve_triangles_together(factor: &[f64], x: &mut [[f64; LANES]]) {
    for i in 0..x.len() {
        let row = &factor[triangle(i)..][..=i];
        let (before, rest) = x.split_at_mut(i);
        // Four sums that do not depend on each other.
        let mut sums = [[0.0; LANES]; 4];
        let (rows, row_rest) = row[..i].as_chunks::<4>();
        let (xs, x_rest) = before.as_chunks::<4>();
        for (row, x) in rows.iter().zip(xs) {
            for (sum, (l, x)) in sums.iter_mut().zip(row.iter().zip(x)) {
                for lane in 0..LANES {
                    sum[lane] += l * x[lane];
                }
            }
        }
        for (sum, (l, x)) in sums.iter_mut().zip(row_rest.iter().zip(x_rest)) {
            for lane in 0..LANES {
                sum[lane] += l * x[lane];
            }
        }
        for lane in 0..LANES {
            let sum: f64 = sums.iter().map(|sum| sum[lane]).sum();
            rest[0][lane] = (rest[0][lane] - sum) / row[i];
        }
    }
    for i in (0..x.len()).rev() {
        let row = &factor[triangle(i)..][..=i];
        let (before, rest) = x.split_at_mut(i);
        rest[0] = rest[0].map(|x| x / row[i]);
        let value = rest[0];
        for (l, x) in row.iter().zip(before) {
            for lane in 0..LANES {
                x[lane] -= l * value[lane];
            }
        }
    }
}

#[multiversion::multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
fn dot_single(a: &[f32], b: &[f32]) -> f32 {
    sum_of_products(a, b)
}

#[multiversion::multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
fn dot_double(a: &[f64], b: &[f64]) -> f64 {
    sum_of_products(a, b)
}

/// Sixteen sums that do not depend on each other.
#[inline(always)]
fn sum_of_products<T: Float>(a: &[T], b: &[T]) -> T {
    let mut sums = [T::zero(); 16];
    let (a_parts, a_rest) = a.as_chunks::<16>();
    let (b_parts, b_rest) = b[..a.len()].as_chunks::<16>();
    for (a, b) in a_parts.iter().zip(b_parts) {
        for lane in 0..16 {
            sums[lane] = sums[lane] + a[lane] * b[lane];
        }
    }
    for (lane, (a, b)) in a_rest.iter().zip(b_rest).enumerate() {
        sums[lane] = sums[lane] + *a * *b;
    }
    sums.iter().fold(T::zero(), |sum, lane| sum + *lane)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDER: usize = 37;

    fn pattern(i: usize) -> f64 {
        ((i * 7919 % 101) as f64 - 50.0) / 50.0
    }

    /// A matrix whose eigenvalues are at least 1.
    fn element(i: usize, j: usize) -> f64 {
        let product: f64 = (0..ORDER).map(|k| pattern(i * ORDER + k) * pattern(j * ORDER + k)).sum();
        product + f64::from(u8::from(i == j))
    }

    fn lower() -> Vec<f64> {
        (0..ORDER).flat_map(|i| (0..=i).map(move |j| element(i, j))).collect()
    }

    /// The matrix times a pattern with that first index.
    fn product(i: usize, first: usize) -> f64 {
        (0..ORDER).map(|j| element(i, j) * pattern(first + j)).sum()
    }

    #[test]
    fn triangle_factor_solves() {
        let single: Vec<f32> = lower().iter().map(|v| *v as f32).collect();
        let mut x: Vec<f32> = (0..ORDER).map(|i| product(i, 0) as f32).collect();
        solve_triangles(&cholesky(&single), &mut x);
        let worst = x.iter().enumerate().map(|(i, x)| (f64::from(*x) - pattern(i)).abs()).fold(0.0, f64::max);
        assert!(worst < 2e-3, "{worst}");
    }

    #[test]
    fn triangle_factor_solves_for_several_right_sides() {
        let mut x: Vec<[f64; LANES]> =
            (0..ORDER).map(|i| std::array::from_fn(|lane| product(i, 11 * lane))).collect();
        solve_triangles_together(&cholesky(&lower()), &mut x);
        for (i, x) in x.iter().enumerate() {
            for (lane, x) in x.iter().enumerate() {
                assert!((x - pattern(11 * lane + i)).abs() < 1e-11);
            }
        }
    }

    #[test]
    fn normal_equations_are_solved() {
        let matrix = [4.0, 2.0, -1.0, 2.0, 5.0, 0.5, -1.0, 0.5, 3.0];
        let x = [1.5, -2.0, 0.25];
        let right_side: Vec<f64> =
            matrix.chunks_exact(3).map(|row| row.iter().zip(&x).map(|(a, x)| a * x).sum()).collect();
        let solved = solve_positive_definite(&matrix, &right_side, 1e-9).unwrap();
        assert!(solved.iter().zip(&x).all(|(a, b)| (a - b).abs() < 1e-12), "{solved:?}");
    }

    #[test]
    fn normal_equations_that_are_singular_have_no_solution() {
        assert_eq!(solve_positive_definite(&[1.0, 1.0, 1.0, 1.0], &[1.0, 1.0], 1e-9), None);
        assert_eq!(solve_positive_definite(&[0.0], &[0.0], 1e-9), None);
        assert_eq!(solve_positive_definite(&[f64::NAN], &[1.0], 1e-9), None);
        assert_eq!(solve_positive_definite(&[], &[], 1e-9), Some(vec![]));
    }
}
