//! `[psf]`: the PSF of the coadds.

use super::table::table;
use super::{ConfigError, refuse};

table! {
    /// The PSF of the coadds.
    pub struct PsfConfig = "psf" {
        /// Side, in px, of the cells of the grid of PSF stamps in the coadds' files. Each cell has
        /// the mean PSF of the visits with good pixels there, or the PSF measured for its middle.
        /// Make it smaller where chips of visits end inside the patch or PSFs vary within it.
        grid_spacing: usize = 512,
        /// Power of the wavelength by which the width of the PSF scales. The files of subfilters
        /// get PSFs scaled by it; −0.2 is turbulent air. Set 0 where optics dominate the PSF. The
        /// joint method has its own, joint.seeing_exponent.
        seeing_exponent: f64 = -0.2,
        /// Measure the PSF from the stars in the coadd, instead of averaging those of the visits.
        /// Turn it on where the visits' PSFs are missing or doubtful, and the patch has enough
        /// stars; if it has not, the mean PSF stays, with a warning. The joint method knows the PSF
        /// of its planes; the measurement then checks the visits' PSFs. The PSF varies over the
        /// patch as far as sizes and shapes of stars require, with 6 stars or more linearly and
        /// with 12 as a parabola; the header of the PSF has the quality.
        measure: bool = false,
        /// Detection threshold of the measured stars, in standard deviations of the smoothed coadd.
        /// Lower it where too few are found.
        threshold: f64 = 50.0,
        /// Minimum connected pixels above the threshold of such a star. Lower it where stars are
        /// narrower than 2.5 px.
        min_pixels: usize = 25,
        /// Minimum stars for a PSF. Lower it to 1, at the risk of a galaxy, where there are not
        /// more.
        min_stars: usize = 5,
    }
}

impl PsfConfig {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if self.grid_spacing < 16 {
            return Err(refuse("psf.grid_spacing", self.grid_spacing, "at least 16 px"));
        }
        // Beyond, a PSF at the end of a wide band would be twice another.
        if self.seeing_exponent.is_nan() || self.seeing_exponent.abs() > 2.0 {
            return Err(refuse("psf.seeing_exponent", self.seeing_exponent, "between -2 and 2"));
        }
        if !(self.threshold > 0.0 && self.threshold.is_finite()) {
            return Err(refuse("psf.threshold", self.threshold, "above 0"));
        }
        if self.min_stars == 0 {
            return Err(refuse("psf.min_stars", 0, "at least 1"));
        }
        Ok(())
    }
}
