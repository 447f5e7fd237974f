//! The order of work of a joint solve: rounds of first solves and offsets, final solves, variances.

use rustfft::num_complex::Complex32;

use super::assembly::{BLOCK, Mosaic};
use super::division::{TileRegion, divide};
use super::session::{Common, Session};
use crate::joint::config::JointConfig;
use crate::joint::error::JointError;
use crate::joint::noise::coarse::Coarse;
use crate::joint::noise::covariance::Covariance;
use crate::joint::noise::identifiability::Identifiability;
use crate::joint::noise::kernels::NoiseKernels;
use crate::joint::problem::psf::PsfStamp;
use crate::joint::problem::units::{InUnit, near_noise};
use crate::joint::problem::visits::{JointVisits, Noise, check_displacements};
use crate::joint::problem::{JointProblem, JointProgress};
use crate::joint::progress::Pace;
use crate::joint::robust::offsets::{OffsetFit, furthest, project};
use crate::joint::solution::{JointOutcome, JointReport, JointSolution, TileReport, VisitReport};
use crate::kernel::{PixelShift, Region};

/// Solves a patch.
///
/// The result is the same, bit for bit, for any number of threads.
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
    let unit = near_noise(problem.visits);
    let visits = InUnit { visits: problem.visits, unit };
    let solution = solve_in_unit(&JointProblem { visits: &visits, ..*problem }, config, progress)?;
    Ok(solution.out_of(unit))
}

fn solve_in_unit(
    problem: &JointProblem,
    config: &JointConfig,
    progress: &mut JointProgress,
) -> Result<JointSolution, JointError> {
    let mut solve = Solve::new(problem, config)?;
    let mut pace = Pace::new(progress, config.most_iterations(problem.shape));
    for round in 0..config.offset_passes {
        let mut fits = vec![OffsetFit::default(); solve.visits.len()];
        for i in 0..solve.tiles.len() {
            let mut session = solve.open(i, &mut pace)?;
            for (index, fit) in session.fit_offsets(&solve.tiles[i].region) {
                fits[index].add(&fit);
            }
            solve.close(i, session);
        }
        let change = solve.take_offsets(&fits);
        solve.report.offset_changes.push(change);
        if change <= config.offset_tolerance {
            let left = config.offset_passes - 1 - round;
            pace.skip(left * solve.tiles.len() * config.uniform_iterations);
            break;
        }
    }
    let mut mosaic = Mosaic::new(problem, config);
    for i in 0..solve.tiles.len() {
        let session = solve.open(i, &mut pace)?;
        let region = &solve.tiles[i].region;
        let last = mosaic.finish(session, problem.spectrum, region, config, &mut solve.visits, &mut pace);
        solve.report.tiles[i].last = last;
        if pace.stopped() {
            return Err(JointError::Cancelled);
        }
    }
    solve.conclude(mosaic)
}

/// Positive, finite variances.
fn check_noise(visits: &dyn JointVisits) -> Result<(), JointError> {
    for visit in 0..visits.visits() {
        let Noise { sky_variance, shot } = visits.noise(visit);
        if !(sky_variance.is_finite() && sky_variance > 0.0 && shot.is_finite() && shot >= 0.0) {
            return Err(JointError::Noise { visit, sky_variance, shot });
        }
    }
    Ok(())
}

/// A solve under way.
struct Solve<'a> {
    problem: &'a JointProblem<'a>,
    config: &'a JointConfig,
    common: Common,
    fiducial_visit: Option<usize>,
    tiles: Vec<TileState>,
    /// Each visit's displacement from the blue end of the band to the red.
    refraction: Vec<PixelShift>,
    offsets: Vec<PixelShift>,
    visits: Vec<VisitReport>,
    report: JointReport,
}

/// A tile between rounds.
struct TileState {
    region: TileRegion,
    kept: Kept,
}

/// What is kept of a tile from one round to the next.
enum Kept {
    /// It was not opened yet.
    Nothing,
    /// Of one among several: its model.
    Model(Vec<Complex32>),
    /// Of the only one: everything.
    Session(Box<Session>),
}

