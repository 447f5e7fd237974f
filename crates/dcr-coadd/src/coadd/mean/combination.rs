//! Combination of the visits' values in one pixel.

use std::f64::consts::FRAC_PI_2;

use dcr_image::MaskPlanes;
use dcr_solver::GOOD;

use super::ingredients::Ingredients;
use crate::config::Statistic;
use crate::inputs::pixels::{ARTEFACT, VisitRow};

/// Standard deviation of a normal distribution with an interquartile range of 1.
const SIGMA_PER_IQR: f64 = 0.741;

/// How pixels are combined.
pub(crate) struct Combination<'a> {
    pub(super) weights: &'a [f64],
    pub(super) statistic: Statistic,
    clip_sigma: f64,
    clip_passes: usize,
    pub(super) no_data: i32,
    pub(super) marks: Marks,
    /// Bits with a threshold, each with it.
    pub(super) thresholds: Vec<(i32, f64)>,
}

/// Mask planes that record how visits were used.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Marks {
    edge: i32,
    clipped: i32,
    rejected: i32,
    sensor_edge: i32,
    inexact_psf: i32,
}

impl Marks {
    fn new(planes: &MaskPlanes) -> Self {
        let [edge, clipped, rejected, sensor_edge, inexact_psf] =
            ["EDGE", "CLIPPED", "REJECTED", "SENSOR_EDGE", "INEXACT_PSF"].map(|name| planes.bits_of([name]));
        Self { edge, clipped, rejected, sensor_edge, inexact_psf }
    }

    /// Mask planes that a visit with data leaves in a pixel.
    pub(super) fn of(&self, mask: i32, flags: u8) -> i32 {
        let edge = if mask & self.edge == 0 { 0 } else { self.sensor_edge };
        let (rejected, clipped) = match (flags & GOOD != 0, flags & ARTEFACT != 0) {
            (true, _) => (0, mask & self.clipped),
            (false, true) => (0, self.clipped),
            (false, false) => (self.rejected, 0),
        };
        match rejected | edge | clipped {
            0 => 0,
            marks => marks | self.inexact_psf,
        }
    }
}

/// A visit's value in one pixel.
#[derive(Clone, Copy)]
pub(crate) struct Value {
    pub(crate) value: f32,
    pub(crate) weight: f64,
    pub(crate) variance: f32,
    pub(crate) mask: i32,
}

/// Scratch buffers of a pixel, reused for the next.
#[derive(Default)]
pub(crate) struct Work {
    /// The good values.
    pub(crate) values: Vec<Value>,
    /// To find quantiles in.
    sorted: Vec<f32>,
    /// Weight of the visits that have each plane with a threshold.
    flagged: Vec<f64>,
}

/// A pixel of a coadd.
pub(super) struct Combined {
    pub(super) image: f32,
    pub(super) variance: f32,
    pub(super) mask: i32,
    pub(super) n: u16,
}

impl<'a> Ingredients<'a> {
    /// The combination that the settings ask for.
    pub(super) fn combination(&self) -> Combination<'a> {
        let thresholds = self.config.mask_propagation_thresholds.iter();
        Combination {
            weights: self.weights,
            statistic: self.config.statistic,
            clip_sigma: self.config.clip_sigma,
            clip_passes: self.config.clip_iterations,
            no_data: self.planes.bits_of(["NO_DATA"]),
            marks: Marks::new(self.planes),
            thresholds: thresholds
                .map(|(name, threshold)| (self.planes.bits_of([name]), *threshold))
                .filter(|(bit, _)| *bit != 0)
                .collect(),
        }
    }
}

impl<'a> Combination<'a> {
    /// A clipped mean without masks.
    pub(crate) fn clipped_mean(weights: &'a [f64], clip_sigma: f64, clip_passes: usize) -> Self {
        let (statistic, marks) = (Statistic::ClippedMean, Marks::default());
        Self { weights, statistic, clip_sigma, clip_passes, no_data: 0, marks, thresholds: vec![] }
    }
}

