//! What is asked of the joint solver and what it answers, and the order of its work.

use ndarray::{Array2, Array3};
use rustfft::num_complex::Complex32;
use serde::{Deserialize, Serialize};

use super::coarse::Coarse;
use super::config::{JointConfig, JointConfigError};
use super::covariance::{Covariance, NoiseMaps};
use super::identifiability::Identifiability;
use super::mosaic::Mosaic;
use super::noise_kernels::NoiseKernels;
use super::offsets::{OffsetFit, furthest, project};
use super::pace::Pace;
use super::psf::PsfStamp;
use super::session::{Common, Session};
use super::spectrum::Spectrum;
use super::star_noise::StarNoise;
use super::tiles::{TileRegion, divide};
use super::unit::{InUnit, near_noise};
use super::visits::{JointVisits, Noise, check_displacements};
use crate::kernel::{PixelShift, Region};
use crate::observation::SourceError;

/// A patch to be solved.
#[derive(Clone, Copy)]
pub struct JointProblem<'a> {
    /// The visits.
    pub visits: &'a dyn JointVisits,
    /// Shape of the patch, `(rows, cols)`.
    pub shape: (usize, usize),
    /// The band and its subfilters.
    pub spectrum: &'a Spectrum,
    /// The PSF that the model is to have; `None`: that of the sharpest visit. A blurrier one than the sharpest visit's costs a little
    /// resolution, a sharper one gains nothing.
    pub fiducial: Option<&'a PsfStamp>,
}

/// A solved patch.
#[derive(Clone, Debug)]
pub struct JointSolution {
    /// Fluxes of the subfilters at the fiducial PSF, blue to red, `(subfilters, rows, cols)`: over the patch and `border` pixels around
    /// it, where light is that is seen inside.
    pub planes_ayx: Array3<f32>,
    /// By how many pixels the planes reach beyond the patch.
    pub border: usize,
    /// Pixels where some visit has data that were used. Elsewhere the planes are a guess from what is around: never trust it.
    pub covered_yx: Array2<bool>,
    /// Weight of the data at each pixel over that of all visits together, smoothed with the PSF.
    pub coverage_yx: Array2<f32>,
    /// How far colours could depart from the flat spectrum at each pixel: the prior's width, averaged over the PSF.
    pub freedom_yx: Array2<f32>,
    /// Variance that sources' light adds to the planes' sum, over that of the sky, if all visits had their mean light.
    pub source_noise_yx: Array2<f32>,
    /// Noise of the planes, mode by mode.
    pub covariance: Covariance,
    /// Noise of the subfilters on bright sources.
    pub star_noise: StarNoise,
    /// What the visits can tell of colours.
    pub identifiability: Identifiability,
    /// The PSF of the planes.
    pub fiducial: PsfStamp,
    /// The visit whose PSF that is, unless it was given.
    pub fiducial_visit: Option<usize>,
    /// Noise per pixel of the weighted coadd of all visits, σ_c.
    pub sigma: f64,
    /// One element for each visit.
    pub visits: Vec<VisitReport>,
    /// For each visit the clipped pixels: good in the input, not used. Index `row × cols + col` in the patch, ascending.
    pub clipped: Vec<Vec<u32>>,
    /// The course of the work.
    pub report: JointReport,
}

impl JointSolution {
    /// What the variance of templates follows from, with [`Self::covariance`].
    #[must_use]
    pub fn noise_maps(&self) -> NoiseMaps<'_> {
        NoiseMaps {
            coverage_yx: self.coverage_yx.view(),
            freedom_yx: self.freedom_yx.view(),
            source_noise_yx: self.source_noise_yx.view(),
        }
    }

    /// The variance of every pixel of subfilter `a`'s plane; infinite where nothing is known.
    ///
    /// # Panics
    ///
    /// If there is no such subfilter.
    #[must_use]
    pub fn plane_variance(&self, a: usize) -> Array2<f32> {
        let mut out = self.covariance.plane_variance(a, &self.noise_maps());
        self.star_noise.write(a, self.planes_ayx.dim().0, &self.coverage_yx, &mut out);
        out
    }

    /// The variance of every pixel of the planes' sum; infinite where nothing is known.
    #[must_use]
    pub fn total_variance(&self) -> Array2<f32> {
        let mut source_noise_yx = self.source_noise_yx.clone();
        self.star_noise.write_source_noise(&mut source_noise_yx);
        let maps = NoiseMaps { source_noise_yx: source_noise_yx.view(), ..self.noise_maps() };
        self.covariance.total_variance(&maps)
    }

    /// The planes without their border.
    #[must_use]
    pub fn patch_planes(&self) -> ndarray::ArrayView3<'_, f32> {
        let (rows, cols) = self.covered_yx.dim();
        let b = self.border;
        self.planes_ayx.slice(ndarray::s![.., b..b + rows, b..b + cols])
    }
}

