//! A streak in a band of pixels along a line: existence, ends and width.

use super::hough::Line;
use crate::statistics::{median_and_scatter, median_of_pixels};

/// Clipping level of pixels in σ, so that cosmic rays make no line.
const MOST_SIGMAS: f32 = 4.0;
/// Step of the search over directions: displacement of the ends in px.
const END_STEP: f64 = 0.5;
/// Minimum share of a streak's segments that are brighter than the sky.
const SHARE_OF_BRIGHT: f64 = 0.75;
/// Minimum ratio of the median to the mean of the segments. A chain of few bright spots is no
/// streak.
const MEDIAN_OVER_MEAN: f64 = 1.0 / 3.0;
/// Penalty of a segment without light in σ: a streak ends where segments fall below it.
const LOSS_OF_A_SEGMENT: f64 = 0.5;
/// Limit of the wings in standard deviations of the profile.
const SIGMAS_OF_PROFILE: f64 = 2.5;
/// Limit of the wings in σ of the sky per pixel; fainter wings are invisible in any coadd.
const FAINTEST: f64 = 0.1;

/// A pixel near a line.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Offset from the middle of the patch along x, in px.
    pub x: f64,
    /// Offset from the middle of the patch along y, in px.
    pub y: f64,
    /// Its departure from the sky in σ; `None` where sources or masks are.
    pub sigmas: Option<f32>,
    /// Its index in the patch.
    pub pixel: u32,
}

/// Criteria of a streak.
#[derive(Clone, Copy, Debug)]
pub struct Demands {
    /// Least significance of its light.
    pub significance: f64,
    /// Least length in px.
    pub length: f64,
    /// FWHM of the PSF in px.
    pub fwhm: f64,
    /// How far the line that was given may be off at its ends, in px.
    pub off: f64,
}

/// Pixels of a streak along a line, if there is one. `places` are all pixels around the line.
pub fn streak(places: &[Place], line: Line, demands: &Demands) -> Option<Vec<u32>> {
    let axes = line.axes();
    let reach = places.iter().map(|p| axes.across((p.x, p.y)).abs()).fold(0.0, f64::max);
    let span = extent(places, &line);
    let line = refined(places, line, (span.1 - span.0) / 2.0, reach, demands);
    let (from, to) = ends(places, &line, span, reach, demands)?;
    let within = |along: f64| (from..=to).contains(&along);
    let profile = Profile::new(places, &line, reach, within);
    let (left, right) = profile.width()?;
    // The ends are those of segments: the streak may go on for a little.
    let margin = demands.fwhm;
    let axes = line.axes();
    let band = places.iter().filter(|place| {
        let (across, along) = axes.across_and_along((place.x, place.y));
        (left - 1.0..=right + 1.0).contains(&across) && (from - margin..=to + margin).contains(&along)
    });
    Some(band.map(|place| place.pixel).collect())
}

/// Where the pixels begin and end along a line.
fn extent(places: &[Place], line: &Line) -> (f64, f64) {
    let axes = line.axes();
    let along = places.iter().map(|place| axes.across_and_along((place.x, place.y)).1);
    along.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), t| (low.min(t), high.max(t)))
}

/// The brightest line nearby.
fn refined(places: &[Place], line: Line, half_length: f64, reach: f64, demands: &Demands) -> Line {
    let steps = (demands.off / END_STEP).ceil() as i32;
    let turned = |step: i32| Line {
        theta: line.theta + f64::from(step) * END_STEP / half_length.max(1.0),
        rho: line.rho,
    };
    let best =
        (-steps..=steps).map(turned).map(|line| (Profile::new(places, &line, reach, |_| true).peak(), line));
    let ((_, offset), line) = best.max_by(|a, b| a.0.0.total_cmp(&b.0.0)).unwrap_or(((0.0, 0.0), line));
    Line { rho: line.rho + offset, ..line }
}

