//! `[artefacts]`: the search for artefacts of single exposures.

use dcr_solver::Rarity;
use serde::{Deserialize, Serialize};

use super::table::table;
use super::{ConfigError, refuse};

table! {
    /// How artefacts are looked for.
    pub struct ArtefactConfig = "artefacts" {
        /// Search for unmasked artefacts (cosmic rays, satellite trails), which are left out of the
        /// coadd: "matched" compares each exposure with the prediction of a first model;
        /// "static_sky" compares each, at a common PSF, with the clipped mean of all, as LSST's
        /// DcrAssembleCoaddTask does, and so takes features displaced by refraction for artefacts;
        /// or "off". With solver.method = "joint" the clipping rounds of that solver
        /// (joint.clip_rounds) are "matched", and follow "static_sky" as well; "off" turns them
        /// off.
        find: FindArtefacts = FindArtefacts::Matched,
        /// "matched": a pixel is suspected when it departs from its prediction by more than this
        /// many sigma, alone or smoothed with the PSF, and by more than matched_fraction besides.
        /// Lower it for fainter trails.
        matched_sigmas: f64 = 5.0,
        /// "matched": added to that threshold, as a fraction of the prediction around the pixel.
        /// Raise it where PSFs are poor; 0.2 leaves artefacts on sources.
        matched_fraction: f64 = 0.05,
        /// "matched": suspected pixels are grown by this many px. Raise it where the rims of trails
        /// remain.
        matched_grow: usize = 1,
        /// "matched": one round per entry, with the thresholds multiplied by it. The first round
        /// compares with the starting coadd, every further one with a model made without the pixels
        /// suspected before.
        matched_rounds: Vec<f64> = vec![3.0, 1.0],
        /// "matched": iterations of those models. Raise it if stars of strong colours are
        /// suspected.
        matched_iterations: usize = 3,
        /// Search for straight streaks of satellites and aeroplanes, away from sources and before
        /// either solver: streaks too faint for single pixels, and the wings of bright ones. Turn
        /// it off for fields of straight filaments.
        streaks: bool = true,
        /// Streaks: minimum significance of all of a streak's light together, in standard
        /// deviations. Lower it for fainter streaks; at 6 noise makes some.
        streak_significance: f64 = 8.0,
        /// Streaks: minimum length in px. Raise it where short straight objects are taken for
        /// streaks.
        streak_min_length: f64 = 60.0,
        /// "static_sky": FWHM, in px, of the common PSF of the exposures. Unset: that of the
        /// broadest. Set it if a single exposure is far broader than the rest.
        psf_fwhm_px: Option<f64> = None; "5.5",
        /// "static_sky": rejection, in standard deviations, of the clipped mean. Lower it where
        /// artefacts remain in it.
        clip_sigma: f64 = 2.5,
        /// "static_sky": passes of that rejection. More than 3 change little.
        clip_iterations: usize = 3,
        /// "static_sky": a pixel is suspected when it departs from the static sky by this many
        /// standard deviations of its variance, scaled to the noise found. Lower it for fainter
        /// artefacts.
        detection_threshold: f64 = 7.5,
        /// "static_sky": minimum connected pixels of a detection. Lower it for single hot pixels.
        detection_min_pixels: usize = 4,
        /// "static_sky": detections are grown by this many sigma of the PSF. Raise it where rims
        /// remain.
        detection_grow: f64 = 0.4,
        /// "static_sky": a detection is dropped if all but prefilter_ratio of its pixels have one
        /// of these mask planes.
        prefilter_mask_planes: Vec<String> = ["NO_DATA", "BAD", "SUSPECT"].map(str::to_owned).to_vec(),
        /// "static_sky": minimum share of a detection's pixels outside those planes. There is
        /// little reason to change it.
        prefilter_ratio: f64 = 0.05,
        /// "static_sky": detections inside a source that exceeds the static sky by this many
        /// standard deviations per pixel are dropped. Unset: none is.
        source_threshold: Option<f64> = Some(300.0),
        /// Those sources are grown by this many sigma of the PSF. Raise it if the rims of bright
        /// stars are suspected.
        source_grow: f64 = 2.4,
        /// Maximum number of exposures that share an artefact; with more exposures with data,
        /// max_fraction_epochs_high of them. Raise it where trails cross often.
        max_epochs: usize = 2,
        /// Maximum fraction of the exposures that share an artefact: with five exposures two, with
        /// two none. Lower it to be more careful where exposures are few.
        max_fraction_epochs_low: f64 = 0.4,
        /// See max_epochs. Raise it for hundreds of exposures with many trails.
        max_fraction_epochs_high: f64 = 0.03,
        /// Minimum share of a group of suspected pixels that few exposures share. Lower it to find
        /// trails that cross variable stars.
        spatial_threshold: f64 = 0.5,
    }
}

/// How artefacts are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindArtefacts {
    /// They are not.
    Off,
    /// By comparing exposures with their clipped mean at a common PSF.
    StaticSky,
    /// By comparing exposures with predictions of a first model.
    Matched,
}

impl ArtefactConfig {
    /// The epoch-count rule.
    pub(crate) fn rarity(&self) -> Rarity {
        Rarity {
            most: self.max_epochs as f64,
            low: self.max_fraction_epochs_low,
            high: self.max_fraction_epochs_high,
            share: self.spatial_threshold,
        }
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        for (key, value) in [
            ("artefacts.matched_sigmas", self.matched_sigmas),
            ("artefacts.psf_fwhm_px", self.psf_fwhm_px.unwrap_or(1.0)),
            ("artefacts.streak_significance", self.streak_significance),
            ("artefacts.streak_min_length", self.streak_min_length),
            ("artefacts.clip_sigma", self.clip_sigma),
            ("artefacts.detection_threshold", self.detection_threshold),
            ("artefacts.source_threshold", self.source_threshold.unwrap_or(1.0)),
        ] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(refuse(key, value, "above 0"));
            }
        }
        for (key, value) in [
            ("artefacts.matched_fraction", self.matched_fraction),
            ("artefacts.detection_grow", self.detection_grow),
            ("artefacts.source_grow", self.source_grow),
        ] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(refuse(key, value, "at least 0"));
            }
        }
        for (key, value) in [
            ("artefacts.prefilter_ratio", self.prefilter_ratio),
            ("artefacts.max_fraction_epochs_low", self.max_fraction_epochs_low),
            ("artefacts.max_fraction_epochs_high", self.max_fraction_epochs_high),
            ("artefacts.spatial_threshold", self.spatial_threshold),
        ] {
            if !(0.0..=1.0).contains(&value) {
                return Err(refuse(key, value, "a fraction from 0 to 1"));
            }
        }
        for round in &self.matched_rounds {
            if !(*round > 0.0 && round.is_finite()) {
                return Err(refuse("artefacts.matched_rounds", round, "factors above 0"));
            }
        }
        if self.matched_iterations == 0 {
            return Err(refuse("artefacts.matched_iterations", 0, "at least 1"));
        }
        Ok(())
    }
}
