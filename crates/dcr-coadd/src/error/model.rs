//! Errors of the files of a finished run.

use std::path::PathBuf;

use dcr_physics::ThroughputError;

/// A file that should be a model, or another product of a run, and is not.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A file that should be one of a run's and is not.
    #[error("{}: {reason}; give the folder of a finished run, or its model.fits", path.display())]
    NotARun {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// Coadds without the file that a run writes last.
    #[error(
        "{}: there is no such file beside the coadds, so the run is incomplete: it was stopped while its files got their \
         names, or they were copied without it; copy it too, or assemble again", path.display()
    )]
    NoSummary {
        /// The file.
        path: PathBuf,
    },
    /// One folder holds files of different runs: a run was stopped while it replaced another, or
    /// files were copied.
    #[error(
        "{}: it is of run {run}, but {} of {expected}: the folder holds files of several runs; assemble again",
        path.display(), beside.display()
    )]
    MixedRuns {
        /// The file.
        path: PathBuf,
        /// Its run.
        run: String,
        /// A file beside it.
        beside: PathBuf,
        /// The run of that.
        expected: String,
    },
    /// The throughput curve in a run's header is broken.
    #[error("the throughput curve: {0}")]
    Throughput(#[from] ThroughputError),
}
