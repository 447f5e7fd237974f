//! Symmetric matrices as the rows of their lower triangle, one after the other, and their Cholesky factors.

use rustfft::num_traits::Float;

/// Right sides that are solved for at a time.
pub(crate) const LANES: usize = 8;

/// A number with a fast product of slices.
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

/// Numbers in a triangle of so many rows.
pub(crate) fn triangle(n: usize) -> usize {
    n * (n + 1) / 2
}

/// The Cholesky factor of a matrix that is not less than 1, both as rows of the lower triangle.
pub(crate) fn cholesky<T: Real>(lower: &[T]) -> Vec<T> {
    let mut out: Vec<T> = Vec::with_capacity(lower.len());
    let mut start = 0;
    let mut n = 0;
    while start < lower.len() {
        for j in 0..=n {
            let row = &out[start..];
            let value = if j < n {
                let other = &out[triangle(j)..][..=j];
                (lower[start + j] - T::dot(&row[..j], &other[..j])) / other[j]
            } else {
                // Less than 1 only by rounding.
                (lower[start + n] - T::dot(row, row)).max(T::one()).sqrt()
            };
            out.push(value);
        }
        n += 1;
        start += n;
    }
    out
}

/// `x ← (L Lᵀ)⁻¹ x`.
pub(crate) fn solve_triangles(factor: &[f32], x: &mut [f32]) {
    for i in 0..x.len() {
        let row = &factor[triangle(i)..][..=i];
        x[i] = (x[i] - f32::dot(&row[..i], &x[..i])) / row[i];
    }
    for i in (0..x.len()).rev() {
        let row = &factor[triangle(i)..][..=i];
        let value = x[i] / row[i];
        x[i] = value;
        x[..i].iter_mut().zip(row).for_each(|(x, l)| *x -= value * l);
    }
}

/// The same for several right sides side by side.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
pub(crate) fn solve_triangles_together(factor: &[f64], x: &mut [[f64; LANES]]) {
    for i in 0..x.len() {
        let row = &factor[triangle(i)..][..=i];
        let (before, rest) = x.split_at_mut(i);
        // Several sums, none of which waits for another.
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

/// In sixteen sums, none of which waits for another.
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

    /// A matrix that is not less than 1.
    fn element(i: usize, j: usize) -> f64 {
        let product: f64 = (0..ORDER).map(|k| pattern(i * ORDER + k) * pattern(j * ORDER + k)).sum();
        product + f64::from(u8::from(i == j))
    }

    fn lower() -> Vec<f64> {
        (0..ORDER).flat_map(|i| (0..=i).map(move |j| element(i, j))).collect()
    }

    /// The matrix times a pattern that begins somewhere.
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
}
