//! Glitches: pixels that cannot be light, because light has passed through the PSF.
//!
//! A hot pixel or a broken column of 10⁴ σ and more would enter the first model before there is
//! anything to compare it with, and spread over tens of pixels and into other visits. It is
//! therefore left out when an exposure is read.
//!
//! Every image of the sky is a sum of PSFs `P` with positive weights. For any offset `δ`, the mean
//! of the two pixels at `±δ` is then at least the fraction `ρ(δ) = min_d [P(d + δ) + P(d − δ)] /
//! 2P(d)` of the pixel between them. With the sky's level `b` and its noise `σ`, a pixel `s` is a
//! glitch if it is 1000 σ below the sky, or if in two of the directions row, column and diagonals
//! there is a `δ` with
//!
//! ```text
//! s − b > 1000 σ + C(δ) · [max(0, mean(s₊, s₋) − b) + 3 σ],     C = max(2, 1.2 ρ^−1.56)
//! ```
//!
//! The exponent admits a PSF that is 1.25 times narrower than stated, the factor a fifth more
//! contrast. Offsets of up to four pixels find columns and clusters, whose pixels have glitches for
//! neighbours; what is found is left out when its neighbours are tested again. One direction alone
//! proves nothing: a dead pixel in a star makes it too. At edges and beside masked pixels one of
//! the pair stands for both, and `C` is at least 300, 10⁵, … for one pixel, two, …: the flank of a
//! star that is out of sight falls less steeply. `σ` is the larger of the stated and the observed
//! noise, so that variances on a wrong scale turn no noise into glitches.

use dcr_image::{MaskedImage, Psf, Stamp};
use dcr_solver::GOOD;
use ndarray::{Array2, ArrayView2};

use crate::statistics::{median_and_scatter, median_of_pixels};

/// Smallest deviation of a glitch from the sky, in standard deviations.
const FEWEST_SIGMA: f64 = 1000.0;
/// Noise that is added to the light of the pair, in standard deviations.
const PAIR_SIGMA: f64 = 3.0;
/// Largest offset of a pair along each axis, px.
pub const REACH_PX: usize = 4;
/// Directions of pairs, `(rows, columns)` for each step.
const DIRECTIONS: [(isize, isize); 4] = [(0, 1), (1, 0), (1, 1), (1, -1)];
/// Share of the PSF's peak from which on its pixels count in `ρ`.
const BRIGHT_PART: f64 = 0.05;
/// Smallest `ρ`: the wings of stamps are uncertain.
const FAINTEST: f64 = 1e-4;
/// Exponent of `ρ` that admits a narrower PSF: 1.25².
const NARROWER: f64 = 1.56;
/// Further contrast that is admitted.
const MORE_CONTRAST: f64 = 1.2;
/// Smallest `C`.
const LEAST_CONTRAST: f64 = 2.0;
/// Smallest `C` where one of the pair is missing, by offset.
const LEAST_ONE_SIDED: [f64; REACH_PX] = [3e2, 1e5, 3e7, 1e10];
/// Directions that must agree.
const FEWEST_DIRECTIONS: usize = 2;
/// FWHM in px assumed where no PSF is known: as sharp as images come.
const SHARPEST_FWHM_PX: f64 = 2.0;
/// Pixels from which level and noise are measured.
const SAMPLE: usize = 1 << 14;
/// Minimum good pixels for the level and noise of the sky.
const FEWEST_PIXELS: usize = 30;

/// Largest ratio of a pixel of light to the mean of a pair beside it, by direction and offset.
#[derive(Clone, Debug)]
pub struct Contrast([[f64; REACH_PX]; DIRECTIONS.len()]);

/// A pixel that cannot be light.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Glitch {
    /// Row and column in the image searched.
    pub at: (usize, usize),
    /// Deviation from the sky in standard deviations.
    pub sigmas: f64,
}

impl Contrast {
    /// Limits for a PSF in the middle of an image; without one, for `fwhm_px`, or for the sharpest
    /// plausible PSF.
    pub fn of(psf: Option<&Psf>, (x, y): (f64, f64), fwhm_px: Option<f64>) -> Self {
        let stamp = psf.and_then(|psf| psf.stamp_at(x, y).ok());
        let width = fwhm_px.filter(|fwhm| fwhm.is_finite() && *fwhm > SHARPEST_FWHM_PX);
        let gaussian = Psf::Gaussian { fwhm_px: width.unwrap_or(SHARPEST_FWHM_PX) };
        match stamp.or_else(|| gaussian.stamp_at(x, y).ok()) {
            Some(stamp) => Self::of_stamp(&stamp),
            None => Self([[LEAST_CONTRAST / FAINTEST; REACH_PX]; DIRECTIONS.len()]),
        }
    }

