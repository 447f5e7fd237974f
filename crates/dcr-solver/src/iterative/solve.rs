//! What is asked of the solver and what it answers.

use ndarray::{Array3, ArrayView2, ArrayView3};
use serde::{Deserialize, Serialize};

use super::config::{ConfigError, IterativeConfig};
use super::state::State;
use crate::kernel::Region;
use crate::observation::{Observations, SourceError};
use crate::spectrum::SpectralBasis;

/// A patch to be solved.
pub struct Problem<'a> {
    /// The visits.
    pub observations: &'a dyn Observations,
    /// Parts of the patch in which displacements are constant; together they cover it.
    pub cells: &'a [Region],
    /// How light is spread inside subfilters.
    pub basis: &'a SpectralBasis,
    /// Share of each subfilter in a flat spectrum; sums to 1.
    pub fractions: &'a [f64],
    /// The initial coadd, `(rows, cols)`. Pixels that are not finite are taken as 0 and left to the data.
    pub template: ArrayView2<'a, f32>,
    /// Pixels of detected sources in the template.
    pub detected: ArrayView2<'a, bool>,
    /// Pixels of the template that must not be used to estimate noise.
    pub bad: ArrayView2<'a, bool>,
}

/// How a solve ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// An iteration improved the metric by less than the threshold.
    Converged,
    /// An iteration made the metric worse; the best model is kept.
    Diverged,
    /// The most iterations were made.
    IterationLimit,
    /// No visit has a usable pixel on a detected source: the model is the template's.
    NoData,
    /// The iterations asked for were made and nobody looked at the metric.
    NotMeasured,
}

/// One iteration, for the record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IterationReport {
    /// Gain with which the new solution was taken.
    pub gain: f64,
    /// The metric after it.
    pub metric: f64,
}

/// The course of a solve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SolveReport {
    /// How it ended.
    pub outcome: Outcome,
    /// The metric of the starting model.
    pub initial_metric: f64,
    /// The metric of the model that was kept.
    pub final_metric: f64,
    /// Every iteration.
    pub iterations: Vec<IterationReport>,
    /// The kept model's metric for each visit.
    pub visit_metrics: Vec<f64>,
}

/// A solved patch.
#[derive(Clone, Debug)]
pub struct Solution {
    /// The subfilters' planes, blue to red, `(subfilters, rows, cols)`, as they are to be written: with the amplified contrast.
    pub model_byx: Array3<f32>,
    /// Visits that reached each pixel, rounded, per subfilter.
    pub n_image_byx: Array3<u16>,
    /// 1/Σ of the visits' displaced weights, 0 where coverage is too low.
    pub inverse_weight_byx: Array3<f32>,
    /// One report, or one for each separately solved region.
    pub reports: Vec<SolveReport>,
}

/// Why a patch could not be solved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SolveError {
    /// A setting that cannot be meant.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Pixels could not be had.
    #[error("{0}")]
    Source(#[source] SourceError),
    /// The caller asked to stop.
    #[error("stopped on request")]
    Cancelled,
}

/// Called after every iteration with its number, from 1, the most there can be, and its report; `false` stops the solve.
pub type Progress<'a> = dyn FnMut(usize, usize, &IterationReport) -> bool + 'a;

/// Solves a patch as one: cells share gains and decisions, so that the result does not depend on how it is divided.
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

/// Solves regions one after the other, each to its own convergence, as the reference does (ALGORITHM §12.2).
///
/// `regions` holds pairs of a region and the same region grown by the buffer; only the former is written, the latter is read, and
/// what an earlier region wrote is seen by a later one. Together the regions cover the patch.
///
/// # Errors
///
/// [`SolveError`].
///
/// # Panics
///
/// If shapes, fractions and subfilters do not agree: a broken promise of the caller's.
pub fn solve_regions(
    problem: &Problem,
    config: &IterativeConfig,
    regions: &[(Region, Region)],
    progress: &mut Progress,
) -> Result<Solution, SolveError> {
    solve_regions_from(problem, config, regions, None, progress)
}

/// [`solve_regions`] from a given model, `(subfilters, rows, cols)`, instead of the template's light shared out: to go on from an
/// earlier solution.
///
/// Under [`IterativeConfig::reference_bookkeeping`] the model is the one before its contrast is amplified.
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

/// The model of a patch after so many iterations, `(subfilters, rows, cols)`, or fewer if one of them makes the metric worse, for which the
/// visits are not compared with the last: that saves a pass over them where nobody asks how well it fits. Otherwise it is the model of [`solve`].
///
/// `go_on` is asked before every iteration.
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

/// What a solve starts from, with the visits' coverage; and how many of them reach each pixel.
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