impl<'a> Solve<'a> {
    fn new(problem: &'a JointProblem<'a>, config: &'a JointConfig) -> Result<Self, JointError> {
        let count = problem.visits.visits();
        let whole = Region::whole(problem.shape);
        let mut visits = vec![];
        let mut refraction = vec![];
        let (mut total_weight, mut largest) = (0.0, 0.0_f64);
        let mut sharpest: Option<(usize, PsfStamp, f64)> = None;
        for visit in 0..count {
            total_weight += 1.0 / problem.visits.noise(visit).sky_variance;
            let displacements = problem.visits.displacements(visit, &whole);
            check_displacements(visit, &displacements, problem.spectrum)?;
            largest = furthest(&displacements).max(largest);
            let (first, last) = (displacements[0], displacements[displacements.len() - 1]);
            refraction.push(PixelShift { dy: last.dy - first.dy, dx: last.dx - first.dx });
            let psf = problem.visits.psf(visit, &whole).map_err(JointError::Source)?;
            let seeing_px = psf.seeing_px();
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
            common: Common { fiducial, sigma: total_weight.sqrt().recip(), furthest: largest },
            fiducial_visit,
            tiles: regions.into_iter().map(|region| TileState { region, kept: Kept::Nothing }).collect(),
            refraction,
            offsets: vec![PixelShift::default(); count],
            visits,
            report: JointReport { tiles: tiles_report, ..JointReport::default() },
        })
    }

    /// Opens a tile and brings its first solve up to date: from the beginning, or on from the last round's with the present offsets.
    fn open(&mut self, i: usize, pace: &mut Pace) -> Result<Session, JointError> {
        let state = &mut self.tiles[i];
        let mut session = match std::mem::replace(&mut state.kept, Kept::Nothing) {
            Kept::Session(session) => *session,
            kept => {
                let region = &state.region.grown;
                let mut session = Session::open(self.problem, self.config, region, &self.common)?;
                if let Kept::Model(model) = kept {
                    session.first.restore(model);
                }
                session
            }
        };
        session.displace(&self.offsets);
        let courses = session.solve_first(self.config, pace);
        self.report.tiles[i].first.extend(courses);
        if pace.stopped() {
            return Err(JointError::Cancelled);
        }
        Ok(session)
    }

    /// Keeps of a tile what there is room for.
    fn close(&mut self, i: usize, session: Session) {
        self.tiles[i].kept = match self.tiles.len() {
            1 => Kept::Session(Box::new(session)),
            _ => Kept::Model(session.first.into_model()),
        };
    }

    /// Adds what was fitted to the offsets, and gives back the largest change.
    fn take_offsets(&mut self, fits: &[OffsetFit]) -> f64 {
        let before = self.offsets.clone();
        for ((fit, offset), report) in fits.iter().zip(&mut self.offsets).zip(&mut self.visits) {
            (report.flux_excess, report.flux_error) = (None, None);
            if let Some([dy, dx, flux]) = fit.solve() {
                *offset = PixelShift { dy: offset.dy + dy, dx: offset.dx + dx };
                (report.flux_excess, report.flux_error) = (Some(flux), fit.flux_error());
            }
        }
        project(&mut self.offsets, &self.refraction);
        let change = |(a, b): (&PixelShift, &PixelShift)| (a.dy - b.dy).hypot(a.dx - b.dx);
        before.iter().zip(&self.offsets).map(change).fold(0.0, f64::max)
    }

    fn conclude(mut self, mut mosaic: Mosaic) -> Result<JointSolution, JointError> {
        if self.visits.iter().all(|v| v.good == 0) {
            return Err(JointError::NoData);
        }
        for (visit, offset) in self.visits.iter_mut().zip(&self.offsets) {
            visit.offset = *offset;
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
        let Common { fiducial, sigma, .. } = self.common;
        let coarse = Coarse::of_visits(problem, config, &fiducial, &self.offsets)?;
        let covariance = Covariance::new(&coarse, problem.spectrum, config, sigma);
        let kernels = NoiseKernels::new(&coarse, problem.spectrum, sigma, config);
        let source_noise_yx = mosaic.source_noise(&kernels);
        let star_noise = mosaic.star_noise(&kernels, &source_noise_yx, fiducial.seeing_px());
        let identifiability =
            Identifiability::of_visits(problem, config, &fiducial, &mosaic.block_cover(), BLOCK)?;
        mosaic.sort_clipped();
        let coverage_yx = mosaic.coverage(&fiducial);
        Ok(JointSolution {
            covered_yx: mosaic.covered(),
            coverage_yx,
            source_noise_yx,
            freedom_yx: mosaic.freedom_yx,
            planes_ayx: mosaic.planes_ayx,
            border: config.border,
            covariance,
            star_noise,
            identifiability,
            fiducial,
            fiducial_visit: self.fiducial_visit,
            sigma,
            visits: self.visits,
            clipped: mosaic.clipped,
            report: self.report,
        })
    }
}
