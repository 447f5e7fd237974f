//! Artefacts as departures from a model with refraction (docs/algorithm.md §9.1).
//!
//! Features displaced by refraction look like artefacts beside a mean of all exposures: the rim of
//! a bright star at high airmass is off by many standard deviations. A model of the subfilters,
//! displaced as in that exposure and brought to its PSF, explains them. A pixel is suspected where
//! it departs from this prediction ([`OutlierTest`]), in rounds: the first compares exposures with
//! the starting coadd, its light divided among the subfilters, at high thresholds; each further
//! round uses a model of a few iterations without the pixels suspected before. Every round starts
//! from the original flags, so that pixels explained by refraction return.
//!
//! The model of the iterative method has no single PSF. The mean PSF of the exposures stands in,
//! and is converted to the exposure's by the kernel between the two ([`dcr_measure::psf_kernel`]),
//! in those blocks that are bright enough to need it. `ε` absorbs the remaining error.
//!
//! Pixels are not compared if they receive light from beyond the patch, or from pixels where the
//! starting coadd is empty or bad, such as saturated cores.

use dcr_image::BBox;
use dcr_solver::iterative::{ForwardPlanes, Problem, forward_support, rough_model};
use dcr_solver::kernel::{Region, dilate_diamond};
use dcr_solver::{GOOD, Observations, OutlierTest, PixelList, SubfilterShift, groups};
use ndarray::{Array2, ArrayView1, ArrayView2, Axis, Zip, s};
use rayon::prelude::*;

use super::psfs::{FWHM_PER_SIGMA, PsfKernels};
use crate::config::AssembleConfig;
use crate::error::CoaddError;
use crate::inputs::store::Store;
use crate::patch::state::PatchState;
use crate::run::run_log::RunLog;
use dcr_measure::convolve::SmallKernel;
use dcr_measure::interpolate::fill_missing;

/// Rows of an exposure that are tested at a time.
const STRIP_ROWS: usize = 256;
/// Blocks of a prediction that are brought to the exposure's PSF or not.
const BLOCK: (usize, usize) = (16, 32);
/// Brightness below which PSFs are not matched, in σ of the sky times the factor of the thresholds:
/// a third of it is below them.
const FAINT: f64 = 3.0;

/// Finds artefacts, round by round. The store ends without them.
///
/// # Errors
///
/// [`CoaddError`] if pixels cannot be read, or the caller wants to stop.
pub(super) fn find(
    state: &PatchState,
    store: &mut Store,
    config: &AssembleConfig,
    log: &mut RunLog<'_>,
) -> Result<Vec<PixelList>, CoaddError> {
    let settings = &config.artefacts;
    let shape = state.survey.inputs.bbox.shape();
    let kernels = PsfKernels::to_visits(state, &store.weights)?;
    let rarity = settings.rarity();
    let psf_sigmas: Vec<f64> =
        (0..store.visits()).map(|visit| state.fwhm_px(visit) / FWHM_PER_SIGMA).collect();
    log.stage("finding artefacts", settings.matched_rounds.len())?;
    let open_yx = state.open();
    let mut found = vec![vec![]; store.visits()];
    for (round, factor) in settings.matched_rounds.iter().enumerate() {
        let model = match round {
            0 => Model::Template(state.filled_template(&open_yx)),
            _ => Model::Subfilters(solve_model(state, store, &open_yx, config, log)?),
        };
        store.leave_out(vec![]);
        let test = Test {
            state,
            store,
            kernels: &kernels,
            psf_sigmas: &psf_sigmas,
            model: &model,
            open_yx: &open_yx,
            factor: *factor,
            config,
        };
        let (candidates, data_yx) = test.candidates(shape)?;
        found = rarity.rare(&candidates, &data_yx);
        tracing::debug!(
            round,
            factor,
            suspected = candidates.iter().flatten().map(Vec::len).sum::<usize>(),
            artefacts = found.iter().map(Vec::len).sum::<usize>(),
            "round of looking for artefacts"
        );
        store.leave_out(found.clone());
        log.monitor.step(&format!("round {}", round + 1));
        log.go_on()?;
    }
    Ok(found)
}

/// A first model.
enum Model {
    /// The starting coadd: the prediction without displacements.
    Template(Array2<f32>),
    /// Subfilters.
    Subfilters(ForwardPlanes),
}

impl PatchState {
    /// The starting coadd with its open pixels filled from around.
    fn filled_template(&self, open_yx: &Array2<bool>) -> Array2<f32> {
        let mut filled = self.template.image.clone();
        fill_missing(&mut filled, open_yx.view());
        filled
    }
}

