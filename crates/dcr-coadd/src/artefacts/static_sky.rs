//! Artefacts as residuals from the static sky, as in LSST's DcrAssembleCoaddTask (docs/algorithm.md
//! §9.2).
//!
//! Every exposure is taken at one PSF: its given PSF-matched warp, or the exposure convolved to the
//! broadest PSF or to a configured width ([`super::one_psf`]). The static sky is the clipped mean
//! of all. Sources of both signs are detected in the difference, over its noise after convolution
//! scaled to the noise found. A detection, slightly dilated, is dropped if nearly all of it is
//! masked, or if it lies inside a very bright source; those remaining that few exposures share are
//! artefacts ([`dcr_solver::Rarity`]).
//!
//! Refraction is not modelled: where it displaces by a tenth of a pixel or more, bright stars at
//! the highest airmass are found as well. The default is therefore [`super::matched`].

use dcr_solver::kernel::Region;
use dcr_solver::{GOOD, Observations, PixelList, groups};
use ndarray::{Array2, s};
use rayon::prelude::*;

use super::one_psf::OnePsf;
use crate::coadd::mean::{Combination, Value, Work};
use crate::config::{ArtefactConfig, AssembleConfig};
use crate::error::CoaddError;
use crate::inputs::store::Store;
use crate::patch::state::PatchState;
use crate::run::run_log::RunLog;
use dcr_measure::detection::{grown, without_small_groups};
use dcr_measure::statistics::{SIGMA_PER_MAD, median_of_pixels};

/// Rows of an exposure that are compared at a time.
const STRIP_ROWS: usize = 128;

/// Finds artefacts. The store ends without them.
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
    log.stage("finding artefacts", state.survey.inputs.visits.len() + 1)?;
    let exposures = OnePsf::new(state, store, settings, log)?;
    let sky = exposures.static_sky(settings, &|| log.go_on())?;
    log.monitor.step("static sky");
    let spared = settings.source_threshold.map(|threshold| {
        let bright = ndarray::Zip::from(&sky.image)
            .and(&sky.variance)
            .map_collect(|value, variance| *value > threshold as f32 * variance.sqrt());
        grown(&bright, settings.source_grow * exposures.sigma_px)
    });
    let mut candidates = vec![];
    for visit in 0..store.visits() {
        let mut found = exposures.candidates(visit, &sky, settings)?;
        found.retain(|group| !inside(group, spared.as_ref()));
        candidates.push(state.not_masked(visit, found, settings)?);
        log.monitor.step(&state.survey.inputs.visits[visit].name());
        log.go_on()?;
    }
    let mut found = settings.rarity().rare(&candidates, &sky.count);
    exposures.only_good(&mut found)?;
    store.leave_out(found.clone());
    Ok(found)
}

/// True if every pixel of a group is set.
fn inside(group: &PixelList, flags: Option<&Array2<bool>>) -> bool {
    let Some(flags) = flags else { return false };
    let cols = flags.ncols();
    group.iter().all(|pixel| flags[[*pixel as usize / cols, *pixel as usize % cols]])
}

impl PatchState {
    /// Groups with enough pixels outside the configured mask planes.
    fn not_masked(
        &self,
        visit: usize,
        mut groups: Vec<PixelList>,
        settings: &ArtefactConfig,
    ) -> Result<Vec<PixelList>, CoaddError> {
        let file = &self.survey.inputs.visits[visit].file;
        let bits = file.mask_planes().bits_of(&settings.prefilter_mask_planes);
        if groups.is_empty() || bits == 0 {
            return Ok(groups);
        }
        let mask = file.read_mask(self.survey.inputs.bbox)?;
        let cols = mask.ncols();
        groups.retain(|group| {
            let free = |pixel: &&u32| mask[[**pixel as usize / cols, **pixel as usize % cols]] & bits == 0;
            group.iter().filter(free).count() as f64 >= settings.prefilter_ratio * group.len() as f64
        });
        Ok(groups)
    }
}

/// The mean of all exposures at the common PSF.
struct StaticSky {
    image: Array2<f32>,
    variance: Array2<f32>,
    /// The exposures that have data.
    count: Array2<u16>,
}

