//! Errors of single exposures, alone and against each other.

use std::path::PathBuf;

use dcr_image::{MaskError, WcsError};
use dcr_physics::{GeometryError, RefractionError};

use super::GridDifference;

/// An exposure that cannot be used, or does not belong to the others.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// The unit of the pixel values is unknown.
    #[error("{}: the header has no unit (card BUNIT); add it, or set input.unit", path.display())]
    NoUnit {
        /// The file.
        path: PathBuf,
    },
    /// Pixels that are magnitudes or logarithms.
    #[error(
        "{}: its pixels are in {unit:?}, which is not a flux; convert them to flux, or set input.unit if \
         the card is wrong", path.display()
    )]
    NotFlux {
        /// The file.
        path: PathBuf,
        /// Its unit.
        unit: String,
    },
    /// Files in different units.
    #[error(
        "{}: BUNIT is {unit:?}, but {} has {expected:?}; bring all exposures to one unit, or set input.unit if a \
         card is wrong", path.display(), first.display()
    )]
    Unit {
        /// The file.
        path: PathBuf,
        /// Its unit.
        unit: String,
        /// The file it was compared with.
        first: PathBuf,
        /// That file's unit.
        expected: String,
    },
    /// A file on another pixel grid.
    #[error(
        "{}: its grid is not that of {}: {difference}; warp all exposures to one grid first", path.display(), first.display()
    )]
    Grid {
        /// The file.
        path: PathBuf,
        /// The file it was compared with.
        first: PathBuf,
        /// The difference of the grids.
        difference: GridDifference,
    },
    /// Two files with one visit number.
    #[error(
        "{} and {} both have the visit number {visit}; leave one out, or correct the card", first.display(), second.display()
    )]
    SameVisit {
        /// The number.
        visit: u64,
        /// One file.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// Two files with one visit number that are no parts of one exposure.
    #[error(
        "{} and {} both have the visit number {visit}, but are not parts of one exposure: {reason}; leave one \
         out, or correct the card", first.display(), second.display()
    )]
    NotOneVisit {
        /// The number.
        visit: u64,
        /// One file.
        first: PathBuf,
        /// The other.
        second: PathBuf,
        /// Why they are not.
        reason: String,
    },
    /// A visit without a PSF-matched warp, where some are given.
    #[error(
        "{}: no PSF-matched warp for its visit {visit} (PSF-matched warps given: {there}); give it, or leave the visit out \
         with input.visits", path.display()
    )]
    NoMatchedWarp {
        /// The exposure.
        path: PathBuf,
        /// Its visit.
        visit: u64,
        /// The visits of those given.
        there: String,
    },
    /// A PSF-matched warp at another zero point than its exposure.
    #[error(
        "{}: its zero point is {own} mag, but {} has {expected}; bring both to one, or set input.zero_point to \"header\"",
        path.display(), first.display()
    )]
    OtherZeroPoint {
        /// The PSF-matched warp.
        path: PathBuf,
        /// Its zero point in mag.
        own: f64,
        /// The exposure.
        first: PathBuf,
        /// The exposure's zero point in mag.
        expected: f64,
    },
    /// Files taken through different filters.
    #[error(
        "{}: the filter is {filter:?}, but {against} {expected:?}; coadd the exposures of one band only", path.display()
    )]
    Filter {
        /// The file.
        path: PathBuf,
        /// Its filter.
        filter: String,
        /// The source of the other filter, in words.
        against: String,
        /// The filter there.
        expected: String,
    },
    /// The zenith of the exposure is unknown.
    #[error("{}: {source}; see input.geometry and input.site", path.display())]
    Geometry {
        /// The file.
        path: PathBuf,
        /// Why.
        source: GeometryError,
    },
    /// A header that contradicts itself.
    #[error(
        "{}: {contradiction} Set input.geometry to \"header\" or \"time\", whichever is right, and \
         input.on_disagreement to \"warn\"; or correct the header", path.display()
    )]
    Disagreement {
        /// The file.
        path: PathBuf,
        /// The contradiction, in a sentence.
        contradiction: String,
    },
    /// The air over the telescope is unknown.
    #[error("{}: the header has neither the telescope's site nor the air pressure; set input.site", path.display())]
    NoSite {
        /// The file.
        path: PathBuf,
    },
    /// The header lacks an angle that the chosen shift rule needs.
    #[error("{}: model.shift_rule = \"reference\" needs the {lacks} in the header", path.display())]
    ReferenceAngle {
        /// The file.
        path: PathBuf,
        /// The angle.
        lacks: &'static str,
    },
    /// The zero point is asked for and missing.
    #[error("{}: the header has no magnitude zero point; set input.zero_point to \"off\"", path.display())]
    NoZeroPoint {
        /// The file.
        path: PathBuf,
    },
    /// Refraction cannot be computed.
    #[error("{}: {source}", path.display())]
    Refraction {
        /// The file.
        path: PathBuf,
        /// Why.
        source: RefractionError,
    },
    /// A place in the image has no place on the sky.
    #[error("{}: {source}", path.display())]
    Wcs {
        /// The file.
        path: PathBuf,
        /// Why.
        source: WcsError,
    },
    /// The mask planes of all files together are too many.
    #[error("{}: {source}", path.display())]
    Mask {
        /// The file whose planes no longer fit.
        path: PathBuf,
        /// Why.
        source: MaskError,
    },
    /// The file of weights lacks a visit, or has no positive weight for it.
    #[error(
        "{}: coadd.visit_weights has no weight above 0 for visit {visit}; add a line with its number and weight, or leave \
         it out with input.visits", path.display()
    )]
    NoWeight {
        /// The exposure.
        path: PathBuf,
        /// Its visit.
        visit: u64,
    },
    /// A visit without a PSF, which the joint method needs.
    #[error(
        "{}: it has no PSF, which solver.method = \"joint\" needs: an HDU called PSF, a file (input.psfs), or the FWHM in the header; \
         or set solver.method to \"iterative\"", path.display()
    )]
    NoPsf {
        /// The visit's file.
        path: PathBuf,
    },
}
