//! The image that stars are sought in, and their selection.

use dcr_image::BBox;
use ndarray::ArrayView2;

/// The coadd in which stars are sought.
pub struct StarField<'a> {
    pub image: ArrayView2<'a, f32>,
    pub variance: ArrayView2<'a, f32>,
    /// Pixels that are not to be used.
    pub bad: ArrayView2<'a, bool>,
    /// About the width of the stars, in px.
    pub fwhm_px: f64,
    /// The image's.
    pub bbox: BBox,
    /// Where stamps are wanted if the PSF varies.
    pub cells: &'a [BBox],
}

/// Which sources of a field may be stars to measure the PSF from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StarSelection {
    /// Detection threshold, in standard deviations of the smoothed image.
    pub threshold: f64,
    /// Minimum number of connected pixels above it.
    pub min_pixels: usize,
    /// Minimum number of stars.
    pub min_stars: usize,
}
