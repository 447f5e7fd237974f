//! The PSF of the coadd: the average of the sharper visits' (ALGORITHM §10).
//!
//! Selected are the visits whose FWHM is at most the smaller of the median over visits and that of the template coadd's
//! PSF; the coadd's PSF is the average of theirs at the middle of the patch, weighted as the visits are. A visit without a PSF
//! takes no part.

use dcr_image::psf::StampError;
use dcr_image::{Psf, Stamp};
use ndarray::{Array2, s};

use crate::inputs::Input;

/// Widths that differ by less than this fraction are alike: they are measured, and an average has rounding.
const SAME_WIDTH: f64 = 1e-3;

/// The PSF of the coadd, and which visits it is from.
pub(crate) struct CoaddPsf {
    /// `None` if no visit has one.
    pub(crate) stamp: Option<Stamp>,
    pub(crate) fwhm_px: Option<f64>,
    /// By visit.
    pub(crate) selected: Vec<bool>,
}

/// Selects and averages. Without `select` all visits are taken.
///
/// # Errors
///
/// [`StampError`] if the PSFs add up to nothing.
pub(crate) fn coadd_psf(
    visits: &[Input],
    weights: &[f64],
    place: (f64, f64),
    template: Option<&Psf>,
    select: bool,
) -> Result<CoaddPsf, StampError> {
    let (x, y) = place;
    let candidates: Vec<Option<(Stamp, f64)>> = visits
        .iter()
        .map(|visit| {
            let stamp = visit.file.psf()?.stamp_at(x, y).ok()?;
            let fwhm = stamp.fwhm_px().ok()?;
            Some((stamp, fwhm))
        })
        .collect();
    let widths: Vec<f64> = candidates.iter().flatten().map(|(_, fwhm)| *fwhm).collect();
    let none = || CoaddPsf { stamp: None, fwhm_px: None, selected: vec![false; visits.len()] };
    let Some(median) = median(widths.clone()) else { return Ok(none()) };
    let all: Vec<(&Stamp, f64)> =
        candidates.iter().zip(weights).filter_map(|(c, w)| Some((&c.as_ref()?.0, *w))).collect();
    let of_template = match template {
        Some(psf) => psf.fwhm_px(x, y).ok(),
        None => average(&all)?.fwhm_px().ok(),
    };
    let limit = if select { of_template.unwrap_or(median).min(median) } else { f64::INFINITY };
    // A template sharper than every visit selects none; the sharpest visits stand in then.
    let sharpest = widths.iter().copied().fold(f64::INFINITY, f64::min);
    let limit = limit.max(sharpest) * (1.0 + SAME_WIDTH);
    let selected: Vec<bool> =
        candidates.iter().map(|c| c.as_ref().is_some_and(|(_, fwhm)| *fwhm <= limit)).collect();
    let chosen: Vec<(&Stamp, f64)> = candidates
        .iter()
        .zip(weights)
        .zip(&selected)
        .filter_map(|((c, w), selected)| selected.then_some((&c.as_ref()?.0, *w)))
        .collect();
    let stamp = average(&chosen)?;
    Ok(CoaddPsf { fwhm_px: stamp.fwhm_px().ok(), stamp: Some(stamp), selected })
}

/// The weighted average of stamps about their middle pixels, as large as the largest.
pub(crate) fn average(stamps: &[(&Stamp, f64)]) -> Result<Stamp, StampError> {
    let side = |axis: fn((usize, usize)) -> usize| {
        stamps.iter().map(|(stamp, _)| axis(stamp.pixels().dim())).max().unwrap_or(1)
    };
    let (height, width) = (side(|dim| dim.0), side(|dim| dim.1));
    let mut sum = Array2::zeros((height, width));
    for (stamp, weight) in stamps {
        let (h, w) = stamp.pixels().dim();
        let (top, left) = ((height - h) / 2, (width - w) / 2);
        sum.slice_mut(s![top..top + h, left..left + w]).scaled_add(*weight, stamp.pixels());
    }
    Stamp::new(sum)
}

/// The median, the mean of the middle two of an even number; `None` of nothing.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        n if n % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gaussian(fwhm_px: f64) -> Stamp {
        Psf::Gaussian { fwhm_px }.stamp_at(0.0, 0.0).unwrap()
    }

    #[test]
    fn average_of_stamps_of_different_size_keeps_sum_and_middle() {
        let (narrow, wide) = (gaussian(3.0), gaussian(6.0));
        assert_ne!(narrow.pixels().dim(), wide.pixels().dim());
        let both = average(&[(&narrow, 1.0), (&wide, 3.0)]).unwrap();
        let middle = |stamp: &Stamp| stamp.pixels()[[stamp.pixels().nrows() / 2, stamp.pixels().ncols() / 2]];
        assert!((both.pixels().sum() - 1.0).abs() < 1e-12);
        assert!((middle(&both) - (middle(&narrow) + 3.0 * middle(&wide)) / 4.0).abs() < 1e-12);
    }

    #[test]
    fn median_of_even_odd_and_none() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![3.0, 1.0]), Some(2.0));
        assert_eq!(median(vec![]), None);
    }
}
