//! Plausibility of a WCS: pixel size and shape, and distortions over the image.
//!
//! Impossible values are errors; unusual values cause warnings.

use dcr_physics::{Angle, SkyPosition};

use super::pixel_size::size_is_plausible;
use super::{Jacobian, Wcs, WcsError};
use crate::header::Header;

/// Ratio of the axes of a pixel above which to warn, and above which to refuse.
const AXIS_RATIO: (f64, f64) = (3.0, 1000.0);
/// Relative change of the pixel side over an image above which to warn.
const CHANGE: f64 = 0.2;
/// Displacement by distortion above which to warn: as a share of the distance from the reference
/// point, and in degrees.
const DISPLACED: (f64, f64) = (0.1, 0.05);
/// Distance in degrees of the image centre from the reference point of TAN above which to warn.
const FROM_REFERENCE_DEG: f64 = 15.0;
/// Side in px assumed for an image of unknown size.
const UNKNOWN_SIDE: f64 = 1000.0;

/// The area of an image in parent pixel coordinates.
#[derive(Clone, Copy, Debug)]
pub(super) struct Area {
    pub(super) centre: (f64, f64),
    half: (f64, f64),
}

impl Area {
    /// The area of an image with its first pixel at `(x0, y0)`; around the reference pixel if the
    /// size is unknown.
    pub(super) fn of(header: &Header, (x0, y0): (f64, f64), reference: (f64, f64)) -> Self {
        let side = |axis: u8| {
            let of = |root: &str| header.f64(&format!("{root}{axis}")).filter(|side| *side >= 1.0);
            of("ZNAXIS").or_else(|| of("NAXIS"))
        };
        match (side(1), side(2)) {
            (Some(width), Some(height)) => {
                let half = ((width - 1.0) / 2.0, (height - 1.0) / 2.0);
                Self { centre: (x0 + half.0, y0 + half.1), half }
            }
            _ => Self { centre: reference, half: (UNKNOWN_SIDE / 2.0, UNKNOWN_SIDE / 2.0) },
        }
    }

    /// Length of the longer side in px.
    pub(super) fn side(&self) -> f64 {
        2.0 * self.half.0.max(self.half.1) + 1.0
    }

    /// The corners.
    pub(super) fn corners(&self) -> [(f64, f64); 4] {
        let ((x, y), (dx, dy)) = (self.centre, self.half);
        [(x - dx, y - dy), (x + dx, y - dy), (x - dx, y + dy), (x + dx, y + dy)]
    }
}

/// Warnings about a WCS over an image.
///
/// # Errors
///
/// [`WcsError::Implausible`] for impossible pixel sizes or shapes and for distortions that fold the
/// image; [`WcsError::PixelUnmapped`] if its centre has no sky position.
pub(super) fn warnings(wcs: &Wcs, plain: Option<&Wcs>, area: &Area) -> Result<Vec<String>, WcsError> {
    let mut warnings = Vec::new();
    let (x, y) = area.centre;
    let middle = wcs.jacobian(x, y)?;
    let side = middle.determinant().abs().sqrt();
    size_is_plausible(side)?;
    let ratio = axis_ratio(&middle);
    if ratio > AXIS_RATIO.1 {
        return Err(WcsError::Implausible {
            found: format!("pixels {ratio:.3e} times as long as wide"),
            expected: "pixels that are nearly square; correct CD, or PC and CDELT",
        });
    }
    if ratio > AXIS_RATIO.0 {
        warnings.push(format!("A pixel is {ratio:.1} times as long as it is wide on the sky."));
    }
    let mut change: f64 = 0.0;
    for (x, y) in area.corners() {
        // Corners of all-sky images can lie outside the sky.
        let Ok(corner) = wcs.jacobian(x, y) else { continue };
        if corner.determinant() * middle.determinant() < 0.0 {
            return Err(WcsError::Implausible {
                found: format!("an image that is mirrored at ({x:.0}, {y:.0}) and not in its middle"),
                expected: "images of one handedness; correct the distortion terms, or set input.distortion = \"none\"",
            });
        }
        let sides = corner.determinant().abs().sqrt() / side;
        let ratios = axis_ratio(&corner) / ratio;
        change = [sides, sides.recip(), ratios, ratios.recip()]
            .into_iter()
            .fold(change, |most, x| most.max(x - 1.0));
    }
    if change > CHANGE && plain.is_some() {
        warnings.push(format!(
            "The size or shape of pixels changes by {:.0} % over the image; the distortion terms may be left over \
             (input.distortion = \"none\" drops them).",
            100.0 * change
        ));
    }
    let reference = wcs.cards.reference_sky();
    let place = wcs.pixel_to_sky(x, y)?;
    let away = separation_deg(reference, place);
    if away > FROM_REFERENCE_DEG && wcs.cards.text("CTYPE1").contains("-T") {
        warnings
            .push(format!("The middle of the image is {away:.1}° from the reference point CRVAL1, CRVAL2."));
    }
    if let Some(plain) = plain.and_then(|plain| plain.pixel_to_sky(x, y).ok()) {
        let displaced = separation_deg(plain, place);
        if displaced > DISPLACED.0 * away + DISPLACED.1 {
            warnings.push(format!(
                "The distortion terms move the middle of the image by {displaced:.2}° \
                 (input.distortion = \"none\" drops them)."
            ));
        }
    }
    Ok(warnings)
}

/// Axis ratio of the ellipse on the sky that corresponds to a circle of pixels.
fn axis_ratio(jacobian: &Jacobian) -> f64 {
    let Jacobian { east_x, east_y, north_x, north_y } = *jacobian;
    let sum = east_x.powi(2) + east_y.powi(2) + north_x.powi(2) + north_y.powi(2);
    let determinant = jacobian.determinant().abs();
    // Product and sum of squares of the singular values.
    let difference = (sum * sum - 4.0 * determinant * determinant).max(0.0).sqrt();
    ((sum + difference) / (2.0 * determinant)).abs()
}

fn separation_deg(a: SkyPosition, b: SkyPosition) -> f64 {
    let (a, b) = (super::unit_vector(a), super::unit_vector(b));
    let chord = (0..3).map(|i| (a[i] - b[i]).powi(2)).sum::<f64>().sqrt();
    Angle::from_radians(2.0 * (chord / 2.0).min(1.0).asin()).degrees()
}
