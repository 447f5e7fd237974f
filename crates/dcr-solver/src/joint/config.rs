//! Settings of the joint solver.

use serde::{Deserialize, Serialize};

use super::problem::psf_includes_dcr::PsfIncludesDcr;
use crate::Rarity;
use crate::calibration::{CalibrationOrders, PolynomialOrder};

/// Settings of the joint solver.
///
/// The equations are in the module's documentation. Defaults were measured on simulated fields with
/// g and u bands, seeing from 0.6″ to 1.3″ and airmass up to 2.2.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JointConfig {
    /// Amplitude of a PSF's transfer function, relative to its value at 0, below which a ratio of
    /// PSFs fades to 1. Raise it, to 0.01, for noisy stamps; above 0.03 bright stars leave
    /// residuals.
    pub psf_floor: f64,
    /// Largest amplification of a mode when a visit is sharper than the model.
    pub sharpening_limit: f64,
    /// How a visit's PSF widens with wavelength: width ∝ λ to this power. −0.2 is the atmosphere's;
    /// 0 for stamps of unknown colour or optics that dominate. It hardly touches templates; colours
    /// change by 0.02 mag for 0.1.
    pub seeing_exponent: f64,
    /// PSFs that were measured on stars smeared by refraction: a mean star's smearing is removed
    /// from them. Without this, colours are lost where PSFs come from the exposures themselves.
    pub psf_includes_dcr: PsfIncludesDcr,
    /// First solve: prior scale of a subfilter's deviation from the flat spectrum, in units of the
    /// weighted coadd's noise per pixel. Small values make colours faint and clip them as
    /// artefacts; 5 is loose.
    pub uniform_width: f64,
    /// Weight of the prior on the summed flux, in units of the data's, which matters where no visit
    /// has data. The first solve holds the flux to 0, the final solve to the first, so that it
    /// costs no flux. At 1e-4, iterations are spent on filling holes of more than a thousand
    /// pixels.
    pub total_floor: f64,
    /// Final solve: prior scale of colours relative to the light at each pixel. 1 to 4 give the
    /// same templates; larger values make the colours of faint sources noisier and less biased.
    pub colour_width: f64,
    /// Final solve: factor by which each further spectral component (curvature after slope, …) has
    /// a smaller prior scale than the one before. At 1, five subfilters are noise.
    pub colour_damping: f64,
    /// Final solve: prior scale of colours in empty sky, in units of the weighted coadd's noise per
    /// pixel.
    pub colour_floor: f64,
    /// Factors on the clipping thresholds, one per round of clipping. Empty: no clipping.
    pub clip_rounds: Vec<f64>,
    /// Clipping threshold in σ of the deviation of a pixel from its prediction, alone or smoothed
    /// with the PSF.
    pub clip_sigmas: f64,
    /// Fraction of the prediction around a pixel that is added to the clipping threshold. Raise it
    /// where PSFs are poor or narrower than 1.8 px; 0.2 leaves artefacts on sources.
    pub clip_fraction: f64,
    /// Radius by which clipped pixels are grown, px.
    pub clip_grow: usize,
    /// Epoch-count rule: pixels clipped in more visits than it allows belong to a variable source
    /// and are restored. Configuration files have one such rule for all artefact finders,
    /// elsewhere.
    #[serde(skip)]
    pub rarity: Rarity,
    /// Background of each visit relative to all together: highest order of its polynomial over the
    /// patch.
    pub calibrate_background: PolynomialOrder,
    /// Flux scale of each visit relative to all together: highest order.
    pub calibrate_flux: PolynomialOrder,
    /// Displacement of each visit relative to all together: highest order.
    pub calibrate_displacement: PolynomialOrder,
    /// Second moments of each visit's PSF relative to all together: highest order.
    pub calibrate_psf: PolynomialOrder,
    /// Maximum rounds of calibrating the visits; 0 trusts them.
    #[serde(alias = "offset_passes")]
    pub calibration_passes: usize,
    /// Largest change of a visit's calibration, as the displacement in pixels that changes a star
    /// as much, at which the rounds end.
    #[serde(alias = "offset_tolerance")]
    pub calibration_tolerance: f64,
    /// First solve: maximum iterations in each round.
    pub uniform_iterations: usize,
    /// First solve: rms error of predictions per pixel, in units of the weighted coadd's noise, at
    /// which a round ends.
    pub uniform_tolerance: f64,
    /// Final solve: maximum passes over the data.
    pub source_iterations: usize,
    /// Final solve: rms error of predictions, as in `uniform_tolerance`, at which it ends.
    pub source_tolerance: f64,
    /// Minimum width of the zero-weight padding around a tile, px. It exceeds the largest
    /// displacement, because noise near one edge reaches the opposite edge around the periodic
    /// grid: 10⁻⁴ of a bright star's peak (0.03 of a visit's noise) with 24 px, a third of that
    /// with 48.
    pub padding: usize,
    /// Border of the model beyond the patch, px, for templates that are complete at its edges. At
    /// most `padding`.
    pub border: usize,
    /// Largest side of a tile in px; a smaller patch is solved whole. Memory grows with its square:
    /// for three subfilters, with overlap and padding included, about `side² × (visits × (4 ×
    /// subfilters + 10) + 400)` bytes, and up to `side² × 20` bytes more for each visit whose PSF
    /// varies. Refraction is constant in a tile.
    pub tile_size: usize,
    /// Overlap of neighbouring tiles, px, over which they are blended.
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
            calibrate_background: PolynomialOrder::Quadratic,
            calibrate_flux: PolynomialOrder::Linear,
            calibrate_displacement: PolynomialOrder::Quadratic,
            calibrate_psf: PolynomialOrder::Linear,
            calibration_passes: 3,
            calibration_tolerance: 0.003,
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
    /// Highest orders of the visits' calibration.
    #[must_use]
    pub fn calibration(&self) -> CalibrationOrders {
        CalibrationOrders {
            background: self.calibrate_background.order(),
            flux: self.calibrate_flux.order(),
            displacement: self.calibrate_displacement.order(),
            moments: self.calibrate_psf.order(),
        }
    }

    /// True if differences between the visits' backgrounds are undone.
    #[must_use]
    pub fn calibrates_background(&self) -> bool {
        self.calibration_passes > 0 && self.calibrate_background != PolynomialOrder::Off
    }

    /// Checks the values.
    ///
    /// # Errors
    ///
    /// [`JointConfigError`], with the key, the value and the allowed range.
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
        not_negative("calibration_tolerance", self.calibration_tolerance)?;
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

/// A setting outside its allowed range.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{key} = {value}: expected {allowed}")]
pub struct JointConfigError {
    /// The setting.
    pub key: &'static str,
    /// Its value.
    pub value: f64,
    /// The allowed range.
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
