//! The sky of each visit: level, slope and noise, compared with the stated variances.
//!
//! The level should be 0 everywhere: a model takes background that visits share for the light of
//! sources, and clips other background as artefacts, or leaves it in every difference. Weights and
//! thresholds rest on the variances, so the noise is compared with them.

use dcr_image::{BBox, MaskedImage};
use dcr_solver::{DETECTED, GOOD};
use ndarray::ArrayView2;

use crate::run::run_log::RunLog;
use dcr_measure::sky_plane::{ONE_SIGMA_BELOW, SkyPixel, SkyPlane};
use dcr_measure::statistics::{median, median_of_pixels, quantile_of_pixels};

/// Reported difference of a level from that of the other visits, in σ of a pixel: over the area of
/// a PSF it is 3 σ or more.
const DIFFERENT: f64 = 0.5;
/// A level that visits have in common is reported from here on; less may be a field full of faint
/// sources.
const COMMON: f64 = 3.0;
/// Reported slope from side to side, in σ of a pixel.
const SLOPING: f64 = 0.5;
/// Minimum significance of a reported slope, in units of its error.
const SURE: f64 = 7.0;
/// Largest ratio of the noise found to that stated.
const MOST_NOISE: f64 = 1.3;
/// Smallest ratio. Resampling correlates pixels and leaves 0.6 to 0.9 of the stated noise in each.
const LEAST_NOISE: f64 = 0.5;
/// Largest ratio of the variances of a visit's sky, from the quantile 0.05 to 0.95.
const UNEVEN: f64 = 2.0;
/// Upper limit on the pixels sampled for the sky of a visit.
const ENOUGH: usize = 1 << 16;

/// A sample of the unmasked, source-free pixels of an image.
pub(crate) struct Sample {
    bbox: BBox,
    every: usize,
    seen: usize,
    pixels: Vec<SkyPixel>,
}

/// Statistics of the sky from a sample of pixels.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sky {
    /// Median; `None` without any pixel.
    pub(crate) level: Option<f64>,
    /// `None` of too few pixels.
    pub(crate) plane: Option<SkyPlane>,
    /// Noise about the plane in units of the stated noise.
    pub(crate) noise_ratio: Option<f64>,
    /// Ratio of the variances at the quantiles 0.95 and 0.05.
    pub(crate) variance_spread: Option<f64>,
}

impl Sample {
    /// Empty sample of an image with these pixels.
    pub(crate) fn of(bbox: BBox) -> Self {
        Self { bbox, every: (bbox.area() / ENOUGH).max(1), seen: 0, pixels: vec![] }
    }

    /// Adds a part of the image with its flags.
    pub(crate) fn add(&mut self, part: &MaskedImage, flags: ArrayView2<'_, u8>) {
        let ((cx, cy), (width, height)) = (self.bbox.centre(), (self.bbox.width, self.bbox.height));
        for (((y, x), value), (variance, flags)) in
            part.image.indexed_iter().zip(part.variance.iter().zip(flags))
        {
            if flags & (GOOD | DETECTED) == GOOD {
                if self.seen.is_multiple_of(self.every) {
                    let u = ((part.bbox.x0 + x as i64) as f64 - cx) / width as f64;
                    let v = ((part.bbox.y0 + y as i64) as f64 - cy) / height as f64;
                    let place = [u as f32, v as f32];
                    self.pixels.push(SkyPixel { place, value: *value, variance: *variance });
                }
                self.seen += 1;
            }
        }
    }

