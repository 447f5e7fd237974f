//! Residuals of a difference image, of both signs, and dipoles among them.
//!
//! With the PSF `k` of the difference, of sum 1, and over the good pixels only,
//!
//! ```text
//! S(p) = Σ_m k(m) d(p+m) / √(Σ_m k(m)² v(p+m))      flux(p) = Σ k d / Σ k²
//! ```
//!
//! is the significance of a point source at `p`, and its flux. The background away from sources is
//! subtracted from `d` first (`subtract.background`): its median, or a plane if its slope is
//! certain. Interpolation and convolution correlate neighbouring pixels, which variances do not
//! express: `S` is divided by its scatter away from sources (from the median absolute deviation).
//! Connected pixels beyond the threshold, diagonals included, are one residual at their peak.
//! Residuals that peak within 2 px of a bad pixel or of the edge are dropped as probable defects.
//!
//! A source displaced in the template leaves a positive lobe beside a negative one. The lobes of a
//! PSF's derivative lie 1.2 FWHM apart in `S`, and further apart for smeared light: pairs within
//! [`DIPOLE_FWHM`] are dipoles, the nearest first, and each dipole counts as one detection.

use dcr_image::{BBox, Stamp, Wcs};
use dcr_physics::SkyPosition;
use ndarray::{Array2, ArrayView2, ArrayViewMut1, Zip, s};
use serde::{Deserialize, Serialize};

use crate::convolve::correlate_rows;
use crate::detection::groups;
use crate::sky_plane::{SkyPixel, SkyPlane};
use crate::statistics::{median_and_scatter, median_of_pixels};

/// The largest distance, in FWHM of the PSF, between the lobes of a dipole.
pub const DIPOLE_FWHM: f64 = 2.0;
/// Minimum distance in px of a residual from a bad pixel.
const NEAR_BAD: usize = 2;
/// Radius of the PSF in FWHM; a Gaussian has 1e-7 of its light beyond.
const PSF_REACH_FWHM: f64 = 2.5;
/// Relative weight below which pixels of the PSF are dropped for fluxes; a ten-thousandth of the
/// light of a Gaussian.
const FAINTEST_FOR_FLUX: f64 = 1e-4;
/// Relative weight below which pixels of the PSF are dropped for significances. A PSF of turbulent
/// air has a twentieth of its light below it, but only `4e-4` of `Σ k²` (`S` loses half of this)
/// and three quarters of its pixels.
const FAINTEST_FOR_SIGNIFICANCE: f64 = 1e-2;
/// Minimum source-free pixels for the noise; with fewer, all good pixels are used.
const FEWEST_FOR_NOISE: usize = 500;
/// Upper limit on the pixels that a plane is fitted to.
const MOST_FOR_PLANE: usize = 1 << 16;
/// Minimum significance of a slope, in units of its error.
const SURE_OF_SLOPE: f64 = 7.0;
const LEAST_SLOPE: f64 = 0.2;

/// The background of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Background {
    /// A plane where its slope is certain, else the median.
    Plane,
    /// The median.
    Constant,
    /// No background is subtracted.
    None,
}

/// A difference image with everything that detection needs.
pub struct Scene<'a> {
    /// Box of the image in parent pixels.
    pub bbox: BBox,
    /// WCS of the parent pixels.
    pub wcs: &'a Wcs,
    /// Difference image, `(rows, cols)`.
    pub image: ArrayView2<'a, f32>,
    /// Variance of each pixel.
    pub variance: ArrayView2<'a, f32>,
    /// Pixels without valid data.
    pub bad: ArrayView2<'a, bool>,
    /// Pixels of sources, excluded from noise estimates.
    pub sources: ArrayView2<'a, bool>,
    /// The PSF of the difference, and its FWHM in px.
    pub psf: &'a Stamp,
    /// FWHM of the PSF in px.
    pub fwhm_px: f64,
    /// Which background is taken out.
    pub background: Background,
}

