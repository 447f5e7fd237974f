//! Errors of PSF stamps and models.

/// An image that is no PSF.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StampError {
    /// A side is even, so that no pixel is in the middle, or zero.
    #[error(
        "the PSF stamp is {width} × {height} pixels; both sides must be odd, so that a pixel is in the middle"
    )]
    Size {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
    },
    /// A pixel is not a number.
    #[error("the PSF stamp has {count} pixels that are not finite; all must be")]
    NotFinite {
        /// How many.
        count: usize,
    },
    /// The sum of the pixels cannot be made 1.
    #[error("the pixels of the PSF stamp add up to {sum:e}; the sum must be above 0")]
    Sum {
        /// The sum.
        sum: f64,
    },
    /// The width cannot be measured.
    #[error("the width of the PSF stamp cannot be measured: {reason}")]
    Width {
        /// What happened.
        reason: &'static str,
    },
    /// An image that is no star's.
    #[error("the PSF stamp has no peak: {reason}; an image of one star, without its background, is needed")]
    NoPeak {
        /// What tells.
        reason: String,
    },
    /// The light is in a corner.
    #[error(
        "the light of the PSF stamp of {width} × {height} pixels is centred ({dx:+.1}, {dy:+.1}) px off its middle; \
         an image with the star in the middle is needed"
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
    /// A PSFEx model whose parts do not fit together, or that varies with something unknown.
    #[error("the PSFEx model cannot be used: {reason}")]
    Model {
        /// What is wrong, and what to do.
        reason: String,
    },
    /// A number of an analytic profile or model is out of range.
    #[error("{quantity} of the PSF is {got}; it must be {allowed}")]
    Profile {
        /// Which number.
        quantity: &'static str,
        /// The number.
        got: f64,
        /// The range.
        allowed: &'static str,
    },
    /// A grid of stamps without any.
    #[error("a grid of PSF stamps needs at least one cell")]
    NoCells,
}
