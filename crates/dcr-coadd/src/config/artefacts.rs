//! `[artefacts]`: what spoils single exposures, and how it is found.

use dcr_solver::Rarity;
use serde::{Deserialize, Serialize};

use super::table::table;
use super::{ConfigError, refuse};

table! {
    /// How artefacts are looked for.
    pub struct ArtefactConfig = "artefacts" {
        /// How artefacts that no mask tells of (cosmic rays, satellites' trails) are found, to be left out: "matched", each
        /// exposure against what a first model predicts for it; "static_sky", each at a common PSF against the clipped mean of
        /// all, as DcrAssembleCoaddTask does, which takes what refraction displaces for artefacts; or "off".
        /// With solver.method = "joint" that solver's own rounds of clipping (joint.clip_rounds) are "matched", and come after
        /// "static_sky" as well; "off" turns them off.
        find: FindArtefacts = FindArtefacts::Matched,
        /// "matched": a pixel is suspected when it departs from its prediction by more than this many sigma, alone or
        /// smoothed with the PSF, and by more than matched_fraction besides. Lower it for fainter trails.
        matched_sigmas: f64 = 5.0,
        /// "matched": what is added to that threshold, as a fraction of the prediction around the pixel. Raise it where PSFs
        /// are poor; 0.2 leaves artefacts on sources.
        matched_fraction: f64 = 0.05,
        /// "matched": suspected pixels are grown by this many px. Raise it where the rims of trails remain.
        matched_grow: usize = 1,
        /// "matched": one round for each entry, the thresholds multiplied by it: the first is held against the template
        /// coadd, every further one against a model made without what the round before suspected.
        matched_rounds: Vec<f64> = vec![3.0, 1.0],
        /// "matched": iterations of those models. Raise it if stars of strong colours are suspected.
        matched_iterations: usize = 3,
        /// Whether straight streaks of satellites and aeroplanes are looked for besides, away from sources and before either solver: those too
        /// faint to be found pixel by pixel, and the wings of bright ones. Turn it off for fields of straight filaments.
        streaks: bool = true,
        /// Streaks: least significance, in standard deviations, of all of a streak's light together. Lower it for fainter streaks; at 6 noise makes
        /// some.
        streak_significance: f64 = 8.0,
        /// Streaks: least length, in px. Raise it where short straight objects are taken for streaks.
        streak_min_length: f64 = 60.0,
        /// "static_sky": FWHM, in px, of the PSF that exposures are brought to. Unset: that of the broadest. Set it
        /// if a single exposure is far broader than the rest.
        psf_fwhm_px: Option<f64> = None; "5.5",
        /// "static_sky": rejection, in standard deviations, of the clipped mean that the static sky is. Lower it where artefacts
        /// remain in it.
        clip_sigma: f64 = 2.5,
        /// "static_sky": passes of that rejection. More than 3 change little.
        clip_iterations: usize = 3,
        /// "static_sky": a pixel is suspected when it departs from the static sky by this many standard deviations, of its
        /// variance scaled to the noise found. Lower it for fainter artefacts.
        detection_threshold: f64 = 7.5,
        /// "static_sky": fewest connected pixels of a suspicion. Lower it for single hot pixels.
        detection_min_pixels: usize = 4,
        /// "static_sky": suspicions are grown by this many sigma of the PSF. Raise it where rims remain.
        detection_grow: f64 = 0.4,
        /// "static_sky": a suspicion that lies on these mask planes, but for prefilter_ratio of its pixels, is none.
        prefilter_mask_planes: Vec<String> = ["NO_DATA", "BAD", "SUSPECT"].map(str::to_owned).to_vec(),
        /// "static_sky": the share of a suspicion's pixels that must be off those planes. There is little reason to change it.
        prefilter_ratio: f64 = 0.05,
        /// "static_sky": suspicions that lie inside a source that stands out of the static sky by so many standard deviations
        /// per pixel are dropped. Unset: none is.
        source_threshold: Option<f64> = Some(300.0),
        /// Those sources are grown by this many sigma of the PSF. Raise it if the rims of bright stars are suspected.
        source_grow: f64 = 2.4,
        /// What is suspected in few exposures is an artefact: in at most this many, and max_fraction_epochs_high of those with
        /// data more. Raise it where trails cross often.
        max_epochs: usize = 2,
        /// But in no more than this fraction of them: with five exposures in two, with two in none. Lower it
        /// to be more careful where exposures are few.
        max_fraction_epochs_low: f64 = 0.4,
        /// See max_epochs. Raise it for hundreds of exposures with many trails.
        max_fraction_epochs_high: f64 = 0.03,
        /// The share of a group of suspected pixels that must be suspected in few exposures. Lower it to
        /// find trails that cross variable stars.
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
    /// What is seen in few exposures.
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
