//! The joint solve of a patch: rounds of first solves and offsets, final solves, variances.

use rustfft::num_complex::Complex32;

use super::assembly::{BLOCK, PatchAccumulator};
use super::division::{TileRegion, divide};
use super::session::{FittedTile, Session, SharedInputs};
use crate::calibration::{Calibration, RobustFit};
use crate::joint::config::JointConfig;
use crate::joint::error::JointError;
use crate::joint::noise::coarse::Coarse;
use crate::joint::noise::covariance::Covariance;
use crate::joint::noise::identifiability::Identifiability;
use crate::joint::noise::kernels::NoiseKernels;
use crate::joint::problem::psf::PsfStamp;
use crate::joint::problem::units::{Rescaled, noise_unit};
use crate::joint::problem::visits::{JointVisits, Noise, check_displacements};
use crate::joint::problem::{JointProblem, JointProgress};
use crate::joint::progress::IterationBudget;
use crate::joint::robust::calibration::VisitCalibrations;
use crate::joint::robust::offsets::furthest;
use crate::joint::solution::{JointOutcome, JointReport, JointSolution, TileReport, VisitReport};
use crate::kernel::{PixelShift, Region};

/// Solves a patch.
///
/// The result is the same, bit for bit, for any number of threads.
///
/// ```
/// use dcr_solver::joint::{
///     JointConfig, JointInMemory, JointProblem, JointVisit, Noise, PsfStamp, Spectrum,
///     solve_joint,
/// };
/// use dcr_solver::{GOOD, PixelShift};
/// use ndarray::Array2;
///
/// // Two subfilters of two wavelengths each; their light is displaced along x.
/// let spectrum = Spectrum::new(&[410.0, 450.0, 490.0, 530.0], &[1.0; 4], &[0, 0, 1, 1], 470.0)?;
/// let psf = PsfStamp::gaussian(4.0)?;
/// let visit = |refraction: f64| {
///     let shift = |d: f64| PixelShift { dy: 0.0, dx: refraction * d };
///     let displacements = [0.5, 0.15, -0.15, -0.4].map(shift).to_vec();
///     let image = Array2::from_shape_fn((32, 32), |(y, x)| {
///         let (dy, dx) = (y as f32 - 16.0, x as f32 - 15.0 - 0.025 * refraction as f32);
///         1000.0 * (-(dy * dy + dx * dx) / 5.77).exp()
///     });
///     let flags = Array2::from_elem((32, 32), GOOD);
///     let noise = Noise { sky_variance: 1.0, shot: 0.0 };
///     JointVisit { image, flags, noise, psf: psf.clone(), displacements }
/// };
/// let visits = JointInMemory { visits: [-1.0, 0.0, 1.0].map(visit).to_vec() };
/// let problem =
///     JointProblem { visits: &visits, shape: (32, 32), spectrum: &spectrum, fiducial: None };
/// let solution = solve_joint(&problem, &JointConfig::default(), &mut |_, _| true)?;
/// let flux: f32 = solution.patch_planes().iter().sum();
/// assert!((flux / 18_130.0 - 1.0).abs() < 0.01);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`JointError`].
pub fn solve_joint(
    problem: &JointProblem,
    config: &JointConfig,
    progress: &mut JointProgress,
) -> Result<JointSolution, JointError> {
    config.validate()?;
    check_noise(problem.visits)?;
    let unit = noise_unit(problem.visits);
    let visits = Rescaled { visits: problem.visits, unit };
    let solution = solve_in_unit(&JointProblem { visits: &visits, ..*problem }, config, progress)?;
    Ok(solution.rescaled_by(unit))
}

