//! Assembly of the patch from its finished tiles.

use ndarray::{Array2, Array3, ArrayView2, Axis, Zip};
use rustfft::num_complex::Complex32;

use super::division::TileRegion;
use super::session::Session;
use crate::joint::config::JointConfig;
use crate::joint::noise::kernels::NoiseKernels;
use crate::joint::noise::stars::{PatchMaps, StarNoise};
use crate::joint::operator::tile::share;
use crate::joint::problem::JointProblem;
use crate::joint::problem::psf::PsfStamp;
use crate::joint::problem::spectrum::Spectrum;
use crate::joint::progress::IterationBudget;
use crate::joint::robust::changing::ChangingSource;
use crate::joint::solution::VisitReport;
use crate::joint::solve::map_final::FinalSolve;
use crate::kernel::{Boundary, FWHM_PER_SIGMA, gaussian_filter};

/// Side of the blocks in which the visits' coverage is counted, px.
pub(crate) const BLOCK: usize = 64;

/// Patch-wide accumulators, filled tile by tile.
pub(crate) struct PatchAccumulator {
    pub(crate) planes_ayx: Array3<f32>,
    /// Sum of the planes without fixed sources.
    found_yx: Array2<f32>,
    /// Weight of the used data at each pixel over that of all visits.
    weight_yx: Array2<f32>,
    /// Sum over used visits of weight² times the variance of sources' light, over the weight of all
    /// visits.
    source_yx: Array2<f32>,
    /// Prior scale of the colours, averaged over the PSF.
    pub(crate) prior_scale_yx: Array2<f32>,
    /// Prior scale τ of the colours at each pixel.
    tau_yx: Array2<f32>,
    pub(crate) clipped: Vec<Vec<u32>>,
    /// Sources that change between visits.
    pub(crate) changing: Vec<ChangingSource>,
    /// Fraction of pixels that each visit has in each block, `(visits, block rows, block columns)`.
    pub(crate) cover_vyx: Array3<f32>,
    border: usize,
}

impl PatchAccumulator {
    pub(crate) fn new(problem: &JointProblem, config: &JointConfig) -> Self {
        let (rows, cols) = problem.shape;
        let (border, visits) = (config.border, problem.visits.visits());
        let n = problem.spectrum.count();
        Self {
            planes_ayx: Array3::zeros((n, rows + 2 * border, cols + 2 * border)),
            found_yx: Array2::zeros((rows, cols)),
            weight_yx: Array2::zeros((rows, cols)),
            source_yx: Array2::zeros((rows, cols)),
            prior_scale_yx: Array2::zeros((rows, cols)),
            tau_yx: Array2::zeros((rows, cols)),
            clipped: vec![vec![]; visits],
            changing: vec![],
            cover_vyx: Array3::zeros((visits, rows.div_ceil(BLOCK), cols.div_ceil(BLOCK))),
            border,
        }
    }

    /// Solves a tile and adds the result. Returns the convergence history.
    pub(crate) fn finish(
        &mut self,
        mut session: Session,
        spectrum: &Spectrum,
        region: &TileRegion,
        config: &JointConfig,
        reports: &mut [VisitReport],
        budget: &mut IterationBudget,
    ) -> Vec<f64> {
        if session.tile.visits.is_empty() {
            return vec![];
        }
        let FinalModel { model, prior_scale_yx, tau_yx, history } =
            final_model(&mut session, spectrum, config, budget);
        let planes = session.tile.planes(&model, self.border);
        for (plane, target) in planes.axis_iter(Axis(0)).zip(self.planes_ayx.axis_iter_mut(Axis(0))) {
            region.blend(plane, target, self.border);
        }
        let found = session.tile.planes_without_fixed(&model, 0).sum_axis(Axis(0));
        region.blend(found.view(), self.found_yx.view_mut(), 0);
        region.blend(prior_scale_yx.view(), self.prior_scale_yx.view_mut(), 0);
        region.blend(tau_yx.view(), self.tau_yx.view_mut(), 0);
        self.count(&session, region, reports);
        self.changing.extend(session.changing_sources(&model, region, self.clipped.len()));
        let mut source_noise = Array2::zeros(region.grown.shape());
        let pixels = source_noise.as_slice_mut().expect("a new plane is contiguous");
        let sums = session.residual_statistics(&model, &region.own_pixels(), pixels);
        let all = 1.0 / (session.tile.sigma * session.tile.sigma);
        let own = region.core.within(&region.grown);
        region.core.of_mut(self.source_yx.view_mut()).assign(&(&own.of(&source_noise.view()) / all as f32));
        session.indices.iter().zip(sums).for_each(|(index, sum)| reports[*index].chi2 += sum);
        history
    }