    /// Level, slope and noise of the sky.
    pub(crate) fn sky(self) -> Sky {
        let values: Vec<f32> = self.pixels.iter().map(|pixel| pixel.value).collect();
        let level = (!values.is_empty()).then(|| f64::from(median_of_pixels(values)));
        let Some(plane) = SkyPlane::of(&self.pixels) else { return Sky { level, ..Sky::default() } };
        let relative = |pixel: &SkyPixel| {
            ((f64::from(pixel.value) - plane.at(pixel.place)) / f64::from(pixel.variance).sqrt()) as f32
        };
        let mut relative: Vec<f32> = self.pixels.iter().map(relative).collect();
        // Undetected sources are on the other side.
        let noise =
            quantile_of_pixels(&mut relative, 0.5) - quantile_of_pixels(&mut relative, ONE_SIGMA_BELOW);
        let mut variances: Vec<f32> = self.pixels.iter().map(|pixel| pixel.variance).collect();
        let [low, high] = [0.05, 0.95].map(|share| f64::from(quantile_of_pixels(&mut variances, share)));
        Sky {
            level,
            plane: Some(plane),
            noise_ratio: Some(f64::from(noise)),
            variance_spread: (low > 0.0).then(|| high / low),
        }
    }
}

/// The sky of a visit, and the stated σ of its pixels.
pub(crate) struct VisitSky {
    pub(crate) visit: String,
    pub(crate) sky: Sky,
    pub(crate) sigma: f64,
}

/// How a method treats skies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SkyTreatment {
    /// It has one variance for each visit.
    pub(crate) one_variance: bool,
    /// It undoes differences between the visits.
    pub(crate) calibrates: bool,
}

impl SkyTreatment {
    /// What becomes of differences between visits.
    fn remedy(self, otherwise: &str) -> String {
        match self.calibrates {
            true => "This was fitted and undone (joint.calibrate_background); what all visits share remains."
                .into(),
            false => format!("Subtract the background first: {otherwise}."),
        }
    }
}

/// Warns of skies that are not flat and 0, and of variances that the skies contradict.
pub(crate) fn warn_of_skies(skies: &[VisitSky], treatment: SkyTreatment, log: &mut RunLog<'_>) {
    warn_of_levels(skies, treatment, log);
    warn_of_slopes(skies, treatment, log);
    warn_of_noise(skies, log);
    if treatment.one_variance {
        warn_of_uneven_variances(skies, log);
    }
}

/// Warns of visits that have another level than most, and of a level that all have.
fn warn_of_levels(skies: &[VisitSky], treatment: SkyTreatment, log: &mut RunLog<'_>) {
    let levels: Vec<(f64, f64, &str)> =
        skies.iter().filter_map(|s| Some((s.sky.level?, s.sigma, s.visit.as_str()))).collect();
    let common = median(levels.iter().map(|(level, ..)| *level).collect());
    let sigma = median(levels.iter().map(|(_, sigma, _)| *sigma).collect());
    let (Some(common), Some(sigma)) = (common, sigma) else { return };
    if common.abs() > COMMON * sigma {
        let text = format!(
            "The sky of the visits has a median level of {common:.4}, {:+.1} σ of a pixel. The coadd takes it for the light of sources: \
             subtract the background first.",
            common / sigma
        );
        log.warn("background", text);
    }
    let departures = levels.iter().map(|(level, sigma, visit)| ((level - common) / sigma, *visit));
    let Some((different, most, visit)) = beyond(departures, DIFFERENT) else { return };
    let text = format!(
        "The level of the sky in {different} of {} visits differs from that of the others by more than {DIFFERENT} σ of a pixel, most in {visit}: \
         {most:+.1} σ. {}",
        levels.len(),
        treatment.remedy("the difference remains in difference images, or is clipped as artefacts"),
    );
    log.warn("background", text);
}

/// Warns of visits whose sky rises from side to side.
fn warn_of_slopes(skies: &[VisitSky], treatment: SkyTreatment, log: &mut RunLog<'_>) {
    let slopes = skies.iter().filter_map(|s| {
        let plane = s.sky.plane.filter(|plane| plane.steepness() > SURE * plane.steepness_error())?;
        Some((plane.steepness(), s.visit.as_str()))
    });
    let Some((sloping, most, visit)) = beyond(slopes, SLOPING) else { return };
    let text = format!(
        "The sky in {sloping} of {} visits slopes by more than {SLOPING} σ of a pixel from side to side, most in {visit}: {most:.1} σ. {}",
        skies.len(),
        treatment.remedy("a slope enters the coadd and remains in difference images"),
    );
    log.warn("background", text);
}

