//! The mean of all visits at once, strip by strip.

use ndarray::{Axis, s};
use rayon::prelude::*;

use super::combination::Work;
use super::ingredients::{Ingredients, MeanCoadd};
use super::running_mean::running_mean;
use crate::config::Statistic;
use crate::error::CoaddError;

/// Coadds the visits over the patch, strip by strip.
///
/// # Errors
///
/// [`CoaddError`] if a visit cannot be read, or if the caller wants to stop.
pub(crate) fn mean_coadd(
    ingredients: &Ingredients<'_>,
    mut go_on: impl FnMut() -> bool,
) -> Result<MeanCoadd, CoaddError> {
    let Some(bbox) = ingredients.bbox() else { return Err(CoaddError::NoInputs) };
    let combination = ingredients.combination();
    if combination.statistic == Statistic::Mean {
        return running_mean(ingredients, &combination, bbox, go_on);
    }
    let mut coadd = MeanCoadd::zeros(bbox.shape());
    for strip in bbox.tiles((bbox.width, ingredients.strip_rows(bbox.width))) {
        if !go_on() {
            return Err(CoaddError::Cancelled);
        }
        let pixels = ingredients.read(strip)?;
        let first = strip.slice_in(&bbox).map_or(0, |(rows, _)| rows.start);
        let at = s![first..first + strip.height, ..];
        let mut parts = (coadd.image.slice_mut(at), coadd.variance.slice_mut(at));
        let mut counts = (coadd.mask.slice_mut(at), coadd.n_image.slice_mut(at));
        let rows: Vec<_> = (parts.0.axis_iter_mut(Axis(0)).zip(parts.1.axis_iter_mut(Axis(0))))
            .zip(counts.0.axis_iter_mut(Axis(0)).zip(counts.1.axis_iter_mut(Axis(0))))
            .enumerate()
            .collect();
        rows.into_par_iter().for_each_init(Work::default, |work, (row, out)| {
            let ((mut image, mut variance), (mut mask, mut n_image)) = out;
            let visits: Vec<_> = pixels.iter().map(|visit| visit.row(row)).collect();
            for x in 0..image.len() {
                let combined = combination.pixel(&visits, x, work);
                (image[x], variance[x]) = (combined.image, combined.variance);
                (mask[x], n_image[x]) = (combined.mask, combined.n);
            }
        });
    }
    Ok(coadd)
}