/// Ends of the streak along the line, if it is bright, long and even enough.
fn ends(
    places: &[Place],
    line: &Line,
    (first, last): (f64, f64),
    reach: f64,
    demands: &Demands,
) -> Option<(f64, f64)> {
    let profile = Profile::new(places, line, reach, |_| true);
    let (sky, noise) = profile.sky_and_noise();
    // What a pixel's σ would have to be, for the profile to have that noise.
    let of_a_pixel = (noise * profile.typical_count().sqrt()).max(1.0);
    let length = (4.0 * demands.fwhm).max(16.0);
    let mut segments = vec![(0.0_f64, 0.0_f64); ((last - first) / length).ceil().max(1.0) as usize];
    let axes = line.axes();
    for place in places {
        let Some(sigmas) = place.sigmas else { continue };
        let (across, along) = axes.across_and_along((place.x, place.y));
        if across.abs() <= demands.fwhm / 2.0 {
            let number = (((along - first) / length) as usize).min(segments.len() - 1);
            segments[number].0 += f64::from(sigmas.clamp(-MOST_SIGMAS, MOST_SIGMAS)) - sky;
            segments[number].1 += 1.0;
        }
    }
    let significance =
        |(sum, count): (f64, f64)| if count > 0.0 { sum / (count.sqrt() * of_a_pixel) } else { 0.0 };
    let loss = |segment: &(f64, f64)| if segment.1 > 0.0 { LOSS_OF_A_SEGMENT } else { 0.0 };
    // The run of segments of the largest sum.
    let (mut best, mut sum, mut start) = ((0.0, 0..0), 0.0, 0);
    for (number, segment) in segments.iter().enumerate() {
        if sum <= 0.0 {
            (sum, start) = (0.0, number);
        }
        sum += significance(*segment) - loss(segment);
        if sum > best.0 {
            best = (sum, start..number + 1);
        }
    }
    let run = &segments[best.1.clone()];
    let seen: Vec<f64> = run.iter().filter(|s| s.1 > 0.0).map(|s| significance(*s)).collect();
    let total = run.iter().fold((0.0, 0.0), |sum, s| (sum.0 + s.0, sum.1 + s.1));
    let bright = seen.iter().filter(|s| **s > 0.0).count() as f64;
    let mean = seen.iter().sum::<f64>() / seen.len().max(1) as f64;
    let middle = f64::from(median_of_pixels(seen.iter().map(|s| *s as f32).collect()));
    let is_streak = run.len() as f64 * length >= demands.length
        && significance(total) >= demands.significance
        && bright >= SHARE_OF_BRIGHT * seen.len() as f64
        && middle >= MEDIAN_OVER_MEAN * mean;
    let at = |number: usize| first + number as f64 * length;
    is_streak.then(|| (at(best.1.start), at(best.1.end)))
}

/// Mean light beside a line, by the distance from it in whole px.
struct Profile {
    /// Sum and number of pixels, from `-half` to `half`.
    sums: Vec<(f64, f64)>,
    half: usize,
}

impl Profile {
    fn new(places: &[Place], line: &Line, reach: f64, within: impl Fn(f64) -> bool) -> Self {
        let half = reach.floor() as usize;
        let axes = line.axes();
        let mut sums = vec![(0.0, 0.0); 2 * half + 1];
        for place in places {
            let Some(sigmas) = place.sigmas else { continue };
            let (across, along) = axes.across_and_along((place.x, place.y));
            // Rounded, without a call for it.
            let bin = across + half as f64 + 0.5;
            if within(along) && bin > 0.0 && (bin as usize) < sums.len() {
                let (sum, count) = &mut sums[bin as usize];
                *sum += f64::from(sigmas.clamp(-MOST_SIGMAS, MOST_SIGMAS));
                *count += 1.0;
            }
        }
        Self { sums, half }
    }

    /// The mean of three bins.
    fn smooth(&self, bin: usize) -> f64 {
        let near = &self.sums[bin.saturating_sub(1)..(bin + 2).min(self.sums.len())];
        let (sum, count) = near.iter().fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1));
        if count > 0.0 { sum / count } else { 0.0 }
    }

    /// Brightness of the brightest bin in the inner half, and its distance from the line.
    fn peak(&self) -> (f64, f64) {
        let inner = self.half / 2..=self.half + self.half / 2;
        let bins = inner.map(|bin| (self.smooth(bin), bin as f64 - self.half as f64));
        bins.max_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((0.0, 0.0))
    }

    /// Median of the outer halves, and their scatter; at least the noise of independent pixels of σ
    /// 1.
    fn sky_and_noise(&self) -> (f64, f64) {
        let outer = |bin: &usize| bin.abs_diff(self.half) > self.half / 2;
        let means: Vec<f32> = (0..self.sums.len())
            .filter(outer)
            .filter(|bin| self.sums[*bin].1 > 0.0)
            .map(|bin| (self.sums[bin].0 / self.sums[bin].1) as f32)
            .collect();
        let (sky, scatter) = if means.is_empty() { (0.0, 0.0) } else { median_and_scatter(means) };
        (f64::from(sky), scatter.max(self.typical_count().max(1.0).sqrt().recip()))
    }

    /// The median number of pixels of a bin.
    fn typical_count(&self) -> f64 {
        f64::from(median_of_pixels(self.sums.iter().map(|(_, count)| *count as f32).collect()))
    }

    /// Extent of the profile above noise on both sides of the line; `None` without any.
    fn width(&self) -> Option<(f64, f64)> {
        let (sky, noise) = self.sky_and_noise();
        // Three bins' mean is less noisy, but for what neighbours share.
        let least = sky + (SIGMAS_OF_PROFILE * noise / 3.0_f64.sqrt()).max(FAINTEST);
        let (_, peak) = self.peak();
        let peak = (peak + self.half as f64) as usize;
        let above = |bin: &usize| self.smooth(*bin) > least;
        let right = (peak..self.sums.len()).take_while(above).last()?;
        let left = (0..=peak).rev().take_while(above).last()?;
        Some((left as f64 - self.half as f64, right as f64 - self.half as f64))
    }
}
