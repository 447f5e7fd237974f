//! Preconditioned conjugate gradients, the one iteration of all solves.

/// A symmetric positive definite system with a preconditioner, and the arithmetic of its vectors.
pub(crate) trait System {
    /// A vector of unknowns.
    type Vector;

    /// `out = A x`.
    fn apply(&mut self, x: &Self::Vector, out: &mut Self::Vector);
    /// `out ≈ A⁻¹ r`.
    fn precondition(&mut self, r: &Self::Vector, out: &mut Self::Vector);
    /// `aᵀ b`.
    fn inner(&self, a: &Self::Vector, b: &Self::Vector) -> f64;
    /// `y += step·x`.
    fn add(&self, y: &mut Self::Vector, step: f32, x: &Self::Vector);
    /// `y = x + factor·y`.
    fn scale_and_add(&self, y: &mut Self::Vector, factor: f32, x: &Self::Vector);
    /// `y = x`.
    fn copy(&self, y: &mut Self::Vector, x: &Self::Vector);
}

/// Vectors of an iteration. The caller sets the residual; the others hold nothing of meaning before and after.
pub(crate) struct Workspace<V> {
    /// `b − A x`.
    pub(crate) residual: V,
    /// Search direction.
    pub(crate) direction: V,
    /// `A` times the direction, then the preconditioned residual.
    pub(crate) product: V,
    /// The residual before the last step. Only the flexible form needs it.
    pub(crate) previous: Option<V>,
}

/// Iterates from `x`, whose residual is in the workspace, for at most `most` steps.
///
/// With [`Workspace::previous`] the iteration takes the flexible form (Polak–Ribière; Y. Notay, 2000, SIAM J. Sci.
/// Comput. 22, 1444), which allows a preconditioner that is not the same linear operator each time. After each step
/// `go_on` gets `rᵀ M⁻¹ r` of the start and of now, and decides. The iteration also ends where the system shows no
/// positive curvature, as with nothing left to solve.
pub(crate) fn conjugate_gradients<S: System>(
    system: &mut S,
    x: &mut S::Vector,
    workspace: &mut Workspace<S::Vector>,
    most: usize,
    mut go_on: impl FnMut(f64, f64) -> bool,
) {
    let Workspace { residual, direction, product, previous } = workspace;
    system.precondition(residual, product);
    let first = system.inner(residual, product);
    let mut squared = first;
    system.copy(direction, product);
    for _ in 0..most {
        system.apply(direction, product);
        let curvature = system.inner(direction, product);
        if curvature.is_nan() || curvature <= 0.0 {
            break;
        }
        let along = match previous {
            None => squared,
            Some(previous) => {
                system.copy(previous, residual);
                system.inner(residual, direction)
            }
        };
        let step = (along / curvature) as f32;
        system.add(x, step, direction);
        system.add(residual, -step, product);
        system.precondition(residual, product);
        let now = system.inner(residual, product);
        let correction = previous.as_ref().map_or(0.0, |previous| system.inner(previous, product));
        let factor = (now - correction) / squared;
        squared = now;
        system.scale_and_add(direction, factor as f32, product);
        if !go_on(first, squared) {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A dense system whose preconditioner is the inverse diagonal, scaled differently each time if it `varies`.
    struct Dense {
        matrix: Vec<Vec<f32>>,
        varies: bool,
        calls: usize,
    }

    impl System for Dense {
        type Vector = Vec<f32>;

        fn apply(&mut self, x: &Vec<f32>, out: &mut Vec<f32>) {
            *out = self.matrix.iter().map(|row| row.iter().zip(x).map(|(a, x)| a * x).sum()).collect();
        }

        fn precondition(&mut self, r: &Vec<f32>, out: &mut Vec<f32>) {
            self.calls += 1;
            let factor = if self.varies { 1.0 + 0.2 * (self.calls % 3) as f32 } else { 1.0 };
            *out = r.iter().enumerate().map(|(i, r)| factor * r / self.matrix[i][i]).collect();
        }

        fn inner(&self, a: &Vec<f32>, b: &Vec<f32>) -> f64 {
            a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
        }

        fn add(&self, y: &mut Vec<f32>, step: f32, x: &Vec<f32>) {
            y.iter_mut().zip(x).for_each(|(y, x)| *y += step * x);
        }

        fn scale_and_add(&self, y: &mut Vec<f32>, factor: f32, x: &Vec<f32>) {
            y.iter_mut().zip(x).for_each(|(y, x)| *y = x + factor * *y);
        }

        fn copy(&self, y: &mut Vec<f32>, x: &Vec<f32>) {
            y.clone_from(x);
        }
    }

    fn solve(varies: bool, flexible: bool, most: usize) -> (Vec<f32>, usize) {
        const N: usize = 12;
        let element =
            |i: usize, j: usize| if i == j { 3.0 + i as f32 } else { 1.0 / (1 + i.abs_diff(j)) as f32 };
        let matrix: Vec<Vec<f32>> = (0..N).map(|i| (0..N).map(|j| element(i, j)).collect()).collect();
        let mut system = Dense { matrix, varies, calls: 0 };
        let mut residual = vec![];
        system.apply(&(0..N).map(|i| i as f32 - 4.0).collect(), &mut residual);
        let zeros = || vec![0.0; N];
        let previous = flexible.then(zeros);
        let mut workspace = Workspace { residual, direction: zeros(), product: zeros(), previous };
        let (mut x, mut steps) = (zeros(), 0);
        conjugate_gradients(&mut system, &mut x, &mut workspace, most, |first, now| {
            steps += 1;
            now > 1e-12 * first
        });
        (x, steps)
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
        let mut system = Dense { matrix: vec![vec![1.0]], varies: false, calls: 0 };
        let zero = || vec![0.0];
        let mut workspace =
            Workspace { residual: zero(), direction: zero(), product: zero(), previous: None };
        let mut x = zero();
        conjugate_gradients(&mut system, &mut x, &mut workspace, 5, |_, _| panic!("no step is possible"));
        assert_eq!(x, [0.0]);
    }
}
