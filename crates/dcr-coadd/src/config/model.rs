//! `[model]`: the subfilters and how the air displaces them.

use dcr_physics::RefractionModel;
use serde::{Deserialize, Serialize};

use super::table::table;
use super::{ConfigError, refuse};

table! {
    /// The model of the sky.
    pub struct ModelConfig = "model" {
        /// Number of subfilters of equal width that the band is divided into, 1 to 20. Three suit
        /// most fields. Two suffice for templates up to airmass 2. More resolve the spectrum
        /// further, but need more visits and a wider spread in airmass and direction; five already
        /// draw colours towards the mean. 1 gives the plain weighted coadd.
        subfilters: usize = 3,
        /// Spectra inside a subfilter: "smooth" (continuous across subfilters) or "constant" (flat
        /// in each, as in LSST's DcrAssembleCoaddTask; colours come out 8 to 12 % too steep at
        /// three subfilters). Change it only to compare with that.
        spectrum: Spectrum = Spectrum::Smooth,
        /// Displace a subfilter as two halves where it is smeared over more than split_threshold.
        /// Turn it off to save time, at the price of sharpness at high airmass.
        split_subfilters: bool = true,
        /// Minimum distance between the two halves, in px, for separate displacements. Raise it to
        /// save time; 0 splits all.
        split_threshold: f64 = 0.1,
        /// Displacement of subfilters: "integrated" (mean over the subfilter, at each position, in
        /// the direction of the zenith by the WCS) or "reference" (that of LSST's
        /// DcrAssembleCoaddTask, faults included). Change it only to repeat its numbers.
        shift_rule: ShiftRule = ShiftRule::Integrated,
        /// Refraction: "stone_owens" (good to 1 mas across a band), "ciddor" (0.1 mas, slower),
        /// "stone_published" (Stone's formula as printed, 1 to 7 mas) or "reference" (that of
        /// LSST's DcrAssembleCoaddTask, 10 mas). Take "ciddor" in humid air beyond airmass 1.5; the
        /// last two only to repeat others' numbers.
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
