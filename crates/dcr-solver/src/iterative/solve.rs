//! The loop: project, measure, decide, update.

use ndarray::{Array2, Array3, ArrayView2, ArrayView3, Axis, Zip, s};
use serde::{Deserialize, Serialize};

use super::config::{ConfigError, Edge, IterativeConfig};
use super::gain::{base_gain, next_gain};
use super::planes::{amplified, fill_from_neighbours};
use super::project::{Pass, Projected};
use super::regularize::{Surroundings, clamp_frequency, clamp_iteration};
use super::weights::{background_noise, model_weights, significance};
use crate::kernel::{Region, dilate_diamond};
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

/// The model's state while it is solved for.
struct State<'a> {
    problem: &'a Problem<'a>,
    config: &'a IterativeConfig,
    /// Planes over the whole patch. With [`IterativeConfig::reference_bookkeeping`] not yet amplified.
    model_byx: Array3<f32>,
    template: Array2<f32>,
    background: Array2<bool>,
    inverse_weight_byx: Array3<f32>,
    /// See [`Pass::unconstrained`].
    unconstrained: Option<Array2<f32>>,
}

/// Solves a patch as one: cells share gains and decisions, so that the result does not depend on how it is divided.
///
/// # Errors
///
/// [`SolveError`].
pub fn solve<'a>(
    problem: &'a Problem<'a>,
    config: &'a IterativeConfig,
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
pub fn solve_regions<'a>(
    problem: &'a Problem<'a>,
    config: &'a IterativeConfig,
    regions: &[(Region, Region)],
    progress: &mut Progress,
) -> Result<Solution, SolveError> {
    config.validate()?;
    let shape = problem.template.dim();
    assert_eq!(problem.detected.dim(), shape, "DETECTED covers the patch");
    assert_eq!(problem.bad.dim(), shape, "bad pixels cover the patch");
    assert_eq!(problem.fractions.len(), problem.basis.subfilters(), "one fraction for each subfilter");

    let whole = Region::whole(shape);
    let mut state = State::new(problem, config);
    let coverage = state.pass(&whole).coverage().map_err(SolveError::Source)?;
    let mut n_image_byx;
    (state.inverse_weight_byx, n_image_byx) = coverage.into_inverse(config);
    if state.note_unconstrained() {
        let coverage = state.pass(&whole).coverage().map_err(SolveError::Source)?;
        (state.inverse_weight_byx, n_image_byx) = coverage.into_inverse(config);
    }
    let mut reports = vec![];
    for (inner, domain) in regions {
        reports.push(state.solve_region(inner, domain, progress)?);
    }
    let model_byx = state.output();
    Ok(Solution { model_byx, n_image_byx, inverse_weight_byx: state.inverse_weight_byx, reports })
}

impl<'a> State<'a> {
    fn new(problem: &'a Problem<'a>, config: &'a IterativeConfig) -> Self {
        let template = problem.template.mapv(|t| if t.is_finite() { t } else { 0.0 });
        let mut model_byx = Array3::zeros((problem.fractions.len(), template.nrows(), template.ncols()));
        for (mut plane, fraction) in model_byx.axis_iter_mut(Axis(0)).zip(problem.fractions) {
            plane.assign(&template);
            plane *= *fraction as f32;
        }
        let background = Zip::from(&problem.detected)
            .and(&problem.bad)
            .and(&problem.template)
            .map_collect(|detected, bad, t| !detected && !bad && t.is_finite());
        let inverse_weight_byx = Array3::zeros(model_byx.dim());
        Self { problem, config, model_byx, template, background, inverse_weight_byx, unconstrained: None }
    }

    fn pass<'b>(&'b self, domain: &'b Region) -> Pass<'b> {
        Pass {
            observations: self.problem.observations,
            cells: self.problem.cells,
            basis: self.problem.basis,
            config: self.config,
            domain,
            detected: domain.of(&self.problem.detected),
            unconstrained: self.unconstrained.as_ref().map(|u| domain.of(&u.view())),
        }
    }

    /// Notes the model pixels that no visit constrains, with those whose splines they enter; whether there are any.
    ///
    /// Saturated cores, say: the model there stays what the template says, which is wrong by much, and so is what it
    /// predicts one displacement away.
    fn note_unconstrained(&mut self) -> bool {
        if self.config.edge == Edge::Zero {
            return false;
        }
        let covered = self.inverse_weight_byx.index_axis(Axis(0), 0);
        let open =
            Zip::from(&covered).and(&self.problem.template).map_collect(|w, t| *w == 0.0 || !t.is_finite());
        if !open.iter().any(|o| *o) {
            return false;
        }
        let reach = self.config.spline_order().reach();
        self.unconstrained = Some(dilate_diamond(open.view(), reach).mapv(|o| f32::from(u8::from(o))));
        true
    }

