//! Command-line options that resolve a library error; the library messages name settings only.

use dcr_coadd::{CoaddError, InputError, ModelError};
use dcr_difference::DifferenceError;
use dcr_image::FitsError;

/// The option that resolves an error, if there is one.
pub(crate) fn hint(error: &anyhow::Error) -> Option<&'static str> {
    let error = error.chain().find_map(|cause| {
        let of_difference = cause.downcast_ref::<DifferenceError>().and_then(|error| match error {
            DifferenceError::Coadd(error) => Some(error),
            _ => None,
        });
        of_difference.or_else(|| cause.downcast_ref::<CoaddError>())
    })?;
    match error {
        CoaddError::NotSelected { .. } => Some("check --visits; `dcr inspect` prints the visit numbers"),
        CoaddError::Memory { .. } => Some("raise --memory-limit"),
        CoaddError::MatchedUnused | CoaddError::Input(InputError::NoMatchedWarp { .. }) => Some("--matched"),
        CoaddError::Fits(FitsError::Exists { .. } | FitsError::NotEmpty { .. }) => Some("--overwrite"),
        CoaddError::Fits(FitsError::SeveralImages { .. }) => {
            Some("choose one, e.g. with --set input.image_hdu=1")
        }
        CoaddError::Model(ModelError::NoSummary { .. } | ModelError::MixedRuns { .. }) => {
            Some("run `dcr assemble` with --overwrite")
        }
        CoaddError::Model(ModelError::NotARun { .. }) => Some("run `dcr assemble` first"),
        _ => None,
    }
}
