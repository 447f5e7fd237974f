//! PSF of a coadd, measured from its stars.
//!
//! Stars are found, selected by size and shape, and stacked:
//!
//! 1. Detection of sources above `psf.threshold` that have enough good pixels and no close
//!    neighbour (`stars`).
//! 2. Selection by adaptive moments: sources of the most frequent size and of one ellipticity.
//!    Galaxies have all sizes, stars one.
//! 3. Choice of a polynomial of the position, of order 0 to 2, for the variation over the patch
//!    (`trend`).
//! 4. Fit of a PSF, with such a polynomial in each pixel, that matches all stars when shifted by
//!    fractions of pixels and scaled (`stack`).

mod field;
mod stack;
mod stars;
mod trend;

use dcr_image::header::Card;
use dcr_image::{BBox, Stamp};
use rayon::prelude::*;
use serde::Serialize;

pub use self::field::{StarField, StarSelection};

use self::stack::{PsfAtPlace, Stack};
use self::stars::{Star, find, of_one_size_and_shape};
use self::trend::trend;
use crate::matching_kernel::Polynomial;

/// Half the side of the measured stamp, in FWHM. Beyond it a star at the threshold is below the
/// noise.
const HALF_SIDE_FWHM: f64 = 4.0;

/// The PSF of a coadd's stars.
#[derive(Debug, PartialEq)]
pub struct MeasuredPsf {
    /// In the middle of the coadd.
    pub stamp: Stamp,
    /// PSF in the middle of each cell; empty for a constant PSF.
    pub cells: Vec<(BBox, Stamp)>,
    /// Quality of the measurement.
    pub quality: PsfQuality,
}

/// How well a PSF could be measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PsfQuality {
    /// Stars that it was measured from.
    pub stars: usize,
    /// Bright isolated sources that these were selected from.
    pub candidates: usize,
    /// Standard deviation of the stars' FWHM over their mean.
    pub fwhm_scatter: f64,
    /// Ellipticity of the PSF in the middle of the coadd: `[(xx − yy), 2 xy] / (xx + yy)` of its
    /// adaptive moments.
    pub ellipticity: [f64; 2],
    /// Standard deviation of one component of the ellipticity, from a jackknife over stars; `None`
    /// for one star.
    pub ellipticity_error: Option<f64>,
    /// Standard deviation of the stars' ellipticity, of one component.
    pub ellipticity_scatter: f64,
    /// Residual of a star within one FWHM of its centre: the median over stars of the rms over the
    /// star's peak.
    pub residual: f64,
    /// Order of the polynomial over the patch; 0 for a constant PSF.
    pub order: usize,
    /// Quality in each cell; empty for a constant PSF.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cells: Vec<PsfCellQuality>,
}

/// A measured PSF in the middle of a cell.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PsfCellQuality {
    /// The cell's first pixel, x and y.
    pub first_px: [i64; 2],
    /// Full width at half maximum in px.
    pub fwhm_px: f64,
    /// As [`PsfQuality::ellipticity`].
    pub ellipticity: [f64; 2],
    /// As [`PsfQuality::ellipticity_error`]; large where stars are far.
    pub ellipticity_error: Option<f64>,
}

impl PsfQuality {
    /// The cards of the PSF's HDU.
    pub fn cards(&self) -> Vec<Card> {
        let [e1, e2] = self.ellipticity;
        let mut cards = vec![
            Card::new("PSFSTARS", self.stars as i64).with_comment("stars that it was measured from"),
            Card::new("PSFE1", e1).with_comment("ellipticity (xx - yy)/(xx + yy)"),
            Card::new("PSFE2", e2).with_comment("ellipticity 2 xy/(xx + yy)"),
        ];
        if let Some(error) = self.ellipticity_error {
            cards.push(Card::new("PSFEERR", error).with_comment("standard deviation of each of the two"));
        }
        cards.push(Card::new("PSFLEFT", self.residual).with_comment("rms left of a star, over its peak"));
        cards.push(
            Card::new("PSFORDER", self.order as i64).with_comment("polynomial over the patch, 0 if constant"),
        );
        cards
    }
}

