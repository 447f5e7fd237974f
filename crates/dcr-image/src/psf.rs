//! Point spread function of an exposure.
//!
//! Every kind of PSF provides a [`Stamp`] at a position and a full width at half maximum. The width
//! is 2√(2 ln 2) times the determinant radius det(Q)^(1/4), with the adaptive second moments Q
//! (weighted by the best-fitting Gaussian). Wings, and noise at the edge of a stamp, do not affect
//! it.

mod centring;
mod error;
mod gaussian;
mod grid;
mod moments;
mod narrow;
mod owner;
mod parts;
mod psfex;
mod psfex_table;
mod read;
mod stamp;

use ndarray::Array2;

use crate::BBox;

pub use error::StampError;
pub use gaussian::{FWHM_PER_SIGMA, Moments};
pub use grid::StampGrid;
pub use owner::PsfOwner;
pub use parts::PART_CELL;
pub use psfex::PsfEx;
pub use stamp::Stamp;

/// Side of the subpixel grid for averaging analytic profiles over a pixel.
const SUBPIXELS: usize = 7;
/// Half the side of the stamp of an analytic profile, in FWHM. Beyond are 1e-15 of the light of a
/// Gaussian, and 0.4 % for a Moffat profile with β = 2.5.
const HALF_SIDE_FWHM: f64 = 4.5;
/// Maximum width of a profile; larger header values are errors.
const MAX_FWHM_PX: f64 = 200.0;

/// A point spread function.
///
/// ```
/// use dcr_image::{Psf, Stamp};
///
/// let psf = Psf::Moffat { fwhm_px: 4.0, beta: 3.0 };
/// let stamp = psf.stamp_at(0.0, 0.0)?;
/// assert!((stamp.pixels().sum() - 1.0).abs() < 1e-12);
///
/// // The image of a star is a PSF as well. Pixels widen it.
/// let measured = Psf::Stamp(Stamp::new(stamp.pixels() * 5.0)?);
/// let fwhm_px = measured.fwhm_px(0.0, 0.0)?;
/// assert!(fwhm_px > 4.0 && fwhm_px < 4.6);
/// # Ok::<(), dcr_image::psf::StampError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Psf {
    /// One stamp for all positions.
    Stamp(Stamp),
    /// A stamp for each cell of a grid.
    Grid(StampGrid),
    /// A circular Gaussian.
    Gaussian {
        /// Full width at half maximum in pixels.
        fwhm_px: f64,
    },
    /// A circular Moffat profile, I ∝ (1 + (r/α)²)^−β.
    Moffat {
        /// Full width at half maximum in pixels, 2α√(2^(1/β) − 1).
        fwhm_px: f64,
        /// The exponent; above 1.
        beta: f64,
    },
    /// A PSFEx model that varies with position.
    PsfEx(PsfEx),
    /// The PSFs of the parts of a joined exposure, each over its part.
    Parts(PsfParts),
}

/// The PSFs of the parts of an exposure, and the cells where each applies.
#[derive(Clone, Debug, PartialEq)]
pub struct PsfParts {
    bbox: BBox,
    /// Index of the PSF in each cell, row by row.
    cells: Array2<u16>,
    psfs: Vec<Psf>,
}

impl Psf {
    /// The PSF that applies at parent pixel coordinates `(x, y)`: that of the part there, or
    /// itself.
    #[must_use]
    pub fn at(&self, x: f64, y: f64) -> &Self {
        match self {
            Self::Parts(parts) => parts.at(x, y),
            whole => whole,
        }
    }

    /// True if the PSF can differ between positions.
    #[must_use]
    pub const fn varies(&self) -> bool {
        match self {
            Self::Stamp(_) | Self::Gaussian { .. } | Self::Moffat { .. } => false,
            Self::Grid(_) | Self::PsfEx(_) | Self::Parts(_) => true,
        }
    }

    /// The image of a point source centred on a pixel, at parent pixel coordinates `(x, y)`:
    /// odd-sized, of sum 1, centred on its middle pixel.
    ///
    /// # Errors
    ///
    /// [`StampError`] for invalid profile parameters, or a model without a valid PSF at this
    /// position.
    pub fn stamp_at(&self, x: f64, y: f64) -> Result<Stamp, StampError> {
        match self {
            Self::Stamp(stamp) => Ok(stamp.clone()),
            Self::Grid(grid) => Ok(grid.nearest(x, y).clone()),
            Self::Gaussian { fwhm_px } => {
                let sigma = fwhm_px / FWHM_PER_SIGMA;
                draw(*fwhm_px, |r2| (-0.5 * r2 / (sigma * sigma)).exp())
            }
            Self::Moffat { fwhm_px, beta } => {
                if !(beta.is_finite() && *beta > 1.0) {
                    return Err(StampError::Profile {
                        quantity: "Moffat β", got: *beta, allowed: "above 1"
                    });
                }
                let alpha = fwhm_px / (2.0 * (2.0_f64.powf(beta.recip()) - 1.0).sqrt());
                draw(*fwhm_px, |r2| (1.0 + r2 / (alpha * alpha)).powf(-beta))
            }
            Self::PsfEx(model) => model.stamp_at(x, y),
            Self::Parts(parts) => parts.at(x, y).stamp_at(x, y),
        }
    }

