//! Exposures that cannot be used: left out, so that they do not stop the others.

use crate::error::DifferenceError;
use std::path::Path;

use dcr_coadd::run::run_log::RunLog;
use dcr_coadd::{Outcome, Warning};

/// The exposures left out of a job, each with the reason.
pub(crate) struct Dropped {
    pub(crate) exposures: Vec<Warning>,
    /// True for a job of one exposure.
    only_one: bool,
    /// First error: the job fails with it if no exposure is left.
    first: Option<DifferenceError>,
}

impl Dropped {
    /// No exposures dropped yet, for a job of `exposures`.
    pub(crate) fn among(exposures: usize) -> Self {
        Self { exposures: vec![], only_one: exposures == 1, first: None }
    }

    /// The value of a result; for an error `None`: the exposure at `path` is dropped with a
    /// warning.
    ///
    /// # Errors
    ///
    /// [`CoaddError::Cancelled`], a failure of the operating system, which may be gone the next
    /// time, and any error of the only exposure.
    pub(crate) fn or_drop<T>(
        &mut self,
        path: &Path,
        result: Result<T, DifferenceError>,
        log: &mut RunLog<'_>,
    ) -> Result<Option<T>, DifferenceError> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.is_cancelled() || error.is_io() => Err(error),
            Err(error) if self.only_one => Err(error),
            Err(error) => {
                let subject = path.display().to_string();
                let text = format!("It was left out: {error}.");
                log.warn(subject.clone(), text.clone());
                self.exposures.push(Warning { subject, text });
                self.first.get_or_insert(error);
                Ok(None)
            }
        }
    }

    /// Refuses a job without any exposure that can be used.
    ///
    /// # Errors
    ///
    /// The first that was met.
    pub(crate) fn check_any(&mut self, used: usize) -> Result<(), DifferenceError> {
        match self.first.take() {
            Some(error) if used == 0 => Err(error),
            first => {
                self.first = first;
                Ok(())
            }
        }
    }

    /// How the job ends.
    pub(crate) fn outcome(&self) -> Outcome {
        if self.exposures.is_empty() { Outcome::Done } else { Outcome::DoneWithRemarks }
    }
}
