//! One PSF for stars between pixels.
//!
//! A star is `F · P(p − δ) + b`, with the PSF `P` displaced by splines of order 5. What that leaves, over `F` and displaced back, is averaged
//! over stars and added to `P`; values that stand out are left out. Displacing back alone would blur `P` twice; the residual of the
//! displaced `P` has lost nothing.
//!
//! A star's weight falls with its noise, and with what `P` leaves of its core beyond that: an odd spectrum, or a neighbour, makes a bright
//! star of another shape.
//!
//! How uncertain the ellipticity is tells the jackknife: without a star that has the share `h` of the weight and leaves `r`, a pixel of `P`
//! would change by `−h r/(1 − h)`. All errors by which stars differ are in it, noise that goes together from pixel to pixel too; what all
//! stars have in common is not.
//!
//! # References
//!
//! - B. Efron and C. Stein, 1981, Ann. Stat. 9, 586 — the jackknife estimate of variance.

use dcr_image::Stamp;
use dcr_image::psf::Moments;
use dcr_solver::PixelShift;
use dcr_solver::kernel::{Order, prefilter, shift_scalar};
use ndarray::{Array2, Zip, s};

use super::stars::Star;
use crate::scatter::{SIGMA_PER_MAD, median};

/// Pixels around the stamp that displacements draw on.
pub(super) const MARGIN: usize = 4;
/// Rounds of adding residuals; each leaves a small part of the interpolation's error.
const ROUNDS: usize = 5;
/// Values further than so many standard deviations from the median over stars are left out.
const OUTLIER_SIGMA: f64 = 4.0;
/// No star is better known than to this share of the PSF's peak: the brightest must not decide alone.
const LEAST_ERROR: f64 = 2e-3;

/// The PSF of stars, and how well they agree on it.
pub(super) struct Stack {
    pub(super) stamp: Stamp,
    /// What it leaves of a star within a FWHM: the median over stars of the rms over the star's peak.
    pub(super) residual: f64,
    /// Standard deviation of its ellipticity, of one component; unknown of a single star.
    pub(super) ellipticity_error: Option<f64>,
}

/// The PSF, `half` px to every side. `None` if the stars add up to nothing.
pub(super) fn stack(stars: &[Star], half: usize, fwhm_px: f64) -> Option<Stack> {
    let shape = stars.first()?.pixels.dim();
    let inner = s![MARGIN..shape.0 - MARGIN, MARGIN..shape.1 - MARGIN];
    let stacking = Stacking::new(stars, shape, fwhm_px);
    let mut psf = Array2::<f64>::zeros(shape);
    let mut fits: Vec<Fit> = stars.iter().map(Fit::of_nothing).collect();
    for _ in 0..ROUNDS {
        psf += &stacking.shares(&psf, &fits).map(mean_residual);
        psf /= psf.slice(inner).sum();
        if !psf.iter().all(|value| value.is_finite()) {
            return None;
        }
        fits = stacking.fits(&psf)?;
    }
    let shares = stacking.shares(&psf, &fits).slice_move(inner);
    let residual = median(fits.iter().map(|fit| fit.left).collect())?;
    let stamp = Stamp::new(psf.slice(inner).to_owned()).ok()?;
    let Ok(moments) = stamp.moments() else {
        return Some(Stack { stamp, residual, ellipticity_error: None });
    };
    let ellipticity_error = jackknife(stamp.pixels(), &shares, stars.len());
    // Stars' moments are centred each by itself; what they make together may be off by a trifle.
    let back = PixelShift { dy: half as f64 - moments.y, dx: half as f64 - moments.x };
    let stamp = Stamp::new(displaced(&psf, back).slice(inner).to_owned()).ok()?;
    Some(Stack { stamp, residual, ellipticity_error })
}

/// How the current PSF meets a star.
struct Fit {
    flux: f64,
    /// What is left, over the flux; 0 where the star is not clear.
    residual: Array2<f64>,
    /// Its rms in the star's core, over the star's peak.
    left: f64,
    /// The same beyond the noise, over the rms of the star.
    unlike: f64,
}

impl Fit {
    /// Before there is a PSF, all of a star is left.
    fn of_nothing(star: &Star) -> Self {
        let flux = star.moments.flux;
        Self { flux, residual: &star.pixels / flux, left: 1.0, unlike: 0.0 }
    }
}

/// A star's part in a pixel of the PSF.
struct Share {
    star: usize,
    residual: f64,
    weight: f64,
}

struct Stacking<'a> {
    stars: &'a [Star],
    shifts: Vec<PixelShift>,
    fwhm_px: f64,
}

impl<'a> Stacking<'a> {
    fn new(stars: &'a [Star], shape: (usize, usize), fwhm_px: f64) -> Self {
        let (middle_y, middle_x) = ((shape.0 / 2) as f64, (shape.1 / 2) as f64);
        let shift = |star: &Star| PixelShift { dy: star.moments.y - middle_y, dx: star.moments.x - middle_x };
        Self { stars, shifts: stars.iter().map(shift).collect(), fwhm_px }
    }

    /// All stars' fits; `None` if there is none of a star.
    fn fits(&self, psf: &Array2<f64>) -> Option<Vec<Fit>> {
        let pairs = self.stars.iter().zip(&self.shifts);
        pairs.map(|(star, shift)| self.fit(star, &displaced(psf, *shift))).collect()
    }

