//! All exposures at one PSF: given PSF-matched warps, or the convolved exposures.
//!
//! Masked pixels are left out of the convolution; where more than a fiftieth of the kernel's weight
//! falls on them, the result is masked.

use std::ops::Range;

use dcr_image::BBox;
use dcr_solver::joint::Noise;
use dcr_solver::kernel::Region;
use dcr_solver::{GOOD, Observations};
use ndarray::{Array2, Zip, s};

use super::psfs::{FWHM_PER_SIGMA, common_psf, stamp_at, turned_f32};
use crate::coadd::template_coadd::UNKNOWN_FWHM_PX;
use crate::config::ArtefactConfig;
use crate::error::CoaddError;
use crate::inputs::store::Store;
use crate::patch::state::PatchState;
use crate::run::run_log::RunLog;
use dcr_measure::convolve::SmallKernel;
use dcr_measure::psf_kernel::kernel_between;

/// The share of a kernel's weight that may fall on masked pixels.
const MISSING_WEIGHT: f32 = 0.02;
/// Side of the blocks that are convolved at a time.
const BLOCK: usize = 64;

/// Exposures at one PSF.
pub(super) struct OnePsf<'a> {
    pub(super) state: &'a PatchState,
    pub(super) store: &'a Store,
    /// Kernel of each exposure, turned for correlation; `None` leaves it unchanged. Empty for given
    /// PSF-matched warps.
    kernels: Vec<Option<Array2<f32>>>,
    /// How each one's noise follows signal.
    noise: Vec<Noise>,
    /// σ of the PSF in px.
    pub(super) sigma_px: f64,
}

impl<'a> OnePsf<'a> {
    /// Uses the given warps, or kernels from each exposure's PSF to the broadest, or to one of a
    /// configured width.
    ///
    /// # Errors
    ///
    /// [`CoaddError`] if the width makes no PSF, or a given warp cannot be read.
    pub(super) fn new(
        state: &'a PatchState,
        store: &'a Store,
        settings: &ArtefactConfig,
        log: &mut RunLog<'_>,
    ) -> Result<Self, CoaddError> {
        let place = state.survey.inputs.bbox.centre();
        let common = common_psf(state, settings.psf_fwhm_px)?;
        let common_fwhm = common.as_ref().and_then(|psf| psf.fwhm_px().ok());
        let (kernels, noise, fwhm_px);
        if state.survey.given.is_empty() {
            let kernel = |(visit, own): (_, &Noise)| {
                let Some((from, to)) = stamp_at(visit, place).zip(common.as_ref()) else {
                    return (None, *own);
                };
                let kernel = turned_f32(&kernel_between(&from, to));
                let left: f64 = kernel.iter().map(|k| f64::from(k * k)).sum();
                let noise = Noise { sky_variance: left * own.sky_variance, shot: left * own.shot };
                (Some(kernel), noise)
            };
            (kernels, noise) = state.survey.inputs.visits.iter().zip(&state.survey.noise).map(kernel).unzip();
            fwhm_px = common_fwhm;
        } else {
            kernels = vec![];
            noise = state.noise_of_given(log)?;
            let stated =
                state.survey.given.iter().filter_map(|warp| warp.fwhm_px(place)).max_by(f64::total_cmp);
            fwhm_px = settings.psf_fwhm_px.or(stated).or(common_fwhm);
        }
        let sigma_px = fwhm_px.unwrap_or(UNKNOWN_FWHM_PX) / FWHM_PER_SIGMA;
        Ok(Self { state, store, kernels, noise, sigma_px })
    }

    /// Rows and columns of the patch.
    pub(super) fn shape(&self) -> (usize, usize) {
        self.state.survey.inputs.bbox.shape()
    }

    /// The variance of a pixel of an exposure beside so much light of the sky.
    pub(super) fn variance(&self, visit: usize, light: f32) -> f32 {
        let noise = &self.noise[visit];
        (noise.sky_variance + noise.shot * f64::from(light.max(0.0))) as f32
    }

    /// Some rows of an exposure, NaN where too much is masked.
    pub(super) fn rows(&self, visit: usize, rows: Range<usize>) -> Result<Array2<f32>, CoaddError> {
        match self.state.survey.given.get(visit) {
            Some(warp) => warp.rows(rows, &self.state.reader()),
            None => self.convolved(visit, rows),
        }
    }

    fn convolved(&self, visit: usize, rows: Range<usize>) -> Result<Array2<f32>, CoaddError> {
        let one = Array2::ones((1, 1));
        let kernel = self.kernels[visit].as_ref().unwrap_or(&one);
        let half = kernel.nrows() / 2;
        let kernel = SmallKernel::new(kernel.view());
        let (_, cols) = self.shape();
        let around = Region { rows: rows.clone(), cols: 0..cols };
        let around = around.grown(half, &Region::whole(self.shape()));
        let pixels = self.store.pixels(visit, &around)?;
        // Beyond the patch everything is masked.
        let mut image = Array2::<f32>::zeros((rows.len() + 2 * half, cols + 2 * half));
        let mut missing = Array2::<f32>::ones(image.dim());
        let top = half - (rows.start - around.rows.start);
        let place = s![top..top + around.rows.len(), half..half + cols];
        let (mut image_part, mut missing_part) = (image.slice_mut(place), missing.slice_mut(place));
        Zip::from(&mut image_part).and(&mut missing_part).and(&pixels.image).and(&pixels.flags).for_each(
            |image, missing, value, flags| {
                if flags & GOOD != 0 {
                    (*image, *missing) = (*value, 0.0);
                }
            },
        );
        let mut out = Array2::zeros((rows.len(), cols));
        for tile in BBox::new(0, 0, cols, rows.len()).tiles((BLOCK, BLOCK)) {
            let (y, x) = (tile.y0 as usize, tile.x0 as usize);
            let wide = s![y..y + tile.height + 2 * half, x..x + tile.width + 2 * half];
            let mut block = kernel.correlate_inside(image.slice(wide));
            let missing = missing.slice(wide);
            if missing.iter().any(|missing| *missing > 0.0) {
                let lost = kernel.correlate_inside(missing);
                block.zip_mut_with(&lost, |value, lost| {
                    *value = if *lost > MISSING_WEIGHT { f32::NAN } else { *value / (1.0 - lost) };
                });
            }
            out.slice_mut(s![y..y + tile.height, x..x + tile.width]).assign(&block);
        }
        Ok(out)
    }
}

impl PatchState {
    /// Noise of the given PSF-matched warps. Warps whose noise is unknown are skipped with a
    /// warning.
    fn noise_of_given(&self, log: &mut RunLog<'_>) -> Result<Vec<Noise>, CoaddError> {
        let mut noise = Vec::with_capacity(self.survey.given.len());
        for (warp, visit) in self.survey.given.iter().zip(&self.survey.inputs.visits) {
            let own = warp.noise(&self.reader())?;
            if own.is_none() {
                let file = warp.file().path().display();
                let text =
                    format!("Its PSF-matched warp ({file}) has no usable pixel: no artefact is found in it.");
                log.warn(visit.name(), text);
            }
            noise.push(own.unwrap_or(Noise { sky_variance: 1.0, shot: 0.0 }));
            log.go_on()?;
        }
        Ok(noise)
    }
}