    fn of_stamp(stamp: &Stamp) -> Self {
        let pixels = stamp.pixels();
        Self(DIRECTIONS.map(|direction| {
            let mut least: f64 = LEAST_CONTRAST;
            std::array::from_fn(|step| {
                let share = smallest_share(pixels, direction, step + 1);
                // Ripples of a stamp must not make a wider pair the stricter one.
                least = least.max(MORE_CONTRAST * share.powf(-NARROWER));
                least
            })
        }))
    }
}

/// `ρ` of a PSF for a pair this many steps away.
fn smallest_share(psf: &Array2<f64>, (dy, dx): (isize, isize), steps: usize) -> f64 {
    let peak = psf.iter().copied().fold(0.0, f64::max);
    let value = |y: Option<usize>, x: Option<usize>| psf.get((y?, x?)).copied();
    let steps = steps as isize;
    let bright = psf.indexed_iter().filter(|(_, value)| **value >= BRIGHT_PART * peak && **value > 0.0);
    let share = bright.map(|((y, x), own)| {
        let at = |sign: isize| {
            let (dy, dx) = (sign * steps * dy, sign * steps * dx);
            value(y.checked_add_signed(dy), x.checked_add_signed(dx)).unwrap_or(0.0).max(0.0)
        };
        (at(1) + at(-1)) / (2.0 * own)
    });
    share.fold(1.0, f64::min).max(FAINTEST)
}

/// The glitches among the good pixels of an image, row by row.
pub fn glitches(
    image: ArrayView2<'_, f32>,
    variance: ArrayView2<'_, f32>,
    flags: ArrayView2<'_, u8>,
    contrast: &Contrast,
) -> Vec<Glitch> {
    let Some((level, sigma)) = sky(image, variance, flags) else { return vec![] };
    let test = Test { image, contrast, level, sigma };
    let far = image.indexed_iter().filter(|(at, value)| test.is_suspected(**value) && flags[*at] & GOOD != 0);
    let (bright, mut found): (Vec<_>, Vec<_>) = far.map(|(at, _)| at).partition(|at| test.excess(*at) > 0.0);
    if bright.is_empty() && found.is_empty() {
        return vec![];
    }
    let mut good = flags.mapv(|flags| flags & GOOD != 0);
    found.iter().for_each(|at| good[*at] = false);
    let too_bright: Vec<_> = bright.into_iter().filter(|at| test.is_too_sharp(*at, &good)).collect();
    too_bright.iter().for_each(|at| good[*at] = false);
    found.extend(too_bright);
    // Without those, the pixels beside them may show to be glitches.
    let mut next = 0;
    while let Some(at) = found.get(next).copied() {
        next += 1;
        for other in partners(at) {
            let suspected = image.get(other).is_some_and(|value| test.is_suspected(*value)) && good[other];
            if suspected && test.is_too_sharp(other, &good) {
                good[other] = false;
                found.push(other);
            }
        }
    }
    found.sort_unstable();
    found.into_iter().map(|at| Glitch { at, sigmas: test.excess(at) / sigma }).collect()
}

/// The pixels that may have a pixel for one of their pair; some may lie beyond the image.
fn partners((y, x): (usize, usize)) -> impl Iterator<Item = (usize, usize)> {
    let signs = [-1_isize, 1];
    DIRECTIONS.into_iter().flat_map(move |(dy, dx)| {
        (1..=REACH_PX as isize).flat_map(move |step| {
            signs.into_iter().filter_map(move |sign| {
                Some((y.checked_add_signed(sign * step * dy)?, x.checked_add_signed(sign * step * dx)?))
            })
        })
    })
}

/// Test of the pixels of an image for glitches.
struct Test<'a> {
    image: ArrayView2<'a, f32>,
    contrast: &'a Contrast,
    level: f64,
    sigma: f64,
}