/// Warns of visits whose noise contradicts their variances.
fn warn_of_noise(skies: &[VisitSky], log: &mut RunLog<'_>) {
    let ratios = || skies.iter().filter_map(|s| Some((s.sky.noise_ratio?, s.visit.as_str())));
    if let Some((noisy, most, visit)) = beyond(ratios(), MOST_NOISE) {
        let text = format!(
            "The noise of the sky in {noisy} of {} visits exceeds the stated noise by a factor of more than {MOST_NOISE}, most in {visit}: {most:.2}. \
             Weights and errors rest on the variances: check their scale (input.weights_hold, gain), or set input.missing_variance.",
            skies.len(),
        );
        log.warn("variance", text);
    }
    let inverse = ratios().filter(|(ratio, _)| *ratio >= 0.0).map(|(ratio, visit)| (ratio.recip(), visit));
    if let Some((quiet, most, visit)) = beyond(inverse, LEAST_NOISE.recip()) {
        let text = format!(
            "The noise of the sky in {quiet} of {} visits is less than {LEAST_NOISE} of the stated noise, least in {visit}: {:.2e}. \
             Resampling leaves 0.6 to 0.9 of it in each pixel; less is a wrong scale of the variances (input.weights_hold, gain).",
            skies.len(),
            most.recip()
        );
        log.warn("variance", text);
    }
}

/// Warns of visits whose variance varies over the sky.
fn warn_of_uneven_variances(skies: &[VisitSky], log: &mut RunLog<'_>) {
    let spreads = skies.iter().filter_map(|s| Some((s.sky.variance_spread?, s.visit.as_str())));
    let Some((uneven, most, visit)) = beyond(spreads, UNEVEN) else { return };
    let text = format!(
        "The variance of the sky varies in {uneven} of {} visits by more than a factor of {UNEVEN}, most in {visit}: {most:.1}. The joint method \
         has one variance for each visit: the coadd is noisier than it need be where variances differ, and its VARIANCE is their \
         mean. solver.method = \"iterative\" keeps them pixel by pixel; or mask the noisier parts.",
        skies.len(),
    );
    log.warn("variance", text);
}

