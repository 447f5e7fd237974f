//! Errors of the solvers as errors of a patch; those of reading pixels come back as what they were.

use dcr_image::FitsError;
use dcr_solver::SourceError;
use dcr_solver::iterative::SolveError;
use dcr_solver::joint::JointError;

use super::CoaddError;

impl From<JointError> for CoaddError {
    /// Errors of reading pixels come back as what they were.
    fn from(error: JointError) -> Self {
        match error {
            JointError::Cancelled => Self::Cancelled,
            JointError::Source(source) => source.into(),
            error => Self::Joint(error),
        }
    }
}

impl From<SourceError> for CoaddError {
    /// What it was, where that is known.
    fn from(source: SourceError) -> Self {
        match source.downcast::<FitsError>().map_err(|source| source.downcast::<Self>()) {
            Ok(fits) => Self::Fits(*fits),
            Err(Ok(own)) => *own,
            Err(Err(source)) => Self::Pixels(source),
        }
    }
}

impl From<SolveError> for CoaddError {
    /// Errors of reading pixels come back as what they were.
    fn from(error: SolveError) -> Self {
        match error {
            SolveError::Cancelled => Self::Cancelled,
            SolveError::Source(source) => source.into(),
            other => Self::Solve(other),
        }
    }
}
