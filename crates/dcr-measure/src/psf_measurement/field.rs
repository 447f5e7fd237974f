//! The image in which stars are searched for, and their selection.

use dcr_image::BBox;
use ndarray::ArrayView2;

/// The coadd in which stars are searched for.
pub struct StarField<'a> {
    /// Image, `(rows, cols)`.
    pub image: ArrayView2<'a, f32>,
    /// Variance of each pixel.
    pub variance: ArrayView2<'a, f32>,
    /// Pixels without valid data.
    pub bad: ArrayView2<'a, bool>,
    /// Approximate FWHM of the stars in px.
    pub fwhm_px: f64,
    /// Box of the image in parent pixels.
    pub bbox: BBox,
    /// Cells with stamps of their own for a varying PSF.
    pub cells: &'a [BBox],
}

/// Selection of the stars that the PSF is measured from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StarSelection {
    /// Detection threshold, in standard deviations of the smoothed image.
    pub threshold: f64,
    /// Minimum number of connected pixels above it.
    pub min_pixels: usize,
    /// Minimum number of stars.
    pub min_stars: usize,
}