impl Test<'_> {
    fn excess(&self, at: (usize, usize)) -> f64 {
        f64::from(self.image[at]) - self.level
    }

    /// Whether a value is far enough from the sky.
    fn is_suspected(&self, value: f32) -> bool {
        (f64::from(value) - self.level).abs() > FEWEST_SIGMA * self.sigma
    }

    /// Whether a bright pixel cannot be light beside the pixels that are good.
    fn is_too_sharp(&self, at: (usize, usize), good: &Array2<bool>) -> bool {
        let directions = self.contrast.0.iter().zip(DIRECTIONS);
        let verdicts = directions.filter_map(|(contrast, direction)| {
            let of_pair = |i: usize| self.exceeds_pair(at, direction, i, contrast[i], good);
            (0..REACH_PX).filter_map(of_pair).reduce(|a, b| a || b)
        });
        let (told, agreeing) =
            verdicts.fold((0, 0), |(told, agreeing), exceeds| (told + 1, agreeing + usize::from(exceeds)));
        // Beside many glitches and edges there may be only one direction left.
        agreeing >= FEWEST_DIRECTIONS.min(told) && agreeing > 0
    }

    /// Whether a pixel has more light than the pair `i + 1` steps away allows; `None` without such
    /// a pair.
    fn exceeds_pair(
        &self,
        (y, x): (usize, usize),
        (dy, dx): (isize, isize),
        i: usize,
        contrast: f64,
        good: &Array2<bool>,
    ) -> Option<bool> {
        let light = |steps: isize| {
            let at = (y.checked_add_signed(steps * dy)?, x.checked_add_signed(steps * dx)?);
            good.get(at).filter(|good| **good).map(|_| self.excess(at).max(0.0))
        };
        let steps = i as isize + 1;
        let (light, contrast) = match (light(-steps), light(steps)) {
            (Some(a), Some(b)) => (f64::midpoint(a, b), contrast),
            (Some(one), None) | (None, Some(one)) => (one, contrast.max(LEAST_ONE_SIDED[i])),
            (None, None) => return None,
        };
        let limit = FEWEST_SIGMA * self.sigma + contrast * (light + PAIR_SIGMA * self.sigma);
        Some(self.excess((y, x)) > limit)
    }
}

/// Glitches of an exposure in memory. Pixels with finite image and variance are good.
pub fn glitches_of(pixels: &MaskedImage, contrast: &Contrast) -> Vec<Glitch> {
    let flags = ndarray::Zip::from(&pixels.image).and(&pixels.variance).map_collect(|value, variance| {
        GOOD * u8::from(value.is_finite() && variance.is_finite() && *variance > 0.0)
    });
    glitches(pixels.image.view(), pixels.variance.view(), flags.view(), contrast)
}

/// Median of the good pixels, and their noise: the larger of the stated and the observed.
fn sky(
    image: ArrayView2<'_, f32>,
    variance: ArrayView2<'_, f32>,
    flags: ArrayView2<'_, u8>,
) -> Option<(f64, f64)> {
    // A step without common factors with the width samples all columns.
    let every = (image.len() / SAMPLE).max(1) | 1;
    let pixels = image.iter().zip(&variance).zip(&flags).filter(|(_, flags)| **flags & GOOD != 0);
    let (values, variances): (Vec<f32>, Vec<f32>) =
        pixels.step_by(every).map(|((value, variance), _)| (*value, *variance)).unzip();
    if values.len() < FEWEST_PIXELS {
        return None;
    }
    let (level, scatter) = median_and_scatter(values);
    let stated = f64::from(median_of_pixels(variances)).max(0.0).sqrt();
    let sigma = stated.max(scatter);
    (sigma > 0.0 && sigma.is_finite()).then_some((f64::from(level), sigma))
}

/// Glitches in the exposures of a set, for a warning.
#[derive(Debug, Default)]
pub struct GlitchCount {
    exposures: usize,
    pixels: usize,
    /// Exposure, deviation and parent pixel coordinates of the largest.
    worst: Option<(String, f64, (i64, i64))>,
}

impl GlitchCount {
    /// Adds an exposure with `pixels` glitches and its `worst` glitch, at parent pixel coordinates.
    pub fn add(&mut self, name: &str, pixels: usize, worst: Option<(f64, (i64, i64))>) {
        let Some((sigmas, place)) = worst else { return };
        self.exposures += 1;
        self.pixels += pixels;
        if self.worst.as_ref().is_none_or(|(_, most, _)| sigmas.abs() > most.abs()) {
            self.worst = Some((name.into(), sigmas, place));
        }
    }

    /// Warning about the glitches; `None` without any.
    pub fn warning(&self) -> Option<String> {
        let (name, sigmas, (x, y)) = self.worst.as_ref()?;
        let (pixels, is) = if self.pixels == 1 { ("pixel", "is") } else { ("pixels", "are") };
        let exposures = if self.exposures == 1 { "exposure" } else { "exposures" };
        Some(format!(
            "{} {pixels} of {} {exposures} cannot be light (sharper than the PSF) and {is} left out; the largest is {sigmas:+.3e} σ from the sky, \
             at x {x}, y {y} of {name}. Hot pixels, broken columns and cosmic rays belong in the exposure's mask.",
            self.pixels, self.exposures
        ))
    }
}

/// The largest of some glitches, with its row and column.
pub fn largest(found: &[Glitch]) -> Option<&Glitch> {
    found.iter().max_by(|a, b| a.sigmas.abs().total_cmp(&b.sigmas.abs()))
}

#[cfg(test)]
mod tests;