    /// Adds weights, coverage and clipped pixels of a tile's core.
    fn count(&mut self, session: &Session, region: &TileRegion, reports: &mut [VisitReport]) {
        let all = 1.0 / (session.tile.sigma * session.tile.sigma);
        let cols = self.weight_yx.ncols();
        let (own, shape) = (region.core.within(&region.grown), region.grown.shape());
        for (index, visit) in session.indices.iter().zip(&session.tile.visits) {
            let weight = (visit.weight() / all) as f32;
            let plane = |flags: &Vec<u8>| {
                let flags = ArrayView2::from_shape(shape, flags).expect("flags cover the tile");
                own.of(&flags).to_owned()
            };
            let (good, used) = (plane(&visit.good), plane(&visit.used));
            Zip::from(region.core.of_mut(self.weight_yx.view_mut()))
                .and(&used)
                .for_each(|sum, used| *sum += weight * share(*used));
            for ((y, x), _) in good.indexed_iter().filter(|(_, good)| **good != 0) {
                let (row, col) = (region.core.rows.start + y, region.core.cols.start + x);
                reports[*index].good += 1;
                self.cover_vyx[[*index, row / BLOCK, col / BLOCK]] += share(used[[y, x]]);
                if used[[y, x]] == 0 {
                    reports[*index].clipped += 1;
                    self.clipped[*index].push((row * cols + col) as u32);
                }
            }
        }
    }

    /// Pixels with used data.
    pub(crate) fn covered(&self) -> Array2<bool> {
        self.weight_yx.mapv(|w| w > 0.0)
    }

    /// Weight of the data over that of all visits, smoothed with the PSF.
    pub(crate) fn coverage(&self, fiducial: &PsfStamp) -> Array2<f32> {
        gaussian_filter(self.weight_yx.view(), fiducial.seeing_px() / FWHM_PER_SIGMA, Boundary::Reflect)
    }

    /// Source noise of the planes' sum, relative to the sky's.
    pub(crate) fn source_noise(&self, kernels: &NoiseKernels) -> Array2<f32> {
        Zip::from(&kernels.averaged(&self.source_yx))
            .and(&kernels.averaged(&self.weight_yx))
            .map_collect(|source, weight| if *weight > 0.0 { source / weight } else { 0.0 })
    }

    /// Noise of the subfilters on bright sources.
    pub(crate) fn star_noise(
        &self,
        kernels: &NoiseKernels,
        source_noise_yx: &Array2<f32>,
        fwhm_px: f64,
    ) -> StarNoise {
        let maps = PatchMaps { tau_yx: &self.tau_yx, flux_yx: self.found_yx.view(), source_noise_yx };
        StarNoise::new(kernels, &maps, fwhm_px)
    }

    /// Fraction of pixels that each visit has in each block.
    pub(crate) fn block_cover(&self) -> Array3<f32> {
        let (rows, cols) = self.weight_yx.dim();
        let length = |i: usize, n: usize| BLOCK.min(n - i * BLOCK) as f32;
        let mut out = self.cover_vyx.clone();
        for ((_, y, x), value) in out.indexed_iter_mut() {
            *value /= length(y, rows) * length(x, cols);
        }
        out
    }

    /// Sorts the clipped pixels, which were added tile by tile.
    pub(crate) fn sort_clipped(&mut self) {
        self.clipped.iter_mut().for_each(|pixels| pixels.sort_unstable());
    }
}

/// Result of a tile's final solve.
struct FinalModel {
    model: Vec<Complex32>,
    /// Prior scale at every pixel of the tile: averaged over the PSF, and τ.
    prior_scale_yx: Array2<f32>,
    tau_yx: Array2<f32>,
    history: Vec<f64>,
}

/// The final solve. With one subfilter there are no components, and the first solve is the final
/// one.
fn final_model(
    session: &mut Session,
    spectrum: &Spectrum,
    config: &JointConfig,
    budget: &mut IterationBudget,
) -> FinalModel {
    let shape = session.tile.grid.shape;
    if spectrum.count() == 1 {
        let history = session.refine_first(config, budget);
        let model = session.first.model().to_vec();
        return FinalModel {
            model,
            prior_scale_yx: Array2::zeros(shape),
            tau_yx: Array2::zeros(shape),
            history,
        };
    }
    let (first, amplitude) = (&session.first, &session.amplitude);
    let about = (session.fiducial_fwhm_px, session.reach());
    let mut solve = FinalSolve::new(&mut session.tile, spectrum, amplitude, first, about, config);
    let history = solve.solve(config, budget);
    let (tau_yx, prior_scale_yx) = (solve.width(), solve.smoothed_prior_scale(session.fiducial_fwhm_px));
    FinalModel { model: solve.into_model(), prior_scale_yx, tau_yx, history }
}
