//! Solves of a patch: as one, region by region, or approximate.

use ndarray::{Array3, ArrayView3};

use super::config::IterativeConfig;
use super::problem::{Problem, Progress, Solution, SolveError};
use super::state::State;
use crate::kernel::Region;

/// Solves a patch as one. Cells share gains and decisions, so that the result does not depend on
/// the division.
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
