//! The plain coadd: a clipped weighted mean of the visits, with its variance and mask.
//!
//! The mean rejects values further than `coadd.clip_sigma` standard deviations from the centre, in
//! `coadd.clip_iterations` passes (ALGORITHM §9): first from the median, with 0.741 × the interquartile range, then
//! from the mean. With few visits such ranges are small by chance, so no deviation is taken for smaller than
//! the visits' own median noise. With weights `w` over the values kept,
//!
//! ```text
//! image = Σ w s / Σ w          variance = Σ w² v / (Σ w)²
//! ```
//!
//! The mask has the planes of the good pixels that went in. A plane with a propagation threshold (SAT) is set instead
//! where more than that share of the weight of all visits with data has it, good or not.

use dcr_image::{BBox, FitsError, MaskPlanes, remap};
use dcr_solver::GOOD;
use ndarray::Array2;
use rayon::prelude::*;

use crate::config::CoaddConfig;
use crate::error::CoaddError;
use crate::inputs::Input;
use crate::pixels::{PixelReader, VisitPixels};

/// Bytes of the pixels of all visits that are held at a time.
const STRIP_BYTES: usize = 256 << 20;
/// Bytes of a pixel of a visit, as read.
const BYTES_PER_PIXEL: usize = 13;
/// Standard deviation of a normal distribution with an interquartile range of 1.
const SIGMA_PER_IQR: f64 = 0.741;

/// A coadd of a patch. Pixels that no visit has are NaN, also in the variance.
pub(crate) struct PlainCoadd {
    pub(crate) image: Array2<f32>,
    pub(crate) variance: Array2<f32>,
    /// In the dictionary given; NO_DATA where there are none.
    pub(crate) mask: Array2<i32>,
}

/// How pixels are combined.
struct Combination<'a> {
    weights: &'a [f64],
    clip_sigma: f64,
    clip_passes: usize,
    no_data: i32,
    /// Bits with a threshold, each with it.
    thresholds: Vec<(i32, f64)>,
}

/// A visit's value in one pixel.
#[derive(Clone, Copy)]
struct Value {
    value: f64,
    weight: f64,
    variance: f64,
    mask: i32,
}

/// Coadds the visits over the patch, strip by strip.
///
/// # Errors
///
/// [`CoaddError`] if a visit cannot be read, or if the caller wants to stop.
pub(crate) fn plain_coadd(
    visits: &[Input],
    reader: &PixelReader<'_>,
    weights: &[f64],
    planes: &MaskPlanes,
    config: &CoaddConfig,
    mut go_on: impl FnMut() -> bool,
) -> Result<PlainCoadd, CoaddError> {
    let Some(bbox) = visits.first().map(|visit| visit.file.bbox()) else { return Err(CoaddError::NoInputs) };
    let combination = Combination {
        weights,
        clip_sigma: config.clip_sigma,
        clip_passes: config.clip_iterations,
        no_data: planes.bits_of(["NO_DATA"]),
        thresholds: config
            .mask_propagation_thresholds
            .iter()
            .map(|(name, threshold)| (planes.bits_of([name]), *threshold))
            .filter(|(bit, _)| *bit != 0)
            .collect(),
    };
    let mut coadd = PlainCoadd {
        image: Array2::from_elem(bbox.shape(), f32::NAN),
        variance: Array2::from_elem(bbox.shape(), f32::NAN),
        mask: Array2::zeros(bbox.shape()),
    };
    let row_bytes = (visits.len() * bbox.width * BYTES_PER_PIXEL).max(1);
    for strip in bbox.tiles((bbox.width, (STRIP_BYTES / row_bytes).max(1))) {
        if !go_on() {
            return Err(CoaddError::Cancelled);
        }
        let read: Vec<Result<VisitPixels, CoaddError>> =
            visits.par_iter().map(|visit| read_remapped(visit, reader, strip, planes)).collect();
        let pixels: Vec<VisitPixels> = read.into_iter().collect::<Result<_, _>>()?;
        let first_row = strip.slice_in(&bbox).map_or(0, |(rows, _)| rows.start);
        let rows: Vec<Vec<(f32, f32, i32)>> =
            (0..strip.height).into_par_iter().map(|row| combination.row(&pixels, row)).collect();
        for (i, row) in rows.into_iter().enumerate() {
            for (x, (value, variance, mask)) in row.into_iter().enumerate() {
                let at = [first_row + i, x];
                coadd.image[at] = value;
                coadd.variance[at] = variance;
                coadd.mask[at] = mask;
            }
        }
    }
    Ok(coadd)
}

fn read_remapped(
    visit: &Input,
    reader: &PixelReader<'_>,
    part: BBox,
    planes: &MaskPlanes,
) -> Result<VisitPixels, CoaddError> {
    let mut pixels = reader.read(visit, part).map_err(|error: FitsError| CoaddError::Fits(error))?;
    remap(&mut pixels.masked.mask, visit.file.mask_planes(), planes)
        .map_err(|source| CoaddError::Mask { path: visit.file.path().to_owned(), source })?;
    Ok(pixels)
}