impl Combination<'_> {
    /// A pixel from a row of all visits.
    pub(super) fn pixel(&self, rows: &[VisitRow<'_>], x: usize, work: &mut Work) -> Combined {
        work.values.clear();
        work.flagged.clear();
        work.flagged.resize(self.thresholds.len(), 0.0);
        let (mut seen, mut marks) = (0.0, 0);
        for ((images, variances, masks, flags), weight) in rows.iter().zip(self.weights) {
            let mask = masks[x];
            if mask & self.no_data == 0 {
                seen += weight;
                marks |= self.marks.of(mask, flags[x]);
                for ((bit, _), flagged) in self.thresholds.iter().zip(&mut work.flagged) {
                    *flagged += if mask & bit != 0 { *weight } else { 0.0 };
                }
            }
            if flags[x] & GOOD != 0 {
                let (value, variance) = (images[x], variances[x]);
                work.values.push(Value { value, weight: *weight, variance, mask });
            }
        }
        let propagated = self
            .thresholds
            .iter()
            .zip(&work.flagged)
            .filter(|((_, threshold), flagged)| **flagged > threshold * seen)
            .fold(0, |bits, ((bit, _), _)| bits | bit);
        let n = work.values.len() as u16;
        let (image, variance, mask) = self.combine(work);
        Combined { image, variance, mask: mask | propagated | marks, n }
    }

    /// Clipped mean of a pixel's values, its variance, and its mask planes.
    pub(crate) fn combine(&self, work: &mut Work) -> (f32, f32, i32) {
        if work.values.is_empty() {
            return (f32::NAN, f32::NAN, self.no_data);
        }
        match self.statistic {
            Statistic::ClippedMean => self.clip(work),
            Statistic::Mean => {}
            Statistic::Median => return self.median(work),
        }
        let (mut weight, mut sum, mut variance, mut mask) = (0.0, 0.0, 0.0, 0);
        for value in &work.values {
            weight += value.weight;
            sum += value.weight * f64::from(value.value);
            variance += value.weight * value.weight * f64::from(value.variance);
            mask |= value.mask;
        }
        let thresholded = self.thresholds.iter().fold(0, |bits, (bit, _)| bits | bit);
        ((sum / weight) as f32, (variance / (weight * weight)) as f32, mask & !thresholded)
    }

    /// Median of a pixel's values, its variance, and its mask planes.
    fn median(&self, Work { values, sorted, .. }: &mut Work) -> (f32, f32, i32) {
        sorted.clear();
        sorted.extend(values.iter().map(|v| v.value));
        let count = values.len() as f64;
        let variance = values.iter().map(|v| f64::from(v.variance)).sum::<f64>() / (count * count);
        // Of one or two values it is their mean.
        let loss = if values.len() < 3 { 1.0 } else { FRAC_PI_2 };
        let mask = values.iter().fold(0, |mask, v| mask | v.mask);
        let thresholded = self.thresholds.iter().fold(0, |bits, (bit, _)| bits | bit);
        (quantile(sorted, 0.5) as f32, (loss * variance) as f32, mask & !thresholded)
    }

    /// Leaves the values that are not rejected; at least one.
    fn clip(&self, Work { values, sorted, .. }: &mut Work) {
        if values.len() < 3 {
            return;
        }
        sorted.clear();
        sorted.extend(values.iter().map(|v| v.value));
        let mut centre = quantile(sorted, 0.5);
        if self.surely_keeps_all(values, centre) {
            return;
        }
        let mut deviation = SIGMA_PER_IQR * (quantile(sorted, 0.75) - quantile(sorted, 0.25));
        sorted.clear();
        sorted.extend(values.iter().map(|v| v.variance));
        let noise = quantile(sorted, 0.5).sqrt();
        for pass in 0..self.clip_passes {
            let reach = self.clip_sigma * deviation.max(noise);
            let kept = |v: &Value| (f64::from(v.value) - centre).abs() <= reach;
            let count = values.iter().filter(|v| kept(v)).count();
            // Nothing rejected about the mean: nothing will be.
            if count == 0 || (pass > 0 && count == values.len()) {
                return;
            }
            values.retain(kept);
            let count = count as f64;
            centre = values.iter().map(|v| f64::from(v.value)).sum::<f64>() / count;
            let squares: f64 = values.iter().map(|v| (f64::from(v.value) - centre).powi(2)).sum();
            deviation = (squares / count).sqrt();
        }
    }
}

impl Combination<'_> {
    /// True if all values are so close to their median and mean that no pass can reject one, as in
    /// most pixels.
    ///
    /// The minimum deviation is the median noise, which is at least the smallest noise.
    fn surely_keeps_all(&self, values: &[Value], median: f64) -> bool {
        let least = values.iter().map(|v| v.variance).fold(f32::INFINITY, f32::min);
        let reach = self.clip_sigma * f64::from(least).sqrt();
        let mean = values.iter().map(|v| f64::from(v.value)).sum::<f64>() / values.len() as f64;
        let (low, high) = (median.max(mean) - reach, median.min(mean) + reach);
        values.iter().all(|v| (low..=high).contains(&f64::from(v.value)))
    }
}