/// A model of a few iterations on the current store.
fn solve_model(
    state: &PatchState,
    store: &Store,
    open_yx: &Array2<bool>,
    config: &AssembleConfig,
    log: &RunLog<'_>,
) -> Result<ForwardPlanes, CoaddError> {
    let problem = Problem {
        observations: store,
        cells: &state.division.cell_regions,
        basis: &state.division.basis,
        fractions: &state.division.fractions,
        template: state.template.image.view(),
        detected: state.sources.view(),
        bad: open_yx.view(),
    };
    let iterative = &config.solver.iterative;
    let most = iterative.max_iterations(config.model.subfilters).min(config.artefacts.matched_iterations);
    let mut model_byx = rough_model(&problem, iterative, most, &|| !log.monitor.cancelled())?;
    if open_yx.iter().any(|open| *open) {
        for mut plane in model_byx.axis_iter_mut(Axis(0)) {
            let mut filled = plane.to_owned();
            fill_missing(&mut filled, open_yx.view());
            plane.assign(&filled);
        }
    }
    // Fourier shifts know no parts of planes; the highest order is the nearest to them.
    Ok(ForwardPlanes::new(model_byx.view(), &state.division.basis, iterative.spline_order()))
}

/// All exposures against their predictions.
struct Test<'a> {
    state: &'a PatchState,
    store: &'a Store,
    kernels: &'a PsfKernels,
    /// σ of each visit's PSF in px.
    psf_sigmas: &'a [f64],
    model: &'a Model,
    /// Pixels where it means nothing.
    open_yx: &'a Array2<bool>,
    factor: f64,
    config: &'a AssembleConfig,
}

/// Test results in some rows of an exposure.
struct Strip {
    /// Pixels that depart, ascending.
    hits: PixelList,
    /// Which pixels were compared.
    compared: Array2<bool>,
}

impl Test<'_> {
    /// Groups of suspected pixels of each exposure, and the number of exposures compared in each
    /// pixel.
    fn candidates(&self, shape: (usize, usize)) -> Result<(Vec<Vec<PixelList>>, Array2<u16>), CoaddError> {
        let (rows, cols) = shape;
        let visits = self.store.visits();
        let reach = self.largest_shift() + self.config.solver.iterative.spline_order().reach();
        let unknown = dilate_diamond(self.open_yx.view(), reach);
        let mut data_yx = Array2::<u16>::zeros(shape);
        let mut hits: Vec<PixelList> = vec![vec![]; visits];
        for start in (0..rows).step_by(STRIP_ROWS) {
            let own = start..(start + STRIP_ROWS).min(rows);
            let strips: Vec<Result<Strip, CoaddError>> = (0..visits)
                .into_par_iter()
                .map(|visit| self.strip(visit, own.clone(), shape, unknown.view()))
                .collect();
            let mut data = data_yx.slice_mut(s![own, ..]);
            for (visit, strip) in strips.into_iter().enumerate() {
                let Strip { hits: more, compared } = strip?;
                hits[visit].extend(more);
                data.zip_mut_with(&compared, |count, compared| *count += u16::from(*compared));
            }
        }
        Ok((hits.iter().map(|pixels| groups(pixels, cols)).collect(), data_yx))
    }

    /// The largest displacement in px, rounded up, as the sum over both axes (the metric of
    /// diamonds).
    fn largest_shift(&self) -> usize {
        let all = self.store.shifts.iter().flatten().flatten().flat_map(SubfilterShift::forward_shifts);
        all.map(|shift| shift.dy.abs() + shift.dx.abs()).fold(0.0, f64::max).ceil() as usize
    }

    /// An exposure in some rows.
    fn strip(
        &self,
        visit: usize,
        own: std::ops::Range<usize>,
        (rows, cols): (usize, usize),
        unknown: ArrayView2<bool>,
    ) -> Result<Strip, CoaddError> {
        let settings = &self.config.artefacts;
        let test = OutlierTest {
            noise: self.state.survey.noise[visit],
            sigmas: settings.matched_sigmas * self.factor,
            fraction: settings.matched_fraction,
            psf_sigma: self.psf_sigmas[visit],
        };
        let whole = Region::whole((rows, cols));
        let around =
            Region { rows: own.clone(), cols: 0..cols }.grown(test.reach() + settings.matched_grow, &whole);
        let pixels = self.store.pixels(visit, &around).map_err(CoaddError::from)?;
        // Rows whose prediction is complete; only valid, unmasked pixels among them are tested.
        let (prediction, mut compared) = self.prediction(visit, &around);
        let mut residual = Array2::zeros(around.shape());
        Zip::from(&mut residual)
            .and(&mut compared)
            .and(&pixels.image)
            .and(&pixels.flags)
            .and(&prediction)
            .and(&around.of(&unknown))
            .for_each(|residual, compared, s, flags, t, unknown| {
                *compared &= flags & GOOD != 0 && !unknown;
                *residual = if *compared { s - t } else { 0.0 };
            });
        let hit = test.outliers(residual.view(), prediction.view());
        let hit = dilate_diamond(hit.view(), settings.matched_grow);
        let mut hits = vec![];
        let first = own.start - around.rows.start;
        for (row, y) in own.clone().zip(first..) {
            let (hit, flags) = (hit.row(y), pixels.flags.row(y));
            if hit.iter().fold(false, |any, hit| any | hit) {
                let lost = hit
                    .iter()
                    .zip(flags)
                    .enumerate()
                    .filter(|(_, (hit, flags))| **hit && **flags & GOOD != 0);
                hits.extend(lost.map(|(x, _)| (row * cols + x) as u32));
            }
        }
        Ok(Strip { hits, compared: compared.slice_move(s![first..first + own.len(), ..]) })
    }

    /// Prediction for an exposure, and the pixels where it is complete.
    fn prediction(&self, visit: usize, around: &Region) -> (Array2<f32>, Array2<bool>) {
        let shape = self.open_yx.dim();
        let reach = self.kernels.reach(visit);
        let wide = around.grown(reach, &Region::whole(shape));
        let mut template = Array2::zeros(wide.shape());
        let mut has_light = Array2::from_elem(around.shape(), false);
        match self.model {
            Model::Template(template_yx) => {
                template.assign(&wide.of(&template_yx.view()));
                has_light.fill(true);
            }
            Model::Subfilters(planes) => {
                self.displaced(planes, visit, (&wide, around), (&mut template, &mut has_light))
            }
        }
        let mut out = around.within(&wide).of(&template.view()).to_owned();
        let faint = (FAINT * self.factor * self.state.survey.noise[visit].sky_variance.sqrt()) as f32;
        for (cell, region) in self.state.division.cell_regions.iter().enumerate() {
            let part = region.intersection(around);
            if part.rows.is_empty() || part.cols.is_empty() {
                continue;
            }
            if let Some(kernel) = self.kernels.kernel(visit, cell) {
                let padded = mirrored(&template, &wide, shape, &part, kernel.nrows() / 2);
                match_bright(&padded, kernel, faint, part.within(around).of_mut(out.view_mut()));
            }
        }
        (out, has_light)
    }

    /// The subfilters displaced for an exposure, over `wide`, and the pixels of `around` whose
    /// light comes entirely from inside the patch.
    fn displaced(
        &self,
        planes: &ForwardPlanes,
        visit: usize,
        (wide, around): (&Region, &Region),
        (template, has_light): (&mut Array2<f32>, &mut Array2<bool>),
    ) {
        let shape = self.open_yx.dim();
        for (cell, region) in self.state.division.cell_regions.iter().enumerate() {
            let shifts = self.store.shifts(visit, cell);
            let part = region.intersection(wide);
            if !part.rows.is_empty() && !part.cols.is_empty() {
                planes.forward(shifts, &part, part.within(wide).of_mut(template.view_mut()));
            }
            let part = region.intersection(&forward_support(shape, shifts)).intersection(around);
            if !part.rows.is_empty() && !part.cols.is_empty() {
                part.within(around).of_mut(has_light.view_mut()).fill(true);
            }
        }
    }
}

