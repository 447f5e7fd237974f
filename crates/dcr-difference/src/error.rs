//! Errors of templates and differences. Every variant names the file and what to do.

use std::path::PathBuf;

use dcr_coadd::config::ConfigError;
use dcr_coadd::{CoaddError, GridDifference, InputError, ModelError};
use dcr_image::FitsError;
use dcr_image::psf::StampError;
use dcr_measure::matching_kernel::MatchError;
use dcr_physics::{BandError, SkyPosition};
use dcr_solver::SourceError;
use dcr_solver::joint::JointError;

/// An exposure that no template or difference can be made for, or models that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DifferenceError {
    /// No finished run was given.
    #[error("no run was given; name the folder of one, or its model.fits")]
    NoPatches,
    /// The exposure overlaps no patch.
    #[error(
        "{}: it overlaps none of the patches given ({patches}); give those that cover {}", path.display(),
        place.map_or_else(|| "its place on the sky".into(), |sky| format!("RA {:.4}°, Dec {:+.4}°", sky.ra.degrees(), sky.dec.degrees()))
    )]
    NothingOverlaps {
        /// The exposure.
        path: PathBuf,
        /// Its middle.
        place: Option<SkyPosition>,
        /// The patches' folders.
        patches: String,
    },
    /// Patches that cannot be joined.
    #[error(transparent)]
    PatchesDisagree(Box<Disagreement>),
    /// A template that lies elsewhere than its exposure, or on other pixels.
    #[error(
        "{}: its pixels are not those of {}: {difference}; make the template on these pixels",
        path.display(), exposure.display()
    )]
    OtherGrid {
        /// The template.
        path: PathBuf,
        /// The exposure.
        exposure: PathBuf,
        /// The difference of the grids.
        difference: Box<GridDifference>,
    },
    /// Neither runs nor templates were given.
    #[error("nothing to subtract; name the folder of a finished run, or templates")]
    NothingToSubtract,
    /// An exposure without a template.
    #[error("{}: no template for its visit {visit} (templates found: {there})", path.display())]
    NoTemplate {
        /// The exposure.
        path: PathBuf,
        /// Its visit.
        visit: u64,
        /// The visits of the templates.
        there: String,
    },
    /// An exposure in another unit than its template.
    #[error(
        "{}: BUNIT is {unit:?}, but its template has {expected:?}; bring it to that unit, or match PSFs, which scales the \
         template", path.display()
    )]
    OtherUnit {
        /// The exposure.
        path: PathBuf,
        /// Its unit.
        unit: String,
        /// The template's.
        expected: String,
    },
    /// A PSF is needed and missing.
    #[error("{}: the PSF is unknown, for the exposure and for its template; set input.psfs", path.display())]
    NoPsf {
        /// The exposure.
        path: PathBuf,
    },
    /// PSFs cannot be matched.
    #[error("{}: {source}", path.display())]
    Match {
        /// The exposure.
        path: PathBuf,
        /// Why.
        source: MatchError,
    },
    /// An error that coadding has as well: of an exposure, a file, a model or the settings.
    #[error(transparent)]
    Coadd(#[from] CoaddError),
}

impl DifferenceError {
    /// True if the caller asked to stop.
    #[must_use]
    pub const fn is_cancelled(&self) -> bool {
        matches!(self, Self::Coadd(CoaddError::Cancelled))
    }

    /// True for a failure of the operating system, which a retry may not meet.
    #[must_use]
    pub const fn is_io(&self) -> bool {
        matches!(self, Self::Coadd(CoaddError::Fits(FitsError::Io { .. })))
    }
}

/// Errors that coadding has as well.
macro_rules! by_coadd_error {
    ($($error:ty),+) => { $(
        impl From<$error> for DifferenceError {
            fn from(error: $error) -> Self {
                Self::Coadd(error.into())
            }
        }
    )+ };
}

by_coadd_error!(FitsError, StampError, ConfigError, InputError, ModelError, BandError, JointError);

impl From<SourceError> for DifferenceError {
    /// The original error of a file or of this crate, if the source is one.
    fn from(source: SourceError) -> Self {
        match source.downcast::<Self>() {
            Ok(own) => *own,
            Err(source) => Self::Coadd(source.into()),
        }
    }
}

/// A property that two patches must share and do not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: the {what} is {got}, but {} has {expected}; {remedy}", path.display(), first.display())]
pub struct Disagreement {
    /// The file.
    pub path: PathBuf,
    /// The file it was compared with.
    pub first: PathBuf,
    /// The property.
    pub what: &'static str,
    /// Its value in the file.
    pub got: String,
    /// Its value in the other file.
    pub expected: String,
    /// The remedy.
    pub remedy: &'static str,
}
