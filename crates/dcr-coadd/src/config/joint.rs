//! `[joint]`: the settings of the joint solver ([`JointConfig`]), with their texts for the
//! configuration file.

use dcr_solver::joint::JointConfig;

use super::{ConfigError, Key, Method, ModelConfig, ShiftRule, Spectrum, refuse};

/// Its settings.
pub(super) const KEYS: &[Key] = &[
    key(
        "psf_floor",
        "Amplitude of a PSF's transfer function, relative to its value at 0, below which a ratio of PSFs fades to\n\
         1. Raise it, to 0.01, for noisy stamps; above 0.03 bright stars leave residuals.",
    ),
    key("sharpening_limit", "Largest amplification of a mode when a visit is sharper than the model."),
    key(
        "seeing_exponent",
        "Dependence of a visit's PSF on wavelength: width ∝ λ to this power. -0.2 is the atmosphere's; 0 for\n\
         stamps of unknown colour or optics that dominate. It hardly touches templates; colours change by 0.02\n\
         mag for 0.1.",
    ),
    key(
        "psf_includes_dcr",
        "PSFs include the refraction of the stars they were measured on, and the smearing of a mean star is\n\
         removed from them: true, false, or \"auto\", which is true for PSFEx models, made from\n\
         the exposures' own stars, and false for stamps and grids. Set true for stamps of stars in the\n\
         exposures; without it colours are lost. Set false for PSFEx models of stars that were corrected for\n\
         refraction.",
    ),
    key(
        "uniform_width",
        "First solve: prior scale of a subfilter's departure from the flat spectrum, in units of the weighted\n\
         coadd's noise per pixel. Small values make colours faint and have them clipped as artefacts; 5 is loose.",
    ),
    key(
        "total_floor",
        "Weight of a prior on the summed flux, in units of the data's; it matters where no visit has data. The\n\
         first solve is held to 0, the final one to the result of the first. Raise it, to 0.01, where the solve runs into its\n\
         limit of iterations around holes of more than a thousand pixels.",
    ),
    key(
        "colour_width",
        "Final solve: prior scale of colours about the flat spectrum, in proportion to the flux.\n\
         1 to 4 give the same templates; larger values make the colours of faint sources noisier and less biased.",
    ),
    key(
        "colour_damping",
        "Final solve: factor on the prior scale of each further term of the spectrum (slope, curvature, …)\n\
         relative to the previous one. At 1, five subfilters are noise.",
    ),
    key(
        "colour_floor",
        "Final solve: prior scale of colours in empty sky, in units of the weighted coadd's noise per pixel.",
    ),
    key(
        "clip_rounds",
        "One round of clipping artefacts for each entry, its thresholds multiplied by it. Empty: nothing is\n\
         clipped.",
    ),
    key(
        "clip_sigmas",
        "A pixel is clipped when it departs from its prediction by more than this many sigma, alone or smoothed\n\
         with the PSF, and by more than clip_fraction besides.",
    ),
    key(
        "clip_fraction",
        "Added to that threshold, as a fraction of the prediction around the pixel. Raise it where PSFs\n\
         are poor or narrower than 1.8 px; 0.2 leaves artefacts on sources.",
    ),
    key("clip_grow", "Clipped pixels are grown by this many pixels."),
    key(
        "calibrate_background",
        "Sky level of each visit relative to all together: highest order of its polynomial in x and y, \"off\",\n\
         \"constant\", \"linear\" or \"quadratic\". The order in use is lower where the visit does not determine it.\n\
         Turn it off only where skies are known better than by the visits themselves.",
    ),
    key(
        "calibrate_flux",
        "Flux scale of each visit relative to all together, fitted to bright sources: highest order, as for\n\
         calibrate_background. Turn it off where zero points are exact.",
    ),
    key(
        "calibrate_displacement",
        "Displacement of each visit relative to all together, fitted to bright sources: highest order, as for\n\
         calibrate_background. Turn it off to take positions as given.",
    ),
    key(
        "calibrate_psf",
        "Width and ellipticity of each visit's PSF relative to all together, fitted to bright sources: highest\n\
         order, as for calibrate_background. Turn it off if PSFs are exact everywhere.",
    ),
    key(
        "calibration_passes",
        "At most this many rounds of calibrating the visits; 0 takes them as given. There is little reason to\n\
         change it.",
    ),
    key(
        "calibration_tolerance",
        "No further round when no visit's calibration changed by more than this, as the displacement in pixels\n\
         that changes a star as much.",
    ),
    key(
        "uniform_iterations",
        "First solve: at most this many iterations each time. Raise it if summary.json shows that its error stays\n\
         above uniform_tolerance.",
    ),
    key(
        "uniform_tolerance",
        "First solve: stop when the rms error of predictions that is left, per pixel, in units of the weighted\n\
         coadd's noise, is below this. With ten times as much here and for source_tolerance a run takes 0.85 of the\n\
         time; tiles then differ by twice as much where they meet, and by 0.3 sigma on the patch's edge.",
    ),
    key(
        "source_iterations",
        "Final solve: at most this many passes over the data. Raise it where source_tolerance is not reached and\n\
         bright stars matter; large fields with the brightest stars on their edge do not always reach it.",
    ),
    key(
        "source_tolerance",
        "Final solve: stop when the error that is left, in the same units, is below this.",
    ),
    key(
        "padding",
        "Pixels of zero weight around a tile, at least: as far as light is displaced, and more. Raise it in u at\n\
         airmass above 2.2.",
    ),
    key(
        "border",
        "The model is kept this many pixels beyond the patch, so that templates are whole at its edges. At most\n\
         padding.",
    ),
    key(
        "tile_size",
        "Largest side of a tile, in px; a patch no larger is solved whole. Memory grows with its square: with\n\
         overlap and padding counted in, about side² × (visits × (4 × subfilters + 10) + 400) bytes, and up to\n\
         side² × 20 bytes more for each visit whose PSF varies. Refraction is constant in a tile.",
    ),
    key(
        "tile_overlap",
        "Pixels by which a tile reaches into its neighbours. Tiles fade into each other over the same length.",
    ),
];

/// Refuses values outside their range, and settings of the model that the joint solver ignores.
pub(super) fn validate(joint: &JointConfig, method: Method, model: &ModelConfig) -> Result<(), ConfigError> {
    joint.validate().map_err(|error| refuse(&format!("joint.{}", error.key), error.value, error.allowed))?;
    if method != Method::Joint {
        return Ok(());
    }
    if model.shift_rule == ShiftRule::Reference {
        let allowed = "\"integrated\" with solver.method = \"joint\"";
        return Err(refuse("model.shift_rule", "\"reference\"", allowed));
    }
    if model.spectrum == Spectrum::Constant {
        return Err(refuse("model.spectrum", "\"constant\"", "\"smooth\" with solver.method = \"joint\""));
    }
    Ok(())
}

const fn key(name: &'static str, about: &'static str) -> Key {
    Key { table: "joint", name, about, example: None }
}
