//! Fit of one PSF to stars at fractional pixel positions.
//!
//! A star is `F · P(p − δ) + b`, with the PSF `P` shifted by splines of order 5. The residual over
//! `F`, shifted back, is averaged over stars and added to `P`; outliers are rejected. Shifting the
//! stars back alone would blur `P` twice; the residual of the shifted `P` is free of this. A
//! varying PSF has a polynomial of the position in each pixel, fitted by weighted least squares in
//! place of the average.
//!
//! The weight of a star falls with its noise and with the residual of its core beyond the noise: an
//! odd spectrum or a neighbour changes the shape of a bright star.
//!
//! The uncertainty of the ellipticity comes from a jackknife: removing a star of weight share `h`
//! and residual `r` changes a pixel of `P` by `−h r/(1 − h)`; for polynomials `h` is the leverage.
//! The jackknife covers all errors that differ between stars, correlated noise included, but none
//! that stars share.
//!
//! # References
//!
//! - B. Efron and C. Stein, 1981, Ann. Stat. 9, 586 — the jackknife estimate of variance.

use dcr_image::Stamp;
use dcr_image::psf::Moments;
use dcr_solver::PixelShift;
use dcr_solver::kernel::{Order, prefilter, shift_scalar};
use ndarray::{Array1, Array2, Zip, s};

use super::stars::Star;
use super::trend::STARS_PER_TERM;
use crate::matching_kernel::{Polynomial, solve_positive};
use crate::statistics::{SIGMA_PER_MAD, median};

/// Pixels around the stamp that displacements draw on.
pub(super) const MARGIN: usize = 4;
/// Rounds of adding residuals; each leaves a small part of the interpolation's error.
const ROUNDS: usize = 5;
/// Outlier threshold, in standard deviations from the median over stars.
const OUTLIER_SIGMA: f64 = 4.0;
/// A star with more of a pixel's weight cannot be left out.
const MOST_LEVERAGE: f64 = 1.0 - 1e-6;
/// Floor of a star's error, as a share of the PSF's peak. It keeps the brightest star from
/// dominating.
const LEAST_ERROR: f64 = 2e-3;

/// The PSF of stars, a polynomial of the place in each pixel, and how well they agree on it.
pub(super) struct Stack {
    polynomial: Polynomial,
    /// The coefficients, with a margin.
    terms: Vec<Array2<f64>>,
    /// Leave-one-out change of the coefficients for each star.
    without: Vec<Vec<Array2<f64>>>,
    half: usize,
    /// Residual of a star within one FWHM: the median over stars of the rms over the star's peak.
    pub(super) residual: f64,
}

/// The PSF at a place.
pub(super) struct PsfAtPlace {
    pub(super) stamp: Stamp,
    pub(super) moments: Moments,
    /// Standard deviation of its ellipticity, of one component; unknown of a single star.
    pub(super) ellipticity_error: Option<f64>,
}

impl Stack {
    /// Fits the PSF with `half` px to every side. `None` if the stars sum to nothing.
    pub(super) fn new(stars: &[Star], half: usize, fwhm_px: f64, polynomial: Polynomial) -> Option<Self> {
        let shape = stars.first()?.pixels.dim();
        let inner = s![MARGIN..shape.0 - MARGIN, MARGIN..shape.1 - MARGIN];
        let stacking = Stacking::new(stars, shape, fwhm_px, &polynomial);
        let mut terms = vec![Array2::<f64>::zeros(shape); polynomial.terms()];
        let mut fits: Vec<Fit> = stars.iter().map(Fit::of_nothing).collect();
        for round in 0..ROUNDS {
            // At first the mean, to find what stands out of it.
            let count = if round == 0 { 1 } else { polynomial.terms() };
            for (at, shares) in stacking.shares(&terms, &fits).indexed_iter() {
                let change = stacking.coefficients(shares, count);
                terms.iter_mut().zip(change).for_each(|(term, change)| term[at] += change);
            }
            let sum = terms[0].slice(inner).sum();
            terms.iter_mut().for_each(|term| *term /= sum);
            if !terms.iter().flatten().all(|value| value.is_finite()) {
                return None;
            }
            fits = stacking.fits(&terms)?;
        }
        let without = stacking.without(&stacking.shares(&terms, &fits), polynomial.terms());
        let residual = median(fits.iter().map(|fit| fit.left).collect())?;
        Some(Self { polynomial, terms, without, half, residual })
    }

