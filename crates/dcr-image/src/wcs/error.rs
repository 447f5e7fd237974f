//! Errors of a WCS.

/// A header without a usable WCS, or a point that a WCS cannot map.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WcsError {
    /// A card is missing or has no usable value.
    #[error("no WCS: card {keyword} is missing or has no usable value")]
    Missing {
        /// The keyword.
        keyword: String,
    },
    /// The coordinates are of a kind that is not handled.
    #[error("the WCS has {found}; {wanted}")]
    Unsupported {
        /// What the header has.
        found: String,
        /// What would do.
        wanted: &'static str,
    },
    /// The cards contradict each other or are out of range.
    #[error("the WCS cards make no coordinate system: {reason}")]
    Invalid {
        /// What is wrong.
        reason: String,
    },
    /// The cards make a coordinate system that no image of the sky has.
    #[error("the WCS is implausible: it has {found}, expected are {expected}")]
    Implausible {
        /// What follows from the cards.
        found: String,
        /// What images have, and what to correct.
        expected: &'static str,
    },
    /// A pixel that has no place on the sky in this projection.
    #[error("pixel ({x}, {y}) has no place on the sky: {reason}")]
    PixelUnmapped {
        /// Column in parent coordinates.
        x: f64,
        /// Row in parent coordinates.
        y: f64,
        /// Why.
        reason: String,
    },
    /// A place on the sky that has no pixel in this projection.
    #[error("RA {ra_deg}°, Dec {dec_deg}° has no place in the image: {reason}")]
    SkyUnmapped {
        /// Right ascension in degrees.
        ra_deg: f64,
        /// Declination in degrees.
        dec_deg: f64,
        /// Why.
        reason: String,
    },
    /// The map is not invertible at a pixel.
    #[error("the WCS is singular at pixel ({x}, {y}): the pixel has no area on the sky")]
    Singular {
        /// Column in parent coordinates.
        x: f64,
        /// Row in parent coordinates.
        y: f64,
    },
}
