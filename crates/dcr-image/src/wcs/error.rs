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
    /// Unsupported coordinates.
    #[error("the WCS has {found}; {wanted}")]
    Unsupported {
        /// The finding in the header.
        found: String,
        /// The supported alternatives.
        wanted: &'static str,
    },
    /// The cards contradict each other or are out of range.
    #[error("the WCS cards are inconsistent: {reason}")]
    Invalid {
        /// The problem.
        reason: String,
    },
    /// The cards describe an implausible coordinate system.
    #[error("the WCS is implausible: it has {found}; expected {expected}")]
    Implausible {
        /// The property that follows from the cards.
        found: String,
        /// The plausible range, and the cards to correct.
        expected: &'static str,
    },
    /// A pixel outside the domain of the projection.
    #[error("pixel ({x}, {y}) has no sky position: {reason}")]
    PixelUnmapped {
        /// Column in parent coordinates.
        x: f64,
        /// Row in parent coordinates.
        y: f64,
        /// The reason.
        reason: String,
    },
    /// A sky position outside the domain of the projection.
    #[error("RA {ra_deg}°, Dec {dec_deg}° has no pixel position: {reason}")]
    SkyUnmapped {
        /// Right ascension in degrees.
        ra_deg: f64,
        /// Declination in degrees.
        dec_deg: f64,
        /// The reason.
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
