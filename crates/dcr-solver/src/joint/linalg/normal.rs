//! Normal equations of a few unknowns.

/// The solution of `matrix x = right_side`, the matrix symmetric and positive definite, row by row, by Cholesky's decomposition. `None` if it is
/// not: if of a diagonal element no more than the fraction `singular` is left.
pub(crate) fn solve_normal(matrix: &[f64], right_side: &[f64], singular: f64) -> Option<Vec<f64>> {
    let n = right_side.len();
    let mut lower = vec![0.0; n * n];
    for j in 0..n {
        for i in j..n {
            let sum = matrix[i * n + j] - (0..j).map(|k| lower[i * n + k] * lower[j * n + k]).sum::<f64>();
            lower[i * n + j] = match i == j {
                true if sum.is_nan() || sum <= singular * matrix[j * n + j] => return None,
                true => sum.sqrt(),
                false => sum / lower[j * n + j],
            };
        }
    }
    let mut x = right_side.to_vec();
    for i in 0..n {
        x[i] = (x[i] - (0..i).map(|k| lower[i * n + k] * x[k]).sum::<f64>()) / lower[i * n + i];
    }
    for i in (0..n).rev() {
        x[i] = (x[i] - (i + 1..n).map(|k| lower[k * n + i] * x[k]).sum::<f64>()) / lower[i * n + i];
    }
    x.iter().all(|v| v.is_finite()).then_some(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_equations_are_solved() {
        let matrix = [4.0, 2.0, -1.0, 2.0, 5.0, 0.5, -1.0, 0.5, 3.0];
        let x = [1.5, -2.0, 0.25];
        let right_side: Vec<f64> =
            matrix.chunks_exact(3).map(|row| row.iter().zip(&x).map(|(a, x)| a * x).sum()).collect();
        let solved = solve_normal(&matrix, &right_side, 1e-9).unwrap();
        assert!(solved.iter().zip(&x).all(|(a, b)| (a - b).abs() < 1e-12), "{solved:?}");
    }

    #[test]
    fn normal_equations_that_are_singular_have_no_solution() {
        assert_eq!(solve_normal(&[1.0, 1.0, 1.0, 1.0], &[1.0, 1.0], 1e-9), None);
        assert_eq!(solve_normal(&[0.0], &[0.0], 1e-9), None);
        assert_eq!(solve_normal(&[f64::NAN], &[1.0], 1e-9), None);
        assert_eq!(solve_normal(&[], &[], 1e-9), Some(vec![]));
    }
}