fn solve_in_unit(
    problem: &JointProblem,
    config: &JointConfig,
    progress: &mut JointProgress,
) -> Result<JointSolution, JointError> {
    let mut solve = Solve::new(problem, config)?;
    let mut budget = IterationBudget::new(progress, config.most_iterations(problem.shape));
    let passes = if solve.calibrations.is_off() { 0 } else { config.calibration_passes };
    for round in 0..passes {
        let mut fits: Vec<Option<RobustFit>> = vec![None; solve.visits.len()];
        let mut light = vec![];
        for i in 0..solve.tiles.len() {
            // The first fits come before any clipping: no pixel is clipped for its visit's sky.
            let mut session = solve.open(i, round > 0, &mut budget)?;
            let region = &solve.tiles[i].region;
            let FittedTile { fits: of_tile, light: of_sky } =
                session.fit_calibrations(&solve.calibrations, region);
            light.extend(of_sky);
            for (index, fit) in of_tile {
                match (&mut fits[index], fit) {
                    (Some(sum), Some(fit)) => sum.add(&fit),
                    (sum, fit) => *sum = sum.take().or(fit),
                }
            }
            solve.close(i, session);
        }
        let change = solve.calibrations.update(&fits, light);
        solve.report.calibration_changes.push(change);
        // Clipping is done at least twice: the second time against a model without artefacts.
        if round > 0 && change <= config.calibration_tolerance {
            let left = passes - 1 - round;
            budget.skip(left * solve.tiles.len() * config.uniform_iterations);
            break;
        }
    }
    let mut accumulator = PatchAccumulator::new(problem, config);
    for i in 0..solve.tiles.len() {
        let mut session = solve.open(i, true, &mut budget)?;
        let region = &solve.tiles[i].region;
        session.calibrate(&solve.calibrations, &region.grown);
        let last =
            accumulator.finish(session, problem.spectrum, region, config, &mut solve.visits, &mut budget);
        solve.report.tiles[i].last = last;
        if budget.stopped() {
            return Err(JointError::Cancelled);
        }
    }
    solve.conclude(accumulator)
}

/// Checks for positive, finite variances.
fn check_noise(visits: &dyn JointVisits) -> Result<(), JointError> {
    for visit in 0..visits.visits() {
        let Noise { sky_variance, shot } = visits.noise(visit);
        if !(sky_variance.is_finite() && sky_variance > 0.0 && shot.is_finite() && shot >= 0.0) {
            return Err(JointError::Noise { visit, sky_variance, shot });
        }
    }
    Ok(())
}

/// State of a solve.
struct Solve<'a> {
    problem: &'a JointProblem<'a>,
    config: &'a JointConfig,
    shared: SharedInputs,
    fiducial_visit: Option<usize>,
    tiles: Vec<PatchTile>,
    calibrations: VisitCalibrations,
    visits: Vec<VisitReport>,
    report: JointReport,
}

/// A tile between rounds.
struct PatchTile {
    region: TileRegion,
    /// True once all rounds of clipping are done.
    clipped: bool,
    state: TileState,
}

/// State of a tile between rounds.
enum TileState {
    /// Not opened yet.
    Nothing,
    /// The model, of one tile among several.
    Model(Vec<Complex32>),
    /// The open tile, if it is the only one.
    Session(Box<Session>),
}

impl<'a> Solve<'a> {
    fn new(problem: &'a JointProblem<'a>, config: &'a JointConfig) -> Result<Self, JointError> {
        let count = problem.visits.visits();
        let whole = Region::whole(problem.shape);
        let mut visits = vec![];
        let mut calibrations = VisitCalibrations::new(problem.shape, config.calibration());
        let (mut total_weight, mut largest) = (0.0, 0.0_f64);
        let mut sharpest: Option<(usize, PsfStamp, f64)> = None;
        for visit in 0..count {
            total_weight += 1.0 / problem.visits.noise(visit).sky_variance;
            let displacements = problem.visits.displacements(visit, &whole);
            check_displacements(visit, &displacements, problem.spectrum)?;
            largest = furthest(&displacements).max(largest);
            let (first, last) = (displacements[0], displacements[displacements.len() - 1]);
            let psf = problem.visits.psf(visit, &whole).map_err(JointError::Source)?;
            let seeing_px = psf.seeing_px();
            let refraction = PixelShift { dy: last.dy - first.dy, dx: last.dx - first.dx };
            calibrations.push(&problem.visits.noise(visit), seeing_px, refraction);
            visits.push(VisitReport { seeing_px, ..VisitReport::default() });
            if sharpest.as_ref().is_none_or(|(_, _, least)| seeing_px < *least) {
                sharpest = Some((visit, psf.into_owned(), seeing_px));
            }
        }
        let Some((visit, psf, _)) = sharpest else { return Err(JointError::NoData) };
        let (fiducial, fiducial_visit) = match problem.fiducial {
            Some(given) => (given.clone(), None),
            None => (psf, Some(visit)),
        };
        let regions = divide(problem.shape, config);
        let tiles_report = regions
            .iter()
            .map(|r| TileReport {
                origin: (r.core.rows.start, r.core.cols.start),
                shape: r.core.shape(),
                ..TileReport::default()
            })
            .collect();
        Ok(Self {
            problem,
            config,
            shared: SharedInputs { fiducial, sigma: total_weight.sqrt().recip(), furthest: largest },
            fiducial_visit,
            tiles: regions
                .into_iter()
                .map(|region| PatchTile { region, clipped: false, state: TileState::Nothing })
                .collect(),
            calibrations,
            visits,
            report: JointReport { tiles: tiles_report, ..JointReport::default() },
        })
    }