    fn solve_region(
        &mut self,
        inner: &Region,
        domain: &Region,
        progress: &mut Progress,
    ) -> Result<SolveReport, SolveError> {
        let config = self.config;
        let n = self.problem.basis.subfilters();
        let (fewest, most) = if config.reference_bookkeeping {
            (config.min_iterations(n) + 1, config.max_iterations(n) + 2)
        } else {
            (config.min_iterations(n), config.max_iterations(n))
        };
        let base = base_gain(config.base_gain, n);
        let detected = domain.of(&self.problem.detected);
        let weights = match config.use_model_weights {
            true => model_weights(detected, config.model_weights_width),
            false => Array2::ones(domain.shape()),
        };

        let (mut projected, mut visits, initial_metric) = self.project(inner, domain)?;
        let (mut metrics, mut gains, mut iterations) = (vec![initial_metric], vec![], vec![]);
        let mut best = (initial_metric, self.model_byx.clone(), visits.clone());
        let mut outcome = if config.use_convergence { Outcome::IterationLimit } else { Outcome::NotMeasured };
        if config.use_convergence && initial_metric == 0.0 && !config.reference_bookkeeping {
            let iterations = vec![];
            return Ok(SolveReport {
                outcome: Outcome::NoData,
                initial_metric,
                final_metric: initial_metric,
                iterations,
                visit_metrics: visits,
            });
        }
        while iterations.len() < most {
            let gain = next_gain(config.gain, base, &metrics, &gains);
            self.update(inner, domain, &projected, &weights, gain);
            let metric;
            (projected, visits, metric) = self.project(inner, domain)?;
            iterations.push(IterationReport { gain, metric });
            tracing::debug!(iteration = iterations.len(), metric, gain, "iteration");
            if !progress(iterations.len(), most, &IterationReport { gain, metric }) {
                return Err(SolveError::Cancelled);
            }
            let improvement = (metrics.last().copied().unwrap_or(metric) - metric) / metric;
            gains.push(gain);
            metrics.push(metric);
            if !config.use_convergence {
                continue;
            }
            if metric == 0.0 || !metric.is_finite() {
                outcome = Outcome::NoData;
                break;
            }
            if metric < best.0 && !config.reference_bookkeeping {
                best = (metric, self.model_byx.clone(), visits.clone());
            }
            if iterations.len() < fewest {
                continue;
            }
            // Small steps either way are convergence: the metric is not quite what the iteration minimises.
            let worse = if config.reference_bookkeeping { 0.0 } else { config.convergence_threshold };
            if improvement < -worse {
                outcome = Outcome::Diverged;
                break;
            }
            if improvement <= config.convergence_threshold {
                outcome = Outcome::Converged;
                break;
            }
        }
        let last = metrics.last().copied().unwrap_or(initial_metric);
        let mut final_metric = last;
        if config.use_convergence && !config.reference_bookkeeping && best.0 < last {
            (final_metric, self.model_byx, visits) = best;
        }
        Ok(SolveReport { outcome, initial_metric, final_metric, iterations, visit_metrics: visits })
    }

    /// Compares the present model with the visits; also gives each visit's metric and their mean.
    fn project(&self, inner: &Region, domain: &Region) -> Result<(Projected, Vec<f64>, f64), SolveError> {
        let config = self.config;
        let old = self.over(domain);
        let mut model = if config.reference_bookkeeping {
            amplified(old, config.accelerate_model)
        } else {
            old.to_owned()
        };
        if let Some(unconstrained) = &self.unconstrained {
            fill_from_neighbours(&mut model, domain.of(&unconstrained.view()));
        }
        let second = self.model_byx.index_axis(Axis(0), 1.min(self.model_byx.len_of(Axis(0)) - 1));
        let noise = background_noise(second, self.background.view(), self.reach());
        let mean = old.mean_axis(Axis(0)).unwrap_or_else(|| Array2::zeros(domain.shape()));
        let significance = significance(mean.view(), noise);
        let mut projected = self.pass(domain).run(&model, &significance).map_err(SolveError::Source)?;
        if config.edge == Edge::Zero && inner != domain {
            // The reference measures a region on its own, without the border that it solves it with.
            let part = inner.within(domain);
            let model = model.slice(s![.., part.rows.clone(), part.cols.clone()]).to_owned();
            let significance = part.of(&significance.view()).to_owned();
            projected.metric_sums =
                self.pass(inner).run(&model, &significance).map_err(SolveError::Source)?.metric_sums;
        }
        let visits: Vec<f64> = projected
            .metric_sums
            .iter()
            .map(|[difference, sum]| if *sum > 0.0 { difference / sum } else { 0.0 })
            .collect();
        let weight = |visit: usize| self.problem.observations.weight(visit);
        let total: f64 = (0..visits.len()).map(weight).sum();
        let metric = visits.iter().enumerate().map(|(i, m)| weight(i) * m).sum::<f64>() / total;
        Ok((projected, visits, metric))
    }

