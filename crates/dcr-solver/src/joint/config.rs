//! Settings of the joint solver.

use serde::{Deserialize, Serialize};

use super::problem::psf_includes_dcr::PsfIncludesDcr;
use crate::Rarity;

/// Settings of the joint solver. The equations are in the module's documentation; numbers behind the defaults were measured on
/// simulated fields with g and u bands, seeing from 0.6″ to 1.3″ and airmass up to 2.2.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JointConfig {
    /// Amplitude of a PSF's transfer function, relative to its value at 0, below which a ratio of PSFs fades to 1. Raise it, to 0.01,
    /// for noisy stamps; above 0.03 bright stars leave residuals.
    pub psf_floor: f64,
    /// Largest amplification of a mode when a visit is sharper than the model.
    pub sharpening_limit: f64,
    /// How a visit's PSF widens with wavelength: width ∝ λ to this power. −0.2 is the atmosphere's; 0 for stamps of unknown colour or
    /// optics that dominate. It hardly touches templates; colours change by 0.02 mag for 0.1.
    pub seeing_exponent: f64,
    /// Whether the PSFs were measured on stars that the air had already smeared by refraction, so that a mean star's smearing is taken
    /// out of them. Without it colours are lost where PSFs come from the exposures themselves.
    pub psf_includes_dcr: PsfIncludesDcr,
    /// First solve: how far a subfilter may depart from the flat spectrum, in units of the weighted coadd's noise per pixel. Small values
    /// make colours faint and have them clipped as artefacts; 5 is loose.
    pub uniform_width: f64,
    /// Weight of a prior on the total, in units of the data's: holds it where no visit has data. In the first solve it holds it to 0, in the
    /// final one to the first's, so that it costs no flux. At 1e-4 iterations spend themselves on filling holes of more than a thousand pixels.
    pub total_floor: f64,
    /// Final solve: how far colours may depart from the flat spectrum in proportion to the light that is there. 1 to 4 give the same
    /// templates; larger values make the colours of faint sources noisier and less biased.
    pub colour_width: f64,
    /// Final solve: each further term of the spectrum (curvature after slope, …) may depart this much less than the one before.
    /// At 1, five subfilters are noise.
    pub colour_damping: f64,
    /// Final solve: the same freedom in empty sky, in units of the weighted coadd's noise per pixel.
    pub colour_floor: f64,
    /// One round of clipping artefacts for each entry, its thresholds multiplied by it. Empty: nothing is clipped.
    pub clip_rounds: Vec<f64>,
    /// A pixel is clipped when it departs from its prediction by more than this many σ, alone or smoothed with the PSF, …
    pub clip_sigmas: f64,
    /// … plus this fraction of the prediction around it. Raise it where PSFs are poor or narrower than 1.8 px; 0.2 leaves artefacts on
    /// sources.
    pub clip_fraction: f64,
    /// Clipped pixels are grown by this many pixels.
    pub clip_grow: usize,
    /// What is clipped in more than few visits is no artefact but a source that changes: it is given back. Not in configuration files, where it
    /// is told once for all ways to find artefacts.
    #[serde(skip)]
    pub rarity: Rarity,
    /// At most this many rounds of fitting each visit's offset; 0: positions are taken as given.
    pub offset_passes: usize,
    /// No further round when no visit's offset, in pixels, changed by more than this.
    pub offset_tolerance: f64,
    /// First solve: at most this many iterations each time, …
    pub uniform_iterations: usize,
    /// … and stop earlier when the rms error of predictions that is left, per pixel, in units of the weighted coadd's noise, is below this.
    pub uniform_tolerance: f64,
    /// Final solve: at most this many passes over the data, …
    pub source_iterations: usize,
    /// … and stop earlier when the error that is left, as above, is below this.
    pub source_tolerance: f64,
    /// Pixels of zero weight around a tile, at least: as far as light is displaced, and more, for noise near one edge reaches the opposite one round the periodic grid: with
    /// 24 by 10⁻⁴ of a bright star's peak (0.03 of a visit's noise), with 48 by a third of that.
    pub padding: usize,
    /// The model is kept this many pixels beyond the patch, so that templates are whole at its edges. At most `padding`.
    pub border: usize,
    /// Largest side of a tile in px; a patch no larger is solved whole. Memory grows with its square: with overlap and padding
    /// counted in, about `side² × (visits × (4 × subfilters + 6) + 400)` bytes for three subfilters. Displacements and PSFs are constant in
    /// a tile.
    pub tile_size: usize,
    /// Pixels by which a tile reaches into its neighbours. Tiles fade into each other over the same length.
    pub tile_overlap: usize,
}