/// A residual.
#[derive(Clone, Debug, PartialEq)]
pub struct Residual {
    /// Parent pixel coordinate of the peak along x.
    pub x: f64,
    /// Parent pixel coordinate of the peak along y.
    pub y: f64,
    /// Sky position of the peak; `None` outside the domain of the WCS.
    pub sky: Option<SkyPosition>,
    /// True if the exposure is brighter than the template.
    pub positive: bool,
    /// Significance of the peak, in units of the noise; above 0.
    pub significance: f64,
    /// With its sign, in the unit of the image.
    pub flux: f64,
    /// Standard deviation of the flux.
    pub flux_error: f64,
    /// Pixels beyond the threshold.
    pub pixels: usize,
    /// The number in the list of the dipole's other lobe.
    pub partner: Option<usize>,
}

/// Residuals of a difference image.
pub struct Detections {
    /// The residuals, most significant first.
    pub residuals: Vec<Residual>,
    /// Scatter of `S` before normalisation.
    pub noise_factor: f64,
    /// Slope of the background that was taken out, from side to side, in standard deviations of a
    /// pixel; `None` if it was none.
    pub background_slope: Option<f64>,
    /// Footprints: 1 in positive residuals, −1 in negative ones.
    pub footprints: Array2<i8>,
}

/// Numbers of residuals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ResidualCounts {
    /// With more light than the template, lobes of dipoles among them.
    pub positive: usize,
    /// With less.
    pub negative: usize,
    /// Pairs of one each that belong together.
    pub dipoles: usize,
    /// All, a dipole counted once.
    pub detections: usize,
}

impl std::ops::AddAssign for ResidualCounts {
    fn add_assign(&mut self, other: Self) {
        self.positive += other.positive;
        self.negative += other.negative;
        self.dipoles += other.dipoles;
        self.detections += other.detections;
    }
}

impl Detections {
    /// Counts of the residuals by sign, and of dipoles.
    pub fn counts(&self) -> ResidualCounts {
        let positive = self.residuals.iter().filter(|residual| residual.positive).count();
        let dipoles = self.residuals.iter().filter(|residual| residual.partner.is_some()).count() / 2;
        let all = self.residuals.len();
        ResidualCounts { positive, negative: all - positive, dipoles, detections: all - dipoles }
    }
}

impl<'a> Scene<'a> {
    /// Finds the residuals beyond `threshold` standard deviations.
    pub fn search(&self, threshold: f64) -> Detections {
        let kernel = self.kernel();
        let (background, background_slope) = self.level();
        let (significance, noise_factor) = self.significance(&kernel, &background);
        let mut footprints = Array2::zeros(significance.dim());
        let mut residuals = Vec::new();
        for positive in [true, false] {
            let sign = if positive { 1.0 } else { -1.0 };
            let above = significance.mapv(|s| f64::from(sign * s) > threshold);
            for group in groups(&above, 1) {
                let peak = |a: &&(usize, usize), b: &&(usize, usize)| {
                    (sign * significance[**a]).total_cmp(&(sign * significance[**b]))
                };
                let Some(at) = group.iter().max_by(peak).filter(|at| !self.is_untrusted(**at)) else {
                    continue;
                };
                group.iter().for_each(|at| footprints[*at] = sign as i8);
                let (x, y) = self.top(&significance, *at);
                let (flux, flux_error) = self.flux(&kernel, &background, *at);
                residuals.push(Residual {
                    x,
                    y,
                    sky: self.wcs.pixel_to_sky(x, y).ok(),
                    positive,
                    significance: f64::from(significance[*at].abs()),
                    flux,
                    flux_error: noise_factor * flux_error,
                    pixels: group.len(),
                    partner: None,
                });
            }
        }
        let rank = |residual: &Residual| (residual.y, residual.x);
        residuals.sort_by(|a, b| {
            b.significance.total_cmp(&a.significance).then_with(|| {
                let ((ay, ax), (by, bx)) = (rank(a), rank(b));
                ay.total_cmp(&by).then(ax.total_cmp(&bx))
            })
        });
        pair_dipoles(&mut residuals, DIPOLE_FWHM * self.fwhm_px);
        Detections { residuals, noise_factor, background_slope, footprints }
    }

    /// The background, and its slope if that is taken out.
    fn level(&self) -> (Level, Option<f64>) {
        let median = || Level::Constant(median_of_pixels(self.quiet(&self.image)));
        match self.background {
            Background::None => (Level::Constant(0.0), None),
            Background::Constant => (median(), None),
            Background::Plane => match self.plane() {
                Some(plane) => (Level::Plane(plane, self.image.dim()), Some(plane.steepness())),
                None => (median(), None),
            },
        }
    }