    /// The largest displacement in whole pixels, and one; the noise is estimated that far from the edge, as in the reference.
    fn reach(&self) -> usize {
        let cells = 0..self.problem.cells.len();
        let reach = (0..self.problem.observations.visits())
            .flat_map(|visit| cells.clone().map(move |cell| (visit, cell)))
            .flat_map(|(visit, cell)| self.problem.observations.shifts(visit, cell))
            .map(|shift| shift.mean.max_component())
            .fold(0.0, f64::max);
        reach.ceil() as usize + 1
    }

    /// One step of the model inside `inner` (ALGORITHM §6.3 to §6.9).
    fn update(
        &mut self,
        inner: &Region,
        domain: &Region,
        projected: &Projected,
        weights: &Array2<f32>,
        gain: f64,
    ) {
        let old = self.over(domain).to_owned();
        let mut step = projected.back_byx.clone();
        step *= &self.inverse_weight_byx.slice(s![.., domain.rows.clone(), domain.cols.clone()]);
        let new = if self.config.reference_bookkeeping {
            self.reference_update(&old, &step, domain, gain)
        } else {
            self.accelerated_update(&old, &step, domain, gain)
        };
        let fallback = domain.of(&self.template.view());
        let within = inner.within(domain);
        let (weights, fallback) = (within.of(&weights.view()), within.of(&fallback));
        for (b, fraction) in self.problem.fractions.iter().enumerate() {
            let new = new.index_axis(Axis(0), b);
            let new = within.of(&new);
            let plane = inner.of_mut(self.model_byx.index_axis_mut(Axis(0), b));
            Zip::from(plane).and(&new).and(&weights).and(&fallback).for_each(|y, new, m, t| {
                *y = m * new + (1.0 - m) * *fraction as f32 * t;
            });
        }
    }

    /// ALGORITHM §6 to the letter.
    fn reference_update(
        &self,
        old: &Array3<f32>,
        step: &Array3<f32>,
        domain: &Region,
        gain: f64,
    ) -> Array3<f32> {
        let mut new = old + step;
        Zip::from(&mut new).and(old).for_each(|u, y| {
            if !u.is_finite() {
                *u = *y;
            }
        });
        for (new, old) in new.axis_iter_mut(Axis(0)).zip(old.axis_iter(Axis(0))) {
            clamp_iteration(new, old, 0.0, self.config);
        }
        clamp_frequency(&mut new, &self.surroundings(old.view(), domain), self.config);
        let gain = gain as f32;
        Zip::from(&mut new).and(old).for_each(|u, y| *u = (gain * *u + y) / (1.0 + gain));
        new
    }

    /// The same step in the amplified planes, on which the clamps act then: they are what is output (ALGORITHM §12.2).
    ///
    /// The step's sum is taken with the share of each subfilter, its contrast `accelerate_model` times.
    fn accelerated_update(
        &self,
        old: &Array3<f32>,
        step: &Array3<f32>,
        domain: &Region,
        gain: f64,
    ) -> Array3<f32> {
        let share = if gain.is_finite() { gain / (1.0 + gain) } else { 1.0 };
        let contrast = self.config.accelerate_model;
        let total = step.sum_axis(Axis(0));
        let mut new = old.clone();
        for ((mut plane, step), fraction) in
            new.axis_iter_mut(Axis(0)).zip(step.axis_iter(Axis(0))).zip(self.problem.fractions)
        {
            let (share, contrast, fraction) = (share as f32, contrast as f32, *fraction as f32);
            Zip::from(&mut plane).and(step).and(&total).for_each(|y, d, t| {
                let change = share * (fraction * t + contrast * (d - fraction * t));
                if change.is_finite() {
                    *y += change;
                }
            });
        }
        let around = self.surroundings(old.view(), domain);
        for (new, old) in new.axis_iter_mut(Axis(0)).zip(old.axis_iter(Axis(0))) {
            let noise = background_noise(new.view(), around.background, 0);
            clamp_iteration(new, old, noise, self.config);
        }
        clamp_frequency(&mut new, &around, self.config);
        new
    }

    fn surroundings<'b>(&'b self, old_byx: ArrayView3<'b, f32>, domain: &Region) -> Surroundings<'b> {
        Surroundings {
            old_byx,
            background: domain.of(&self.background.view()),
            fractions: self.problem.fractions,
        }
    }

    fn over(&self, domain: &Region) -> ArrayView3<'_, f32> {
        self.model_byx.slice(s![.., domain.rows.clone(), domain.cols.clone()])
    }

    /// The planes as they are to be written.
    fn output(&self) -> Array3<f32> {
        if self.config.reference_bookkeeping {
            amplified(self.model_byx.view(), self.config.accelerate_model)
        } else {
            self.model_byx.clone()
        }
    }
}
