//! What can go wrong in drawing a field.

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
        /// What was given and what is allowed.
        problem: String,
    },
    /// The refraction model has no answer, for a band or weather outside its range.
    #[error(transparent)]
    Refraction(#[from] RefractionError),
    /// The planes of an exposure do not fit together.
    #[error(transparent)]
    Image(#[from] MaskedImageError),
    /// A mask plane cannot be had.
    #[error(transparent)]
    Mask(#[from] MaskError),
}
