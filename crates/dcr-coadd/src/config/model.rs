//! `[model]`: the subfilters and how the air displaces them.

use dcr_physics::RefractionModel;
use serde::{Deserialize, Serialize};

use super::table::table;
use super::{ConfigError, refuse};

table! {
    /// What the sky is modelled as.
    pub struct ModelConfig = "model" {
        /// Number of subfilters of equal width that the band is cut into, 1 to 20. Three suit most fields. Two do for
        /// templates up to airmass 2. More resolve the spectrum further, but need more visits and a wider spread in airmass
        /// and direction; five already draw colours towards the mean. 1 gives the plain weighted coadd.
        subfilters: usize = 3,
        /// Spectra inside a subfilter: "smooth" (they go on smoothly from one subfilter to the next) or "constant" (flat
        /// in each, as DcrAssembleCoaddTask has it; colours come out 8 to 12 % too steep at three subfilters).
        /// Change it only to compare with that.
        spectrum: Spectrum = Spectrum::Smooth,
        /// Whether a subfilter is displaced as two halves where it is smeared over more than split_threshold. Turn it
        /// off to save time, at the price of sharpness at high airmass.
        split_subfilters: bool = true,
        /// The distance between the two halves, in px, from which on they are displaced apart. Raise it to save time;
        /// at 0 all are.
        split_threshold: f64 = 0.1,
        /// How far and whereto subfilters move: "integrated" (mean over the subfilter, at each place, in the direction of
        /// the zenith by the WCS) or "reference" (DcrAssembleCoaddTask's, faults included). Change it only to
        /// repeat that one's numbers.
        shift_rule: ShiftRule = ShiftRule::Integrated,
        /// Refraction: "stone_owens" (good to 1 mas across a band), "ciddor" (0.1 mas, slower), "stone_published"
        /// (Stone's formula as printed, 1 to 7 mas) or "reference" (DcrAssembleCoaddTask's, 10 mas). Take
        /// "ciddor" in humid air beyond airmass 1.5; the last two only to repeat others' numbers.
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
    /// From the subfilter's edges, the boresight and the rotator angle (docs/algorithm.md §12.1).
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
