//! `[coadd]`: weights, masks, the template, and the patch as a whole.

use std::collections::BTreeMap;
use std::path::PathBuf;

use dcr_image::mask::same_plane;
use serde::{Deserialize, Serialize};

use super::bytes::ByteSize;
use super::table::table;
use super::{ConfigError, refuse};

table! {
    /// How the visits are combined.
    pub struct CoaddConfig = "coadd" {
        /// Width and height, in px, of the parts of the patch with one displacement per visit and
        /// subfilter. The result hardly depends on it. Make them smaller where pixels are larger
        /// than 1″ and the airmass is above 2: refraction then changes within 512 px.
        subregion_size: [usize; 2] = [512, 512],
        /// Weight of a visit: the inverse of its noise variance, or equal for all if off. Turn it
        /// off where the variances of the exposures cannot be compared.
        weight_visits: bool = true,
        /// Multiply weights by the airmass. Turn it on for better colours at the price of noise,
        /// where few of many visits have a high airmass.
        airmass_weight: bool = false,
        /// A file of the visits' weights: a visit's number and its weight in each line, # before
        /// comments. Set it to use weights of your own; every visit must be in it, and the two
        /// settings above are without effect. Unset: weights by these.
        visit_weights: Option<PathBuf> = None; "\"weights.txt\"",
        /// Names of the mask planes whose pixels carry no data. Add the planes of your files that
        /// mark artefacts (CR, for instance); names of lsst-images (SATURATED, COSMIC_RAY) count as
        /// afw's. CLIPPED must stay out: pixels displaced by refraction are clipped, and carry the
        /// colours.
        bad_mask_planes: Vec<String> = names(["NO_DATA", "BAD", "SAT"]),
        /// Names of the mask planes that the coadd does not get. Add those that mean nothing in a
        /// coadd.
        remove_mask_planes: Vec<String> = names(["NOT_DEBLENDED", "EDGE"]),
        /// Names of the mask planes of the pixels that decide convergence, and near which the model
        /// is free. Sources are detected in the standard coadd and flagged DETECTED; a given
        /// starting coadd brings its own mask. Change it if that mask names sources otherwise.
        convergence_mask_planes: Vec<String> = names(["DETECTED"]),
        /// Mask planes that the coadd gets where more than this fraction of the weight has them,
        /// good pixels or not. Lower a fraction to flag more, raise it to flag less; other planes
        /// are passed on wherever a good pixel has them.
        mask_propagation_thresholds: BTreeMap<String, f64> = BTreeMap::from([("SAT".into(), 0.1)]),
        /// A DS9 region file (circles, boxes, ellipses and polygons, in fk5, icrs, or image
        /// coordinates) of bright objects. Their pixels are flagged BRIGHT_OBJECT in the coadds;
        /// add that to bad_mask_planes to leave them out.
        bright_objects: Option<PathBuf> = None; "\"bright.reg\"",
        /// Fill pixels without data from their neighbours; they stay flagged NO_DATA. Turn it off
        /// to have NaN there.
        interpolate: bool = true,
        /// Variance of the subfilters: "propagated" from the inputs, or "template" (that of the
        /// starting coadd divided by their number, as in LSST's DcrAssembleCoaddTask). Change it
        /// only to compare with that.
        variance: OutputVariance = OutputVariance::Propagated,
        /// Statistic of the standard coadd: "clipped_mean", "mean" (visit after visit, in the
        /// memory of one) or "median" (with 25 % more noise). Take "mean" where artefacts are
        /// masked and memory is short, "median" where they are not masked.
        statistic: Statistic = Statistic::ClippedMean,
        /// Rejection, in standard deviations, of the clipped mean. Lower it where artefacts remain
        /// in the coadd; too low, it rejects light displaced by refraction.
        clip_sigma: f64 = 2.5,
        /// Passes of that rejection. 0 turns it off; more than 3 change little.
        clip_iterations: usize = 3,
        /// Detection threshold, in standard deviations of the smoothed standard coadd. Lower it if
        /// faint sources keep their dipoles, raise it if noise is detected. A given starting coadd
        /// whose mask marks sources needs no detection.
        detection_threshold: f64 = 5.0,
        /// Minimum connected pixels of a detection. Raise it if single bad pixels are detected.
        detection_min_pixels: usize = 5,
        /// Detections are grown by this many σ of the PSF. Raise it if wings of bright stars keep
        /// dipoles.
        detection_grow: f64 = 2.4,
        /// Average the PSF of the coadd over the sharper half of the visits only. Turn it off if
        /// the PSF in the coadd's files comes out sharper than its stars.
        select_psfs: bool = true,
        /// Maximum difference, in px, between the grids of two exposures that count as one grid.
        /// Raise it, to 0.1 at most, for grids that differ by rounding in their headers; else warp
        /// the exposures to one grid.
        grid_tolerance_px: f64 = 0.01,
        /// Memory limit of a run. Unset: half of the free memory. Lower it where several runs share
        /// a machine; a patch that does not fit is refused with its requirement.
        memory_limit: Option<ByteSize> = None; "\"6GiB\"",
        /// Place of the visits' pixels during the solve: in "memory", on "disk" (5 bytes per pixel
        /// and visit in a temporary file in the folder of the results), or "auto": in memory if
        /// they fit. Set "disk" to leave memory to others.
        pixels_in: PixelsIn = PixelsIn::Auto,
    }
}

/// How visits are combined, pixel by pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Statistic {
    /// The weighted mean of the values that are not rejected.
    ClippedMean,
    /// The weighted mean of all good values.
    Mean,
    /// The median of all good values, unweighted.
    Median,
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
        let thresholds = &self.mask_propagation_thresholds;
        for (plane, threshold) in thresholds {
            if let Some((other, _)) =
                thresholds.range(plane.clone()..).skip(1).find(|(other, _)| same_plane(plane, other))
            {
                let key = format!("coadd.mask_propagation_thresholds.{other}");
                return Err(refuse(
                    &key,
                    thresholds[other],
                    &format!("no second value, as {plane} is the same plane"),
                ));
            }
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
