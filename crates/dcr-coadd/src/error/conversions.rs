//! Conversion of solver errors to errors of a patch. Errors of reading pixels are restored to their
//! original type.

use dcr_image::FitsError;
use dcr_solver::SourceError;
use dcr_solver::iterative::SolveError;
use dcr_solver::joint::JointError;

use super::CoaddError;

impl From<JointError> for CoaddError {
    /// Restores errors of reading pixels to their original type.
    fn from(error: JointError) -> Self {
        match error {
            JointError::Cancelled => Self::Cancelled,
            JointError::Source(source) => source.into(),
            error => Self::Joint(error),
        }
    }
}

impl From<SourceError> for CoaddError {
    /// Restores the original type of the error where it is known.
    fn from(source: SourceError) -> Self {
        match source.downcast::<FitsError>().map_err(|source| source.downcast::<Self>()) {
            Ok(fits) => Self::Fits(*fits),
            Err(Ok(own)) => *own,
            Err(Err(source)) => Self::Pixels(source),
        }
    }
}

impl From<SolveError> for CoaddError {
    /// Restores errors of reading pixels to their original type.
    fn from(error: SolveError) -> Self {
        match error {
            SolveError::Cancelled => Self::Cancelled,
            SolveError::Source(source) => source.into(),
            other => Self::Solve(other),
        }
    }
}