    /// PSF at a row and column of the coadd; `None` if it is degenerate there.
    pub(super) fn at(&self, (row, col): (f64, f64)) -> Option<PsfAtPlace> {
        let basis = self.polynomial.at(row, col).into();
        let psf = sum(&self.terms, &basis);
        let inner = s![MARGIN..psf.nrows() - MARGIN, MARGIN..psf.ncols() - MARGIN];
        let middle = (self.half as f64, self.half as f64);
        let moments = Moments::of(psf.slice(inner), middle).ok()?;
        // Stars' moments are centred each by itself; what they make together may be off by a trifle.
        let back = PixelShift { dy: middle.0 - moments.y, dx: middle.1 - moments.x };
        let stamp = Stamp::new(displaced(&psf, back).slice(inner).to_owned()).ok()?;
        let shapes = self.without.iter().map(|changes| {
            let without = &psf + &sum(changes, &basis);
            Moments::of(without.slice(inner), middle).map(|moments| moments.ellipticity())
        });
        let shapes: Option<Vec<[f64; 2]>> = shapes.collect::<Result<_, _>>().ok();
        let ellipticity_error = shapes.and_then(|shapes| jackknife(&shapes));
        Some(PsfAtPlace { moments: stamp.moments().ok()?, stamp, ellipticity_error })
    }
}

/// How the current PSF meets a star.
struct Fit {
    flux: f64,
    /// Residual over the flux; 0 where the star is not clear.
    residual: Array2<f64>,
    /// Its rms in the star's core, over the star's peak.
    left: f64,
    /// Rms of the residual beyond the noise, over the rms of the star.
    unlike: f64,
}

impl Fit {
    /// Fit without a PSF: the residual is the star.
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
    /// The polynomial at each star.
    bases: Vec<Array1<f64>>,
    fwhm_px: f64,
}

impl<'a> Stacking<'a> {
    fn new(stars: &'a [Star], shape: (usize, usize), fwhm_px: f64, polynomial: &Polynomial) -> Self {
        let (middle_y, middle_x) = ((shape.0 / 2) as f64, (shape.1 / 2) as f64);
        let shift = |star: &Star| PixelShift { dy: star.moments.y - middle_y, dx: star.moments.x - middle_x };
        let bases = stars.iter().map(|star| polynomial.at(star.place.0, star.place.1).into()).collect();
        Self { stars, shifts: stars.iter().map(shift).collect(), bases, fwhm_px }
    }

    /// Fits of all stars; `None` if one of them is degenerate.
    fn fits(&self, terms: &[Array2<f64>]) -> Option<Vec<Fit>> {
        let fit = |((star, shift), basis): ((&Star, &PixelShift), &Array1<f64>)| {
            self.fit(star, &displaced(&sum(terms, basis), *shift))
        };
        self.stars.iter().zip(&self.shifts).zip(&self.bases).map(fit).collect()
    }

    /// Flux and background of a star by weighted least squares; `None` for a degenerate fit.
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

