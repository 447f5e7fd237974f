//! How much each visit counts: the inverse of its noise.

use dcr_image::fits::ScratchFile;
use dcr_image::{BBox, MaskedImage, ReadError};
use dcr_solver::joint::Noise;
use dcr_solver::{GOOD, PixelList};
use multiversion::multiversion;
use ndarray::{Array2, ArrayView2, s};
use rayon::prelude::*;

use crate::config::CoaddConfig;
use crate::inputs::Input;
use crate::inputs::background::{Sample, Sky};
use crate::inputs::losses::MaskLosses;
use crate::inputs::pixels::{PixelReader, VisitPixels, leave_out};
use dcr_measure::glitches::{Contrast, Glitch, REACH_PX, glitches, largest};

/// Sampling interval in pixels of the noise model, where it serves the search for artefacts only.
pub(crate) const NOISE_OF_EVERY: usize = 7;

/// Rejection of the clipped mean of the variance, in standard deviations.
const CLIP_SIGMA: f64 = 3.0;
/// Passes of it.
const CLIP_PASSES: usize = 2;
/// Rows that are read at a time.
const STRIP_ROWS: usize = 512;

/// A visit that has been read once.
pub(crate) struct VisitSurvey {
    /// Clipped mean of the variance of its good pixels; `None` without good pixels.
    pub(crate) variance: Option<f64>,
    /// The share of good pixels.
    pub(crate) usable: f64,
    /// Its image and flags, if they are kept in memory.
    pub(crate) planes: Option<(Array2<f32>, Array2<u8>)>,
    /// Its noise model (noise against signal), if requested and measurable.
    pub(crate) noise: Option<Noise>,
    /// Its sky, and whether its variances agree with that.
    pub(crate) sky: Sky,
    /// The pixels that masks take.
    pub(crate) losses: MaskLosses,
    /// Pixels that cannot be light, and the largest of them: deviation in σ, parent pixel
    /// coordinates.
    pub(crate) glitches: PixelList,
    pub(crate) largest_glitch: Option<(f64, (i64, i64))>,
    /// The share of good pixels in each of the cells asked for.
    pub(crate) coverage: Vec<f64>,
}

/// Where the pixels that are read are kept.
#[derive(Clone, Copy)]
pub(crate) enum Keep<'a> {
    /// In memory.
    InMemory,
    /// On disk.
    OnDisk(&'a ScratchFile),
}

/// Reads every visit once, each in strips. The noise model is fitted to every `noise`-th pixel.
///
/// # Errors
///
/// The error of the first visit, in order, that cannot be read.
pub(crate) fn survey(
    visits: &[Input],
    reader: &PixelReader<'_>,
    keep: Keep,
    noise: Option<usize>,
    cells: &[BBox],
    done: &(dyn Fn(&Input) + Sync),
) -> Result<Vec<VisitSurvey>, ReadError> {
    let surveys: Vec<Result<VisitSurvey, ReadError>> = visits
        .par_iter()
        .enumerate()
        .map(|(slot, visit)| {
            let survey = survey_visit(slot, visit, reader, keep, noise, cells)?;
            done(visit);
            Ok(survey)
        })
        .collect();
    surveys.into_iter().collect()
}

