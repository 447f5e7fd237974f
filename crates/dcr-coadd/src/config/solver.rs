//! `[solver]`: the method, and the settings of the iterative one.

use dcr_solver::iterative::IterativeConfig;
use serde::{Deserialize, Serialize};

use super::{ConfigError, Key, refuse};

/// The solver and its settings, which stand beside `method` in one table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SolverConfig {
    /// The method.
    pub method: Method,
    /// Settings of the iterative method.
    #[serde(flatten)]
    pub iterative: IterativeConfig,
}

/// The methods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Joint for more than one subfilter, if every visit has an image or model of its PSF and no
    /// setting is specific to the iterative method; else iterative.
    #[default]
    Auto,
    /// The iteration of DMTN-037 (docs/algorithm.md §6).
    Iterative,
    /// All visits at once as a least-squares problem, each with its own PSF (docs/algorithm.md
    /// §13); its settings are those of `[joint]`.
    Joint,
}

impl SolverConfig {
    pub(super) const KEYS: &'static [Key] = &[
        key(
            "method",
            "The solver: \"joint\" (all visits at once, each with its own PSF; its settings are those of [joint]), \"iterative\" (the\n\
             iteration of DMTN-037, which assumes one PSF for all visits; the settings below belong to it), or \"auto\": joint\n\
             for more than one subfilter if every visit has an image or model of its PSF and no setting of the iterative method\n\
             is changed. Take \"iterative\" to be several times faster in constant seeing, or to compare with DcrAssembleCoaddTask.",
        ),
        key(
            "order",
            "Interpolation of every shift: spline order 1, 3 or 5, or \"fourier\". 1 saves a third of the time and blurs;\n\
             \"fourier\" is exact and many times slower, and an unmasked bad pixel\n\
             rings through its row and column.",
        ),
        unset(
            "max_iterations",
            "At most this many iterations. Raise it where a warning says that the last one still improved the metric.\n\
             Unset: three per subfilter.",
            "12",
        ),
        unset(
            "min_iterations",
            "At least this many iterations. Raise it where the metric stalls early and then falls again.\n\
             Unset: one per subfilter.",
            "3",
        ),
        key(
            "convergence_threshold",
            "Stop when an iteration improves the metric by less than this fraction. Lower it, and raise max_iterations,\n\
             for truer colours.",
        ),
        key(
            "use_convergence",
            "Stop by the metric; if off, max_iterations are made. Turn it off to compare runs of equal length.",
        ),
        unset(
            "base_gain",
            "Weight of a new solution against the old one. Lower it if the solver diverges. Unset: 1/(subfilters - 1).",
            "0.5",
        ),
        key(
            "gain",
            "\"progressive\" (raised from base_gain as the metric allows) or \"fixed\". Fix it if the solver diverges.",
        ),
        key(
            "accelerate_model",
            "Contrast between subfilters is stepped this many times further than their sum; 1 is off. Lower it if the\n\
             solver diverges; colours come out too small then, unless there are more iterations.",
        ),
        key(
            "use_model_weights",
            "Free the model near detected sources only, and keep the starting coadd elsewhere. Turn it off for nebulae\n\
             and other undetected light; the subfilters get noisier.",
        ),
        key(
            "model_weights_width",
            "Width (Gaussian sigma), in px, over which the model tapers off around sources. Raise it where displacements\n\
             are longer than 5 px.",
        ),
        key(
            "regularize_model_iterations",
            "Largest factor by which a pixel changes in an iteration; above 1, 0 is off. Lower it if the solver diverges.",
        ),
        key(
            "iteration_clamp",
            "Form of that limit: \"symmetric\" or \"reference\" (that of LSST's DcrAssembleCoaddTask, to repeat its\n\
             numbers).",
        ),
        key(
            "regularize_model_frequency",
            "Largest ratio of a pixel between subfilters; above 1, 0 is off. Raise it for sources with strong lines or\n\
             breaks inside the band; lower it if colours are noisy.",
        ),
        key(
            "frequency_clamp",
            "Form of that limit: \"conserving\" (of flux) or \"reference\" (that of LSST's DcrAssembleCoaddTask, to\n\
             repeat its numbers; it creates flux).",
        ),
        key(
            "regularization_width",
            "Groups of out-of-range pixels of a smaller radius, in px, are left alone as noise; also the scale on which\n\
             colours are smooth. Raise it with the width of the PSF: 2 suits a FWHM of 3 to 5 px.",
        ),
        key(
            "min_coverage",
            "A pixel is solved for where at least this many visits have data. Raise it to 2 or 3 where edges are noisy.",
        ),
        key(
            "edge",
            "Samples beyond the edge of the data: \"no_weight\", or \"zero\" (a measured 0, as in LSST's\n\
             DcrAssembleCoaddTask; edges go wrong). Change it only to compare with that.",
        ),
        key(
            "reference_bookkeeping",
            "Count iterations and coverage, and keep diverged iterations, as DcrAssembleCoaddTask does. Turn it\n\
             on only to repeat its numbers.",
        ),
    ];

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        self.iterative
            .validate()
            .map_err(|error| refuse(&format!("solver.{}", error.key), error.value, error.allowed))
    }
}

const fn key(name: &'static str, about: &'static str) -> Key {
    Key { table: "solver", name, about, example: None }
}

const fn unset(name: &'static str, about: &'static str, example: &'static str) -> Key {
    Key { table: "solver", name, about, example: Some(example) }
}
