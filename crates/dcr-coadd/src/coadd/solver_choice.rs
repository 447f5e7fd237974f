//! The choice of the solver for `solver.method = "auto"`.
//!
//! The joint solver is accurate in any seeing, but needs the PSF of each visit: predictions from a
//! FWHM alone lack the wings. The iterative solver uses no PSFs.

use dcr_image::Psf;
use dcr_solver::iterative::IterativeConfig;
use serde::{Deserialize, Serialize};

use crate::config::{AssembleConfig, Method, ShiftRule, Spectrum};
use crate::inputs::{Input, Inputs};
use crate::run::run_log::RunLog;

/// The solver of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Solver {
    /// All visits as one least-squares problem, each with its PSF.
    Joint,
    /// The iteration of LSST's DcrAssembleCoaddTask.
    Iterative,
}

impl From<Solver> for Method {
    fn from(solver: Solver) -> Self {
        match solver {
            Solver::Joint => Self::Joint,
            Solver::Iterative => Self::Iterative,
        }
    }
}

impl Solver {
    /// The solver that the settings name. [`Method::Auto`] means the joint solver, unless there is
    /// one subfilter, a visit has no image or model of its PSF, or a setting was changed that only
    /// the iterative solver uses.
    pub(crate) fn choose(config: &AssembleConfig, inputs: &Inputs, log: &mut RunLog<'_>) -> Self {
        match config.solver.method {
            Method::Joint => return Self::Joint,
            Method::Iterative => return Self::Iterative,
            Method::Auto => {}
        }
        if config.model.subfilters == 1 || asks_for_iteration(config) {
            return Self::Iterative;
        }
        let without: Vec<&Input> = inputs.visits.iter().filter(|visit| !has_measured_psf(visit)).collect();
        let Some(first) = without.first() else { return Self::Joint };
        log.warn(
            "method",
            format!(
                "{} of {} visits ({}) have no image or model of their PSF: the iterative method is used, which assumes one \
                 PSF for all visits. Set input.psfs to name the PSFs, or solver.method = \"iterative\" to confirm this choice.",
                without.len(),
                inputs.visits.len(),
                first.name()
            ),
        );
        Self::Iterative
    }
}

fn asks_for_iteration(config: &AssembleConfig) -> bool {
    config.solver.iterative != IterativeConfig::default()
        || config.model.shift_rule == ShiftRule::Reference
        || config.model.spectrum == Spectrum::Constant
}

fn has_measured_psf(visit: &Input) -> bool {
    fn is_measured(psf: &Psf) -> bool {
        match psf {
            Psf::Gaussian { .. } | Psf::Moffat { .. } => false,
            Psf::Parts(parts) => parts.psfs().iter().all(is_measured),
            _ => true,
        }
    }
    visit.file.psf().is_some_and(is_measured)
}