impl Default for JointConfig {
    fn default() -> Self {
        Self {
            psf_floor: 0.003,
            sharpening_limit: 5.0,
            seeing_exponent: -0.2,
            psf_includes_dcr: PsfIncludesDcr::Auto,
            uniform_width: 5.0,
            total_floor: 1e-3,
            colour_width: 1.5,
            colour_damping: 0.25,
            colour_floor: 3.0,
            clip_rounds: vec![3.0, 1.5, 1.0],
            clip_sigmas: 5.0,
            clip_fraction: 0.05,
            clip_grow: 1,
            rarity: Rarity::default(),
            offset_passes: 3,
            offset_tolerance: 0.003,
            uniform_iterations: 16,
            uniform_tolerance: 0.0002,
            source_iterations: 30,
            source_tolerance: 0.0002,
            padding: 28,
            border: 16,
            tile_size: 1024,
            tile_overlap: 48,
        }
    }
}

impl JointConfig {
    /// Refuses values that cannot be meant.
    ///
    /// # Errors
    ///
    /// [`JointConfigError`], naming the key, the value and what is allowed.
    pub fn validate(&self) -> Result<(), JointConfigError> {
        let check = |key, value: f64, allowed: &'static str, ok: bool| {
            if ok && value.is_finite() { Ok(()) } else { Err(JointConfigError { key, value, allowed }) }
        };
        let positive = |key, value: f64| check(key, value, "above 0", value > 0.0);
        let not_negative = |key, value: f64| check(key, value, "at least 0", value >= 0.0);
        let floor = self.psf_floor;
        check("psf_floor", floor, "above 0 and below 1", floor > 0.0 && floor < 1.0)?;
        let limit = self.sharpening_limit;
        check("sharpening_limit", limit, "at least 1", limit >= 1.0)?;
        let exponent = self.seeing_exponent;
        check("seeing_exponent", exponent, "between -2 and 2", exponent.abs() <= 2.0)?;
        positive("uniform_width", self.uniform_width)?;
        positive("total_floor", self.total_floor)?;
        not_negative("colour_width", self.colour_width)?;
        positive("colour_damping", self.colour_damping)?;
        positive("colour_floor", self.colour_floor)?;
        for round in &self.clip_rounds {
            check("clip_rounds", *round, "factors of at least 1", *round >= 1.0)?;
        }
        positive("clip_sigmas", self.clip_sigmas)?;
        not_negative("clip_fraction", self.clip_fraction)?;
        not_negative("offset_tolerance", self.offset_tolerance)?;
        not_negative("uniform_tolerance", self.uniform_tolerance)?;
        not_negative("source_tolerance", self.source_tolerance)?;
        let at_least =
            |key, value: usize, least: usize, allowed| check(key, value as f64, allowed, value >= least);
        at_least("uniform_iterations", self.uniform_iterations, 1, "at least 1")?;
        at_least("source_iterations", self.source_iterations, 1, "at least 1")?;
        check("border", self.border as f64, "at most padding", self.border <= self.padding)?;
        at_least("tile_size", self.tile_size, 64, "at least 64")?;
        let overlap = self.tile_overlap;
        check("tile_overlap", overlap as f64, "at most half of tile_size", 2 * overlap <= self.tile_size)
    }
}

/// A setting that cannot be meant.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{key} = {value}: expected {allowed}")]
pub struct JointConfigError {
    /// The setting.
    pub key: &'static str,
    /// Its value.
    pub value: f64,
    /// What is allowed.
    pub allowed: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn config_defaults() {
        assert_eq!(JointConfig::default().validate(), Ok(()));
        insta::assert_json_snapshot!(JointConfig::default());
    }

    #[test]
    fn config_refuses_what_cannot_be_meant() {
        let message = |change: fn(&mut JointConfig)| {
            let mut config = JointConfig::default();
            change(&mut config);
            config.validate().map_err(|e| e.to_string())
        };
        for (change, expected) in [
            ((|c| c.psf_floor = 0.0) as fn(&mut JointConfig), "psf_floor = 0: expected above 0 and below 1"),
            (|c| c.uniform_width = f64::NAN, "uniform_width = NaN: expected above 0"),
            (|c| c.colour_width = f64::INFINITY, "colour_width = inf: expected at least 0"),
            (|c| c.clip_rounds = vec![3.0, 0.5], "clip_rounds = 0.5: expected factors of at least 1"),
            (|c| c.uniform_iterations = 0, "uniform_iterations = 0: expected at least 1"),
            (|c| c.tile_size = 8, "tile_size = 8: expected at least 64"),
        ] {
            assert_eq!(message(change), Err(expected.to_owned()));
        }
    }
}
