//! The input and output of the iterative solver.

use ndarray::{Array3, ArrayView2};
use serde::{Deserialize, Serialize};

use super::config::ConfigError;
use crate::kernel::Region;
use crate::observation::{Observations, SourceError};
use crate::spectrum::SpectralBasis;

/// A patch to be solved.
pub struct Problem<'a> {
    /// The visits.
    pub observations: &'a dyn Observations,
    /// Parts of the patch in which displacements are constant; together they cover it.
    pub cells: &'a [Region],
    /// Spectra inside the subfilters.
    pub basis: &'a SpectralBasis,
    /// Share of each subfilter in a flat spectrum; sums to 1.
    pub fractions: &'a [f64],
    /// The initial coadd, `(rows, cols)`. Pixels that are not finite are taken as 0 and left to the
    /// data.
    pub template: ArrayView2<'a, f32>,
    /// Pixels of detected sources in the template.
    pub detected: ArrayView2<'a, bool>,
    /// Pixels of the template that must not be used to estimate noise.
    pub bad: ArrayView2<'a, bool>,
}

/// Outcome of a solve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// An iteration improved the metric by less than the threshold.
    Converged,
    /// An iteration made the metric worse; the best model is kept.
    Diverged,
    /// The iteration limit was reached.
    IterationLimit,
    /// No visit has a usable pixel on a detected source: the model is the template's.
    NoData,
    /// The iterations were made without measuring the metric.
    NotMeasured,
}

/// Record of one iteration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IterationReport {
    /// Gain with which the new solution was taken.
    pub gain: f64,
    /// Metric after the iteration.
    pub metric: f64,
}

/// Report on a solve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SolveReport {
    /// Outcome of the solve.
    pub outcome: Outcome,
    /// The metric of the starting model.
    pub initial_metric: f64,
    /// The metric of the returned model.
    pub final_metric: f64,
    /// Records of every iteration.
    pub iterations: Vec<IterationReport>,
    /// Metric of the returned model for each visit.
    pub visit_metrics: Vec<f64>,
}

/// A solved patch.
#[derive(Clone, Debug)]
pub struct Solution {
    /// Planes of the subfilters, blue to red, `(subfilters, rows, cols)`, with the amplified
    /// contrast.
    pub model_byx: Array3<f32>,
    /// Number of visits that reach each pixel, rounded, per subfilter.
    pub n_image_byx: Array3<u16>,
    /// 1/Σ of the visits' displaced weights, 0 where coverage is too low.
    pub inverse_weight_byx: Array3<f32>,
    /// One report, or one for each separately solved region.
    pub reports: Vec<SolveReport>,
}

/// Errors of the iterative solver.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SolveError {
    /// A setting outside its allowed range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Pixels could not be read.
    #[error("{0}")]
    Source(#[source] SourceError),
    /// The caller asked to stop.
    #[error("stopped on request")]
    Cancelled,
}

/// Callback after every iteration, with its number from 1, the maximum, and its report; `false`
/// stops the solve.
pub type Progress<'a> = dyn FnMut(usize, usize, &IterationReport) -> bool + 'a;
