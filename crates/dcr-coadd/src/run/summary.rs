//! Summary of a run, for users and for `summary.json`.

use std::path::PathBuf;

use dcr_image::BBox;
use dcr_physics::{Assumption, GeometryOrigin, Weather};
use dcr_solver::calibration::CalibrationReport;
use dcr_solver::iterative::SolveReport;
use dcr_solver::joint::{JointOutcome, TileReport};
use serde::Serialize;

use crate::config::AssembleConfig;
use dcr_measure::noise_correlation::NoiseCorrelation;
use dcr_measure::psf_measurement::PsfQuality;

/// How a run ended that wrote its results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Complete. Regions may have reached the maximum number of iterations: early stopping is
    /// intended.
    Done,
    /// Complete, but inputs were dropped, most of a visit was not used, or a region diverged or had
    /// no data ([`Summary::remarks`]).
    DoneWithRemarks,
}

/// A warning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// The file, visit or subject.
    pub subject: String,
    /// What, in a whole sentence.
    pub text: String,
}

/// Summary of a run of [`crate::assemble`] or [`crate::coadd()`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Version of this software.
    pub version: String,
    /// Identifier of the run in the headers of its files; equal for equal inputs and settings.
    pub run: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it did not end as [`Outcome::Done`].
    pub remarks: Vec<String>,
    /// The band.
    pub band: BandSummary,
    /// The patch.
    pub bbox: BBox,
    /// Unit of the pixel values.
    pub unit: String,
    /// Side of a pixel in the middle of the patch.
    pub arcsec_per_px: f64,
    /// Where the template coadd is from.
    pub template: TemplateSource,
    /// The visits that were used.
    pub visits: Vec<VisitSummary>,
    /// The files that were not.
    pub dropped: Vec<Warning>,
    /// The metric with the starting model; the mean over regions.
    pub initial_metric: f64,
    /// The metric with the model that was kept; the mean over regions.
    pub final_metric: f64,
    /// The course of the solve, region by region.
    pub regions: Vec<RegionSummary>,
    /// Results of the joint solver; without it there are regions and a metric instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub joint: Option<JointSummary>,
    /// FWHM of the coadd's PSF in px.
    pub psf_fwhm_px: Option<f64>,
    /// Origin and properties of that PSF.
    pub psf: PsfSummary,
    /// How the noise of neighbouring pixels of the stacked coadd goes together.
    pub noise_correlation: Option<NoiseCorrelation>,
    /// All warnings.
    pub warnings: Vec<Warning>,
    /// The files written.
    pub files: Vec<PathBuf>,
    /// Seconds per stage.
    pub stages: Vec<StageSeconds>,
    /// Seconds in all.
    pub seconds: f64,
    /// Peak memory in bytes.
    pub peak_memory_bytes: Option<u64>,
    /// True if the visits' pixels were held in memory.
    pub in_memory: bool,
    /// All settings.
    pub configuration: AssembleConfig,
}

/// The band and its subfilters.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BandSummary {
    /// Its name.
    pub name: String,
    /// Its middle.
    pub effective_nm: f64,
    /// Its full width.
    pub bandwidth_nm: f64,
    /// The wavelength that stays in place.
    pub reference_nm: f64,
    /// Blue and red edge of each subfilter.
    pub subfilters_nm: Vec<[f64; 2]>,
    /// Share of each subfilter in a flat spectrum.
    pub fractions: Vec<f64>,
    /// Origin of the band's properties.
    pub notes: Vec<Assumption>,
}

/// Where the template coadd is from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TemplateSource {
    /// It was given.
    File(PathBuf),
    /// It was made of the visits.
    Made,
}

/// A visit that was used. The sky is that at the middle of the patch.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VisitSummary {
    /// Its number.
    pub visit: u64,
    /// Its file, the first of those that are joined.
    pub file: PathBuf,
    /// The others that are joined: further CCDs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other_files: Vec<PathBuf>,
    /// Secant of the zenith distance.
    pub airmass: f64,
    /// Apparent altitude in degrees.
    pub altitude_deg: f64,
    /// Position angle of the zenith in ICRS, in degrees.
    pub parallactic_angle_deg: f64,
    /// Source of the zenith's direction.
    pub zenith_from: GeometryOrigin,
    /// The air that refraction was computed for.
    pub weather: Weather,
    /// FWHM of its PSF in px.
    pub psf_fwhm_px: Option<f64>,
    /// True if its PSF went into that of the coadd.
    pub psf_selected: bool,
    /// Middle of the exposure: modified Julian date, TAI.
    pub mjd_tai: Option<f64>,
    /// Exposure time in s.
    pub exposure_s: Option<f64>,
    /// Factor on its pixel values.
    pub scale: f64,
    /// Clipped mean of the variance of its pixels.
    pub variance: f64,
    /// Its weight; the mean is 1.
    pub weight: f64,
    /// Share of its pixels that could be used.
    pub usable: f64,
    /// Pixels of these that were left out as artefacts.
    pub artefact_pixels: usize,
    /// Mean displacement of each subfilter, blue to red, `[dx, dy]` in px.
    pub shifts_px: Vec<[f64; 2]>,
    /// The metric with the final model, the mean over regions.
    pub metric: Option<f64>,
    /// Rms residual of the model in this visit, in standard deviations of the sky's noise; for the
    /// iterative method in the middle cell.
    pub residual_rms: Option<f64>,
    /// Assumptions, conversions and warnings.
    pub assumptions: Vec<Assumption>,
}

