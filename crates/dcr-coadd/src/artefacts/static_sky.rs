//! Artefacts as what stands out of the difference between an exposure and the static sky: the established way (ALGORITHM §9).
//!
//! Every exposure is convolved to one PSF, that of the broadest or one of a given width; the static sky is the clipped mean of all. Their difference,
//! over the noise that convolution leaves and scaled to the noise found, is detected in both signs. A detection, grown by a little, is
//! dropped if nearly all of it is masked, or if it lies inside a very bright source; of the others those that few exposures have are
//! artefacts ([`dcr_solver::Rarity`]).
//!
//! A masked pixel has no part in the convolution; where more than a fiftieth of the kernel's weight falls on such, the result is masked.
//!
//! Refraction is not modelled: where it displaces by a tenth of a pixel or more, bright stars of the highest airmass are found as well. That is
//! why [`super::matched`] is the default.

use std::ops::Range;

use dcr_image::Stamp;
use dcr_solver::kernel::Region;
use dcr_solver::{GOOD, Observations, PixelList, groups};
use ndarray::{Array2, s};
use rayon::prelude::*;

use super::psf_kernel::kernel_between;
use super::psfs::{FWHM_PER_SIGMA, common_psf, stamp_at, turned_f32};
use super::{Search, UNKNOWN_FWHM_PX};
use crate::config::{ArtefactConfig, AssembleConfig};
use crate::convolve::correlate_inside;
use crate::detection::{grown, median, without_small_groups};
use crate::error::CoaddError;
use crate::journal::Journal;
use crate::plain_coadd::{Combination, Value, Work};
use crate::store::Store;

/// The share of a kernel's weight that may fall on masked pixels.
const MISSING_WEIGHT: f32 = 0.02;
/// Side of the blocks that are convolved at a time.
const BLOCK: usize = 64;
/// Rows of an exposure that are convolved at a time.
const STRIP_ROWS: usize = 128;
/// Standard deviation of a normal distribution with a median absolute deviation of 1.
const SIGMA_PER_MAD: f32 = 1.482_602_2;

/// Finds artefacts. The store ends without them.
///
/// # Errors
///
/// [`CoaddError`] if pixels cannot be read, or the caller wants to stop.
pub(super) fn find(
    search: &Search<'_>,
    store: &mut Store,
    config: &AssembleConfig,
    journal: &mut Journal<'_>,
) -> Result<Vec<PixelList>, CoaddError> {
    let settings = &config.artefacts;
    journal.stage("finding artefacts", search.inputs.visits.len() + 1)?;
    let common = common_psf(search, settings.psf_fwhm_px)?;
    let matching = Matching::new(search, store, common.as_ref());
    let sky = matching.static_sky(settings, &|| journal.go_on())?;
    journal.monitor.step("static sky");
    let sigma_px = common.and_then(|psf| psf.fwhm_px().ok()).unwrap_or(UNKNOWN_FWHM_PX) / FWHM_PER_SIGMA;
    let spared = settings.source_threshold.map(|threshold| {
        let bright = ndarray::Zip::from(&sky.image)
            .and(&sky.variance)
            .map_collect(|value, variance| *value > threshold as f32 * variance.sqrt());
        grown(&bright, settings.source_grow * sigma_px)
    });
    let mut candidates = vec![];
    for visit in 0..store.visits() {
        let mut found = matching.candidates(visit, &sky, sigma_px, settings)?;
        found.retain(|group| !inside(group, spared.as_ref()));
        candidates.push(search.not_masked(visit, found, settings)?);
        journal.monitor.step(&search.inputs.visits[visit].name());
        journal.go_on()?;
    }
    let mut found = settings.rarity().rare(&candidates, &sky.count);
    matching.only_good(&mut found)?;
    store.leave_out(found.clone());
    Ok(found)
}

/// Whether all of a group is set.
fn inside(group: &PixelList, flags: Option<&Array2<bool>>) -> bool {
    let Some(flags) = flags else { return false };
    let cols = flags.ncols();
    group.iter().all(|pixel| flags[[*pixel as usize / cols, *pixel as usize % cols]])
}

impl Search<'_> {
    /// The groups of which enough pixels are off the mask planes that are set.
    fn not_masked(
        &self,
        visit: usize,
        mut groups: Vec<PixelList>,
        settings: &ArtefactConfig,
    ) -> Result<Vec<PixelList>, CoaddError> {
        let file = &self.inputs.visits[visit].file;
        let bits = file.mask_planes().bits_of(&settings.prefilter_mask_planes);
        if groups.is_empty() || bits == 0 {
            return Ok(groups);
        }
        let mask = file.read_mask(self.inputs.bbox)?;
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

/// Exposures on their way to the common PSF.
struct Matching<'a> {
    search: &'a Search<'a>,
    store: &'a Store,
    /// Turned for correlation; `None` to leave an exposure as it is.
    kernels: Vec<Option<Array2<f32>>>,
    shape: (usize, usize),
}

impl<'a> Matching<'a> {
    fn new(search: &'a Search<'a>, store: &'a Store, common: Option<&Stamp>) -> Self {
        let place = search.inputs.bbox.centre();
        let kernel = |visit| {
            let (own, common) = (stamp_at(visit, place)?, common?);
            Some(turned_f32(&kernel_between(&own, common)))
        };
        let kernels = search.inputs.visits.iter().map(kernel).collect();
        Self { search, store, kernels, shape: search.inputs.bbox.shape() }
    }

