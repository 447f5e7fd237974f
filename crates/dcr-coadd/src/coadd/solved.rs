//! What a patch is solved from, and what was solved for, by either method.

use dcr_image::MaskPlanes;
use dcr_solver::iterative::Solution;
use dcr_solver::joint::{JointSolution, Noise};
use ndarray::Array2;

use crate::coadd::template_coadd::TemplateCoadd;
use crate::config::{AssembleConfig, FindArtefacts, Method};
use crate::error::CoaddError;
use crate::geometry::division::Division;
use crate::inputs::Inputs;
use crate::inputs::store::Store;
use crate::joint::{PatchVisits, joint_spectrum, solve_patch, warn_of_flux_scales, warn_of_offsets};
use crate::run::journal::Journal;

/// What a patch is solved from.
pub(crate) struct Unsolved<'a> {
    pub(crate) inputs: &'a Inputs,
    /// How each visit's noise follows signal, for the joint method.
    pub(crate) noise: &'a [Noise],
    pub(crate) division: &'a Division,
    pub(crate) store: &'a Store,
    pub(crate) template: &'a TemplateCoadd,
    pub(crate) sources: &'a Array2<bool>,
    pub(crate) planes: &'a MaskPlanes,
}

/// What was solved for.
pub(crate) enum Solved {
    Iterative(Box<Solution>),
    Joint(Box<JointSolution>),
}

impl Unsolved<'_> {
    /// The visits as the joint method asks for them.
    ///
    /// # Errors
    ///
    /// As [`PatchVisits::new`].
    pub(crate) fn visits(&self) -> Result<PatchVisits<'_>, CoaddError> {
        PatchVisits::new(self.store, self.inputs, &self.division.plan, self.noise)
    }

    /// Solves by the method that is set.
    ///
    /// # Errors
    ///
    /// [`CoaddError`] if pixels cannot be read, a visit lacks what the method needs, or the caller wants to stop.
    pub(crate) fn solve(
        &self,
        config: &AssembleConfig,
        journal: &mut Journal<'_>,
    ) -> Result<Solved, CoaddError> {
        match config.solver.method {
            Method::Auto | Method::Iterative => {
                let bad_bits = self.planes.bits_of(&config.coadd.bad_mask_planes);
                let bad = self.template.mask.mapv(|mask| mask & bad_bits != 0);
                let template = &self.template.image;
                let solution =
                    self.division.solve(self.store, template, self.sources, &bad, config, journal)?;
                Ok(Solved::Iterative(Box::new(solution)))
            }
            Method::Joint => {
                let spectrum = joint_spectrum(&self.division.band.band, self.division.grid())?;
                let shape = self.inputs.bbox.shape();
                let mut joint = config.joint.clone();
                joint.rarity = config.artefacts.rarity();
                if config.artefacts.find == FindArtefacts::Off {
                    joint.clip_rounds.clear();
                }
                let solution = solve_patch(&self.visits()?, shape, &spectrum, &joint, journal)?;
                if let Some(warning) = solution.identifiability.warning() {
                    journal.warn("colours", format!("Here {warning}"));
                }
                warn_of_flux_scales(&solution, self.inputs, journal);
                warn_of_offsets(&solution, self.inputs, journal);
                Ok(Solved::Joint(Box::new(solution)))
            }
        }
    }
}
