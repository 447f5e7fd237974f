//! Errors of PSF stamps and models.

/// An invalid PSF.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StampError {
    /// A side is zero or even, so that no pixel is in the middle.
    #[error(
        "the PSF stamp is {width} × {height} pixels; both sides must be odd, so that a pixel is in the middle"
    )]
    Size {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
    },
    /// Some pixels are not finite.
    #[error("{count} pixels of the PSF stamp are not finite; expected finite values")]
    NotFinite {
        /// Number of such pixels.
        count: usize,
    },
    /// The sum cannot be normalised to 1.
    #[error("the pixels of the PSF stamp add up to {sum:e}; the sum must be above 0")]
    Sum {
        /// The sum.
        sum: f64,
    },
    /// The width cannot be measured.
    #[error("the width of the PSF stamp cannot be measured: {reason}")]
    Width {
        /// The reason.
        reason: &'static str,
    },
    /// The image is not that of a star.
    #[error("the PSF stamp has no peak: {reason}; expected an image of one star without background")]
    NoPeak {
        /// The indication.
        reason: String,
    },
    /// The light is in a corner.
    #[error(
        "the light of the PSF stamp of {width} × {height} pixels is centred ({dx:+.1}, {dy:+.1}) px off its middle; \
         expected the star in the middle"
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
    /// Inconsistent parts of a PSFEx model, or variation with an unknown quantity.
    #[error("the PSFEx model cannot be used: {reason}")]
    Model {
        /// The problem, and the remedy.
        reason: String,
    },
    /// A number of an analytic profile or model is out of range.
    #[error("{quantity} of the PSF is {got}; it must be {allowed}")]
    Profile {
        /// Name of the quantity.
        quantity: &'static str,
        /// Its value.
        got: f64,
        /// The allowed range.
        allowed: &'static str,
    },
    /// A grid of stamps without cells.
    #[error("a grid of PSF stamps needs at least one cell")]
    NoCells,
}
