//! State of one open tile: visits, operator, first solve.

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;
use rustfft::num_complex::Complex32;

use super::division::TileRegion;
use crate::calibration::RobustFit;
use crate::joint::config::JointConfig;
use crate::joint::error::JointError;
use crate::joint::fourier::grid::Grid;
use crate::joint::operator::predictions::Prediction;
use crate::joint::operator::tile::{FULL, Tile, TileVisit, share};
use crate::joint::operator::transfer::{
    Fiducial, PsfVariation, displace, support_radius, variation_ratios, visit_transfer,
};
use crate::joint::problem::JointProblem;
use crate::joint::problem::psf::PsfStamp;
use crate::joint::problem::visits::check_displacements;
use crate::joint::progress::IterationBudget;
use crate::joint::robust::calibration::{VisitCalibrations, effective_image};
use crate::joint::robust::changing::{ChangingSource, changing_sources, light_of, total_light};
use crate::joint::robust::clip::clip;
use crate::joint::robust::offsets::trusted_pixels;
use crate::joint::robust::saturated::{light, saturated_stars};
use crate::joint::robust::variables::give_back_variables;
use crate::joint::solve::map_first::{FirstSolve, UniformPrior};
use crate::kernel::{PixelShift, Region};
use crate::observation::GOOD;

/// An open tile.
pub(crate) struct Session {
    pub(crate) tile: Tile,
    /// Indices in the patch of the tile's visits.
    pub(crate) indices: Vec<usize>,
    /// Offsets contained in the transfer functions.
    applied: Vec<PixelShift>,
    /// |P| at every mode.
    pub(crate) amplitude: Vec<f32>,
    /// Largest displacement along an axis, and FWHM of the fiducial PSF, in pixels.
    furthest: f64,
    pub(crate) fiducial_fwhm_px: f64,
    pub(crate) first: FirstSolve,
}

/// Maximum number of pixels of a tile in the sample of its light.
const MOST_LIGHT: usize = 20_000;

/// Fits of a tile's visits.
pub(crate) struct FittedTile {
    /// Index of each visit in the patch, and its normal equations, if it has a usable pixel.
    pub(crate) fits: Vec<(usize, Option<RobustFit>)>,
    /// Sample of the model's light, smoothed.
    pub(crate) light: Vec<f32>,
}

/// Quantities shared by all tiles.
pub(crate) struct SharedInputs {
    pub(crate) fiducial: PsfStamp,
    /// Noise per pixel of the weighted coadd.
    pub(crate) sigma: f64,
    /// Largest displacement of any visit's light along an axis, in pixels.
    pub(crate) furthest: f64,
}

impl Session {
    /// Reads a region and prepares its transfer functions. Visits without a good pixel there are
    /// left out.
    pub(crate) fn open(
        problem: &JointProblem,
        config: &JointConfig,
        region: &Region,
        shared: &SharedInputs,
    ) -> Result<Self, JointError> {
        let (sigma, furthest, fiducial_fwhm_px) =
            (shared.sigma, shared.furthest, shared.fiducial.seeing_px());
        let grid = Grid::new(region.shape(), config.padding);
        let fiducial = Fiducial::new(&shared.fiducial, &grid.frequencies());
        let visits: Vec<Option<(usize, TileVisit)>> = (0..problem.visits.visits())
            .into_par_iter()
            .map(|i| {
                let visit = read(problem, config, region, i, &grid, &fiducial)?;
                Ok(visit.map(|v| (i, v)))
            })
            .collect::<Result<_, JointError>>()?;
        let (indices, visits): (Vec<usize>, Vec<TileVisit>) = visits.into_iter().flatten().unzip();
        let amplitude = fiducial.amplitude();
        let n = problem.spectrum.count();
        let prior = UniformPrior::new(&grid, problem.spectrum, &fiducial, sigma, config);
        let mut tile = Tile::new(grid, n, visits, sigma);
        let stars = saturated_stars(&mut tile, &fiducial, problem.spectrum, config);
        tile.set_fixed_sources(light(&stars, &tile.grid, &fiducial));
        let first =
            FirstSolve::new(&tile, prior, problem.spectrum, support_radius(furthest, fiducial_fwhm_px));
        let applied = vec![PixelShift::default(); indices.len()];
        Ok(Self { tile, indices, applied, amplitude, furthest, fiducial_fwhm_px, first })
    }