    /// Opens a tile and updates its first solve: from the beginning, or from the last round's model
    /// with the present calibration. With `clip`, all rounds of clipping follow the first time, and
    /// later the last round, since the model is good enough.
    fn open(&mut self, i: usize, clip: bool, budget: &mut IterationBudget) -> Result<Session, JointError> {
        let tile = &mut self.tiles[i];
        let mut session = match std::mem::replace(&mut tile.state, TileState::Nothing) {
            TileState::Session(session) => *session,
            state => {
                let region = &tile.region.grown;
                let mut session = Session::open(self.problem, self.config, region, &self.shared)?;
                if let TileState::Model(model) = state {
                    session.first.restore(model);
                }
                session
            }
        };
        let all = &self.config.clip_rounds;
        let rounds = match (clip, tile.clipped) {
            (false, _) => &[],
            (true, false) => &all[..],
            (true, true) => &all[all.len().saturating_sub(1)..],
        };
        tile.clipped |= clip;
        let histories =
            session.solve_first(rounds, (&self.calibrations, &tile.region.grown), self.config, budget);
        self.report.tiles[i].first.extend(histories);
        if budget.stopped() {
            return Err(JointError::Cancelled);
        }
        Ok(session)
    }

    /// Keeps the state of a tile that memory allows.
    fn close(&mut self, i: usize, session: Session) {
        self.tiles[i].state = match self.tiles.len() {
            1 => TileState::Session(Box::new(session)),
            _ => TileState::Model(session.first.into_model()),
        };
    }

    fn conclude(mut self, mut accumulator: PatchAccumulator) -> Result<JointSolution, JointError> {
        if self.visits.iter().all(|v| v.good == 0) {
            return Err(JointError::NoData);
        }
        for (i, visit) in self.visits.iter_mut().enumerate() {
            visit.offset = self.calibrations.offset(i);
            visit.calibration = self.calibrations.calibration(i).map(Calibration::report);
            let used = visit.good - visit.clipped;
            visit.chi2 = if used > 0 { visit.chi2 / used as f64 } else { 0.0 };
        }
        let limit = self.config.source_iterations;
        let unfinished = |last: &[f64]| {
            last.len() >= limit && last.last().is_some_and(|r| *r >= self.config.source_tolerance)
        };
        if self.report.tiles.iter().any(|tile| unfinished(&tile.last)) {
            self.report.outcome = JointOutcome::IterationLimit;
        }
        let (problem, config) = (self.problem, self.config);
        let SharedInputs { fiducial, sigma, .. } = self.shared;
        let coarse = Coarse::of_visits(problem, config, &fiducial, &self.calibrations.offsets())?;
        let covariance = Covariance::new(&coarse, problem.spectrum, config, sigma);
        let kernels = NoiseKernels::new(&coarse, problem.spectrum, sigma, config);
        let source_noise_yx = accumulator.source_noise(&kernels);
        let star_noise = accumulator.star_noise(&kernels, &source_noise_yx, fiducial.seeing_px());
        let identifiability =
            Identifiability::of_visits(problem, config, &fiducial, &accumulator.block_cover(), BLOCK)?;
        accumulator.sort_clipped();
        let coverage_yx = accumulator.coverage(&fiducial);
        Ok(JointSolution {
            covered_yx: accumulator.covered(),
            coverage_yx,
            source_noise_yx,
            prior_scale_yx: accumulator.prior_scale_yx,
            planes_ayx: accumulator.planes_ayx,
            border: config.border,
            covariance,
            star_noise,
            identifiability,
            fiducial,
            fiducial_visit: self.fiducial_visit,
            sigma,
            visits: self.visits,
            clipped: accumulator.clipped,
            changing: accumulator.changing,
            report: self.report,
        })
    }
}