/// A field with too few stars.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "found {stars} stars for the PSF among {candidates} bright isolated sources; psf.min_stars = {needed} are needed"
)]
pub struct TooFewStars {
    /// Stars found.
    pub stars: usize,
    /// Bright isolated sources found.
    pub candidates: usize,
    /// Minimum number of stars.
    pub needed: usize,
}

/// Measures the PSF.
///
/// # Errors
///
/// [`TooFewStars`] if there are fewer stars than `psf.min_stars`, or their fit is degenerate.
pub fn measure_psf(field: &StarField<'_>, selection: &StarSelection) -> Result<MeasuredPsf, TooFewStars> {
    let half = (HALF_SIDE_FWHM * field.fwhm_px).ceil() as usize;
    let candidates = find(field, half + stack::MARGIN, selection);
    let count = candidates.len();
    let stars = of_one_size_and_shape(candidates);
    let too_few = TooFewStars { stars: stars.len(), candidates: count, needed: selection.min_stars };
    if stars.len() < selection.min_stars {
        return Err(too_few);
    }
    let shape = field.image.dim();
    let constant = Polynomial::new(0, shape);
    let found = stamps(field, &stars, half, trend(&stars, shape));
    // Where a polynomial fails, the mean may do.
    let found = found.or_else(|| stamps(field, &stars, half, constant));
    let PsfSolution { middle, cells, residual, order } = found.ok_or(TooFewStars { stars: 0, ..too_few })?;
    let deviation = |of: &dyn Fn(&Star) -> f64| {
        let mean = stars.iter().map(of).sum::<f64>() / stars.len() as f64;
        (stars.iter().map(|star| (of(star) - mean).powi(2)).sum::<f64>() / stars.len() as f64).sqrt()
    };
    let shapes = [0, 1].map(|component| deviation(&|star| star.moments.ellipticity()[component]));
    let of_cell = |(cell, local): &(BBox, PsfAtPlace)| PsfCellQuality {
        first_px: [cell.x0, cell.y0],
        fwhm_px: local.moments.fwhm_px(),
        ellipticity: local.moments.ellipticity(),
        ellipticity_error: local.ellipticity_error,
    };
    let quality = PsfQuality {
        stars: stars.len(),
        candidates: count,
        fwhm_scatter: deviation(&|star| star.moments.fwhm_px().ln()),
        ellipticity: middle.moments.ellipticity(),
        ellipticity_error: middle.ellipticity_error,
        ellipticity_scatter: (f64::midpoint(shapes[0].powi(2), shapes[1].powi(2))).sqrt(),
        residual,
        order,
        cells: cells.iter().map(of_cell).collect(),
    };
    let cells = cells.into_iter().map(|(cell, local)| (cell, local.stamp)).collect();
    Ok(MeasuredPsf { stamp: middle.stamp, cells, quality })
}

/// A fitted PSF with its stamps at the requested positions.
struct PsfSolution {
    middle: PsfAtPlace,
    cells: Vec<(BBox, PsfAtPlace)>,
    residual: f64,
    order: usize,
}

/// The PSF that runs so over the field; `None` if it makes no stamp somewhere.
fn stamps(field: &StarField<'_>, stars: &[Star], half: usize, polynomial: Polynomial) -> Option<PsfSolution> {
    let order = polynomial.order();
    let stack = Stack::new(stars, half, field.fwhm_px, polynomial)?;
    let at = |bbox: &BBox| {
        let (x, y) = bbox.centre();
        stack.at((y - field.bbox.y0 as f64, x - field.bbox.x0 as f64))
    };
    let wanted = if order == 0 { &[] } else { field.cells };
    let cells = wanted.par_iter().map(|cell| Some((*cell, at(cell)?))).collect::<Option<_>>()?;
    Some(PsfSolution { middle: at(&field.bbox)?, cells, residual: stack.residual, order })
}

#[cfg(test)]
mod tests;
