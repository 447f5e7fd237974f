//! PSF stamps.

use ndarray::Array2;

use super::{Moments, StampError};

/// A PSF image: odd-sized, centred on its middle pixel, of sum 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Stamp {
    pixels: Array2<f64>,
}

impl Stamp {
    /// A stamp from an image of any positive sum, normalised to 1. Negative pixels, as from noise,
    /// are kept.
    ///
    /// # Errors
    ///
    /// [`StampError`] for even or zero sides, pixels that are not finite, and a nonpositive sum.
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
    /// [`StampError::Width`] if the moments do not converge, as for pure noise.
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
