//! One step of the model from the back-projected residuals.

use multiversion::multiversion;
use ndarray::{Array2, Array3, Axis, Zip, s};
use rayon::prelude::*;

use super::project::Projected;
use super::regularize::{Surroundings, clamp_frequency, clamp_iteration, conserves, conserving_into};
use super::state::State;
use super::weights::{ROWS_AT_A_TIME, background_noise};
use crate::kernel::Region;

impl State<'_, '_> {
    /// One step of the model inside `inner` (docs/algorithm.md §6.3 to §6.9) from the
    /// back-projected residuals, which are overwritten.
    pub(super) fn update(
        &mut self,
        inner: &Region,
        domain: &Region,
        projected: &mut Projected,
        weights: &Array2<f32>,
        gain: f64,
    ) {
        let within = inner.within(domain);
        let (weights, fallback) = (within.of(&weights.view()), inner.of(&self.template.view()).to_owned());
        let fractions = self.problem.fractions;
        // Away from sources the model is the template (docs/algorithm.md §5.5).
        let settle = |b: usize, (y, x): (usize, usize), new: &mut [f32]| {
            let end = x + new.len();
            let (m, t) = (weights.slice(s![y, x..end]), fallback.slice(s![y, x..end]));
            let (Some(m), Some(t)) = (m.to_slice(), t.to_slice()) else {
                unreachable!("rows of the solver's own planes are contiguous");
            };
            mix(fractions[b] as f32, m, t, new);
        };
        let mut next = self.models.buffer();
        if inner.shape() != self.template.dim() {
            next.assign(&self.models.now_byx);
        }
        let mut target = next.slice_mut(s![.., inner.rows.clone(), inner.cols.clone()]);
        let new = &mut projected.back_byx;
        if self.config.reference_bookkeeping {
            self.reference_update(new, domain, gain);
        } else {
            self.accelerated_update(new, domain, gain);
        }
        let around = self.surroundings(domain);
        if !self.config.reference_bookkeeping && conserves(self.config, fractions.len()) {
            conserving_into(new.view(), &around, self.config, &within, target, &settle);
        } else {
            if !self.config.reference_bookkeeping {
                clamp_frequency(new, &around, self.config);
            }
            target.assign(&new.slice(s![.., within.rows.clone(), within.cols.clone()]));
            for (b, mut plane) in target.axis_iter_mut(Axis(0)).enumerate() {
                for (y, mut row) in plane.axis_iter_mut(Axis(0)).enumerate() {
                    let Some(row) = row.as_slice_mut() else {
                        unreachable!("rows of a model are contiguous")
                    };
                    settle(b, (y, 0), row);
                }
            }
        }
        self.models.advance(next);
    }

    /// Takes the whole step of the back-projected residuals, unclamped.
    pub(super) fn take_whole_step(&mut self, inner: &Region, domain: &Region, projected: &Projected) {
        let within = inner.within(domain);
        for (b, back) in projected.back_byx.axis_iter(Axis(0)).enumerate() {
            let weight = self.inverse_weight_byx.index_axis(Axis(0), b);
            let plane = inner.of_mut(self.models.now_byx.index_axis_mut(Axis(0), b));
            Zip::from(plane).and(within.of(&back)).and(inner.of(&weight)).for_each(|y, back, w| {
                let step = back * w;
                if step.is_finite() {
                    *y += step;
                }
            });
        }
    }

    /// The step of docs/algorithm.md §6. `new` has the back-projected residuals, not yet divided by
    /// coverage, and becomes the new model.
    fn reference_update(&self, new: &mut Array3<f32>, domain: &Region, gain: f64) {
        let old = self.over(domain);
        let inverse = self.inverse_weight_byx.slice(s![.., domain.rows.clone(), domain.cols.clone()]);
        Zip::from(&mut *new).and(old).and(inverse).for_each(|u, y, w| {
            let moved = y + *u * w;
            *u = if moved.is_finite() { moved } else { *y };
        });
        for (new, old) in new.axis_iter_mut(Axis(0)).zip(old.axis_iter(Axis(0))) {
            clamp_iteration(new, old, 0.0, self.config);
        }
        clamp_frequency(new, &self.surroundings(domain), self.config);
        let gain = gain as f32;
        Zip::from(new).and(old).for_each(|u, y| *u = (gain * *u + y) / (1.0 + gain));
    }