fn survey_visit(
    slot: usize,
    visit: &Input,
    reader: &PixelReader<'_>,
    keep: Keep,
    noise: Option<usize>,
    cells: &[BBox],
) -> Result<VisitSurvey, ReadError> {
    let bbox = visit.file.bbox();
    let in_memory = matches!(keep, Keep::InMemory);
    let mut planes = in_memory.then(|| (Array2::zeros(bbox.shape()), Array2::zeros(bbox.shape())));
    let mut variances = Vec::new();
    let (mut values, mut kinds) = (Vec::new(), Vec::new());
    let mut sample = Sample::of(bbox);
    let mut losses = MaskLosses::new(reader.bad_planes());
    let contrast = Contrast::of(visit.file.psf(), bbox.centre(), visit.sky.visit.psf_fwhm_px);
    let (mut all_glitches, mut largest_glitch) = (vec![], None);
    let mut coverage = vec![0.0; cells.len()];
    for strip in bbox.tiles((bbox.width, STRIP_ROWS)) {
        let (pixels, found) = read_without_glitches(visit, reader, strip, &contrast)?;
        all_glitches.extend(found.iter().map(|glitch| index_in(&bbox, &strip, glitch.at)));
        largest_glitch = largest(&found)
            .map(|glitch| (glitch.sigmas, place_in(&strip, glitch.at)))
            .into_iter()
            .chain(largest_glitch)
            .max_by(|a, b| a.0.abs().total_cmp(&b.0.abs()));
        losses.add(&pixels.masked, pixels.flags.view(), visit.file.mask_planes());
        add_good_pixels(&mut coverage, cells, &strip, pixels.flags.view());
        let good = pixels.masked.variance.iter().zip(&pixels.flags).filter(|(_, flags)| **flags & GOOD != 0);
        variances.extend(good.map(|(variance, _)| *variance));
        sample.add(&pixels.masked, pixels.flags.view());
        if noise.is_some() {
            let good = pixels.masked.image.iter().zip(&pixels.flags).filter(|(_, flags)| **flags & GOOD != 0);
            good.for_each(|(value, flags)| {
                values.push(*value);
                kinds.push(*flags);
            });
        }
        let Some((rows, _)) = strip.slice_in(&bbox) else { continue };
        if let Keep::OnDisk(file) = keep {
            file.write(slot, rows.start, pixels.masked.image.view(), pixels.flags.view())?;
        }
        if let Some((image, flags)) = &mut planes {
            image.slice_mut(s![rows.clone(), ..]).assign(&pixels.masked.image);
            flags.slice_mut(s![rows, ..]).assign(&pixels.flags);
        }
    }
    let usable = variances.len() as f64 / bbox.area().max(1) as f64;
    let noise = noise.and_then(|every| noise_of(&values, &variances, &kinds, every));
    coverage.iter_mut().zip(cells).for_each(|(count, cell)| *count /= cell.area().max(1) as f64);
    Ok(VisitSurvey {
        variance: clipped_mean(&variances),
        usable,
        planes,
        noise,
        sky: sample.sky(),
        losses,
        glitches: all_glitches,
        largest_glitch,
        coverage,
    })
}

/// Reads a strip with the rows around it that the glitch test needs, and masks its glitches.
/// Returns strip and glitches.
fn read_without_glitches(
    visit: &Input,
    reader: &PixelReader<'_>,
    strip: BBox,
    contrast: &Contrast,
) -> Result<(VisitPixels, Vec<Glitch>), ReadError> {
    let around = BBox::new(strip.x0, strip.y0 - REACH_PX as i64, strip.width, strip.height + 2 * REACH_PX)
        .clipped(&visit.file.bbox());
    let mut pixels = reader.read(visit, around)?;
    let MaskedImage { image, variance, .. } = &pixels.masked;
    let mut found = glitches(image.view(), variance.view(), pixels.flags.view(), contrast);
    found.iter().for_each(|glitch| leave_out(&mut pixels.flags[glitch.at]));
    let above = (strip.y0 - around.y0) as usize;
    if around != strip {
        let rows = s![above..above + strip.height, ..];
        let MaskedImage { image, mask, variance, .. } = &pixels.masked;
        let [image, variance] = [image, variance].map(|plane| plane.slice(rows).to_owned());
        let masked = MaskedImage { bbox: strip, image, mask: mask.slice(rows).to_owned(), variance };
        pixels = VisitPixels { masked, flags: pixels.flags.slice(rows).to_owned() };
    }
    found.retain(|glitch| (above..above + strip.height).contains(&glitch.at.0));
    found.iter_mut().for_each(|glitch| glitch.at.0 -= above);
    Ok((pixels, found))
}

/// Index `row × cols + col` in the patch of a pixel of a strip.
fn index_in(patch: &BBox, strip: &BBox, (row, col): (usize, usize)) -> u32 {
    (((strip.y0 - patch.y0) as usize + row) * patch.width + col) as u32
}

/// Parent pixel coordinates of a pixel of a strip.
fn place_in(strip: &BBox, (row, col): (usize, usize)) -> (i64, i64) {
    (strip.x0 + col as i64, strip.y0 + row as i64)
}

/// Adds the number of good pixels of a strip to that of each cell that it meets.
fn add_good_pixels(counts: &mut [f64], cells: &[BBox], strip: &BBox, flags: ArrayView2<'_, u8>) {
    for (count, cell) in counts.iter_mut().zip(cells) {
        let Some(part) = cell.intersection(strip) else { continue };
        let Some((rows, cols)) = part.slice_in(strip) else { continue };
        let good = flags.slice(s![rows, cols]).iter().filter(|flags| **flags & GOOD != 0).count();
        *count += good as f64;
    }
}

