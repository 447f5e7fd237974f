//! Summaries of `dcr template` and `dcr subtract`, for people and for `summary.json`.

use std::path::PathBuf;

use dcr_coadd::{Outcome, Warning};
use dcr_measure::residuals::ResidualCounts;
use dcr_solver::calibration::CalibrationReport;
use serde::Serialize;

use crate::subtract::difference::Matching;

/// Record of a call of [`crate::matched_templates`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TemplateSummary {
    /// The runs whose coadds were used.
    pub runs: Vec<String>,
    /// Its band.
    pub band: String,
    /// How it ended: exposures may have been left out.
    pub outcome: Outcome,
    /// The templates, in the order of the exposures.
    pub templates: Vec<MatchedTemplate>,
    /// The exposures without a template, each with the reason.
    pub dropped: Vec<Warning>,
    /// All warnings.
    pub warnings: Vec<Warning>,
    /// Seconds in all.
    pub seconds: f64,
}

/// A matched template.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MatchedTemplate {
    /// The exposure's visit.
    pub visit: u64,
    /// The exposure.
    pub exposure: PathBuf,
    /// The template.
    pub file: PathBuf,
    /// Secant of the zenith distance in the middle of the exposure.
    pub airmass: f64,
    /// Position angle of the zenith there in ICRS, in degrees.
    pub parallactic_angle_deg: f64,
    /// Mean displacement of each subfilter there, blue to red, `[dx, dy]` in px.
    pub shifts_px: Vec<[f64; 2]>,
    /// Share of its pixels that have a value.
    pub covered: f64,
    /// The folders of the patches it was made of.
    pub patches: Vec<PathBuf>,
    /// True if it was warped; false if the exposure lies on the patch's own pixels.
    pub warped: bool,
    /// Factor on the run's model for the exposure's zero point.
    pub scale: f64,
    /// Fitted offset of the exposure, `[dx, dy]` in px, for templates of joint runs on the patch's
    /// own pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset_px: Option<[f64; 2]>,
    /// Flux of the exposure over the template as registered and before its calibration, minus 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flux_excess: Option<f64>,
    /// Calibration of the template against the exposure, applied to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibration: Option<CalibrationReport>,
    /// Error of the template as a fraction of flux, measured on bright stars; its variance contains
    /// it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_error: Option<f64>,
    /// Origin of the template's PSF, for a joint run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psf_of: Option<PsfOf>,
    /// FWHM of the template's PSF in px.
    pub psf_fwhm_px: Option<f64>,
}

/// Whose PSF a template of a joint run has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PsfOf {
    /// The exposure's own.
    Exposure,
    /// The coadd's, for the exposure has none.
    Coadd,
}

impl PsfOf {
    /// The word for it in summaries and in the card PSFOF.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Exposure => "exposure",
            Self::Coadd => "coadd",
        }
    }
}

/// Record of a call of [`crate::subtract()`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SubtractSummary {
    /// Version of this software.
    pub version: String,
    /// Runs behind the templates or standard coadds.
    pub runs: Vec<String>,
    /// How it ended: exposures may have been left out.
    pub outcome: Outcome,
    /// Residuals stand out by at least this many standard deviations.
    pub threshold: f64,
    /// Residuals of the matched templates, in all visits.
    pub matched: ResidualCounts,
    /// Residuals of the standard coadd, if there is one.
    pub plain: Option<ResidualCounts>,
    /// File name of the standard coadd in the runs' folders.
    pub plain_coadd: Option<String>,
    /// Visit by visit, in the order of the exposures.
    pub visits: Vec<SubtractedVisit>,
    /// The exposures without a difference, each with the reason.
    pub dropped: Vec<Warning>,
    /// All warnings.
    pub warnings: Vec<Warning>,
    /// The folder of the results.
    pub folder: PathBuf,
    /// Seconds in all.
    pub seconds: f64,
}

/// An exposure less its template.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SubtractedVisit {
    /// The visit.
    pub visit: u64,
    /// The exposure.
    pub exposure: PathBuf,
    /// The difference image.
    pub difference: PathBuf,
    /// The table of residuals.
    pub residuals: PathBuf,
    /// Secant of the zenith distance.
    pub airmass: Option<f64>,
    /// Residuals of the matched template.
    pub matched: ResidualCounts,
    /// Residuals of the standard coadd.
    pub plain: Option<ResidualCounts>,
    /// Fraction of the exposure's good pixels that were searched: the others have no template.
    pub searched: f64,
    /// Factor on the template for the exposure's zero point.
    pub scale: f64,
    /// The noise found in the difference over that of its variance.
    pub noise_factor: f64,
    /// Slope of the background taken out before the search, from side to side, in standard
    /// deviations of a pixel; unset if it was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub background_slope: Option<f64>,
    /// FWHM of the difference's PSF.
    pub psf_fwhm_px: f64,
    /// Origin of the template's PSF, for a joint run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template_psf_of: Option<PsfOf>,
    /// How PSFs were matched.
    pub matching: Option<Matching>,
}
