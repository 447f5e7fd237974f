//! The weighted mean of the visits, made visit after visit: only one is held at a time.

use dcr_image::{BBox, MaskPlanes};
use dcr_solver::GOOD;
use ndarray::{Array2, Axis, Zip, s};
use rayon::prelude::*;

use crate::error::CoaddError;
use crate::inputs::Input;
use crate::pixels::PixelReader;
use crate::plain_coadd::{Combination, PlainCoadd, read_remapped};

/// Rows of a visit that are read at a time.
const STRIP_ROWS: usize = 512;

/// The sums over the visits so far, of one pixel.
#[derive(Clone, Default)]
struct Sums {
    weight: f64,
    value: f64,
    variance: f64,
    /// The weight of the visits with data.
    seen: f64,
    /// The planes of the good pixels, and what became of the others.
    mask: i32,
    marks: i32,
}

/// The mean, its variance and mask, the same as of all visits at once.
///
/// # Errors
///
/// [`CoaddError`] if a visit cannot be read, or if the caller wants to stop.
pub(crate) fn running_mean(
    visits: &[Input],
    reader: &PixelReader<'_>,
    combination: &Combination<'_>,
    planes: &MaskPlanes,
    bbox: BBox,
    mut go_on: impl FnMut() -> bool,
) -> Result<PlainCoadd, CoaddError> {
    let mut sums = Array2::from_elem(bbox.shape(), Sums::default());
    // Weight of the visits that have each plane with a threshold.
    let mut flagged = vec![Array2::<f64>::zeros(bbox.shape()); combination.thresholds.len()];
    for (visit, weight) in visits.iter().zip(combination.weights) {
        for strip in bbox.tiles((bbox.width, STRIP_ROWS)) {
            if !go_on() {
                return Err(CoaddError::Cancelled);
            }
            let pixels = read_remapped(visit, reader, strip, planes)?;
            let first = strip.slice_in(&bbox).map_or(0, |(rows, _)| rows.start);
            let at = s![first..first + strip.height, ..];
            let mut part = sums.slice_mut(at);
            let rows: Vec<_> = part.axis_iter_mut(Axis(0)).enumerate().collect();
            rows.into_par_iter().for_each(|(row, mut sums)| {
                let (images, variances, masks, flags) = pixels.row(row);
                for (x, sums) in sums.iter_mut().enumerate() {
                    let good = flags[x] & GOOD != 0;
                    if masks[x] & combination.no_data == 0 {
                        sums.seen += weight;
                        sums.marks |= combination.marks.of(masks[x], good);
                    }
                    if good {
                        sums.weight += weight;
                        sums.value += weight * f64::from(images[x]);
                        sums.variance += weight * weight * f64::from(variances[x]);
                        sums.mask |= masks[x];
                    }
                }
            });
            for ((bit, _), flagged) in combination.thresholds.iter().zip(&mut flagged) {
                Zip::from(flagged.slice_mut(at)).and(&pixels.masked.mask).for_each(|flagged, mask| {
                    if mask & combination.no_data == 0 && mask & bit != 0 {
                        *flagged += weight;
                    }
                });
            }
        }
    }
    let thresholded = combination.thresholds.iter().fold(0, |bits, (bit, _)| bits | bit);
    let mut mask = sums.mapv(|sums| {
        let empty = if sums.weight > 0.0 { 0 } else { combination.no_data };
        sums.mask & !thresholded | sums.marks | empty
    });
    for ((bit, threshold), flagged) in combination.thresholds.iter().zip(&flagged) {
        Zip::from(&mut mask).and(flagged).and(&sums).for_each(|mask, flagged, sums| {
            if *flagged > threshold * sums.seen {
                *mask |= bit;
            }
        });
    }
    // Without any weight, 0/0: not a number, as it should be.
    Ok(PlainCoadd {
        image: sums.mapv(|sums| (sums.value / sums.weight) as f32),
        variance: sums.mapv(|sums| (sums.variance / (sums.weight * sums.weight)) as f32),
        mask,
    })
}