    /// The plane through the pixels without sources, if its slope is certain.
    fn plane(&self) -> Option<SkyPlane> {
        let every = (self.image.len() / MOST_FOR_PLANE).max(1);
        let quiet = self.image.indexed_iter().zip(self.variance).zip(self.sources.iter().zip(self.bad));
        let quiet = quiet.filter(|(((_, value), _), (source, bad))| !**source && !**bad && value.is_finite());
        let pixels: Vec<SkyPixel> = quiet
            .step_by(every)
            .map(|(((at, value), variance), _)| SkyPixel {
                place: place_in(self.image.dim(), at),
                value: *value,
                variance: *variance,
            })
            .collect();
        SkyPlane::of(&pixels)
            .filter(|plane| plane.steepness() > (SURE_OF_SLOPE * plane.steepness_error()).max(LEAST_SLOPE))
    }

    /// PSF cropped to its significant pixels, of sum 1.
    fn kernel(&self) -> Array2<f64> {
        let pixels = self.psf.pixels();
        let reach = (PSF_REACH_FWHM * self.fwhm_px).ceil() as usize;
        let range = |length: usize| {
            let half = (length / 2).min(reach);
            length / 2 - half..length / 2 + half + 1
        };
        let part = pixels.slice(s![range(pixels.nrows()), range(pixels.ncols())]).to_owned();
        let part = without_faint(part, FAINTEST_FOR_FLUX);
        let sum = part.sum();
        if sum > 0.0 { part / sum } else { pixels.clone() }
    }

    /// Good values of a plane away from sources; all good values if those are too few.
    fn quiet(&self, plane: &ArrayView2<f32>) -> Vec<f32> {
        let values = |with_sources: bool| -> Vec<f32> {
            Zip::from(plane).and(&self.sources).and(&self.bad).fold(
                Vec::with_capacity(plane.len()),
                |mut values, value, source, bad| {
                    if !bad && value.is_finite() && (with_sources || !source) {
                        values.push(*value);
                    }
                    values
                },
            )
        };
        let quiet = values(false);
        if quiet.len() < FEWEST_FOR_NOISE { values(true) } else { quiet }
    }

    /// `S` normalised to a scatter of 1, and the original scatter; 0 in bad pixels.
    fn significance(&self, kernel: &Array2<f64>, background: &Level) -> (Array2<f32>, f64) {
        let correlated = |plane: &ArrayView2<f32>, offset: &Level, kernel: &Array2<f64>| {
            correlate_rows(plane.dim(), kernel.view(), |row, line| {
                let out = ArrayViewMut1::from(line);
                Zip::indexed(out).and(plane.row(row)).and(self.bad.row(row)).for_each(
                    |col, out, value, bad| {
                        *out = if *bad { 0.0 } else { *value - offset.at((row, col)) };
                    },
                );
            })
        };
        let [kernel, squares] = significance_kernels(kernel);
        let mut significance = correlated(&self.image, background, &kernel);
        let noise = correlated(&self.variance, &Level::Constant(0.0), &squares);
        Zip::from(&mut significance)
            .and(&noise)
            .and(&self.bad)
            .for_each(|s, v, bad| *s = if *bad || *v <= 0.0 { f32::NAN } else { *s / v.sqrt() });
        let quiet = self.quiet(&significance.view());
        let (_, scatter) = median_and_scatter(quiet);
        let factor = if scatter > 0.0 { scatter } else { 1.0 };
        significance.mapv_inplace(|s| if s.is_finite() { s / factor as f32 } else { 0.0 });
        (significance, factor)
    }

    /// True near the edge or, counted in steps to neighbours, near a bad pixel.
    fn is_untrusted(&self, (row, col): (usize, usize)) -> bool {
        let (rows, cols) = self.bad.dim();
        if row.min(rows - 1 - row).min(col).min(cols - 1 - col) < NEAR_BAD {
            return true;
        }
        (row - NEAR_BAD..=row + NEAR_BAD).any(|r| {
            let half = NEAR_BAD - r.abs_diff(row);
            (col - half..=col + half).any(|c| self.bad[[r, c]])
        })
    }