/// Noise model from a regular sample of pixels.
pub(crate) fn noise_of(values: &[f32], variances: &[f32], flags: &[u8], every: usize) -> Option<Noise> {
    let some = |all: &[f32]| -> Vec<f32> { all.iter().step_by(every).copied().collect() };
    let (values, variances) = (some(values), some(variances));
    let flags: Vec<u8> = flags.iter().step_by(every).copied().collect();
    let row = (1, values.len());
    Noise::of_planes(
        ArrayView2::from_shape(row, &values).ok()?,
        ArrayView2::from_shape(row, &variances).ok()?,
        ArrayView2::from_shape(row, &flags).ok()?,
    )
}

/// Mean of the values within 3 standard deviations of the mean, twice; `None` of nothing.
fn clipped_mean(values: &[f32]) -> Option<f64> {
    let pivot = *values.first()?;
    let (mut lo, mut hi) = (f64::NEG_INFINITY, f64::INFINITY);
    let mut mean = None;
    for _ in 0..=CLIP_PASSES {
        let [count, sum, squares] = moments(values, pivot, [lo, hi]);
        if count == 0.0 {
            break;
        }
        let offset = sum / count;
        let centre = f64::from(pivot) + offset;
        mean = Some(centre);
        let deviation = (squares / count - offset * offset).max(0.0).sqrt();
        // Rounding must not reject values that are all alike.
        let reach = CLIP_SIGMA * deviation + 1e-12 * centre.abs();
        (lo, hi) = (centre - reach, centre + reach);
    }
    mean
}

/// Number, sum and sum of squares of the differences from `pivot` of the values between the bounds.
#[multiversion(targets("x86_64+avx2"))]
fn moments(values: &[f32], pivot: f32, [lo, hi]: [f64; 2]) -> [f64; 3] {
    const LANES: usize = 8;
    let mut sums = [[0.0_f64; LANES]; 3];
    for chunk in values.chunks(LANES) {
        for (lane, value) in chunk.iter().enumerate() {
            let value = f64::from(*value);
            let kept = (value >= lo) & (value <= hi);
            let difference = if kept { value - f64::from(pivot) } else { 0.0 };
            sums[0][lane] += if kept { 1.0 } else { 0.0 };
            sums[1][lane] += difference;
            sums[2][lane] += difference * difference;
        }
    }
    sums.map(|lanes| lanes.iter().sum())
}

/// The visits' weights, of mean 1, from their variances and airmasses.
pub(crate) fn visit_weights(visits: &[(f64, f64)], config: &CoaddConfig) -> Vec<f64> {
    let weight = |(variance, airmass): &(f64, f64)| {
        let noise = if config.weight_visits { variance.recip() } else { 1.0 };
        let leverage = if config.airmass_weight { *airmass } else { 1.0 };
        noise * leverage
    };
    of_mean_one(visits.iter().map(weight).collect())
}

/// Weights, scaled to a mean of 1.
pub(crate) fn of_mean_one(weights: Vec<f64>) -> Vec<f64> {
    let mean = weights.iter().sum::<f64>() / weights.len().max(1) as f64;
    weights.iter().map(|weight| weight / mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clipped_mean_of_outliers_and_nothing() {
        assert_eq!(clipped_mean(&[]), None);
        assert_eq!(clipped_mean(&[4.0]), Some(4.0));
        let mut values = vec![2.0_f32; 99];
        values.push(1e6);
        assert!((clipped_mean(&values).unwrap() - 2.0).abs() < 1e-9);
    }

    #[test]
    fn weights_have_mean_one_and_follow_the_settings() {
        let visits = [(1.0, 1.0), (3.0, 2.0)];
        let ours = CoaddConfig::default();
        assert_eq!(visit_weights(&visits, &ours), [1.5, 0.5]);
        let alike = CoaddConfig { weight_visits: false, ..ours.clone() };
        assert_eq!(visit_weights(&visits, &alike), [1.0, 1.0]);
        let far = CoaddConfig { airmass_weight: true, ..alike };
        assert_eq!(visit_weights(&visits, &far), [2.0 / 3.0, 4.0 / 3.0]);
    }
}
