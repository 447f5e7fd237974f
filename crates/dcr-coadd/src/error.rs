//! Errors of a patch. Every variant names the file, what was expected and what to do.

mod conversions;
mod grid;
mod input;
mod model;

use dcr_image::psf::StampError;
use dcr_image::{FitsError, WcsError};
use dcr_physics::BandError;
use dcr_solver::SourceError;
use dcr_solver::iterative::SolveError;
use dcr_solver::joint::{JointError, SpectrumError};
use std::path::PathBuf;

pub use self::grid::GridDifference;
pub use self::input::InputError;
pub use self::model::ModelError;
use crate::config::ConfigError;

/// A patch that cannot be coadded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CoaddError {
    /// Nothing was given.
    #[error("no exposures were given; name at least one FITS file")]
    NoInputs,
    /// None of the exposures is of a visit that was asked for.
    #[error(
        "none of the {given} exposures is of one of the {wanted} visits that input.visits names; compare \
         the visit numbers in the headers"
    )]
    NotSelected {
        /// Exposures given.
        given: usize,
        /// Visits asked for.
        wanted: usize,
    },
    /// No file has a pixel that can be used.
    #[error(
        "none of the {count} warps has a usable pixel: all are NaN, masked ({planes}) or of variance 0 or less; \
         see coadd.bad_mask_planes"
    )]
    NothingUsable {
        /// How many were given.
        count: usize,
        /// The planes that count as bad.
        planes: String,
    },
    /// The patch does not fit into the memory that may be used.
    #[error(
        "the patch needs {}, and {} may be used: raise coadd.memory_limit, or solve the patch in parts",
        gibibytes(*needed), gibibytes(*limit)
    )]
    Memory {
        /// Bytes that are needed at least.
        needed: u64,
        /// Bytes that may be used.
        limit: u64,
    },
    /// PSF-matched warps that nothing would be done with.
    #[error(
        "PSF-matched warps need artefacts.find = \"static_sky\" (it is \"off\"); set it, or leave them out"
    )]
    MatchedUnused,
    /// A PSF that cannot be used.
    #[error("the PSFs of the visits cannot be averaged: {0}")]
    Psf(#[from] StampError),
    /// The folder for results holds those of another command.
    #[error("{}: this folder holds {there}, whose summary.json would be lost; name another", path.display())]
    OtherResults {
        /// The folder.
        path: PathBuf,
        /// Its content.
        there: &'static str,
    },
    /// A file cannot be read or written.
    #[error("{0}{help}", help = remedy(.0))]
    Fits(#[from] FitsError),
    /// A setting cannot be meant.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The band cannot be divided.
    #[error(transparent)]
    Band(#[from] BandError),
    /// The patch cannot be solved.
    #[error(transparent)]
    Solve(SolveError),
    /// The patch cannot be solved jointly.
    #[error(transparent)]
    Joint(JointError),
    /// The band makes no spectrum for the joint method.
    #[error("the band: {0}")]
    Spectrum(#[from] SpectrumError),
    /// Pixels could not be had.
    #[error("{0}")]
    Pixels(#[source] SourceError),
    /// The caller asked to stop.
    #[error("stopped on request; nothing was written")]
    Cancelled,
    /// An exposure that cannot be used, or does not belong to the others.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A model that cannot be used.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// The setting that helps against an error of a file.
const fn remedy(error: &FitsError) -> &'static str {
    match error {
        FitsError::NoVariance { .. } => {
            "; name the weight files with input.weights, or set input.missing_variance to \"estimate\""
        }
        FitsError::NotAnImage { .. } => "; input.image_hdu chooses another HDU",
        FitsError::SeveralImages { .. } => "; choose one with input.image_hdu, by name or number",
        FitsError::Wcs { source: WcsError::Missing { .. }, .. } => {
            "; it must have its astrometry, and lie on the pixels of the others"
        }
        _ => "",
    }
}

fn gibibytes(bytes: u64) -> String {
    format!("{:.1} GiB of memory", bytes as f64 / f64::from(1 << 30))
}
