//! Which method solves a run when the settings leave it to us.
//!
//! The joint method is right whatever the seeing, but asks for each visit's PSF as it is: with a FWHM alone its predictions would be
//! off by the wings. The iterative method does not look at PSFs.

use dcr_image::Psf;
use dcr_solver::iterative::IterativeConfig;

use crate::config::{AssembleConfig, Method, ShiftRule, Spectrum};
use crate::inputs::{Input, Inputs};
use crate::run::journal::Journal;

/// The settings with the method that is taken: with [`Method::Auto`] joint, unless there is one subfilter, a visit's PSF is not known, or
/// a setting only means something to the iterative method.
pub(crate) fn settled(config: &AssembleConfig, inputs: &Inputs, journal: &mut Journal<'_>) -> AssembleConfig {
    let mut settled = config.clone();
    if config.solver.method != Method::Auto {
        return settled;
    }
    settled.solver.method = Method::Iterative;
    if config.model.subfilters == 1 || asks_for_iteration(config) {
        return settled;
    }
    let without: Vec<&Input> = inputs.visits.iter().filter(|visit| !has_measured_psf(visit)).collect();
    match without.first() {
        None => settled.solver.method = Method::Joint,
        Some(first) => journal.warn(
            "method",
            format!(
                "{} of {} visits ({}) have no image or model of their PSF: the iterative method is taken, which takes all \
                 visits to have the same. input.psfs says where PSFs are; solver.method = \"iterative\" says that this is meant.",
                without.len(),
                inputs.visits.len(),
                first.name()
            ),
        ),
    }
    settled
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
