//! Gauss quadrature of a discrete measure.
//!
//! The orthogonal polynomials come from Stieltjes' procedure on the points; the nodes are found by
//! bisection on the Sturm sequence. Only sums, products and quotients are used, so that results are
//! the same on every machine.
//!
//! # References
//!
//! - W. Gautschi, 2004, Orthogonal Polynomials: Computation and Approximation, §2.2 and §3.1.

/// A rule of up to `count` nodes, as (node, weight) in increasing order, for `points` (position,
/// weight) in [−1, 1].
///
/// It integrates polynomials to degree `2 count − 1` exactly. With fewer points there are fewer
/// nodes.
pub(crate) fn gauss(points: &[(f64, f64)], count: usize) -> Vec<(f64, f64)> {
    let steps = stieltjes(points, count.min(points.len()));
    let roots = (0..steps.len()).map(|k| recurrence_root(&steps, k));
    roots.map(|root| (root, christoffel(&steps, root))).collect()
}

/// One step of the recurrence `p₊(x) = (x − a) p(x) − b p₋(x)` of monic orthogonal polynomials.
#[derive(Clone, Copy, Debug)]
struct Step {
    a: f64,
    b: f64,
}

/// Stieltjes' procedure: the recurrence of the polynomials orthogonal under the discrete measure
/// `points`.
///
/// Stops before `count` if the measure has too few points for another polynomial.
fn stieltjes(points: &[(f64, f64)], count: usize) -> Vec<Step> {
    let mut before = vec![0.0; points.len()];
    let mut current = vec![1.0; points.len()];
    let mut norm_before = 0.0;
    let mut steps = Vec::with_capacity(count);
    for degree in 0..count {
        let norm: f64 = points.iter().zip(&current).map(|((_, w), p)| w * p * p).sum();
        // b is the square of a length in units of the band: below rounding, no further polynomial
        // exists.
        let b = if degree == 0 { 0.0 } else { norm / norm_before };
        if norm == 0.0 || (degree > 0 && b < 1e-20) {
            break;
        }
        let a = points.iter().zip(&current).map(|((x, w), p)| w * x * p * p).sum::<f64>() / norm;
        for ((&(x, _), p), q) in points.iter().zip(&mut current).zip(&mut before) {
            let next = (x - a) * *p - b * *q;
            *q = *p;
            *p = next;
        }
        norm_before = norm;
        steps.push(Step { a, b });
    }
    steps
}

/// The `k`-th smallest root of the last polynomial, by bisection on the count of roots below `x`.
fn recurrence_root(steps: &[Step], k: usize) -> f64 {
    let (mut low, mut high) = (-1.0 - 1e-9, 1.0 + 1e-9);
    // 60 halvings of an interval of length 2 reach below 2⁻⁵⁸.
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if roots_below(steps, middle) > k {
            high = middle;
        } else {
            low = middle;
        }
    }
    0.5 * (low + high)
}

/// Number of roots below `x`: the negative pivots of the Jacobi matrix minus `x` (Sturm).
fn roots_below(steps: &[Step], x: f64) -> usize {
    let mut pivot = 1.0;
    let mut count = 0;
    for step in steps {
        pivot = (step.a - x) - step.b / pivot;
        if pivot == 0.0 {
            pivot = f64::MIN_POSITIVE;
        }
        count += usize::from(pivot < 0.0);
    }
    count
}

/// The weight of a node: 1 / Σ of the squared orthonormal polynomials there.
fn christoffel(steps: &[Step], x: f64) -> f64 {
    let (mut before, mut current) = (0.0, 1.0);
    let mut norm = 1.0;
    let mut sum = 0.0;
    for (i, step) in steps.iter().enumerate() {
        if i > 0 {
            norm *= step.b;
        }
        sum += current * current / norm;
        let next = (x - step.a) * current - step.b * before;
        before = current;
        current = next;
    }
    1.0 / sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gauss_of_as_many_points_is_those_points() {
        let points = [(-0.9, 0.2), (-0.1, 0.5), (0.3, 0.1), (0.8, 0.2)];
        for ((x, w), (node, weight)) in points.into_iter().zip(gauss(&points, 4)) {
            assert!((x - node).abs() < 1e-13 && (w - weight).abs() < 1e-13, "{node} {weight}");
        }
        assert_eq!(gauss(&points, 9).len(), 4);
    }

    #[test]
    fn gauss_of_nothing_is_nothing() {
        assert!(gauss(&[], 3).is_empty());
        assert!(gauss(&[(0.5, 0.0)], 3).is_empty());
        assert!(gauss(&[(0.5, 1.0)], 0).is_empty());
    }

    #[test]
    fn gauss_of_one_point_is_that_point() {
        let rule = gauss(&[(0.25, 3.0)], 2);
        assert_eq!(rule.len(), 1);
        assert!((rule[0].0 - 0.25).abs() < 1e-15);
    }
}