/// How many of the values exceed a limit, with their sign either way, and the largest with its
/// name; `None` if none does.
fn beyond<'a>(values: impl Iterator<Item = (f64, &'a str)>, limit: f64) -> Option<(usize, f64, &'a str)> {
    let beyond: Vec<(f64, &str)> = values.filter(|(value, _)| value.abs() > limit).collect();
    let (most, name) = beyond.iter().max_by(|a, b| a.0.abs().total_cmp(&b.0.abs()))?;
    Some((beyond.len(), *most, *name))
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;
    use crate::run::progress::Unmonitored;

    fn warnings(skies: Vec<Sky>) -> Vec<String> {
        let mut log = RunLog::new(&Unmonitored);
        let named = |(i, sky)| VisitSky { visit: format!("visit {i}"), sky, sigma: 2.0 };
        let treatment = SkyTreatment { one_variance: true, calibrates: false };
        warn_of_skies(&skies.into_iter().enumerate().map(named).collect::<Vec<_>>(), treatment, &mut log);
        log.warnings.iter().map(|warning| warning.text.clone()).collect()
    }

    fn of_levels(levels: &[f64]) -> Vec<String> {
        warnings(levels.iter().map(|level| Sky { level: Some(*level), ..Sky::default() }).collect())
    }

    #[test]
    fn background_that_is_left_is_reported() {
        assert!(of_levels(&[]).is_empty());
        assert!(of_levels(&[5.0]).is_empty());
        assert!(of_levels(&[0.0, 0.3, -0.8, 0.9]).is_empty());
        let of_one = of_levels(&[0.0, 0.3, -0.2, 21.0, 1.2]);
        assert_eq!(of_one.len(), 1);
        assert!(
            of_one[0].contains("in 1 of 5 visits") && of_one[0].contains("visit 3: +10.3 σ"),
            "{of_one:?}"
        );
        let of_all = of_levels(&[100.0, 100.2]);
        assert!(of_all.len() == 1 && of_all[0].contains("+50.0 σ"), "{of_all:?}");
    }

    #[test]
    fn background_that_slopes_is_reported_if_it_is_sure() {
        let plane = |rise, pixels| SkyPlane { level: 0.0, rise, sigma: 2.0, pixels };
        let sloping =
            |rise, pixels| warnings(vec![Sky { plane: Some(plane(rise, pixels)), ..Sky::default() }]);
        assert!(sloping([0.5, 0.5], 10_000).is_empty());
        assert!(sloping([0.0, 2.0], 500).is_empty(), "an error of 0.15");
        let text = sloping([0.0, -5.0], 10_000);
        assert!(
            text.len() == 1 && text[0].contains("in 1 of 1 visits") && text[0].contains("2.5 σ"),
            "{text:?}"
        );
    }

    #[test]
    fn noise_that_variances_contradict_is_reported() {
        let of = |ratio| warnings(vec![Sky { noise_ratio: Some(ratio), ..Sky::default() }]);
        for fine in [0.6, 0.9, 1.0, 1.25] {
            assert!(of(fine).is_empty());
        }
        assert!(of(1.5)[0].contains("visit 0: 1.50."));
        assert!(of(0.01)[0].contains("visit 0: 1.00e-2"));
        assert!(of(0.0)[0].contains("visit 0: 0.00e0"), "no noise at all");
    }

    #[test]
    fn variance_that_varies_within_a_visit_is_reported() {
        let of =
            |spread| warnings(vec![Sky::default(), Sky { variance_spread: Some(spread), ..Sky::default() }]);
        assert!(of(1.8).is_empty());
        let text = of(25.0);
        assert!(text.len() == 1 && text[0].contains("in 1 of 2 visits") && text[0].contains("visit 1: 25.0"));
    }

    fn part(image: Array2<f32>) -> MaskedImage {
        let (rows, cols) = image.dim();
        let (mask, variance) = (Array2::zeros((rows, cols)), Array2::ones((rows, cols)));
        MaskedImage { bbox: BBox::new(0, 0, cols, rows), image, mask, variance }
    }

    #[test]
    fn background_is_that_of_good_pixels_without_sources() {
        let flags = array![[GOOD, GOOD, GOOD | DETECTED, 0, GOOD]];
        let mut sample = Sample::of(BBox::new(0, 0, 5, 1));
        sample.add(&part(array![[1.0, 3.0, 900.0, f32::NAN, 2.0]]), flags.view());
        assert_eq!(sample.sky().level, Some(2.0));
        assert_eq!(Sample::of(BBox::new(0, 0, 3, 3)).sky().level, None);
        let mut some = Sample::of(BBox::new(0, 0, 512, 512));
        let good = Array2::from_elem((1, 5), GOOD);
        some.add(&part(array![[1.0, 9.0, 9.0, 9.0, 1.0]]), good.view());
        assert_eq!(some.sky().level, Some(1.0));
    }

    /// Half of the image has five times the noise, and says so.
    #[test]
    fn sky_of_an_uneven_image() {
        let bbox = BBox::new(100, 200, 80, 60);
        let mut state = 3_u64;
        let mut even = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 24) as f32
        };
        let sigma = |x: usize| if x < 40 { 5.0 } else { 1.0 };
        let image = Array2::from_shape_fn(bbox.shape(), |(_, x)| {
            sigma(x) * ((0..12).map(|_| even()).sum::<f32>() - 6.0)
        });
        let variance = Array2::from_shape_fn(bbox.shape(), |(_, x)| sigma(x) * sigma(x));
        let part = MaskedImage { bbox, image, variance, mask: Array2::zeros(bbox.shape()) };
        let mut sample = Sample::of(bbox);
        sample.add(&part, Array2::from_elem(bbox.shape(), GOOD).view());
        let sky = sample.sky();
        assert_eq!(sky.variance_spread, Some(25.0));
        assert!((sky.noise_ratio.unwrap() - 1.0).abs() < 0.08, "{sky:?}");
    }
}