/// The pixels of `part` and a margin of `reach` pixels, from a plane that covers `wide` of a patch;
/// mirrored beyond the patch.
fn mirrored(
    plane: &Array2<f32>,
    wide: &Region,
    (rows, cols): (usize, usize),
    part: &Region,
    reach: usize,
) -> Array2<f32> {
    let folded = |index: usize, first: usize, n: usize| {
        let index = (first + index) as isize - reach as isize;
        let period = 2 * n as isize;
        let i = index.rem_euclid(period);
        i.min(period - 1 - i) as usize
    };
    let (height, width) = part.shape();
    let columns: Vec<usize> = (0..width + 2 * reach).map(|x| folded(x, part.cols.start, cols)).collect();
    let mut out = Array2::zeros((height + 2 * reach, width + 2 * reach));
    for (y, mut row) in out.outer_iter_mut().enumerate() {
        let from = folded(y, part.rows.start, rows).clamp(wide.rows.start, wide.rows.end - 1);
        let source = plane.row(from - wide.rows.start);
        row.iter_mut().zip(&columns).for_each(|(out, x)| {
            *out = source[x.clamp(&wide.cols.start, &(wide.cols.end - 1)) - wide.cols.start]
        });
    }
    out
}

/// Convolves the blocks of a plane, padded by half the kernel's side, that hold or border pixels
/// brighter than `faint`.
fn match_bright(
    padded: &Array2<f32>,
    kernel: &Array2<f32>,
    faint: f32,
    mut out: ndarray::ArrayViewMut2<f32>,
) {
    let (rows, cols) = out.dim();
    let margin = kernel.nrows() - 1;
    let kernel = SmallKernel::new(kernel.view());
    for tile in BBox::new(0, 0, cols, rows).tiles((BLOCK.1, BLOCK.0)) {
        let (y, x) = (tile.y0 as usize, tile.x0 as usize);
        let around = padded.slice(s![y..y + tile.height + margin, x..x + tile.width + margin]);
        let is_bright =
            |row: ArrayView1<f32>| row.iter().fold(false, |any, value| any | (value.abs() > faint));
        if around.rows().into_iter().any(is_bright) {
            out.slice_mut(s![y..y + tile.height, x..x + tile.width]).assign(&kernel.correlate_inside(around));
        }
    }
}