    /// Whether the PSF contains DCR, because it was measured on stars smeared by refraction, as
    /// PSFEx models are. For stamps and grids this is unknown; profiles do not contain it.
    #[must_use]
    pub const fn includes_refraction(&self) -> bool {
        matches!(self, Self::PsfEx(_))
    }

    /// Full width at half maximum in pixels at `(x, y)`: 2√(2 ln 2)·det(Q)^(1/4) of the adaptive
    /// moments of the stamp. For an analytic profile its nominal width, without the pixel.
    ///
    /// # Errors
    ///
    /// [`StampError`] as for [`Psf::stamp_at`], or if the moments do not converge.
    pub fn fwhm_px(&self, x: f64, y: f64) -> Result<f64, StampError> {
        match self {
            Self::Stamp(stamp) => stamp.fwhm_px(),
            Self::Grid(grid) => grid.nearest(x, y).fwhm_px(),
            Self::Gaussian { fwhm_px } | Self::Moffat { fwhm_px, .. } => checked_fwhm(*fwhm_px),
            Self::PsfEx(model) => model.stamp_at(x, y)?.fwhm_px(),
            Self::Parts(parts) => parts.at(x, y).fwhm_px(x, y),
        }
    }
}

fn checked_fwhm(fwhm_px: f64) -> Result<f64, StampError> {
    if fwhm_px > 0.0 && fwhm_px <= MAX_FWHM_PX {
        Ok(fwhm_px)
    } else {
        Err(StampError::Profile { quantity: "FWHM in pixels", got: fwhm_px, allowed: "above 0, to 200" })
    }
}

/// A circular profile as a function of r² in pixels, averaged over each pixel.
fn draw(fwhm_px: f64, profile: impl Fn(f64) -> f64) -> Result<Stamp, StampError> {
    let half = ((checked_fwhm(fwhm_px)? * HALF_SIDE_FWHM).ceil() as usize).max(7);
    let offsets: Vec<f64> = (0..SUBPIXELS).map(|i| (i as f64 + 0.5) / SUBPIXELS as f64 - 0.5).collect();
    let pixel = |(row, column): (usize, usize)| {
        let (y, x) = (row as f64 - half as f64, column as f64 - half as f64);
        let at = |dy: f64| offsets.iter().map(|dx| profile((x + dx).powi(2) + (y + dy).powi(2))).sum::<f64>();
        offsets.iter().map(|&dy| at(dy)).sum()
    };
    Stamp::new(Array2::from_shape_fn((2 * half + 1, 2 * half + 1), pixel))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pixel adds 1/12 px² to the variance of a Gaussian that is wide against it; narrower
    /// ones, and the 7 × 7 points that stand for the pixel, leave this.
    const WIDTH_TOLERANCE: f64 = 2e-3;

    #[test]
    fn gaussian_stamp_has_its_width_and_the_pixels() {
        for fwhm in [3.0, 4.5, 8.0] {
            let stamp = Psf::Gaussian { fwhm_px: fwhm }.stamp_at(0.0, 0.0).unwrap();
            let sigma2 = (fwhm / FWHM_PER_SIGMA).powi(2) + 1.0 / 12.0;
            let expected = FWHM_PER_SIGMA * sigma2.sqrt();
            let got = stamp.fwhm_px().unwrap();
            assert!((got / expected - 1.0).abs() < WIDTH_TOLERANCE, "{got} is not {expected}");
            assert!((stamp.pixels().sum() - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn moffat_is_at_half_its_peak_at_half_its_width() {
        // Far wider than a pixel, so that the pixel values are those of the profile.
        let stamp = Psf::Moffat { fwhm_px: 20.0, beta: 3.0 }.stamp_at(0.0, 0.0).unwrap();
        let middle = stamp.pixels().nrows() / 2;
        let ratio = stamp.pixels()[[middle, middle + 10]] / stamp.pixels()[[middle, middle]];
        assert!((ratio - 0.5).abs() < 2e-3, "{ratio}");
    }

    #[test]
    fn profiles_without_sense_are_refused() {
        for fwhm_px in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e4] {
            assert!(Psf::Gaussian { fwhm_px }.stamp_at(0.0, 0.0).is_err());
            assert!(Psf::Gaussian { fwhm_px }.fwhm_px(0.0, 0.0).is_err());
        }
        assert!(Psf::Moffat { fwhm_px: 3.0, beta: 1.0 }.stamp_at(0.0, 0.0).is_err());
    }
}
