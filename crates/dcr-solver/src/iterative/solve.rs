//! Solves of a patch: as one, region by region, or approximate.

use ndarray::{Array3, ArrayView3};

use super::config::IterativeConfig;
use super::problem::{Problem, Progress, Solution, SolveError};
use super::state::State;
use crate::kernel::Region;

/// Solves a patch as one. Cells share gains and decisions, so that the result does not depend on
/// the division.
///
/// ```
/// use dcr_solver::iterative::{IterativeConfig, Problem, solve};
/// use dcr_solver::kernel::Region;
/// use dcr_solver::{
///     DETECTED, GOOD, InMemory, PixelShift, SpectralBasis, SubfilterShift, Visit,
/// };
/// use ndarray::Array2;
///
/// // A red star in two subfilters, displaced by ±d: one third of its light is blue.
/// let star = |x0: f64, y: usize, x: usize| {
///     let (dy, dx) = (y as f64 - 20.0, x as f64 - 20.0 - x0);
///     (-(dy * dy + dx * dx) / 5.77).exp()
/// };
/// let visit = |d: f64| Visit {
///     image: Array2::from_shape_fn((40, 40), |(y, x)| {
///         (300.0 * star(d, y, x) + 600.0 * star(-d, y, x)) as f32
///     }),
///     flags: Array2::from_elem((40, 40), GOOD | DETECTED),
///     weight: 1.0,
///     shifts: [d, -d].map(|dx| SubfilterShift::whole(PixelShift { dy: 0.0, dx })).to_vec(),
/// };
/// let observations = InMemory { visits: [-1.2, -0.6, 0.0, 0.7, 1.3].map(visit).to_vec() };
/// let template = observations.visits[2].image.clone();
/// let (detected, bad) = (template.mapv(|flux| flux > 5.0), Array2::from_elem((40, 40), false));
/// let problem = Problem {
///     observations: &observations,
///     cells: &[Region::whole((40, 40))],
///     basis: &SpectralBasis::constant(2),
///     fractions: &[0.5; 2],
///     template: template.view(),
///     detected: detected.view(),
///     bad: bad.view(),
/// };
/// let solution = solve(&problem, &IterativeConfig::default(), &mut |_, _, _| true)?;
/// let flux = |a: usize| solution.model_byx.index_axis(ndarray::Axis(0), a).sum();
/// assert!((flux(0) + flux(1)) / template.sum() > 0.98 && flux(1) > 1.2 * flux(0));
/// # Ok::<(), dcr_solver::iterative::SolveError>(())
/// ```
///
/// # Errors
///
/// [`SolveError`].
pub fn solve(
    problem: &Problem,
    config: &IterativeConfig,
    progress: &mut Progress,
) -> Result<Solution, SolveError> {
    let whole = Region::whole(problem.template.dim());
    solve_regions(problem, config, &[(whole.clone(), whole)], progress)
}

/// Solves regions one after the other, each to its own convergence, as the reference does
/// (docs/algorithm.md §12.2).
///
/// `regions` has pairs of a region and the same region grown by the buffer. Only the former is
/// written, the latter is read, and later regions see the results of earlier ones. Together the
/// regions cover the patch.
///
/// # Errors
///
/// [`SolveError`].
///
/// # Panics
///
/// If shapes, fractions and subfilters are inconsistent.
pub fn solve_regions(
    problem: &Problem,
    config: &IterativeConfig,
    regions: &[(Region, Region)],
    progress: &mut Progress,
) -> Result<Solution, SolveError> {
    solve_regions_from(problem, config, regions, None, progress)
}

/// [`solve_regions`] from a given model, `(subfilters, rows, cols)`, instead of the template's
/// distributed light: continues an earlier solution.
///
/// Under [`IterativeConfig::reference_bookkeeping`] the model is the one before its contrast is
/// amplified.
///
/// # Errors
///
/// [`SolveError`].
///
/// # Panics
///
/// As [`solve_regions`].
pub fn solve_regions_from(
    problem: &Problem,
    config: &IterativeConfig,
    regions: &[(Region, Region)],
    start: Option<ArrayView3<f32>>,
    progress: &mut Progress,
) -> Result<Solution, SolveError> {
    let (mut state, n_image_byx) = prepared(problem, config, start)?;
    let mut reports = vec![];
    for (inner, domain) in regions {
        reports.push(state.solve_region(inner, domain, progress)?);
    }
    let model_byx = state.take_output();
    Ok(Solution { model_byx, n_image_byx, inverse_weight_byx: state.inverse_weight_byx, reports })
}

/// The model of a patch after a number of iterations, `(subfilters, rows, cols)`, or after fewer if
/// one makes the metric worse.
///
/// The visits are not compared with the last model, which saves a pass over them. Otherwise it is
/// the model of [`solve`]. `go_on` is called before every iteration.
///
/// # Errors
///
/// [`SolveError`].
///
/// # Panics
///
/// As [`solve_regions`].
pub fn rough_model(
    problem: &Problem,
    config: &IterativeConfig,
    iterations: usize,
    go_on: &dyn Fn() -> bool,
) -> Result<Array3<f32>, SolveError> {
    let (mut state, _) = prepared(problem, config, None)?;
    state.iterate_blindly(iterations, go_on)?;
    Ok(state.take_output())
}

/// Initial state of a solve with the visits' coverage, and the number of visits that reach each
/// pixel.
fn prepared<'a, 'p>(
    problem: &'a Problem<'p>,
    config: &'a IterativeConfig,
    start: Option<ArrayView3<f32>>,
) -> Result<(State<'a, 'p>, Array3<u16>), SolveError> {
    config.validate()?;
    let shape = problem.template.dim();
    assert_eq!(problem.detected.dim(), shape, "DETECTED covers the patch");
    assert_eq!(problem.bad.dim(), shape, "bad pixels cover the patch");
    assert_eq!(problem.fractions.len(), problem.basis.subfilters(), "one fraction for each subfilter");

    let whole = Region::whole(shape);
    let mut state = State::new(problem, config);
    if let Some(start) = start {
        state.models.now_byx.assign(&start);
    }
    let mut coverage = state.pass(&whole).coverage().map_err(SolveError::Source)?;
    state.note_unconstrained(coverage.covered(config).view());
    if let Some(leaks) = &state.leaks {
        state.pass(&whole).withdraw(leaks, &mut coverage).map_err(SolveError::Source)?;
    }
    let n_image_byx;
    (state.inverse_weight_byx, n_image_byx) = coverage.into_inverse(config);
    Ok((state, n_image_byx))
}