    /// Flux and background of a star by weighted least squares; `None` if there is no such star.
    fn fit(&self, star: &Star, model: &Array2<f64>) -> Option<Fit> {
        let (mut mm, mut m, mut one, mut md, mut d) = (0.0, 0.0, 0.0, 0.0, 0.0);
        Zip::from(&star.pixels).and(&star.variance).and(&star.clear).and(model).for_each(
            |pixel, variance, clear, model| {
                if *clear {
                    let weight = variance.recip();
                    mm += weight * model * model;
                    m += weight * model;
                    one += weight;
                    md += weight * model * pixel;
                    d += weight * pixel;
                }
            },
        );
        let determinant = mm * one - m * m;
        let flux = (one * md - m * d) / determinant;
        let background = (mm * d - m * md) / determinant;
        if !(flux > 0.0 && flux.is_finite() && background.is_finite()) {
            return None;
        }
        let residual =
            Zip::from(&star.pixels).and(&star.clear).and(model).map_collect(|pixel, clear, model| {
                if *clear { (pixel - background) / flux - model } else { 0.0 }
            });
        let left = self.core_mean(star, |at| residual[at].powi(2));
        let noise = self.core_mean(star, |at| star.variance[at]) / (flux * flux);
        let light = self.core_mean(star, |at| model[at].powi(2));
        let unlike = ((left - noise).max(0.0) / light).sqrt();
        Some(Fit { flux, left: left.sqrt() / peak(model), residual, unlike })
    }

    /// The mean over the pixels within a FWHM of a star's middle.
    fn core_mean(&self, star: &Star, of: impl Fn((usize, usize)) -> f64) -> f64 {
        let (mut sum, mut count) = (0.0, 0.0);
        for (at, _) in star.pixels.indexed_iter() {
            if (at.0 as f64 - star.moments.y).hypot(at.1 as f64 - star.moments.x) <= self.fwhm_px {
                sum += of(at);
                count += 1.0;
            }
        }
        sum / f64::max(count, 1.0)
    }

    /// What is left of stars, displaced back, with weights; values that stand out are left out.
    fn shares(&self, psf: &Array2<f64>, fits: &[Fit]) -> Array2<Vec<Share>> {
        let back: Vec<Array2<f64>> = fits
            .iter()
            .zip(&self.shifts)
            .map(|(fit, shift)| displaced(&fit.residual, shift.reversed()))
            .collect();
        let least = LEAST_ERROR * peak(psf);
        Array2::from_shape_fn(psf.dim(), |at| {
            let mut shares = Vec::with_capacity(fits.len());
            for (star, fit) in fits.iter().enumerate().filter(|(star, _)| self.stars[*star].clear[at]) {
                let noise = self.stars[star].variance[at].sqrt() / fit.flux;
                let error = noise.hypot(least).hypot(fit.unlike * psf[at]).max(f64::MIN_POSITIVE);
                shares.push(Share { star, residual: back[star][at], weight: (error * error).recip() });
            }
            without_outliers(&mut shares);
            shares
        })
    }
}

fn displaced(image: &Array2<f64>, shift: PixelShift) -> Array2<f64> {
    shift_scalar(prefilter(image.view(), Order::QUINTIC).view(), shift, Order::QUINTIC)
}

fn peak(image: &Array2<f64>) -> f64 {
    image.iter().copied().fold(0.0, f64::max)
}

fn without_outliers(shares: &mut Vec<Share>) {
    let Some(middle) = median(shares.iter().map(|share| share.residual).collect()) else { return };
    let scatter = median(shares.iter().map(|share| (share.residual - middle).abs()).collect());
    let scatter = SIGMA_PER_MAD * scatter.unwrap_or(0.0);
    shares.retain(|share| {
        (share.residual - middle).abs() <= OUTLIER_SIGMA * scatter.max(share.weight.sqrt().recip())
    });
}

/// The weighted mean; 0 of nothing.
fn mean_residual(shares: &Vec<Share>) -> f64 {
    let weights: f64 = shares.iter().map(|share| share.weight).sum();
    let sum: f64 = shares.iter().map(|share| share.weight * share.residual).sum();
    if weights > 0.0 { sum / weights } else { 0.0 }
}

/// The standard deviation of one component of the ellipticity, from what it would be without each star. A pixel that only one star
/// has stays as it is.
fn jackknife(psf: &Array2<f64>, shares: &Array2<Vec<Share>>, stars: usize) -> Option<f64> {
    if stars < 2 {
        return None;
    }
    let mut without = vec![psf.clone(); stars];
    for (at, shares) in shares.indexed_iter() {
        let mean = mean_residual(shares);
        let weights: f64 = shares.iter().map(|share| share.weight).sum();
        for share in shares.iter().filter(|share| share.weight < weights) {
            let change = share.weight * (share.residual - mean) / (weights - share.weight);
            without[share.star][at] -= change;
        }
    }
    let middle = ((psf.ncols() / 2) as f64, (psf.nrows() / 2) as f64);
    let shapes: Vec<[f64; 2]> = without
        .iter()
        .map(|psf| Moments::of(psf.view(), middle).map(|moments| moments.ellipticity()))
        .collect::<Result<_, _>>()
        .ok()?;
    let count = stars as f64;
    let squares = |component: usize| -> f64 {
        let mean = shapes.iter().map(|shape| shape[component]).sum::<f64>() / count;
        shapes.iter().map(|shape| (shape[component] - mean).powi(2)).sum()
    };
    Some(((count - 1.0) / count * f64::midpoint(squares(0), squares(1))).sqrt())
}
