//! The joint method on a patch (`dcr_solver::joint`): visits in the form the solver reads, and its
//! solution as coadds.

pub mod psf_cells;
mod results;
pub mod visits;

use dcr_physics::{Band, WavelengthGrid};
use dcr_solver::joint::{JointConfig, JointProblem, JointSolution, JointVisits, Spectrum, solve_joint};

use crate::error::CoaddError;
use crate::run::run_log::RunLog;

pub(crate) use results::{joint_summary, warn_of_flux_scales, warn_of_offsets};
pub use visits::solver_stamp;
pub(crate) use visits::{PatchVisits, atmospheric_stamp};

/// The band as the joint solver sees it. PSFs hold for the middle of the band.
///
/// # Errors
///
/// [`CoaddError::Spectrum`] if a subfilter has no light.
pub fn joint_spectrum(band: &Band, grid: &WavelengthGrid) -> Result<Spectrum, CoaddError> {
    let lit = || grid.points().iter().filter(|point| point.weight > 0.0);
    let spectrum = Spectrum::new(
        &lit().map(|point| point.wavelength.nm()).collect::<Vec<_>>(),
        &lit().map(|point| point.weight).collect::<Vec<_>>(),
        &lit().map(|point| point.subfilter).collect::<Vec<_>>(),
        band.effective().nm(),
    )?;
    Ok(spectrum)
}

/// Solves a patch.
///
/// # Errors
///
/// [`CoaddError`] if pixels cannot be read, or the caller wants to stop.
pub(crate) fn solve_patch(
    visits: &PatchVisits<'_>,
    shape: (usize, usize),
    spectrum: &Spectrum,
    config: &JointConfig,
    log: &mut RunLog<'_>,
) -> Result<JointSolution, CoaddError> {
    let count = visits.visits();
    log.stage("solving", config.most_iterations(shape) * count)?;
    let monitor = log.monitor;
    let mut last = 0;
    let mut progress = |done: usize, most: usize| {
        monitor.advance(((done - last) * count) as u64, &format!("iteration {done} of at most {most}"));
        last = done;
        !monitor.cancelled()
    };
    let problem = JointProblem { visits, shape, spectrum, fiducial: None };
    Ok(solve_joint(&problem, config, &mut progress)?)
}