    /// The step in the amplified planes, which the clamps then act on: they are the output
    /// (docs/algorithm.md §12.2).
    ///
    /// The step in the sum is taken with the share of each subfilter, that in the contrast
    /// `accelerate_model` times. The frequency clamp is left to the caller.
    fn accelerated_update(&self, new: &mut Array3<f32>, domain: &Region, gain: f64) {
        let share = if gain.is_finite() { gain / (1.0 + gain) } else { 1.0 };
        let old = self.over(domain);
        let (_, _, cols) = new.dim();
        let bands: Vec<_> = new.axis_chunks_iter_mut(Axis(1), ROWS_AT_A_TIME).collect();
        bands.into_par_iter().enumerate().for_each(|(i, mut band)| {
            let mut total = vec![0.0_f32; cols];
            for y in 0..band.len_of(Axis(1)) {
                let at = i * ROWS_AT_A_TIME + y;
                total.fill(0.0);
                for (b, mut plane) in band.axis_iter_mut(Axis(0)).enumerate() {
                    let inverse =
                        self.inverse_weight_byx.slice(s![b, domain.rows.start + at, domain.cols.clone()]);
                    if let (Some(back), Some(inverse)) = (plane.row_mut(y).as_slice_mut(), inverse.to_slice())
                    {
                        divide(inverse, back, &mut total);
                    }
                }
                for (b, mut plane) in band.axis_iter_mut(Axis(0)).enumerate() {
                    let old = old.slice(s![b, at, ..]);
                    if let (Some(step), Some(old)) = (plane.row_mut(y).as_slice_mut(), old.to_slice()) {
                        let fraction = self.problem.fractions[b] as f32;
                        let factors = [share as f32, self.config.accelerate_model as f32, fraction];
                        advance(factors, old, &total, step);
                    }
                }
            }
        });
        let background = domain.of(&self.background.view());
        for (mut new, old) in new.axis_iter_mut(Axis(0)).zip(old.axis_iter(Axis(0))) {
            let noise = background_noise(new.view(), background, 0);
            clamp_iteration(new.view_mut(), old, noise, self.config);
        }
    }

    fn surroundings<'b>(&'b self, domain: &Region) -> Surroundings<'b> {
        Surroundings {
            old_byx: self.over(domain),
            background: domain.of(&self.background.view()),
            fractions: self.problem.fractions,
        }
    }
}

/// `back ← back · inverse`, also added to `total`.
#[multiversion(targets("x86_64+avx2"))]
fn divide(inverse: &[f32], back: &mut [f32], total: &mut [f32]) {
    for ((back, inverse), total) in back.iter_mut().zip(inverse).zip(total) {
        *back *= inverse;
        *total += *back;
    }
}

/// `step ← old + share·(fraction·total + contrast·(step − fraction·total))`, or `old` where that is
/// not a number.
#[multiversion(targets("x86_64+avx2"))]
fn advance([share, contrast, fraction]: [f32; 3], old: &[f32], total: &[f32], step: &mut [f32]) {
    for ((step, old), total) in step.iter_mut().zip(old).zip(total) {
        let even = fraction * total;
        let change = share * (even + contrast * (*step - even));
        *step = if change.abs() < f32::INFINITY { old + change } else { *old };
    }
}

/// `new ← m·new + (1 − m)·fraction·template`.
#[multiversion(targets("x86_64+avx2"))]
fn mix(fraction: f32, m: &[f32], template: &[f32], new: &mut [f32]) {
    for ((new, m), t) in new.iter_mut().zip(m).zip(template) {
        *new = m * *new + (1.0 - m) * fraction * t;
    }
}
