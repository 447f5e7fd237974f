//! The patch as it is put together from its finished tiles.

use ndarray::{Array2, Array3, ArrayView2, Axis, Zip};
use rustfft::num_complex::Complex32;

use super::division::TileRegion;
use super::session::Session;
use crate::joint::config::JointConfig;
use crate::joint::noise::kernels::NoiseKernels;
use crate::joint::noise::stars::{Found, StarNoise};
use crate::joint::operator::tile::share;
use crate::joint::problem::JointProblem;
use crate::joint::problem::psf::PsfStamp;
use crate::joint::problem::spectrum::Spectrum;
use crate::joint::progress::Pace;
use crate::joint::robust::clip::FWHM_PER_SIGMA;
use crate::joint::solution::VisitReport;
use crate::joint::solve::last::SourceSolve;
use crate::kernel::{Boundary, gaussian_filter};

/// Side of the blocks, in pixels, in which it is counted how many pixels each visit has.
pub(crate) const BLOCK: usize = 64;

/// Everything that covers the patch.
pub(crate) struct Mosaic {
    pub(crate) planes_ayx: Array3<f32>,
    /// Sum of the planes without light that was given.
    found_yx: Array2<f32>,
    /// Weight of the data used at each pixel over that of all visits.
    weight_yx: Array2<f32>,
    /// Sum over the visits used of weight² times the variance of sources' light, over the weight of all visits.
    source_yx: Array2<f32>,
    /// Width of the prior on departures from the flat spectrum, averaged over the PSF, …
    pub(crate) freedom_yx: Array2<f32>,
    /// … and as it is, τ.
    width_yx: Array2<f32>,
    pub(crate) clipped: Vec<Vec<u32>>,
    /// Fraction of pixels that each visit has in each block, `(visits, block rows, block columns)`.
    pub(crate) cover_vyx: Array3<f32>,
    border: usize,
}

impl Mosaic {
    pub(crate) fn new(problem: &JointProblem, config: &JointConfig) -> Self {
        let (rows, cols) = problem.shape;
        let (border, visits) = (config.border, problem.visits.visits());
        let n = problem.spectrum.count();
        Self {
            planes_ayx: Array3::zeros((n, rows + 2 * border, cols + 2 * border)),
            found_yx: Array2::zeros((rows, cols)),
            weight_yx: Array2::zeros((rows, cols)),
            source_yx: Array2::zeros((rows, cols)),
            freedom_yx: Array2::zeros((rows, cols)),
            width_yx: Array2::zeros((rows, cols)),
            clipped: vec![vec![]; visits],
            cover_vyx: Array3::zeros((visits, rows.div_ceil(BLOCK), cols.div_ceil(BLOCK))),
            border,
        }
    }

    /// Makes the final solve on a tile and adds it. Gives back the course of that solve.
    pub(crate) fn finish(
        &mut self,
        mut session: Session,
        spectrum: &Spectrum,
        region: &TileRegion,
        config: &JointConfig,
        reports: &mut [VisitReport],
        pace: &mut Pace,
    ) -> Vec<f64> {
        if session.tile.visits.is_empty() {
            return vec![];
        }
        let Final { model, freedom_yx, width_yx, course } = final_model(&mut session, spectrum, config, pace);
        let planes = session.tile.planes(&model, self.border);
        for (plane, target) in planes.axis_iter(Axis(0)).zip(self.planes_ayx.axis_iter_mut(Axis(0))) {
            region.blend(plane, target, self.border);
        }
        let found = session.tile.found_planes(&model, 0).sum_axis(Axis(0));
        region.blend(found.view(), self.found_yx.view_mut(), 0);
        region.blend(freedom_yx.view(), self.freedom_yx.view_mut(), 0);
        region.blend(width_yx.view(), self.width_yx.view_mut(), 0);
        self.count(&session, region, reports);
        let mut source_noise = Array2::zeros(region.grown.shape());
        let pixels = source_noise.as_slice_mut().expect("a new plane is contiguous");
        let sums = session.look_back(&model, &region.own_pixels(), pixels);
        let all = 1.0 / (session.tile.sigma * session.tile.sigma);
        let own = region.core.within(&region.grown);
        region.core.of_mut(self.source_yx.view_mut()).assign(&(&own.of(&source_noise.view()) / all as f32));
        session.indices.iter().zip(sums).for_each(|(index, sum)| reports[*index].chi2 += sum);
        course
    }

    /// Weights, coverage and clipped pixels of a tile's own pixels.
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

    /// Pixels on which some visit's data were used.
    pub(crate) fn covered(&self) -> Array2<bool> {
        self.weight_yx.mapv(|w| w > 0.0)
    }

    /// Weight of the data over that of all visits, smoothed with the PSF.
    pub(crate) fn coverage(&self, fiducial: &PsfStamp) -> Array2<f32> {
        gaussian_filter(self.weight_yx.view(), fiducial.seeing_px() / FWHM_PER_SIGMA, Boundary::Reflect)
    }

    /// Noise of sources' light over that of the sky, as the planes' sum has it.
    pub(crate) fn source_noise(&self, kernels: &NoiseKernels) -> Array2<f32> {
        Zip::from(&kernels.averaged(&self.source_yx))
            .and(&kernels.averaged(&self.weight_yx))
            .map_collect(|source, weight| if *weight > 0.0 { source / weight } else { 0.0 })
    }

    /// Noise on bright sources.
    pub(crate) fn star_noise(
        &self,
        kernels: &NoiseKernels,
        source_noise_yx: &Array2<f32>,
        fwhm_px: f64,
    ) -> StarNoise {
        let found = Found { width_yx: &self.width_yx, total_yx: self.found_yx.view(), source_noise_yx };
        StarNoise::new(kernels, &found, fwhm_px)
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

    /// Sorts what came tile by tile.
    pub(crate) fn sort_clipped(&mut self) {
        self.clipped.iter_mut().for_each(|pixels| pixels.sort_unstable());
    }
}

/// What a tile's final solve found.
struct Final {
    model: Vec<Complex32>,
    /// Width of its prior at every pixel of the tile, averaged over the PSF, and as it is.
    freedom_yx: Array2<f32>,
    width_yx: Array2<f32>,
    course: Vec<f64>,
}

/// The final solve. With one subfilter there are no departures, and the first solve is the final one.
fn final_model(session: &mut Session, spectrum: &Spectrum, config: &JointConfig, pace: &mut Pace) -> Final {
    let shape = session.tile.grid.shape;
    if spectrum.count() == 1 {
        let course = session.refine_first(config, pace);
        let model = session.first.model().to_vec();
        return Final { model, freedom_yx: Array2::zeros(shape), width_yx: Array2::zeros(shape), course };
    }
    let (first, amplitude) = (&session.first, &session.amplitude);
    let about = (session.fiducial_fwhm_px, session.reach());
    let mut solve = SourceSolve::new(&mut session.tile, spectrum, amplitude, first, about, config);
    let course = solve.solve(&mut session.tile, config, pace);
    let grid = &session.tile.grid;
    let (width_yx, freedom_yx) = (solve.width(grid), solve.freedom(grid, session.fiducial_fwhm_px));
    Final { model: solve.into_model(), freedom_yx, width_yx, course }
}