impl OnePsf<'_> {
    fn static_sky(
        &self,
        settings: &ArtefactConfig,
        go_on: &dyn Fn() -> Result<(), CoaddError>,
    ) -> Result<StaticSky, CoaddError> {
        let (visits, shape) = (self.store.visits(), self.shape());
        let combination =
            Combination::clipped_mean(&self.store.weights, settings.clip_sigma, settings.clip_iterations);
        let variances: Vec<f32> = (0..visits).map(|visit| self.variance(visit, 0.0)).collect();
        let mut sky = StaticSky {
            image: Array2::from_elem(shape, f32::NAN),
            variance: Array2::from_elem(shape, f32::NAN),
            count: Array2::zeros(shape),
        };
        let row_bytes = (visits * shape.1 * size_of::<f32>()).max(1);
        let strip_rows = (self.state.survey.memory.strip_bytes / row_bytes).clamp(1, STRIP_ROWS);
        for start in (0..shape.0).step_by(strip_rows) {
            go_on()?;
            let rows = start..(start + strip_rows).min(shape.0);
            let strips: Vec<Result<Array2<f32>, CoaddError>> =
                (0..visits).into_par_iter().map(|visit| self.rows(visit, rows.clone())).collect();
            let strips: Vec<Array2<f32>> = strips.into_iter().collect::<Result<_, _>>()?;
            let mut work = Work::default();
            for y in rows.clone() {
                for x in 0..shape.1 {
                    work.values.clear();
                    for (visit, strip) in strips.iter().enumerate() {
                        let value = strip[[y - start, x]];
                        if value.is_finite() {
                            let (weight, variance) = (self.store.weights[visit], variances[visit]);
                            work.values.push(Value { value, weight, variance, mask: 0 });
                        }
                    }
                    sky.count[[y, x]] = work.values.len() as u16;
                    let (image, variance, _) = combination.combine(&mut work);
                    (sky.image[[y, x]], sky.variance[[y, x]]) = (image, variance);
                }
            }
        }
        Ok(sky)
    }

    /// Residuals from the static sky in an exposure, as groups of pixels.
    fn candidates(
        &self,
        visit: usize,
        sky: &StaticSky,
        settings: &ArtefactConfig,
    ) -> Result<Vec<PixelList>, CoaddError> {
        let (rows, cols) = self.shape();
        let starts: Vec<usize> = (0..rows).step_by(STRIP_ROWS).collect();
        let strips: Vec<Result<Array2<f32>, CoaddError>> = starts
            .par_iter()
            .map(|start| {
                let mut strip = self.rows(visit, *start..(start + STRIP_ROWS).min(rows))?;
                for ((y, x), value) in strip.indexed_iter_mut() {
                    let light = sky.image[[start + y, x]];
                    *value = (*value - light) / self.variance(visit, light).sqrt();
                }
                Ok(strip)
            })
            .collect();
        let mut significance = Array2::<f32>::zeros((rows, cols));
        for (start, strip) in starts.iter().zip(strips) {
            let strip = strip?;
            significance.slice_mut(s![*start..start + strip.nrows(), ..]).assign(&strip);
        }
        let empty =
            significance.iter().zip(&self.state.sources).filter(|(s, source)| s.is_finite() && !**source);
        let scatter = SIGMA_PER_MAD as f32 * median_of_pixels(empty.map(|(s, _)| s.abs()).collect());
        let threshold = settings.detection_threshold as f32 * if scatter > 0.0 { scatter } else { 1.0 };
        let mut above = significance.mapv(|s| s.abs() > threshold);
        if above.iter().any(|above| *above) {
            above = without_small_groups(&above, settings.detection_min_pixels);
            above = grown(&above, (settings.detection_grow * self.sigma_px + 0.5).floor());
        }
        let pixels: PixelList =
            above.iter().enumerate().filter(|(_, above)| **above).map(|(index, _)| index as u32).collect();
        Ok(groups(&pixels, cols))
    }

    /// Leaves the pixels that were good.
    fn only_good(&self, found: &mut [PixelList]) -> Result<(), CoaddError> {
        let (rows, cols) = self.shape();
        for (visit, pixels) in found.iter_mut().enumerate().filter(|(_, pixels)| !pixels.is_empty()) {
            let all = self.store.pixels(visit, &Region::whole((rows, cols)))?;
            pixels.retain(|pixel| all.flags[[*pixel as usize / cols, *pixel as usize % cols]] & GOOD != 0);
        }
        Ok(())
    }
}
