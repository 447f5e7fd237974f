//! One step of the model, from what the residuals ask for.

use ndarray::{Array2, Array3, ArrayView3, Axis, Zip, s};

use super::project::Projected;
use super::regularize::{Surroundings, clamp_frequency, clamp_iteration};
use super::state::State;
use super::weights::background_noise;
use crate::kernel::Region;

impl State<'_> {
    /// One step of the model inside `inner` (ALGORITHM §6.3 to §6.9).
    pub(super) fn update(
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

    /// Moves the model all the way that the residuals ask for, unclamped.
    pub(super) fn take_whole_step(&mut self, inner: &Region, domain: &Region, projected: &Projected) {
        let within = inner.within(domain);
        for (b, back) in projected.back_byx.axis_iter(Axis(0)).enumerate() {
            let weight = self.inverse_weight_byx.index_axis(Axis(0), b);
            let plane = inner.of_mut(self.model_byx.index_axis_mut(Axis(0), b));
            Zip::from(plane).and(within.of(&back)).and(inner.of(&weight)).for_each(|y, back, w| {
                let step = back * w;
                if step.is_finite() {
                    *y += step;
                }
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
}
