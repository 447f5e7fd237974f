//! State of the model during a solve: comparison with the visits, and the loop of improvements.

use ndarray::{Array2, Array3, ArrayView2, ArrayView3, Axis, CowArray, Zip, s};
use rayon::prelude::*;

use super::config::{Edge, IterativeConfig};
use super::gain::{base_gain, next_gain};
use super::leaks::Leaks;
use super::models::Models;
use super::planes::{amplified, fill_from_neighbours};
use super::problem::{IterationReport, Outcome, Problem, Progress, SolveError, SolveReport};
use super::project::{Pass, Projected};
use super::weights::{Significance, background_noise, model_weights};
use crate::kernel::{Region, dilate_diamond};

/// State of the model during a solve.
pub(super) struct State<'a, 'p> {
    pub(super) problem: &'a Problem<'p>,
    pub(super) config: &'a IterativeConfig,
    /// Planes over the whole patch, not yet amplified with
    /// [`IterativeConfig::reference_bookkeeping`].
    pub(super) models: Models,
    pub(super) template: Array2<f32>,
    pub(super) background: Array2<bool>,
    pub(super) inverse_weight_byx: Array3<f32>,
    /// Memory for a model whose unconstrained pixels are filled.
    filled_byx: Array3<f32>,
    /// Margin of noise estimates from the edge, as in the reference.
    reach: usize,
    /// Unconstrained model pixels, with those whose splines they enter.
    unconstrained: Option<Array2<bool>>,
    /// Untrusted pixels, which are predicted from unconstrained ones.
    pub(super) leaks: Option<Leaks>,
}

impl<'a, 'p> State<'a, 'p> {
    pub(super) fn new(problem: &'a Problem<'p>, config: &'a IterativeConfig) -> Self {
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
        let inverse_weight_byx = Array3::default((0, 0, 0));
        Self {
            problem,
            config,
            models: Models::new(model_byx),
            template,
            background,
            inverse_weight_byx,
            filled_byx: Array3::default((0, 0, 0)),
            reach: reach(problem),
            unconstrained: None,
            leaks: None,
        }
    }

    pub(super) fn pass<'b>(&'b self, domain: &'b Region) -> Pass<'b> {
        Pass {
            observations: self.problem.observations,
            cells: self.problem.cells,
            basis: self.problem.basis,
            config: self.config,
            domain,
            detected: domain.of(&self.problem.detected),
            leaks: self.leaks.as_ref(),
        }
    }

    /// Notes unconstrained model pixels (those not `covered`), with those whose splines they enter.
    ///
    /// In saturated cores, for example, the model remains the template, which is far off, and so is
    /// its prediction one displacement away.
    pub(super) fn note_unconstrained(&mut self, covered: ArrayView2<bool>) {
        if self.config.edge == Edge::Zero {
            return;
        }
        let open = Zip::from(&covered)
            .and(&self.problem.template)
            .map_collect(|covered, t| !covered || !t.is_finite());
        if !open.iter().any(|o| *o) {
            return;
        }
        let reach = self.config.spline_order().reach();
        let unconstrained = dilate_diamond(open.view(), reach);
        let whole = Region::whole(unconstrained.dim());
        let (observations, tiles) = (self.problem.observations, self.pass(&whole).tiles());
        self.leaks = Some(Leaks::find(observations, tiles, unconstrained.view()));
        self.unconstrained = Some(unconstrained);
    }

