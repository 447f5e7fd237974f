//! Plausible pixel sizes.

use super::WcsError;

/// Pixel sizes on the sky in arcsec, from oversampled space telescopes to all-sky cameras.
pub(super) const PIXEL_ARCSEC: std::ops::RangeInclusive<f64> = 0.001..=600.0;

/// Refuses an implausible pixel size in arcsec.
///
/// # Errors
///
/// [`WcsError::Implausible`].
pub(super) fn size_is_plausible(arcsec: f64) -> Result<(), WcsError> {
    if PIXEL_ARCSEC.contains(&arcsec) {
        return Ok(());
    }
    Err(WcsError::Implausible {
        found: format!("pixels of {arcsec:.3e}″"),
        expected: "0.001″ to 600″; correct CD, or PC and CDELT, or CRPIX, or leave out the distortion terms with \
                   input.distortion = \"none\"",
    })
}
