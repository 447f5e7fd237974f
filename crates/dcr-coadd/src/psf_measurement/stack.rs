//! One PSF for stars between pixels.
//!
//! A star is `F · P(p − δ) + b`, with the PSF `P` displaced by splines of order 5. What that leaves, over `F` and displaced back, is averaged
//! over stars and added to `P`; values that stand out are left out. Displacing back alone would blur `P` twice; the residual of the
//! displaced `P` has lost nothing.

use dcr_image::Stamp;
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

/// How the current PSF meets a star.
struct Fit {
    flux: f64,
    /// What is left, over the flux; 0 where the star is not clear.
    residual: Array2<f64>,
}

/// The PSF, `half` px to every side, and what it leaves of stars: the median of their rms within a FWHM over their peaks. `None` if the
/// stars add up to nothing.
pub(super) fn stack(stars: &[Star], half: usize, fwhm_px: f64) -> Option<(Stamp, f64)> {
    let shape = stars.first()?.pixels.dim();
    let shifts: Vec<PixelShift> = stars
        .iter()
        .map(|star| {
            let (middle_y, middle_x) = ((shape.0 / 2) as f64, (shape.1 / 2) as f64);
            PixelShift { dy: star.moments.y - middle_y, dx: star.moments.x - middle_x }
        })
        .collect();
    let inner = s![MARGIN..shape.0 - MARGIN, MARGIN..shape.1 - MARGIN];
    let mut psf = Array2::<f64>::zeros(shape);
    for round in 0..ROUNDS {
        let fits: Vec<Fit> = stars
            .iter()
            .zip(&shifts)
            .filter_map(|(star, shift)| match round {
                0 => Some(Fit { flux: star.moments.flux, residual: &star.pixels / star.moments.flux }),
                _ => fit(star, &displaced(&psf, *shift)),
            })
            .collect();
        if fits.len() < stars.len() {
            return None;
        }
        psf += &mean_residual(stars, &shifts, &fits, psf.iter().copied().fold(0.0, f64::max));
        psf /= psf.slice(inner).sum();
        if !psf.iter().all(|value| value.is_finite()) {
            return None;
        }
    }
    let left = stars.iter().zip(&shifts).filter_map(|(star, shift)| {
        let model = displaced(&psf, *shift);
        let peak = model.iter().copied().fold(0.0, f64::max);
        let fit = fit(star, &model)?;
        let inside = |((row, col), _): &((usize, usize), &f64)| {
            (*row as f64 - star.moments.y).hypot(*col as f64 - star.moments.x) <= fwhm_px
        };
        let squares: Vec<f64> =
            fit.residual.indexed_iter().filter(inside).map(|(_, left)| left * left).collect();
        Some((squares.iter().sum::<f64>() / squares.len().max(1) as f64).sqrt() / peak)
    });
    let left = median(left.collect())?;
    let stamp = Stamp::new(psf.slice(inner).to_owned()).ok()?;
    let stamp = match stamp.moments() {
        // Stars' moments are centred each by itself; what they make together may be off by a trifle.
        Ok(moments) => {
            let back = PixelShift { dy: half as f64 - moments.y, dx: half as f64 - moments.x };
            Stamp::new(displaced(&psf, back).slice(inner).to_owned()).ok()?
        }
        Err(_) => stamp,
    };
    Some((stamp, left))
}

fn displaced(image: &Array2<f64>, shift: PixelShift) -> Array2<f64> {
    shift_scalar(prefilter(image.view(), Order::QUINTIC).view(), shift, Order::QUINTIC)
}

/// Flux and background of a star by weighted least squares; `None` if there is no such star.
fn fit(star: &Star, model: &Array2<f64>) -> Option<Fit> {
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
    let residual = Zip::from(&star.pixels)
        .and(&star.clear)
        .and(model)
        .map_collect(|pixel, clear, model| if *clear { (pixel - background) / flux - model } else { 0.0 });
    Some(Fit { flux, residual })
}

/// The mean over stars of what is left of them, displaced back.
fn mean_residual(stars: &[Star], shifts: &[PixelShift], fits: &[Fit], peak: f64) -> Array2<f64> {
    let back: Vec<Array2<f64>> =
        fits.iter().zip(shifts).map(|(fit, shift)| displaced(&fit.residual, shift.reversed())).collect();
    let Some(shape) = back.first().map(Array2::dim) else { return Array2::zeros((0, 0)) };
    let mut values: Vec<(f64, f64)> = Vec::with_capacity(stars.len());
    Array2::from_shape_fn(shape, |at| {
        values.clear();
        for ((star, fit), residual) in stars.iter().zip(fits).zip(&back) {
            if star.clear[at] {
                let error = (star.variance[at].sqrt() / fit.flux).hypot(LEAST_ERROR * peak);
                values.push((residual[at], error.max(f64::MIN_POSITIVE)));
            }
        }
        let Some(middle) = median(values.iter().map(|(value, _)| *value).collect()) else { return 0.0 };
        let scatter = median(values.iter().map(|(value, _)| (value - middle).abs()).collect());
        let scatter = SIGMA_PER_MAD * scatter.unwrap_or(0.0);
        let (mut sum, mut weights) = (0.0, 0.0);
        for (value, error) in &values {
            if (value - middle).abs() <= OUTLIER_SIGMA * error.max(scatter) {
                let weight = (error * error).recip();
                sum += weight * value;
                weights += weight;
            }
        }
        if weights > 0.0 { sum / weights } else { middle }
    })
}
