//! What keeps a patch from being coadded. Every variant names the file, what was expected and what to do.

mod conversions;
mod grid;

use std::path::PathBuf;

use dcr_image::psf::StampError;
use dcr_image::{FitsError, MaskError, WcsError};
use dcr_physics::{BandError, GeometryError, RefractionError, ThroughputError};
use dcr_solver::SourceError;
use dcr_solver::iterative::SolveError;
use dcr_solver::joint::{JointError, SpectrumError};

pub use self::grid::GridDifference;
use crate::config::ConfigError;
use dcr_measure::matching_kernel::MatchError;

/// A patch that cannot be coadded, or an exposure that no template can be made for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CoaddError {
    /// Nothing was given.
    #[error("no exposures were given; name at least one FITS file")]
    NoInputs,
    /// None of the exposures is of a visit that was asked for.
    #[error(
        "none of the {given} exposures is of one of the {wanted} visits that input.visits (or --visits) names; compare \
         their numbers with those that `dcr inspect` prints"
    )]
    NotSelected {
        /// Exposures given.
        given: usize,
        /// Visits asked for.
        wanted: usize,
    },
    /// A visit is not in the file of weights, or has none that can be used there.
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
        "the patch needs {}, and {} may be used: raise coadd.memory_limit (or --memory-limit), or solve the patch in parts",
        gibibytes(*needed), gibibytes(*limit)
    )]
    Memory {
        /// Bytes that are needed at least.
        needed: u64,
        /// Bytes that may be used.
        limit: u64,
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
        /// What differs, by how much.
        difference: GridDifference,
    },
    /// Nobody says what the pixel values are.
    #[error("{}: the header has no unit (card BUNIT); add it, or set input.unit", path.display())]
    NoUnit {
        /// The file.
        path: PathBuf,
    },
    /// Pixels that are magnitudes or logarithms.
    #[error(
        "{}: its pixels are in {unit:?}, which is no flux, and do not add up; convert them to flux, or set input.unit if \
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
    /// Two files that call themselves the same visit.
    #[error(
        "{} and {} both say that they are visit {visit}; leave one out, or correct the card", first.display(), second.display()
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
        "{} and {} both say that they are visit {visit}, but they are no parts of one exposure: {reason}; leave one \
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
        "{}: no PSF-matched warp (--matched) is of its visit {visit}; those given are of {there}. Give its own, or leave the visit out \
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
    /// PSF-matched warps that nothing would be done with.
    #[error(
        "PSF-matched warps (--matched) are to find artefacts with, but artefacts.find is \"off\"; set it to \"static_sky\", or leave them out"
    )]
    MatchedUnused,
    /// Files taken through different filters.
    #[error(
        "{}: the filter is {filter:?}, but {against} {expected:?}; coadd the exposures of one band only", path.display()
    )]
    Filter {
        /// The file.
        path: PathBuf,
        /// Its filter.
        filter: String,
        /// What it was compared with, in words.
        against: String,
        /// The filter there.
        expected: String,
    },
    /// The zenith cannot be told.
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
        /// What contradicts what.
        contradiction: String,
    },
    /// The air over the telescope cannot be told.
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
    /// A PSF that cannot be used.
    #[error("the PSFs of the visits cannot be averaged: {0}")]
    Psf(#[from] StampError),
    /// A file that should be one of a run's and is not.
    #[error("{}: {reason}; give the folder that `dcr assemble` wrote", path.display())]
    NotARun {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Coadds without the file that a run writes last.
    #[error(
        "{}: there is no such file beside the coadds, so the run is incomplete: it was stopped while its files got their \
         names, or they were copied without it; copy it too, or assemble again with --overwrite", path.display()
    )]
    NoSummary {
        /// The file.
        path: PathBuf,
    },
    /// The folder for results holds those of another command.
    #[error("{}: this folder holds the results of `{there}`, whose summary.json would be lost; name another", path.display())]
    OtherResults {
        /// The folder.
        path: PathBuf,
        /// The command.
        there: &'static str,
    },
    /// Files of different runs in one folder: a run was stopped while it replaced another, or somebody copied files.
    #[error(
        "{}: it is of run {run}, but {} of {expected}: the folder holds files of several runs; assemble again with --overwrite",
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
    /// No finished run was given.
    #[error("no run was given; name the folder that `dcr assemble` wrote")]
    NoPatches,
    /// An exposure under which there is no patch.
    #[error(
        "{}: it overlaps none of the patches given ({patches}); give those that cover {}", path.display(),
        place.map_or_else(|| "its place on the sky".into(), |sky| format!("RA {:.4}°, Dec {:+.4}°", sky.ra.degrees(), sky.dec.degrees()))
    )]
    NothingOverlaps {
        /// The exposure.
        path: PathBuf,
        /// Its middle.
        place: Option<dcr_physics::SkyPosition>,
        /// The patches' folders.
        patches: String,
    },
    /// Patches that cannot be joined.
    #[error(transparent)]
    PatchesDisagree(Box<Disagreement>),
    /// A template that lies elsewhere than its exposure, or on other pixels.
    #[error(
        "{}: its pixels are not those of {}: {difference}; make it with `dcr template`, which warps it there",
        path.display(), exposure.display()
    )]
    OtherGrid {
        /// The template.
        path: PathBuf,
        /// The exposure.
        exposure: PathBuf,
        /// What differs, by how much.
        difference: Box<GridDifference>,
    },
    /// Neither runs nor templates were given.
    #[error("nothing to subtract; name the folder that `dcr assemble` wrote, or templates")]
    NothingToSubtract,
    /// An exposure without a template.
    #[error("{}: no template is of its visit {visit}; the templates given are of {there}", path.display())]
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
    #[error("{}: neither it nor its template tells the PSF that is needed; set input.psfs", path.display())]
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
    /// A file cannot be read or written.
    #[error("{0}{help}", help = remedy(.0))]
    Fits(#[from] FitsError),
    /// A setting cannot be meant.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The band cannot be divided.
    #[error(transparent)]
    Band(#[from] BandError),
    /// The throughput curve in a run's header is broken.
    #[error("the throughput curve: {0}")]
    Throughput(#[from] ThroughputError),
    /// The patch cannot be solved.
    #[error(transparent)]
    Solve(SolveError),
    /// The patch cannot be solved jointly.
    #[error(transparent)]
    Joint(JointError),
    /// The band makes no spectrum for the joint method.
    #[error("the band: {0}")]
    Spectrum(#[from] SpectrumError),
    /// A visit without a PSF, which the joint method needs.
    #[error(
        "{}: it has no PSF, which solver.method = \"joint\" needs: an HDU called PSF, a file (input.psfs), or the FWHM in the header; \
         or set solver.method to \"iterative\"", path.display()
    )]
    NoPsfToSolve {
        /// The visit's file.
        path: PathBuf,
    },
    /// Pixels could not be had.
    #[error("{0}")]
    Pixels(#[source] SourceError),
    /// The caller asked to stop.
    #[error("stopped on request; nothing was written")]
    Cancelled,
}

/// Which setting or option helps against an error of a file.
const fn remedy(error: &FitsError) -> &'static str {
    match error {
        FitsError::NoVariance { .. } => {
            "; name the weight files with input.weights, or set input.missing_variance to \"estimate\""
        }
        FitsError::NotAnImage { .. } => "; input.image_hdu chooses another HDU",
        FitsError::SeveralImages { .. } => {
            "; choose one with input.image_hdu, by name or number, as --set input.image_hdu=1"
        }
        FitsError::Wcs { source: WcsError::Missing { .. }, .. } => {
            "; it must have its astrometry, and lie on the pixels of the others"
        }
        FitsError::Exists { .. } | FitsError::NotEmpty { .. } => " (--overwrite)",
        _ => "",
    }
}

/// What two patches do not share.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: the {what} is {got}, but {} has {expected}; {remedy}", path.display(), first.display())]
pub struct Disagreement {
    /// The file.
    pub path: PathBuf,
    /// The file it was compared with.
    pub first: PathBuf,
    /// What differs.
    pub what: &'static str,
    /// What the file has.
    pub got: String,
    /// What the other has.
    pub expected: String,
    /// What to do.
    pub remedy: &'static str,
}

fn gibibytes(bytes: u64) -> String {
    format!("{:.1} GiB of memory", bytes as f64 / f64::from(1 << 30))
}
