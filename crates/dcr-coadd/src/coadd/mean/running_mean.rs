//! Weighted mean of the visits in strips of rows, visit by visit: only one visit's rows are in
//! memory.

use dcr_image::BBox;
use dcr_solver::GOOD;
use ndarray::{Array2, Axis, Zip, s};
use rayon::prelude::*;

use super::combination::Combination;
use super::ingredients::{Ingredients, MeanCoadd, read_remapped};
use crate::error::CoaddError;
use crate::inputs::pixels::VisitPixels;

/// Rows of a strip.
const STRIP_ROWS: usize = 512;

/// The sums over the visits so far, of one pixel.
#[derive(Clone, Copy, Default)]
struct Sums {
    weight: f64,
    value: f64,
    variance: f64,
    /// The weight of the visits with data.
    seen: f64,
    /// Mask planes of the good pixels.
    mask: i32,
    marks: i32,
    /// The visits with a good pixel.
    n: u16,
}

/// The mean, its variance and mask, equal to those of all visits at once.
///
/// # Errors
///
/// [`CoaddError`] if a visit cannot be read, or the monitor asks to stop.
pub(super) fn running_mean(
    ingredients: &Ingredients<'_>,
    combination: &Combination<'_>,
    bbox: BBox,
    mut go_on: impl FnMut() -> bool,
) -> Result<MeanCoadd, CoaddError> {
    let Ingredients { visits, reader, planes, .. } = *ingredients;
    let mut coadd = MeanCoadd::zeros(bbox.shape());
    for strip in bbox.tiles((bbox.width, STRIP_ROWS)) {
        let mut sums = Array2::from_elem(strip.shape(), Sums::default());
        // Weight of the visits that have each plane with a threshold.
        let mut flagged = vec![Array2::<f64>::zeros(strip.shape()); combination.thresholds.len()];
        for (visit, weight) in visits.iter().zip(combination.weights) {
            if !go_on() {
                return Err(CoaddError::Cancelled);
            }
            let pixels = read_remapped(visit, reader, strip, planes)?;
            combination.add(&pixels, *weight, &mut sums, &mut flagged);
        }
        let first = strip.slice_in(&bbox).map_or(0, |(rows, _)| rows.start);
        let at = s![first..first + strip.height, ..];
        // Without any weight, 0/0: not a number, as it should be.
        coadd.image.slice_mut(at).assign(&sums.mapv(|sums| (sums.value / sums.weight) as f32));
        let variance = |sums: Sums| (sums.variance / (sums.weight * sums.weight)) as f32;
        coadd.variance.slice_mut(at).assign(&sums.mapv(variance));
        coadd.n_image.slice_mut(at).assign(&sums.map(|sums| sums.n));
        coadd.mask.slice_mut(at).assign(&combination.mask(&sums, &flagged));
    }
    Ok(coadd)
}

impl Combination<'_> {
    /// Adds a visit's part to the sums.
    fn add(&self, pixels: &VisitPixels, weight: f64, sums: &mut Array2<Sums>, flagged: &mut [Array2<f64>]) {
        let rows: Vec<_> = sums.axis_iter_mut(Axis(0)).enumerate().collect();
        rows.into_par_iter().for_each(|(row, mut sums)| {
            let (images, variances, masks, flags) = pixels.row(row);
            for (x, sums) in sums.iter_mut().enumerate() {
                let good = flags[x] & GOOD != 0;
                if masks[x] & self.no_data == 0 {
                    sums.seen += weight;
                    sums.marks |= self.marks.of(masks[x], flags[x]);
                }
                if good {
                    sums.weight += weight;
                    sums.value += weight * f64::from(images[x]);
                    sums.variance += weight * weight * f64::from(variances[x]);
                    sums.mask |= masks[x];
                    sums.n += 1;
                }
            }
        });
        for ((bit, _), flagged) in self.thresholds.iter().zip(flagged) {
            Zip::from(flagged).and(&pixels.masked.mask).for_each(|flagged, mask| {
                if mask & self.no_data == 0 && mask & bit != 0 {
                    *flagged += weight;
                }
            });
        }
    }

    /// The mask of the mean.
    fn mask(&self, sums: &Array2<Sums>, flagged: &[Array2<f64>]) -> Array2<i32> {
        let thresholded = self.thresholds.iter().fold(0, |bits, (bit, _)| bits | bit);
        let mut mask = sums.map(|sums| {
            let empty = if sums.weight > 0.0 { 0 } else { self.no_data };
            sums.mask & !thresholded | sums.marks | empty
        });
        for ((bit, threshold), flagged) in self.thresholds.iter().zip(flagged) {
            Zip::from(&mut mask).and(flagged).and(sums).for_each(|mask, flagged, sums| {
                if *flagged > threshold * sums.seen {
                    *mask |= bit;
                }
            });
        }
        mask
    }
}