    /// Takes the visits' present calibration: offsets into the transfer functions, all else into
    /// the images, given the present model.
    pub(crate) fn calibrate(&mut self, calibrations: &VisitCalibrations, region: &Region) {
        self.displace(&calibrations.offsets());
        let Self { tile, indices, first, .. } = self;
        let is_exact = |(index, visit): (&usize, &TileVisit)| {
            calibrations.calibration(*index).is_none() && visit.variation.ratios.is_empty()
        };
        if first.is_fresh() || indices.iter().zip(&tile.visits).all(is_exact) {
            return;
        }
        let corrected = |i: usize, visit: &TileVisit, prediction: Prediction<'_>| {
            let calibration = calibrations.calibration(indices[i]);
            (!is_exact((&indices[i], visit)))
                .then(|| effective_image(visit, calibration, &prediction, region))
        };
        let mut images = vec![];
        tile.with_local_predictions(first.model(), corrected, |image| images.push(image));
        for (visit, image) in tile.visits.iter_mut().zip(images) {
            visit.image = image.unwrap_or_else(|| visit.observed.clone());
        }
    }

    /// Updates the transfer functions to the visits' present offsets.
    fn displace(&mut self, offsets: &[PixelShift]) {
        let (frequencies, n) = (self.tile.grid.frequencies(), self.tile.n);
        let visits = self.tile.visits.par_iter_mut().zip(&self.indices).zip(&mut self.applied);
        visits.for_each(|((visit, index), applied)| {
            let offset = offsets[*index];
            let further = PixelShift { dy: offset.dy - applied.dy, dx: offset.dx - applied.dx };
            if further != PixelShift::default() {
                displace(&mut visit.transfer, &frequencies, n, further);
            }
            *applied = offset;
        });
    }

    /// The first solve: from the beginning with all good pixels, and, calibrated, once for each of
    /// the given rounds of clipping. Returns the convergence histories.
    pub(crate) fn solve_first(
        &mut self,
        rounds: &[f64],
        (calibrations, region): (&VisitCalibrations, &Region),
        config: &JointConfig,
        budget: &mut IterationBudget,
    ) -> Vec<Vec<f64>> {
        let limits = (config.uniform_iterations, config.uniform_tolerance);
        let mut histories = vec![];
        let fresh = self.first.is_fresh();
        if fresh {
            histories.push(self.first.start(&mut self.tile, limits, budget));
        }
        self.calibrate(calibrations, region);
        if !fresh && rounds.is_empty() {
            histories.push(
                self.first
                    .resume(&mut self.tile, limits, budget, |tile, y, out| tile.add_residual(Some(y), out)),
            );
        }
        let reach = self.reach();
        for (i, factor) in rounds.iter().enumerate() {
            let last = i + 1 == rounds.len();
            histories.push(self.first.resume(&mut self.tile, limits, budget, |tile, y, out| {
                tile.add_chosen_residual(y, out, |grid, visit, model| {
                    clip(grid, visit, model, *factor, config)
                });
                if last {
                    give_back_variables(tile, y, out, reach, config);
                }
            }));
        }
        histories
    }

    /// Support radius of one model pixel in any visit, px.
    pub(crate) fn reach(&self) -> usize {
        support_radius(self.furthest, self.fiducial_fwhm_px)
    }

    /// Continues the first solve to the final solve's tolerance.
    pub(crate) fn refine_first(&mut self, config: &JointConfig, budget: &mut IterationBudget) -> Vec<f64> {
        let limits = (config.source_iterations, config.source_tolerance);
        self.first.resume(&mut self.tile, limits, budget, |tile, y, out| tile.add_residual(Some(y), out))
    }

    /// Fits every visit of the tile over the tile's core.
    pub(crate) fn fit_calibrations(
        &mut self,
        calibrations: &VisitCalibrations,
        region: &TileRegion,
    ) -> FittedTile {
        let Self { tile, indices, first, .. } = self;
        let mut covered = vec![false; tile.grid.shape.0 * tile.grid.shape.1];
        for visit in &tile.visits {
            covered.iter_mut().zip(&visit.used).for_each(|(c, used)| *c |= *used != 0);
        }
        let covered = ArrayView2::from_shape(tile.grid.shape, &covered).expect("flags cover the tile");
        let trusted = trusted_pixels(covered, self.furthest, self.fiducial_fwhm_px);
        let own = Array2::from_shape_vec(tile.grid.shape, region.own_pixels()).expect("flags cover the tile");
        let light = total_light(tile, first.model());
        let found = changing_sources(tile, first.model(), &light, self.fiducial_fwhm_px);
        let changing = light_of(&found, tile.grid.shape);
        let own = own & &trusted;
        let within = &own & &changing.mapv(|changes| !changes);
        let step = own.len().div_ceil(MOST_LIGHT);
        let light = light.iter().zip(&own).filter(|(_, own)| **own).step_by(step).map(|(light, _)| *light);
        let light = light.collect();
        let mut fits = vec![];
        let fit = |i: usize, visit: &TileVisit, prediction: Prediction<'_>| {
            let index = indices[i];
            (index, calibrations.fit(index, visit, &prediction, (&region.grown, &within)))
        };
        tile.with_local_predictions(first.model(), fit, |fit| fits.push(fit));
        FittedTile { fits, light }
    }

    /// Sources of the tile's core that change between visits, with positions in the patch, given
    /// the final model. `visits` is the number of visits of the patch.
    pub(crate) fn changing_sources(
        &mut self,
        model: &[Complex32],
        region: &TileRegion,
        visits: usize,
    ) -> Vec<ChangingSource> {
        let light = total_light(&self.tile, model);
        let found = changing_sources(&mut self.tile, model, &light, self.fiducial_fwhm_px);
        let (top, left) = (region.grown.rows.start, region.grown.cols.start);
        let in_patch = |source: ChangingSource| {
            let mut excesses = vec![None; visits];
            self.indices.iter().zip(source.excesses).for_each(|(index, excess)| excesses[*index] = excess);
            ChangingSource { y: source.y + top, x: source.x + left, excesses, ..source }
        };
        let own = |source: &ChangingSource| {
            region.core.rows.contains(&source.y) && region.core.cols.contains(&source.x)
        };
        found.into_iter().map(in_patch).filter(own).collect()
    }

    /// Residual statistics: for every visit of the tile, the sum of squared residuals over the sky
    /// variance, over used pixels inside `within`. Adds to `source_noise`, at every pixel, the sum
    /// over visits of weight² times the variance of sources' light.
    pub(crate) fn residual_statistics(
        &mut self,
        model: &[Complex32],
        within: &[bool],
        source_noise: &mut [f32],
    ) -> Vec<f64> {
        let mut sums = vec![];
        let of_visit = |_: usize, visit: &TileVisit, prediction: &[f32]| {
            let pixels = visit.image.iter().zip(prediction).zip(&visit.used).zip(within);
            let used = pixels.filter(|((_, used), within)| **used != 0 && **within);
            let squares = used.map(|(((s, m), used), _)| f64::from((s - m).powi(2) * share(*used)));
            let sum = squares.sum::<f64>() * visit.weight();
            let of_pixel = |(at, (m, used)): (usize, (&f32, &u8))| {
                (visit.weight() as f32 * share(*used)).powi(2) * visit.noise_of_light(at, *m)
            };
            let noise: Vec<f32> = prediction.iter().zip(&visit.used).enumerate().map(of_pixel).collect();
            (sum, noise)
        };
        self.tile.with_predictions(model, of_visit, |(sum, noise)| {
            sums.push(sum);
            source_noise.iter_mut().zip(noise).for_each(|(out, noise)| *out += noise);
        });
        sums
    }
}