/// A quantile, linear between the values; it changes their order.
fn quantile(values: &mut [f32], q: f64) -> f64 {
    let at = q * (values.len() as f64 - 1.0);
    let below = at.floor();
    let (_, lower, higher) = values.select_nth_unstable_by(below as usize, f32::total_cmp);
    let lower = f64::from(*lower);
    if at == below {
        return lower;
    }
    let upper = higher.iter().copied().min_by(f32::total_cmp).map_or(lower, f64::from);
    lower + (at - below) * (upper - lower)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn combination(weights: &[f64]) -> Combination<'_> {
        Combination {
            weights,
            statistic: Statistic::ClippedMean,
            clip_sigma: 2.5,
            clip_passes: 3,
            no_data: 256,
            marks: Marks::default(),
            thresholds: vec![(2, 0.1)],
        }
    }

    fn value(value: f32, weight: f64) -> Value {
        Value { value, weight, variance: 1.0, mask: 4 }
    }

    #[test]
    fn combine_is_the_weighted_mean_with_its_variance() {
        let combined = |values: Vec<Value>| combination(&[]).combine(&mut Work { values, ..Work::default() });
        assert_eq!(combined(vec![value(1.0, 3.0), value(2.0, 1.0)]), (1.25, 0.625, 4));
        assert!(combined(vec![]).0.is_nan());
    }

    #[test]
    fn combine_rejects_what_is_far_and_keeps_noise() {
        let combined = |values: Vec<Value>| combination(&[]).combine(&mut Work { values, ..Work::default() });
        let noise = [0.3, -0.2, 1.1, -0.9, 0.0, 0.4, -0.6];
        let mut values: Vec<Value> = noise.iter().map(|v| value(*v, 1.0)).collect();
        values.push(value(100.0, 1.0));
        let (mean, variance, _) = combined(values);
        assert!((mean - noise.iter().sum::<f32>() / 7.0).abs() < 1e-6);
        assert!((variance - 1.0 / 7.0).abs() < 1e-6);
        assert_eq!(combined(vec![value(5.0, 1.0); 6]).0, 5.0);
    }

    #[test]
    fn median_is_unweighted_and_noisier() {
        let median = Combination { statistic: Statistic::Median, ..combination(&[]) };
        let combined = |values: Vec<Value>| median.combine(&mut Work { values, ..Work::default() });
        let (value_of_three, variance, mask) =
            combined(vec![value(1.0, 9.0), value(2.0, 1.0), value(30.0, 1.0)]);
        assert_eq!((value_of_three, mask), (2.0, 4));
        assert!((variance - (FRAC_PI_2 / 3.0) as f32).abs() < 1e-6);
        assert_eq!(combined(vec![value(1.0, 9.0), value(2.0, 1.0)]), (1.5, 0.5, 4));
    }

    #[test]
    fn marks_tell_what_became_of_a_visit() {
        let planes = MaskPlanes::canonical();
        let marks = Marks::new(&planes);
        let bits = |names: &[&str]| planes.bits_of(names);
        assert_eq!(marks.of(bits(&["DETECTED"]), GOOD), 0);
        assert_eq!(marks.of(bits(&["CR"]), 0), bits(&["REJECTED", "INEXACT_PSF"]));
        assert_eq!(marks.of(bits(&["EDGE"]), GOOD), bits(&["SENSOR_EDGE", "INEXACT_PSF"]));
        assert_eq!(marks.of(bits(&["CLIPPED"]), GOOD), bits(&["CLIPPED", "INEXACT_PSF"]));
        assert_eq!(marks.of(bits(&["DETECTED"]), ARTEFACT), bits(&["CLIPPED", "INEXACT_PSF"]));
    }

    #[test]
    fn quantile_is_linear_between_values() {
        assert_eq!(quantile(&mut [4.0, 1.0, 2.0], 0.5), 2.0);
        assert_eq!(quantile(&mut [0.0, 1.0], 0.25), 0.25);
        assert_eq!(quantile(&mut [7.0], 0.75), 7.0);
    }
}
