//! Content of `summary.json`.
//!
//! The page is also made for runs of other versions: missing fields count as unknown, and
//! additional ones are ignored. Only the origin, `dcr assemble`, is required. NaN is null in JSON.

use std::path::PathBuf;

use dcr_coadd::config::AssembleConfig;
use dcr_image::BBox;
use serde::Deserialize;
use serde_json::Value;

/// A run.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct RunSummary {
    pub(crate) run: String,
    pub(crate) band: Band,
    pub(crate) visits: Vec<Visit>,
    #[serde(default)]
    pub(crate) version: String,
    #[serde(default)]
    pub(crate) outcome: String,
    #[serde(default)]
    pub(crate) remarks: Vec<String>,
    #[serde(default)]
    pub(crate) unit: String,
    #[serde(default)]
    pub(crate) arcsec_per_px: Option<f64>,
    #[serde(default)]
    pub(crate) dropped: Vec<Warning>,
    #[serde(default)]
    pub(crate) warnings: Vec<Warning>,
    #[serde(default)]
    pub(crate) regions: Vec<Region>,
    #[serde(default)]
    pub(crate) initial_metric: Option<f64>,
    #[serde(default)]
    pub(crate) final_metric: Option<f64>,
    #[serde(default)]
    pub(crate) joint: Option<Joint>,
    #[serde(default)]
    pub(crate) psf_fwhm_px: Option<f64>,
    #[serde(default)]
    pub(crate) stages: Vec<Stage>,
    #[serde(default)]
    pub(crate) seconds: Option<f64>,
    #[serde(default)]
    pub(crate) peak_memory_bytes: Option<u64>,
    #[serde(default)]
    pub(crate) configuration: Value,
}

/// The band.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Band {
    pub(crate) name: String,
    pub(crate) effective_nm: Option<f64>,
    pub(crate) bandwidth_nm: Option<f64>,
    pub(crate) reference_nm: Option<f64>,
    pub(crate) subfilters_nm: Vec<[f64; 2]>,
    pub(crate) fractions: Vec<f64>,
    pub(crate) notes: Vec<Assumption>,
}

/// A visit that was used.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Visit {
    pub(crate) visit: u64,
    pub(crate) file: PathBuf,
    pub(crate) other_files: Vec<PathBuf>,
    pub(crate) airmass: Option<f64>,
    pub(crate) altitude_deg: Option<f64>,
    pub(crate) parallactic_angle_deg: Option<f64>,
    pub(crate) zenith_from: String,
    pub(crate) psf_fwhm_px: Option<f64>,
    pub(crate) psf_selected: Option<bool>,
    pub(crate) variance: Option<f64>,
    pub(crate) weight: Option<f64>,
    pub(crate) usable: Option<f64>,
    /// `[dx, dy]` of each subfilter, blue to red.
    pub(crate) shifts_px: Vec<[Option<f64>; 2]>,
    pub(crate) metric: Option<f64>,
    pub(crate) assumptions: Vec<Assumption>,
}

/// An assumption, conversion or doubt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Assumption {
    pub(crate) text: String,
    pub(crate) warning: bool,
}

/// A warning.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Warning {
    pub(crate) subject: String,
    pub(crate) text: String,
}

/// A region that was solved on its own.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Region {
    pub(crate) bbox: BBox,
    #[serde(default)]
    pub(crate) outcome: String,
    #[serde(default)]
    pub(crate) initial_metric: Option<f64>,
    #[serde(default)]
    pub(crate) iterations: Vec<Iteration>,
}

/// An iteration of a region.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Iteration {
    pub(crate) gain: Option<f64>,
    pub(crate) metric: Option<f64>,
}

/// Results of the joint solver.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Joint {
    pub(crate) outcome: String,
    pub(crate) fiducial_visit: Option<u64>,
    pub(crate) fiducial_fwhm_px: Option<f64>,
    pub(crate) noise_per_pixel: Option<f64>,
    pub(crate) covered: Option<f64>,
    /// `None` is without bounds: JSON has no infinity.
    pub(crate) colour_error_mag: Option<f64>,
    pub(crate) data_fraction: Option<f64>,
    pub(crate) faint_data_fraction: Option<f64>,
    pub(crate) calibration_changes_px: Vec<Option<f64>>,
    pub(crate) visits: Vec<JointVisit>,
    pub(crate) tiles: Vec<Tile>,
}

/// Results of the joint solver for a visit.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct JointVisit {
    pub(crate) visit: u64,
    pub(crate) offset_px: [Option<f64>; 2],
    pub(crate) calibration: Option<VisitCalibration>,
    pub(crate) fwhm_px: Option<f64>,
    pub(crate) clipped: Option<f64>,
    pub(crate) chi2: Option<f64>,
}

/// Calibration of a visit against all visits together.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct VisitCalibration {
    pub(crate) middle: CalibrationTerms,
}

/// Terms of a calibration at one place.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct CalibrationTerms {
    pub(crate) background: Option<f64>,
    pub(crate) flux: Option<f64>,
    pub(crate) moments: [Option<f64>; 3],
}

/// Errors remaining after each iteration in a tile, in units of the weighted coadd's noise per
/// pixel.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Tile {
    /// First row and column.
    pub(crate) origin: [usize; 2],
    /// One solve after each round of clipping and of fitting offsets.
    pub(crate) first: Vec<Vec<Option<f64>>>,
    pub(crate) last: Vec<Option<f64>>,
}

/// Time spent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Stage {
    pub(crate) stage: String,
    pub(crate) seconds: Option<f64>,
}

impl RunSummary {
    /// Reads the text of a `summary.json`.
    ///
    /// # Errors
    ///
    /// The reason, if it is not JSON, or not of `dcr assemble`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    /// The settings of the run; the defaults if this version does not know all of them.
    pub(crate) fn settings(&self) -> AssembleConfig {
        serde_json::from_value(self.configuration.clone()).unwrap_or_default()
    }

    /// The number of subfilters.
    pub(crate) fn subfilters(&self) -> usize {
        self.band.subfilters_nm.len()
    }
}

impl Tile {
    /// Its file name or path.
    pub(crate) fn name(&self) -> String {
        let [row, col] = self.origin;
        format!("tile at row {row}, column {col}")
    }
}

impl Visit {
    /// The name of its file, without folders.
    pub(crate) fn file_name(&self) -> String {
        self.file.file_name().unwrap_or(self.file.as_os_str()).to_string_lossy().into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summary_needs_little_and_takes_null_for_unknown() {
        let text = r#"{"run": "1", "band": {"name": "g"}, "later": 1,
            "visits": [{"visit": 7, "airmass": null, "shifts_px": [[null, 1.5]], "file": "a/<b>.fits"}]}"#;
        let summary = RunSummary::parse(text).unwrap();
        assert_eq!(summary.visits[0].airmass, None);
        assert_eq!(summary.visits[0].shifts_px, [[None, Some(1.5)]]);
        assert_eq!(summary.visits[0].file_name(), "<b>.fits");
        assert_eq!(summary.settings(), AssembleConfig::default());
    }

    #[test]
    fn summary_of_another_command_or_no_json_is_refused() {
        let subtracted = r#"{"version": "1", "runs": ["1"], "threshold": 5.0, "visits": []}"#;
        assert!(RunSummary::parse(subtracted).unwrap_err().contains("missing field `run`"));
        assert!(RunSummary::parse("").is_err());
        assert!(RunSummary::parse("[1]").is_err());
    }
}