impl Combination<'_> {
    /// Image, variance and mask of a row of a strip.
    fn row(&self, pixels: &[VisitPixels], row: usize) -> Vec<(f32, f32, i32)> {
        let width = pixels.first().map_or(0, |visit| visit.flags.ncols());
        let mut values = Vec::with_capacity(pixels.len());
        (0..width)
            .map(|x| {
                values.clear();
                let mut seen_weight = 0.0;
                let mut flagged_weight = vec![0.0; self.thresholds.len()];
                for (visit, weight) in pixels.iter().zip(self.weights) {
                    let mask = visit.masked.mask[[row, x]];
                    if mask & self.no_data == 0 {
                        seen_weight += weight;
                        for ((bit, _), flagged) in self.thresholds.iter().zip(&mut flagged_weight) {
                            *flagged += if mask & bit != 0 { *weight } else { 0.0 };
                        }
                    }
                    if visit.flags[[row, x]] & GOOD != 0 {
                        values.push(Value {
                            value: f64::from(visit.masked.image[[row, x]]),
                            weight: *weight,
                            variance: f64::from(visit.masked.variance[[row, x]]),
                            mask,
                        });
                    }
                }
                let propagated = self
                    .thresholds
                    .iter()
                    .zip(&flagged_weight)
                    .filter(|((_, threshold), flagged)| **flagged > threshold * seen_weight)
                    .fold(0, |bits, ((bit, _), _)| bits | bit);
                let (value, variance, mask) = self.combine(&mut values);
                (value, variance, mask | propagated)
            })
            .collect()
    }

    /// The clipped mean of a pixel's values, its variance, and the planes of what went in.
    fn combine(&self, values: &mut Vec<Value>) -> (f32, f32, i32) {
        if values.is_empty() {
            return (f32::NAN, f32::NAN, self.no_data);
        }
        self.clip(values);
        let (mut weight, mut sum, mut variance, mut mask) = (0.0, 0.0, 0.0, 0);
        for value in values.iter() {
            weight += value.weight;
            sum += value.weight * value.value;
            variance += value.weight * value.weight * value.variance;
            mask |= value.mask;
        }
        let thresholded = self.thresholds.iter().fold(0, |bits, (bit, _)| bits | bit);
        ((sum / weight) as f32, (variance / (weight * weight)) as f32, mask & !thresholded)
    }

    /// Leaves the values that are not rejected; at least one.
    fn clip(&self, values: &mut Vec<Value>) {
        if values.len() < 3 {
            return;
        }
        let noise = quantile(values.iter().map(|v| v.variance), 0.5).sqrt();
        let quartile = |q| quantile(values.iter().map(|v| v.value), q);
        let mut centre = quartile(0.5);
        let mut deviation = SIGMA_PER_IQR * (quartile(0.75) - quartile(0.25));
        for _ in 0..self.clip_passes {
            let reach = self.clip_sigma * deviation.max(noise);
            let kept = |v: &Value| (v.value - centre).abs() <= reach;
            if !values.iter().any(kept) {
                return;
            }
            values.retain(kept);
            let count = values.len() as f64;
            centre = values.iter().map(|v| v.value).sum::<f64>() / count;
            deviation = (values.iter().map(|v| (v.value - centre).powi(2)).sum::<f64>() / count).sqrt();
        }
    }
}

/// A quantile, linear between the values.
fn quantile(values: impl Iterator<Item = f64>, q: f64) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let at = q * (sorted.len() as f64 - 1.0);
    let (below, above) = (at.floor() as usize, at.ceil() as usize);
    sorted[below] + (at - at.floor()) * (sorted[above] - sorted[below])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn combination(weights: &[f64]) -> Combination<'_> {
        Combination { weights, clip_sigma: 2.5, clip_passes: 3, no_data: 256, thresholds: vec![(2, 0.1)] }
    }

    fn value(value: f64, weight: f64) -> Value {
        Value { value, weight, variance: 1.0, mask: 4 }
    }

    #[test]
    fn combine_is_the_weighted_mean_with_its_variance() {
        let mut values = vec![value(1.0, 3.0), value(2.0, 1.0)];
        assert_eq!(combination(&[]).combine(&mut values), (1.25, 0.625, 4));
        assert!(combination(&[]).combine(&mut vec![]).0.is_nan());
    }

    #[test]
    fn combine_rejects_what_is_far_and_keeps_noise() {
        let noise = [0.3, -0.2, 1.1, -0.9, 0.0, 0.4, -0.6];
        let mut values: Vec<Value> = noise.iter().map(|v| value(*v, 1.0)).collect();
        values.push(value(100.0, 1.0));
        let (mean, variance, _) = combination(&[]).combine(&mut values);
        assert!((f64::from(mean) - noise.iter().sum::<f64>() / 7.0).abs() < 1e-6);
        assert!((variance - 1.0 / 7.0).abs() < 1e-6);
        let mut alike = vec![value(5.0, 1.0); 6];
        assert_eq!(combination(&[]).combine(&mut alike).0, 5.0);
    }

    #[test]
    fn quantile_is_linear_between_values() {
        assert_eq!(quantile([4.0, 1.0, 2.0].into_iter(), 0.5), 2.0);
        assert_eq!(quantile([0.0, 1.0].into_iter(), 0.25), 0.25);
        assert_eq!(quantile([7.0].into_iter(), 0.75), 7.0);
    }
}