    /// Some rows of an exposure at the common PSF, NaN where too much is masked.
    fn rows(&self, visit: usize, rows: Range<usize>) -> Result<Array2<f32>, CoaddError> {
        let one = Array2::ones((1, 1));
        let kernel = self.kernels[visit].as_ref().unwrap_or(&one);
        let half = kernel.nrows() / 2;
        let around = Region { rows: rows.clone(), cols: 0..self.shape.1 };
        let around = around.grown(half, &Region::whole(self.shape));
        let pixels = self.store.pixels(visit, &around)?;
        // Beyond the patch everything is masked.
        let mut image = Array2::<f32>::zeros((rows.len() + 2 * half, self.shape.1 + 2 * half));
        let mut missing = Array2::<f32>::ones(image.dim());
        let top = half - (rows.start - around.rows.start);
        let place = s![top..top + around.rows.len(), half..half + self.shape.1];
        let (mut image_part, mut missing_part) = (image.slice_mut(place), missing.slice_mut(place));
        ndarray::Zip::from(&mut image_part)
            .and(&mut missing_part)
            .and(&pixels.image)
            .and(&pixels.flags)
            .for_each(|image, missing, value, flags| {
                if flags & GOOD != 0 {
                    (*image, *missing) = (*value, 0.0);
                }
            });
        let mut out = Array2::zeros((rows.len(), self.shape.1));
        for tile in dcr_image::BBox::new(0, 0, self.shape.1, rows.len()).tiles((BLOCK, BLOCK)) {
            let (y, x) = (tile.y0 as usize, tile.x0 as usize);
            let wide = s![y..y + tile.height + 2 * half, x..x + tile.width + 2 * half];
            let mut block = correlate_inside(image.slice(wide), kernel.view());
            let missing = missing.slice(wide);
            if missing.iter().any(|missing| *missing > 0.0) {
                let lost = correlate_inside(missing, kernel.view());
                block.zip_mut_with(&lost, |value, lost| {
                    *value = if *lost > MISSING_WEIGHT { f32::NAN } else { *value / (1.0 - lost) };
                });
            }
            out.slice_mut(s![y..y + tile.height, x..x + tile.width]).assign(&block);
        }
        Ok(out)
    }

    /// The variance of a pixel of an exposure at the common PSF, beside light of the static sky.
    fn variance(&self, visit: usize, light: f32) -> f32 {
        let noise = &self.search.noise[visit];
        let left =
            self.kernels[visit].as_ref().map_or(1.0, |kernel| kernel.iter().map(|k| f64::from(k * k)).sum());
        ((noise.sky_variance + noise.shot * f64::from(light.max(0.0))) * left) as f32
    }

    fn static_sky(
        &self,
        settings: &ArtefactConfig,
        go_on: &dyn Fn() -> Result<(), CoaddError>,
    ) -> Result<StaticSky, CoaddError> {
        let visits = self.store.visits();
        let combination =
            Combination::clipped_mean(&self.store.weights, settings.clip_sigma, settings.clip_iterations);
        let variances: Vec<f32> = (0..visits).map(|visit| self.variance(visit, 0.0)).collect();
        let mut sky = StaticSky {
            image: Array2::from_elem(self.shape, f32::NAN),
            variance: Array2::from_elem(self.shape, f32::NAN),
            count: Array2::zeros(self.shape),
        };
        let row_bytes = (visits * self.shape.1 * size_of::<f32>()).max(1);
        let strip_rows = (self.search.strip_bytes / row_bytes).clamp(1, STRIP_ROWS);
        for start in (0..self.shape.0).step_by(strip_rows) {
            go_on()?;
            let rows = start..(start + strip_rows).min(self.shape.0);
            let strips: Vec<Result<Array2<f32>, CoaddError>> =
                (0..visits).into_par_iter().map(|visit| self.rows(visit, rows.clone())).collect();
            let strips: Vec<Array2<f32>> = strips.into_iter().collect::<Result<_, _>>()?;
            let mut work = Work::default();
            for y in rows.clone() {
                for x in 0..self.shape.1 {
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

    /// What stands out of the difference between an exposure and the static sky, as groups.
    fn candidates(
        &self,
        visit: usize,
        sky: &StaticSky,
        sigma_px: f64,
        settings: &ArtefactConfig,
    ) -> Result<Vec<PixelList>, CoaddError> {
        let (rows, cols) = self.shape;
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
        let mut significance = Array2::<f32>::zeros(self.shape);
        for (start, strip) in starts.iter().zip(strips) {
            let strip = strip?;
            significance.slice_mut(s![*start..start + strip.nrows(), ..]).assign(&strip);
        }
        let empty =
            significance.iter().zip(self.search.sources).filter(|(s, source)| s.is_finite() && !**source);
        let scatter = SIGMA_PER_MAD * median(empty.map(|(s, _)| s.abs()).collect());
        let threshold = settings.detection_threshold as f32 * if scatter > 0.0 { scatter } else { 1.0 };
        let mut above = significance.mapv(|s| s.abs() > threshold);
        if above.iter().any(|above| *above) {
            above = without_small_groups(&above, settings.detection_min_pixels);
            above = grown(&above, (settings.detection_grow * sigma_px + 0.5).floor());
        }
        let pixels: PixelList =
            above.iter().enumerate().filter(|(_, above)| **above).map(|(index, _)| index as u32).collect();
        Ok(groups(&pixels, cols))
    }

    /// Leaves the pixels that were good.
    fn only_good(&self, found: &mut [PixelList]) -> Result<(), CoaddError> {
        let (rows, cols) = self.shape;
        for (visit, pixels) in found.iter_mut().enumerate().filter(|(_, pixels)| !pixels.is_empty()) {
            let all = self.store.pixels(visit, &Region::whole((rows, cols)))?;
            pixels.retain(|pixel| all.flags[[*pixel as usize / cols, *pixel as usize % cols]] & GOOD != 0);
        }
        Ok(())
    }
}
