//! Comparison of the WCS of two HDUs, pixel by pixel.

use super::layout::Hdu;
use crate::header::Header;
use crate::{BBox, Wcs};

/// Distance in px below which two WCS count as equal.
pub(super) const SAME_PX: f64 = 1e-3;

/// The WCS of an HDU from its own cards, with its first pixel at (0, 0).
///
/// `None` if it has none, or an unusable one.
pub(super) fn own_wcs(hdus: &[Hdu], hdu: &Hdu) -> Option<Wcs> {
    let own = ["CTYPE1", "CRVAL1", "CRPIX1"].iter().all(|keyword| hdu.header.get(keyword).is_some());
    if own { wcs(hdus, hdu) } else { None }
}

/// The WCS of an HDU, primary cards included, with its first pixel at (0, 0).
pub(super) fn wcs(hdus: &[Hdu], hdu: &Hdu) -> Option<Wcs> {
    Wcs::from_header(&merged(hdus, hdu), (0, 0)).ok()
}

/// The cards of an HDU and, merged in, those of the primary HDU.
pub(super) fn merged(hdus: &[Hdu], hdu: &Hdu) -> Header {
    hdus.first().map_or_else(|| hdu.header.clone(), |primary| Header::merged(&primary.header, &hdu.header))
}

/// Maximum distance in px between the positions of equal pixels in two WCS.
///
/// `shape` is rows and columns. Positions that one of the two cannot map are infinitely far apart.
pub(super) fn distance_px(a: &Wcs, b: &Wcs, shape: (usize, usize)) -> f64 {
    let distance = a.difference_px(b, &BBox::of_shape((0, 0), shape)).unwrap_or(f64::INFINITY);
    if distance.is_nan() { f64::INFINITY } else { distance }
}