    /// Residuals of the stars, shifted back, with weights; outliers are rejected.
    fn shares(&self, terms: &[Array2<f64>], fits: &[Fit]) -> Array2<Vec<Share>> {
        let back: Vec<Array2<f64>> = fits
            .iter()
            .zip(&self.shifts)
            .map(|(fit, shift)| displaced(&fit.residual, shift.reversed()))
            .collect();
        let psfs: Vec<Array2<f64>> = self.bases.iter().map(|basis| sum(terms, basis)).collect();
        let least = LEAST_ERROR * peak(&terms[0]);
        Array2::from_shape_fn(terms[0].dim(), |at| {
            let mut shares = Vec::with_capacity(fits.len());
            for (star, fit) in fits.iter().enumerate().filter(|(star, _)| self.stars[*star].clear[at]) {
                let noise = self.stars[star].variance[at].sqrt() / fit.flux;
                let error = noise.hypot(least).hypot(fit.unlike * psfs[star][at]).max(f64::MIN_POSITIVE);
                shares.push(Share { star, residual: back[star][at], weight: (error * error).recip() });
            }
            without_outliers(&mut shares);
            shares
        })
    }

    /// The first `count` coefficients in a pixel by weighted least squares.
    fn coefficients(&self, shares: &[Share], count: usize) -> Array1<f64> {
        let right = |k: usize| -> f64 {
            shares.iter().map(|share| share.weight * self.bases[share.star][k] * share.residual).sum()
        };
        self.solve(shares, count, right).unwrap_or_else(|| Array1::zeros(self.bases[0].len()))
    }

    /// Leave-one-out change of the coefficients for each star; zero where the fit becomes singular
    /// without it.
    fn without(&self, shares: &Array2<Vec<Share>>, count: usize) -> Vec<Vec<Array2<f64>>> {
        let mut without = vec![vec![Array2::zeros(shares.dim()); count]; self.stars.len()];
        for (at, shares) in shares.indexed_iter() {
            let fitted = self.coefficients(shares, count);
            for share in shares {
                let basis = &self.bases[share.star];
                let Some(pull) = self.solve(shares, count, |k| basis[k]) else { continue };
                let leverage = share.weight * basis.dot(&pull);
                if leverage < MOST_LEVERAGE {
                    let step = share.weight * (share.residual - basis.dot(&fitted)) / (1.0 - leverage);
                    for (plane, pull) in without[share.star].iter_mut().zip(&pull) {
                        plane[at] = -step * pull;
                    }
                }
            }
        }
        without
    }

    /// Solves a pixel's normal equations for the first `count` coefficients; only the mean where
    /// stars are too few. The other coefficients are 0. `None` without stars.
    fn solve(&self, shares: &[Share], count: usize, right: impl Fn(usize) -> f64) -> Option<Array1<f64>> {
        let count = if shares.len() < STARS_PER_TERM * count { 1 } else { count };
        let matrix = Array2::from_shape_fn((count, count), |(j, k)| {
            let term = |share: &Share| share.weight * self.bases[share.star][j] * self.bases[share.star][k];
            shares.iter().map(term).sum()
        });
        let solution = solve_positive(&matrix, &(0..count).map(right).collect())?;
        let mut all = Array1::zeros(self.bases[0].len());
        all.slice_mut(s![..count]).assign(&solution);
        Some(all)
    }
}

/// A polynomial's value.
fn sum(terms: &[Array2<f64>], basis: &Array1<f64>) -> Array2<f64> {
    let mut sum = &terms[0] * basis[0];
    terms.iter().zip(basis).skip(1).for_each(|(term, value)| sum.scaled_add(*value, term));
    sum
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

/// Standard deviation of one component of the ellipticity, from its leave-one-out values.
fn jackknife(shapes: &[[f64; 2]]) -> Option<f64> {
    let count = shapes.len() as f64;
    let squares = |component: usize| -> f64 {
        let mean = shapes.iter().map(|shape| shape[component]).sum::<f64>() / count;
        shapes.iter().map(|shape| (shape[component] - mean).powi(2)).sum()
    };
    (shapes.len() > 1).then(|| ((count - 1.0) / count * f64::midpoint(squares(0), squares(1))).sqrt())
}
