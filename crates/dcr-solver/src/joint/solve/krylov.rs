//! Preconditioned conjugate gradients, the one iteration of all solves.

use crate::joint::fourier::grid::Grid;
use crate::joint::operator::unknowns::Unknowns;

/// A symmetric positive definite system with a preconditioner.
pub(crate) trait System {
    /// Grid of the unknowns, on which inner products are taken.
    fn grid(&self) -> &Grid;
    /// `out = A x`.
    fn apply(&mut self, x: &Unknowns, out: &mut Unknowns);
    /// `out ≈ A⁻¹ r`.
    fn precondition(&mut self, r: &Unknowns, out: &mut Unknowns);
}

/// Vectors of an iteration. The caller sets the residual; the others are scratch.
pub(crate) struct Workspace {
    /// `b − A x`.
    pub(crate) residual: Unknowns,
    /// Search direction.
    direction: Unknowns,
    /// `A` times the direction, then the preconditioned residual.
    product: Unknowns,
    /// The residual before the last step. Only the flexible form needs it.
    previous: Option<Unknowns>,
}

impl Workspace {
    /// Workspace for vectors like `zeros`. The flexible form allows a preconditioner that changes
    /// between iterations.
    pub(crate) fn new(zeros: Unknowns, flexible: bool) -> Self {
        let (direction, product) = (zeros.clone(), zeros.clone());
        Self { previous: flexible.then(|| zeros.clone()), residual: zeros, direction, product }
    }
}

/// Iterates from `x`, whose residual is in the workspace, for at most `most` steps.
///
/// The flexible form is that of Polak and Ribière (Y. Notay, 2000, SIAM J. Sci. Comput. 22, 1444).
/// After each step `go_on` gets `rᵀ M⁻¹ r` of the start and of the step, and decides. The iteration
/// also ends without positive curvature, as at the solution.
pub(crate) fn conjugate_gradients<S: System>(
    system: &mut S,
    x: &mut Unknowns,
    workspace: &mut Workspace,
    most: usize,
    mut go_on: impl FnMut(f64, f64) -> bool,
) {
    let Workspace { residual, direction, product, previous } = workspace;
    system.precondition(residual, product);
    let first = residual.inner(product, system.grid());
    let mut squared = first;
    direction.copy_from(product);
    for _ in 0..most {
        system.apply(direction, product);
        let curvature = direction.inner(product, system.grid());
        if curvature.is_nan() || curvature <= 0.0 {
            break;
        }
        let along = match previous {
            None => squared,
            Some(previous) => {
                previous.copy_from(residual);
                residual.inner(direction, system.grid())
            }
        };
        let step = (along / curvature) as f32;
        x.add(step, direction, system.grid());
        residual.add(-step, product, system.grid());
        system.precondition(residual, product);
        let now = residual.inner(product, system.grid());
        let correction = previous.as_ref().map_or(0.0, |previous| previous.inner(product, system.grid()));
        let factor = (now - correction) / squared;
        squared = now;
        direction.xpby(product, factor as f32, system.grid());
        if !go_on(first, squared) {
            break;
        }
    }
}

/// Remaining rms error of predictions, per pixel of a tile of that area, in units of the weighted
/// coadd's noise.
///
/// `squared` is `rᵀ M⁻¹ r` for the residual `r` of the normal equations. Unlike a measure relative
/// to the data, the error does not depend on their brightness.
pub(crate) fn rms_error(squared: f64, area: usize) -> f64 {
    (squared.max(0.0) / area as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use crate::joint::fixtures::Dense;

    /// A system of 12 unknowns whose preconditioner is the inverse diagonal, scaled differently
    /// each time if it `varies`.
    fn solve(varies: bool, flexible: bool, most: usize) -> (Vec<f32>, usize) {
        let n = 12;
        let element = |i: usize, j: usize| if i == j { 3.0 + i as f32 } else { 1.0 / (1 + i - j) as f32 };
        let dense = Dense::new((0..n).flat_map(|i| (0..=i).map(move |j| element(i, j))).collect());
        let mut calls = 0;
        let precondition = |r: &[f32]| -> Vec<f32> {
            calls += 1;
            let factor = if varies { 1.0 + 0.2 * (calls % 3) as f32 } else { 1.0 };
            r.iter().zip(dense.diagonal()).map(|(r, own)| factor * r / own).collect()
        };
        let solution: Vec<f32> = (0..n).map(|i| i as f32 - 4.0).collect();
        dense.solve(&dense.times(&solution), precondition, flexible, most, 1e-12)
    }

    #[test]
    fn conjugate_gradients_find_the_solution_in_either_form() {
        for (varies, flexible) in [(false, false), (false, true), (true, true)] {
            let (x, steps) = solve(varies, flexible, 40);
            assert!(steps < 20, "{steps}");
            for (i, x) in x.iter().enumerate() {
                assert!((x - (i as f32 - 4.0)).abs() < 1e-4, "{varies} {flexible} {i}: {x}");
            }
        }
    }

    #[test]
    fn conjugate_gradients_stop_at_the_most_and_with_nothing_to_do() {
        assert_eq!(solve(false, false, 2).1, 2);
        let (x, steps) = Dense::new(vec![1.0]).solve(&[0.0], <[f32]>::to_vec, false, 5, 0.0);
        assert_eq!((x, steps), (vec![0.0], 0));
    }
}
