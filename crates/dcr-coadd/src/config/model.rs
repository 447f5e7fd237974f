//! `[model]`: the subfilters and how the air displaces them.

use dcr_physics::RefractionModel;
use serde::{Deserialize, Serialize};

use super::table::table;
use super::{ConfigError, refuse};

table! {
    /// What the sky is modelled as.
    pub struct ModelConfig = "model" {
        /// Number of subfilters of equal width that the band is cut into. Three suit g at airmass up to 2; more
        /// need more visits and more spread in airmass and direction. 1 gives the plain weighted coadd.
        subfilters: usize = 3,
        /// Spectra inside a subfilter: "smooth" (they go on smoothly from one subfilter to the next) or
        /// "constant" (flat in each subfilter, as the established implementation has it).
        spectrum: Spectrum = Spectrum::Smooth,
        /// Whether a subfilter is displaced as two halves where it is smeared over more than split_threshold.
        split_subfilters: bool = true,
        /// The distance in px between the two halves from which on they are displaced apart.
        split_threshold: f64 = 0.1,
        /// How far and where to subfilters move: "integrated" (mean over the subfilter, at each place, direction
        /// through the WCS) or "reference" (the established implementation's, faults included).
        shift_rule: ShiftRule = ShiftRule::Integrated,
        /// Refraction: "stone_owens" (good to 1 mas across a band), "ciddor" (0.1 mas), "stone_published" (Stone's
        /// formula as printed, 1 to 7 mas) or "reference" (the established implementation's, 10 mas).
        refraction: RefractionModel = RefractionModel::StoneOwens,
    }
}

/// The form of spectra inside a subfilter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spectrum {
    /// Smooth from one subfilter to the next.
    Smooth,
    /// Constant in each subfilter.
    Constant,
}

/// How the displacements of subfilters are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShiftRule {
    /// The mean over the subfilter, for each place, in the direction of the zenith through the WCS.
    Integrated,
    /// From the subfilter's edges, the boresight and the rotator angle (ALGORITHM §12.1).
    Reference,
}

impl ModelConfig {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if !(1..=20).contains(&self.subfilters) {
            return Err(refuse("model.subfilters", self.subfilters, "1 to 20"));
        }
        if !(self.split_threshold >= 0.0 && self.split_threshold.is_finite()) {
            return Err(refuse("model.split_threshold", self.split_threshold, "at least 0 px"));
        }
        Ok(())
    }
}
