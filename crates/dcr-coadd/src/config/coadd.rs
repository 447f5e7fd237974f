//! `[coadd]`: weights, masks, the template, and the patch as a whole.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::bytes::ByteSize;
use super::table::table;
use super::{ConfigError, refuse};

table! {
    /// How the visits are combined.
    pub struct CoaddConfig = "coadd" {
        /// Width and height in px of the parts that are solved with one displacement per visit. The result hardly
        /// depends on it; smaller parts need less memory and follow the refraction over the field more closely.
        subregion_size: [usize; 2] = [512, 512],
        /// Whether visits count by the inverse of their noise variance; if not, all alike.
        weight_visits: bool = true,
        /// Whether weights are multiplied by the airmass, which favours visits that tell colours.
        airmass_weight: bool = false,
        /// Mask planes whose pixels carry no data. CLIPPED must stay out: what differs because of refraction is
        /// clipped, and tells the colours.
        bad_mask_planes: Vec<String> = names(["NO_DATA", "BAD", "SAT"]),
        /// Mask planes that are dropped from the coadd.
        remove_mask_planes: Vec<String> = names(["NOT_DEBLENDED", "EDGE"]),
        /// Mask planes of the pixels that decide convergence, and near which the model is free.
        convergence_mask_planes: Vec<String> = names(["DETECTED"]),
        /// Mask planes that the coadd takes over where more than this fraction of the weight has them.
        mask_propagation_thresholds: BTreeMap<String, f64> = BTreeMap::from([("SAT".into(), 0.1)]),
        /// Whether pixels without data are filled from their neighbours. They stay flagged NO_DATA.
        interpolate: bool = true,
        /// Variance of the subfilters: "propagated" from the inputs, or "template" (the template's divided by their
        /// number, as the established implementation has it).
        variance: OutputVariance = OutputVariance::Propagated,
        /// Rejection, in sigma, of the clipped mean that makes the template coadd where none is given.
        clip_sigma: f64 = 2.5,
        /// Passes of that rejection.
        clip_iterations: usize = 3,
        /// Detection threshold in sigma of the smoothed template, for a template without detections.
        detection_threshold: f64 = 5.0,
        /// Fewest connected pixels of a detection.
        detection_min_pixels: usize = 5,
        /// Detections are grown by this many sigma of the PSF.
        detection_grow: f64 = 2.4,
        /// Whether the PSF of the coadd is averaged over the sharper half of the visits only.
        select_psfs: bool = true,
        /// Largest difference in px between the grids of two warps that count as one grid.
        grid_tolerance_px: f64 = 0.01,
        /// The most memory that a run may take. Unset: half of what is free.
        memory_limit: Option<ByteSize> = None; "\"6GiB\"",
        /// Where the pixels of the visits are while the patch is solved: in "memory", on "disk" (in a file in the folder
        /// of the results that is gone afterwards, 5 bytes for each pixel and visit), or "auto": in memory if they fit.
        pixels_in: PixelsIn = PixelsIn::Auto,
    }
}

/// Where the pixels of the visits are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PixelsIn {
    /// In memory if they fit, else on disk.
    Auto,
    /// In memory, or the run is refused.
    Memory,
    /// On disk.
    Disk,
}

/// Where the variance of the outputs is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputVariance {
    /// Propagated from the variance of the inputs.
    Propagated,
    /// The template's variance over the number of subfilters.
    Template,
}

impl CoaddConfig {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if self.subregion_size.iter().any(|side| *side < 16) {
            let value = format!("{:?}", self.subregion_size);
            return Err(refuse("coadd.subregion_size", value, "[width, height], each at least 16 px"));
        }
        for (plane, threshold) in &self.mask_propagation_thresholds {
            if !(0.0..=1.0).contains(threshold) {
                let key = format!("coadd.mask_propagation_thresholds.{plane}");
                return Err(refuse(&key, threshold, "a fraction from 0 to 1"));
            }
        }
        for (key, value) in [
            ("coadd.clip_sigma", self.clip_sigma),
            ("coadd.detection_threshold", self.detection_threshold),
            ("coadd.grid_tolerance_px", self.grid_tolerance_px),
        ] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(refuse(key, value, "above 0"));
            }
        }
        if !(self.detection_grow >= 0.0 && self.detection_grow.is_finite()) {
            return Err(refuse("coadd.detection_grow", self.detection_grow, "at least 0"));
        }
        if self.convergence_mask_planes.is_empty() {
            return Err(refuse(
                "coadd.convergence_mask_planes",
                "[]",
                "at least one mask plane, as [\"DETECTED\"]",
            ));
        }
        Ok(())
    }
}

fn names<const N: usize>(planes: [&str; N]) -> Vec<String> {
    planes.map(str::to_owned).to_vec()
}