impl VisitSummary {
    /// The names of its files, without folders.
    pub fn file_names(&self) -> String {
        let names = std::iter::once(&self.file).chain(&self.other_files).filter_map(|file| file.file_name());
        names.map(|name| name.to_string_lossy()).collect::<Vec<_>>().join(", ")
    }
}

/// A region that was solved on its own.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RegionSummary {
    /// Its pixels.
    pub bbox: BBox,
    /// Its course.
    #[serde(flatten)]
    pub report: SolveReport,
}

/// Results of the joint solver.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JointSummary {
    /// How the solve ended. The maximum number of iterations is a regular end;
    /// [`JointSummary::tiles`] has the remaining errors.
    pub outcome: JointOutcome,
    /// The visit whose PSF the planes have.
    pub fiducial_visit: Option<u64>,
    /// FWHM of that PSF in px ([`dcr_image::Psf::fwhm_px`]), as everywhere here.
    pub fiducial_fwhm_px: Option<f64>,
    /// Noise per pixel of the weighted coadd of all visits.
    pub noise_per_pixel: f64,
    /// Share of the patch's pixels where the model rests on data.
    pub covered: f64,
    /// Error in mag of the colour between the outermost subfilters of a star of S/N 100, from the
    /// data alone; infinite if unconstrained.
    pub colour_error_mag: f64,
    /// Share of the data, against the prior, in the information on that colour.
    pub data_fraction: f64,
    /// Share of the data in the information on that colour at S/N 30.
    pub faint_data_fraction: f64,
    /// The largest change of a visit's calibration in every round, as the displacement in px that
    /// changes a star as much.
    pub calibration_changes_px: Vec<f64>,
    /// The visits, in the order of [`Summary::visits`].
    pub visits: Vec<JointVisitSummary>,
    /// Sources whose flux differs between the visits.
    pub changing_sources: Vec<ChangingSourceSummary>,
    /// The course of the solve, tile by tile: errors left after each iteration.
    pub tiles: Vec<TileReport>,
}

/// A source whose flux differs between the visits.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChangingSourceSummary {
    /// Position `[x, y]` in px, 0-based in the parent image.
    pub place_px: [i64; 2],
    /// Right ascension and declination in ICRS, degrees.
    pub sky_deg: Option<[f64; 2]>,
    /// Root mean square of its flux in the visits relative to the median, less 1.
    pub scatter: f64,
    /// Largest deviation of a visit in units of its error.
    pub significance: f64,
    /// Flux in each visit relative to the median, less 1.
    pub excesses: Vec<Option<f64>>,
}

/// Results of the joint solver for a visit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JointVisitSummary {
    /// Its number.
    pub visit: u64,
    /// Its offset from where its WCS puts it, `[dx, dy]` in px.
    pub offset_px: [f64; 2],
    /// All else in which it differs from all visits together, as undone: relative to that offset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibration: Option<CalibrationReport>,
    /// FWHM of its PSF in px, in the middle of the patch.
    pub fwhm_px: Option<f64>,
    /// Share of its good pixels that were clipped.
    pub clipped: f64,
    /// Mean squared residual over the sky's variance.
    pub chi2: f64,
}

/// Time spent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StageSeconds {
    /// On what.
    pub stage: String,
    /// How long.
    pub seconds: f64,
}

/// Where the coadds' PSF is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PsfOrigin {
    /// There is none: no visit has one, and none was measured.
    Unknown,
    /// The average of the selected visits'.
    Selected,
    /// The stars in the coadd.
    Measured,
    /// The joint solution.
    Solution,
}

/// PSF of the coadds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PsfSummary {
    /// Origin of the PSF.
    pub origin: PsfOrigin,
    /// Its FWHM in px, in the middle of the patch.
    pub fwhm_px: Option<f64>,
    /// FWHM in px of each subfilter's PSF, blue to red.
    pub subfilter_fwhm_px: Vec<Option<f64>>,
    /// Cells with a stamp of their own; 0 if one is good for the whole patch.
    pub cells: usize,
    /// How well it was measured, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured: Option<PsfQuality>,
}