/// What was found out about a visit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct VisitReport {
    /// Its offset from where it was said to be, in pixels. Of all visits' offsets the mean is 0, and what a change of
    /// the reference wavelength would do is taken out: neither can be told from the sky.
    pub offset: PixelShift,
    /// Its flux over the model's, minus 1: reported, not applied. `None` where nothing was bright enough, or no offsets were fitted.
    pub flux_excess: Option<f64>,
    /// Seeing in pixels, from the PSF's transfer function.
    pub fwhm_px: f64,
    /// Good pixels.
    pub good: usize,
    /// Those of them that were clipped.
    pub clipped: usize,
    /// Mean of the squared residual over the sky's variance, and that of a saturated star's halo, over the pixels used: 1, and more where other sources add noise.
    pub chi2: f64,
}

/// The course of a solve.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JointReport {
    /// How it ended.
    pub outcome: JointOutcome,
    /// The largest change of a visit's offset in every round of fitting, in pixels.
    pub offset_changes: Vec<f64>,
    /// One element for each tile.
    pub tiles: Vec<TileReport>,
}

/// How a solve ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JointOutcome {
    /// Every tile reached its tolerance.
    #[default]
    Converged,
    /// Some tile made the most iterations: the solution is good, its last digits are not.
    IterationLimit,
}

/// The course of a tile's solves: after each iteration the rms error of predictions that is left, per pixel, in units of the weighted coadd's noise.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TileReport {
    /// First row and column of the tile's own pixels.
    pub origin: (usize, usize),
    /// Its shape, `(rows, cols)`.
    pub shape: (usize, usize),
    /// The first solves, one after each round of clipping and of fitting offsets.
    pub first: Vec<Vec<f64>>,
    /// The final solve; empty for one subfilter and where there are no data.
    pub last: Vec<f64>,
}

/// Why a patch could not be solved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JointError {
    /// A setting that cannot be meant.
    #[error(transparent)]
    Config(#[from] JointConfigError),
    /// Pixels or a PSF could not be had.
    #[error("{0}")]
    Source(#[source] SourceError),
    /// A visit's noise is not a positive, finite number.
    #[error(
        "visit {visit}: sky variance {sky_variance}, shot noise {shot} per unit of signal; expected a positive variance and no negative shot noise"
    )]
    Noise {
        /// Index of the visit.
        visit: usize,
        /// Its sky variance.
        sky_variance: f64,
        /// Its shot noise.
        shot: f64,
    },
    /// A visit's displacements do not fit the spectrum.
    #[error("visit {visit}: {got} finite displacements for {expected} wavelengths")]
    Displacements {
        /// Index of the visit.
        visit: usize,
        /// Number of finite displacements.
        got: usize,
        /// Number of wavelengths.
        expected: usize,
    },
    /// Pixels of another shape than asked for.
    #[error("visit {visit}: pixels of shape {got:?} for a region of shape {expected:?}")]
    Shape {
        /// Index of the visit.
        visit: usize,
        /// Shape of what came.
        got: (usize, usize),
        /// Shape of the region.
        expected: (usize, usize),
    },
    /// No visit has a good pixel.
    #[error("no visit has a good pixel in the patch")]
    NoData,
    /// The caller asked to stop.
    #[error("stopped on request")]
    Cancelled,
}

/// Called after each iteration with how many are done and how many there can be; `false` stops the solve.
pub type JointProgress<'a> = dyn FnMut(usize, usize) -> bool + 'a;

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
            let fwhm_px = psf.fwhm_px();
            visits.push(VisitReport { fwhm_px, ..VisitReport::default() });
            if sharpest.as_ref().is_none_or(|(_, _, least)| fwhm_px < *least) {
                sharpest = Some((visit, psf.into_owned(), fwhm_px));
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
            report.flux_excess = None;
            if let Some([dy, dx, flux]) = fit.solve() {
                *offset = PixelShift { dy: offset.dy + dy, dx: offset.dx + dx };
                report.flux_excess = Some(flux);
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
        let star_noise = mosaic.star_noise(&kernels, &source_noise_yx, fiducial.fwhm_px());
        let identifiability = Identifiability::of_visits(problem, config, &fiducial, &mosaic)?;
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