fn read(
    problem: &JointProblem,
    config: &JointConfig,
    region: &Region,
    index: usize,
    grid: &Grid,
    fiducial: &Fiducial,
) -> Result<Option<TileVisit>, JointError> {
    let pixels = problem.visits.pixels(index, region).map_err(JointError::Source)?;
    let (got, expected) = (pixels.image.dim(), region.shape());
    if got != expected || pixels.flags.dim() != expected {
        return Err(JointError::Shape { visit: index, got, expected });
    }
    let good: Vec<u8> = pixels
        .image
        .iter()
        .zip(pixels.flags.iter())
        .map(|(s, flags)| FULL * u8::from(flags & GOOD != 0 && s.is_finite()))
        .collect();
    if good.iter().all(|g| *g == 0) {
        return Ok(None);
    }
    let image = pixels.image.iter().zip(&good).map(|(s, g)| if *g != 0 { *s } else { 0.0 }).collect();
    let field = problem.visits.psf_field(index, region).map_err(JointError::Source)?;
    let psf = field.mean();
    let displacements = problem.visits.displacements(index, region);
    check_displacements(index, &displacements, problem.spectrum)?;
    let spectrum = problem.spectrum;
    let transfer = visit_transfer(&grid.frequencies(), spectrum, fiducial, Some(psf), &displacements, config);
    let ratios = variation_ratios(&grid.frequencies(), fiducial, &field, config);
    let visit = TileVisit::new(transfer, image, good, problem.visits.noise(index), psf.seeing_px());
    let variation = PsfVariation { ratios, place: Some((field, region.clone())) };
    Ok(Some(TileVisit { variation, ..visit }))
}
