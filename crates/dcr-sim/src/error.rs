//! Errors of drawing a field.

use dcr_image::{MaskError, MaskedImageError};
use dcr_physics::RefractionError;

/// A field that cannot be drawn.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimError {
    /// A setting is outside its range.
    #[error("setting {setting}: {problem}")]
    Setting {
        /// Its name in the configuration.
        setting: &'static str,
        /// The value given, and the range allowed.
        problem: String,
    },
    /// The refraction model has no result for the band or weather.
    #[error(transparent)]
    Refraction(#[from] RefractionError),
    /// The planes of an exposure do not fit together.
    #[error(transparent)]
    Image(#[from] MaskedImageError),
    /// A mask plane cannot be added.
    #[error(transparent)]
    Mask(#[from] MaskError),
}
