//! One patch of sky, from exposures to coadds, without files.
//!
//! [`coadd`] surveys the exposures, makes the initial coadds, finds artefacts, solves for the
//! subfilters and returns [`Coadds`]. [`crate::assemble`] opens files before it and writes files
//! after it.

mod exposures;
mod finish;
mod products;
pub(crate) mod state;
pub(crate) mod survey;

pub use self::exposures::Exposures;
pub use self::products::{Coadd, Coadds};

use self::finish::Solution;
use self::state::PatchState;
use self::survey::Survey;
use crate::artefacts::{Artefacts, matched_warps_config};
use crate::coadd::solver_choice::Solver;
use crate::config::AssembleConfig;
use crate::error::CoaddError;
use crate::geometry::division::Division;
use crate::inputs::Inputs;
use crate::inputs::store::Store;
use crate::run::progress::Monitor;
use crate::run::run_log::RunLog;
use crate::run::status_notes::warn_of_small_leverage;

/// Solves a patch for its subfilters.
///
/// # Errors
///
/// [`CoaddError`] for the first contradiction among settings and exposures, for pixels that cannot
/// be read, and if the monitor asks to stop.
///
/// # Example
///
/// ```no_run
/// use std::sync::Arc;
///
/// use dcr_coadd::config::AssembleConfig;
/// use dcr_coadd::{Exposures, Unmonitored, coadd};
/// use dcr_image::{Exposure, ExposureFile};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut visits: Vec<Arc<dyn Exposure>> = Vec::new();
/// for path in ["warp_1.fits", "warp_2.fits", "warp_3.fits"] {
///     visits.push(Arc::new(ExposureFile::open(path.as_ref(), &Default::default())?));
/// }
/// let coadds = coadd(&Exposures::from(visits), &AssembleConfig::default(), &Unmonitored)?;
/// println!("{} subfilters of {}", coadds.subfilters.len(), coadds.bbox);
/// # Ok(())
/// # }
/// ```
pub fn coadd(
    exposures: &Exposures,
    config: &AssembleConfig,
    monitor: &dyn Monitor,
) -> Result<Coadds, CoaddError> {
    config.validate()?;
    let mut log = RunLog::new(monitor);
    log.stage("reading", exposures.visits.len())?;
    let mut coadds = coadd_recorded(exposures, config, &mut log)?;
    (coadds.summary.stages, coadds.summary.seconds) = log.times();
    Ok(coadds)
}

/// [`coadd`] with validated settings, in the stage "reading" of a log.
pub(crate) fn coadd_recorded(
    exposures: &Exposures,
    config: &AssembleConfig,
    log: &mut RunLog<'_>,
) -> Result<Coadds, CoaddError> {
    let inputs = Inputs::new(exposures.visits.clone(), config)?;
    let solver = Solver::choose(config, &inputs, log);
    let mut config = config.clone();
    // The record of the settings names the solver that was taken.
    config.solver.method = solver.into();
    if !exposures.matched.is_empty() {
        config = matched_warps_config(&config, log)?;
    }
    let mut survey = Survey::take(exposures, inputs, &config, solver, log)?;
    let division = Division::new(&survey.inputs, &config)?;
    let shifts = division.all_shifts(&survey.inputs)?;
    let weights = survey.weights(&division, &config)?;
    let mut store = Store { weights, shifts, pixels: survey.take_pixels() };
    let mut state = PatchState::new(survey, division, config, solver, &store.weights, log)?;
    if solver == Solver::Iterative {
        warn_of_small_leverage(&store.shifts, state.psf.fwhm_px, log);
    }
    let found = Artefacts::find(&state, &mut store, log)?;
    state.leave_out(&found.visits, &store.weights, log)?;
    let artefacts = found.with_streaks(&state, &mut store, log)?;
    state.leave_out(&artefacts.visits, &store.weights, log)?;
    let solution = Solution::of(&state, &store, log)?;
    let artefacts = match &solution {
        Solution::Joint(joint) => {
            let clipped = Artefacts { visits: joint.clipped.clone() };
            let rare = clipped.rare(&state.plain.n_image, &state.config);
            let of_few = artefacts.clone().and(&rare.visits);
            state.leave_out(&of_few.visits, &store.weights, log)?;
            artefacts.and(&clipped.visits)
        }
        Solution::Iterative(_) => artefacts,
    };
    finish::finish(state, store, solution, artefacts, log)
}