    pub(super) fn solve_region(
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
        let weights = self.model_weights(domain);

        let mut projected = Projected::default();
        let (mut visits, initial_metric) = self.project(inner, domain, &mut projected)?;
        if n == 1 && !config.reference_bookkeeping {
            return self.solve_one_subfilter(inner, domain, &mut projected, initial_metric);
        }
        if config.use_convergence && initial_metric == 0.0 && !config.reference_bookkeeping {
            return Ok(SolveReport {
                outcome: Outcome::NoData,
                initial_metric,
                final_metric: initial_metric,
                iterations: vec![],
                visit_metrics: visits,
            });
        }
        let (mut metrics, mut gains, mut iterations) = (vec![initial_metric], vec![], vec![]);
        let mut best = (initial_metric, visits.clone());
        self.models.mark_best();
        let mut outcome = if config.use_convergence { Outcome::IterationLimit } else { Outcome::NotMeasured };
        while iterations.len() < most {
            let gain = next_gain(config.gain, base, &metrics, &gains);
            self.update(inner, domain, &mut projected, &weights, gain);
            let metric;
            (visits, metric) = self.project(inner, domain, &mut projected)?;
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
                best = (metric, visits.clone());
                self.models.mark_best();
            }
            if iterations.len() < fewest {
                continue;
            }
            // Small steps of either sign are convergence: the metric is not quite the minimised
            // quantity.
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
            (final_metric, visits) = best;
            self.models.restore_best();
        }
        Ok(SolveReport { outcome, initial_metric, final_metric, iterations, visit_metrics: visits })
    }

    /// Iterates the whole patch's model until the metric gets worse. The last model is not
    /// measured.
    pub(super) fn iterate_blindly(
        &mut self,
        iterations: usize,
        go_on: &dyn Fn() -> bool,
    ) -> Result<(), SolveError> {
        let config = self.config;
        let whole = Region::whole(self.template.dim());
        let base = base_gain(config.base_gain, self.problem.basis.subfilters());
        let weights = self.model_weights(&whole);
        let mut projected = Projected::default();
        let (mut metrics, mut gains) = (vec![], vec![]);
        while gains.len() < iterations {
            if !go_on() {
                return Err(SolveError::Cancelled);
            }
            let (_, metric) = self.project(&whole, &whole, &mut projected)?;
            let is_worse = metrics.last().is_some_and(|before| metric >= *before);
            if is_worse || metric == 0.0 || !metric.is_finite() {
                self.models.restore_best();
                break;
            }
            self.models.mark_best();
            metrics.push(metric);
            let gain = next_gain(config.gain, base, &metrics, &gains);
            self.update(&whole, &whole, &mut projected, &weights, gain);
            gains.push(gain);
        }
        Ok(())
    }

    /// Weight of the data in each pixel, relative to the template.
    fn model_weights(&self, domain: &Region) -> Array2<f32> {
        match self.config.use_model_weights {
            true => model_weights(domain.of(&self.problem.detected), self.config.model_weights_width),
            false => Array2::ones(domain.shape()),
        }
    }

    /// With one subfilter the model is the visits' weighted mean, which one whole step reaches from
    /// anywhere.
    fn solve_one_subfilter(
        &mut self,
        inner: &Region,
        domain: &Region,
        projected: &mut Projected,
        initial_metric: f64,
    ) -> Result<SolveReport, SolveError> {
        self.take_whole_step(inner, domain, projected);
        let (visit_metrics, final_metric) = self.project(inner, domain, projected)?;
        let outcome = if final_metric == 0.0 { Outcome::NoData } else { Outcome::Converged };
        Ok(SolveReport { outcome, initial_metric, final_metric, iterations: vec![], visit_metrics })
    }

    /// Compares the present model with the visits. Fills `projected`, and returns each visit's
    /// metric and their mean.
    fn project(
        &mut self,
        inner: &Region,
        domain: &Region,
        projected: &mut Projected,
    ) -> Result<(Vec<f64>, f64), SolveError> {
        let config = self.config;
        let mut filled = std::mem::take(&mut self.filled_byx);
        let old = self.over(domain);
        let second = self.models.now_byx.index_axis(Axis(0), 1.min(self.models.now_byx.len_of(Axis(0)) - 1));
        let noise = background_noise(second, self.background.view(), self.reach);
        let mut model: CowArray<f32, _> = match config.reference_bookkeeping {
            true => amplified(old, config.accelerate_model).into(),
            false => old.into(),
        };
        if let Some(unconstrained) = &self.unconstrained {
            if filled.dim() == model.dim() {
                copy_planes(&mut filled, model.view());
            } else {
                filled = model.to_owned();
            }
            fill_from_neighbours(&mut filled, domain.of(&unconstrained.view()));
            model = filled.view().into();
        }
        let significance = Significance::new(old, noise);
        self.pass(domain).run(model.view(), &significance, projected).map_err(SolveError::Source)?;
        if config.edge == Edge::Zero && inner != domain {
            // The reference measures a region on its own, without the border of its solve.
            let part = inner.within(domain);
            let at = s![.., part.rows.clone(), part.cols.clone()];
            let (significance, mut own) = (Significance::new(self.over(inner), noise), Projected::default());
            self.pass(inner).run(model.slice(at), &significance, &mut own).map_err(SolveError::Source)?;
            projected.metric_sums = own.metric_sums;
        }
        drop(model);
        self.filled_byx = filled;
        let visits: Vec<f64> = projected
            .metric_sums
            .iter()
            .map(|[difference, sum]| if *sum > 0.0 { difference / sum } else { 0.0 })
            .collect();
        let weight = |visit: usize| self.problem.observations.weight(visit);
        let total: f64 = (0..visits.len()).map(weight).sum();
        let metric = visits.iter().enumerate().map(|(i, m)| weight(i) * m).sum::<f64>() / total;
        Ok((visits, metric))
    }

    pub(super) fn over(&self, domain: &Region) -> ArrayView3<'_, f32> {
        self.models.now_byx.slice(s![.., domain.rows.clone(), domain.cols.clone()])
    }

    /// Planes of the output.
    pub(super) fn take_output(&mut self) -> Array3<f32> {
        let model = std::mem::take(&mut self.models.now_byx);
        if self.config.reference_bookkeeping {
            amplified(model.view(), self.config.accelerate_model)
        } else {
            model
        }
    }
}

/// Largest displacement in whole pixels, plus one.
fn reach(problem: &Problem) -> usize {
    let visits = 0..problem.observations.visits();
    let largest = visits
        .flat_map(|visit| (0..problem.cells.len()).map(move |cell| (visit, cell)))
        .flat_map(|(visit, cell)| problem.observations.shifts(visit, cell))
        .map(|shift| shift.mean.max_component())
        .fold(0.0, f64::max);
    largest.ceil() as usize + 1
}

/// Copies planes side by side.
fn copy_planes(to_byx: &mut Array3<f32>, from_byx: ArrayView3<f32>) {
    let planes: Vec<_> = to_byx.axis_iter_mut(Axis(0)).zip(from_byx.axis_iter(Axis(0))).collect();
    planes.into_par_iter().for_each(|(mut to, from)| to.assign(&from));
}