    /// Position of a peak, from parabolas through it and its neighbours. The peak is not on the
    /// edge.
    fn top(&self, significance: &Array2<f32>, (row, col): (usize, usize)) -> (f64, f64) {
        let at = |row: usize, col: usize| f64::from(significance[[row, col]].abs());
        let top = |before: f64, peak: f64, after: f64| {
            let bend = before - 2.0 * peak + after;
            if bend < 0.0 { (0.5 * (before - after) / bend).clamp(-0.5, 0.5) } else { 0.0 }
        };
        let x = top(at(row, col - 1), at(row, col), at(row, col + 1));
        let y = top(at(row - 1, col), at(row, col), at(row + 1, col));
        (self.bbox.x0 as f64 + col as f64 + x, self.bbox.y0 as f64 + row as f64 + y)
    }

    /// The flux of a point source in a pixel, and its standard deviation by the variances.
    fn flux(&self, kernel: &Array2<f64>, background: &Level, (row, col): (usize, usize)) -> (f64, f64) {
        let (rows, cols) = self.image.dim();
        let (half_y, half_x) = (kernel.nrows() / 2, kernel.ncols() / 2);
        let (mut signal, mut noise, mut energy) = (0.0, 0.0, 0.0);
        for ((i, j), weight) in kernel.indexed_iter() {
            let (Some(r), Some(c)) = ((row + i).checked_sub(half_y), (col + j).checked_sub(half_x)) else {
                continue;
            };
            if r < rows && c < cols && !self.bad[[r, c]] {
                signal += weight * f64::from(self.image[[r, c]] - background.at((r, c)));
                noise += weight * weight * f64::from(self.variance[[r, c]]);
                energy += weight * weight;
            }
        }
        (signal / energy, noise.sqrt() / energy)
    }
}

/// The background of a difference.
enum Level {
    Constant(f32),
    /// In an image of this shape.
    Plane(SkyPlane, (usize, usize)),
}

impl Level {
    fn at(&self, at: (usize, usize)) -> f32 {
        match self {
            Self::Constant(level) => *level,
            Self::Plane(plane, shape) => plane.at(place_in(*shape, at)) as f32,
        }
    }
}

/// Offsets from the middle of an image, in units of its width and height.
fn place_in((rows, cols): (usize, usize), (row, col): (usize, usize)) -> [f32; 2] {
    let offset = |at: usize, length: usize| ((at as f64 + 0.5) / length as f64 - 0.5) as f32;
    [offset(col, cols), offset(row, rows)]
}

/// The kernels of `S` for a PSF: that of the signal, and its square for the variance.
pub fn significance_kernels(psf: &Array2<f64>) -> [Array2<f64>; 2] {
    let kernel = without_faint(psf.clone(), FAINTEST_FOR_SIGNIFICANCE);
    let squares = kernel.mapv(|weight| weight * weight);
    [kernel, squares]
}

/// Kernel without its faintest weights, which cost time and carry no information.
fn without_faint(mut kernel: Array2<f64>, faintest: f64) -> Array2<f64> {
    let least = faintest * kernel.iter().copied().fold(0.0, f64::max);
    kernel.mapv_inplace(|weight| if weight.abs() < least { 0.0 } else { weight });
    kernel
}

/// Pairs each positive residual with the nearest negative one within `reach`, closest pairs first.
fn pair_dipoles(residuals: &mut [Residual], reach: f64) {
    let mut negative: Vec<usize> = (0..residuals.len()).filter(|i| !residuals[*i].positive).collect();
    negative.sort_by(|a, b| residuals[*a].y.total_cmp(&residuals[*b].y).then(a.cmp(b)));
    let mut pairs = Vec::new();
    for (i, a) in residuals.iter().enumerate().filter(|(_, a)| a.positive) {
        let first = negative.partition_point(|j| residuals[*j].y < a.y - reach);
        for &j in negative[first..].iter().take_while(|j| residuals[**j].y <= a.y + reach) {
            let distance = (a.x - residuals[j].x).hypot(a.y - residuals[j].y);
            if distance <= reach {
                pairs.push((distance, i, j));
            }
        }
    }
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    for (_, i, j) in pairs {
        if residuals[i].partner.is_none() && residuals[j].partner.is_none() {
            residuals[i].partner = Some(j);
            residuals[j].partner = Some(i);
        }
    }
}

#[cfg(test)]
mod tests;
