//! A PSF as an image.

use ndarray::Array2;

use super::moments::Moments;

/// A PSF image: odd-sized, centred on its middle pixel, of sum 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Stamp {
    pixels: Array2<f64>,
}

/// An image that is no PSF.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StampError {
    /// A side is even, so that no pixel is in the middle, or zero.
    #[error(
        "the PSF stamp is {width} × {height} pixels; both sides must be odd, so that a pixel is in the middle"
    )]
    Size {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
    },
    /// A pixel is not a number.
    #[error("the PSF stamp has {count} pixels that are not finite; all must be")]
    NotFinite {
        /// How many.
        count: usize,
    },
    /// The sum of the pixels cannot be made 1.
    #[error("the pixels of the PSF stamp add up to {sum:e}; the sum must be above 0")]
    Sum {
        /// The sum.
        sum: f64,
    },
    /// The width cannot be measured.
    #[error("the width of the PSF stamp cannot be measured: {reason}")]
    Width {
        /// What happened.
        reason: &'static str,
    },
    /// An image that is no star's.
    #[error("the PSF stamp has no peak: {reason}; an image of one star, without its background, is needed")]
    NoPeak {
        /// What tells.
        reason: String,
    },
    /// The light is in a corner.
    #[error(
        "the light of the PSF stamp of {width} × {height} pixels is centred ({dx:+.1}, {dy:+.1}) px off its middle; \
         an image with the star in the middle is needed"
    )]
    OffMiddle {
        /// Along the columns, in pixels.
        dx: f64,
        /// Along the rows, in pixels.
        dy: f64,
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
    },
    /// A PSFEx model whose parts do not fit together, or that varies with something unknown.
    #[error("the PSFEx model cannot be used: {reason}")]
    Model {
        /// What is wrong, and what to do.
        reason: String,
    },
    /// A number of an analytic profile or model is out of range.
    #[error("{quantity} of the PSF is {got}; it must be {allowed}")]
    Profile {
        /// Which number.
        quantity: &'static str,
        /// The number.
        got: f64,
        /// The range.
        allowed: &'static str,
    },
    /// A grid of stamps without any.
    #[error("a grid of PSF stamps needs at least one cell")]
    NoCells,
}

impl Stamp {
    /// A stamp from an image of any positive sum, which is made 1. Negative pixels are kept: noise
    /// has them.
    ///
    /// # Errors
    ///
    /// [`StampError`] for even or zero sides, pixels that are not finite, and a sum that is not
    /// positive.
    pub fn new(mut pixels: Array2<f64>) -> Result<Self, StampError> {
        let (height, width) = pixels.dim();
        if height % 2 == 0 || width % 2 == 0 {
            return Err(StampError::Size { width, height });
        }
        let count = pixels.iter().filter(|value| !value.is_finite()).count();
        if count > 0 {
            return Err(StampError::NotFinite { count });
        }
        let sum = pixels.sum();
        if sum > 0.0 && sum.is_finite() {
            pixels /= sum;
            Ok(Self { pixels })
        } else {
            Err(StampError::Sum { sum })
        }
    }

    /// The pixels, `[row, column]`.
    #[must_use]
    pub const fn pixels(&self) -> &Array2<f64> {
        &self.pixels
    }

    /// Full width at half maximum in pixels, 2√(2 ln 2)·det(Q)^(1/4) of the adaptive moments.
    ///
    /// # Errors
    ///
    /// [`StampError::Width`] if the moments do not settle, as for pure noise.
    pub fn fwhm_px(&self) -> Result<f64, StampError> {
        self.moments().map(|moments| moments.fwhm_px())
    }

    /// Centre and adaptive moments.
    ///
    /// # Errors
    ///
    /// As [`Stamp::fwhm_px`].
    pub fn moments(&self) -> Result<Moments, StampError> {
        let (rows, cols) = self.pixels.dim();
        Moments::of(self.pixels.view(), ((cols / 2) as f64, (rows / 2) as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_stamps_are_refused_with_the_reason() {
        let error = |pixels: Array2<f64>| Stamp::new(pixels).unwrap_err();
        assert_eq!(error(Array2::ones((4, 5))), StampError::Size { width: 5, height: 4 });
        assert_eq!(error(Array2::ones((0, 0))), StampError::Size { width: 0, height: 0 });
        assert_eq!(error(Array2::zeros((3, 3))), StampError::Sum { sum: 0.0 });
        assert_eq!(error(Array2::from_elem((3, 3), -1.0)), StampError::Sum { sum: -9.0 });
        let mut holed = Array2::ones((3, 3));
        holed[[1, 1]] = f64::NAN;
        assert_eq!(error(holed), StampError::NotFinite { count: 1 });
    }

    #[test]
    fn one_pixel_has_no_width() {
        let one = Stamp::new(Array2::from_elem((1, 1), 7.0)).unwrap();
        assert_eq!(one.pixels()[[0, 0]], 1.0);
        assert!(matches!(one.fwhm_px(), Err(StampError::Width { .. })));
    }

    #[test]
    fn sum_becomes_one() {
        let stamp = Stamp::new(Array2::from_elem((3, 3), 2.0)).unwrap();
        assert!((stamp.pixels().sum() - 1.0).abs() < 1e-15);
    }
}
