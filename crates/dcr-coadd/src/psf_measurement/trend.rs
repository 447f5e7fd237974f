//! Whether the PSF varies over the patch: the order of the polynomial that tells stars' sizes and shapes best.
//!
//! Each star's size and ellipticity is predicted from the others' by a weighted fit, which needs one fit only: with the residual `r` and the
//! leverage `h`, the prediction is off by `r/(1 − h)`. A higher order has to predict them clearly better, and is not tried where they are
//! off by no more than noise.

use std::f64::consts::PI;

use dcr_image::psf::Moments;
use ndarray::{Array1, Array2};

use super::stars::Star;
use crate::matching_kernel::{Polynomial, solve_positive};

const MOST_ORDER: usize = 2;
/// Fewest stars for each term.
const STARS_PER_TERM: usize = 2;
/// The sum of squares that a higher order leaves of the one that a lower leaves, at most. By chance, where nothing varies, 6 stars go below
/// in 2 % of cases, 12 in 0.6 %, 20 in 0.1 % (simulated).
const CLEARLY_BETTER: f64 = 0.8;
/// Variations of sizes and shapes that do not matter: they count as noise.
const LEAST_SCATTER: f64 = 2e-3;
/// Figures of each star.
const FIGURES: usize = 3;

/// How the PSF runs over an image of this shape.
pub(super) fn trend(stars: &[Star], shape: (usize, usize)) -> Polynomial {
    let mut best = Polynomial::new(0, shape);
    let Some(mut least) = prediction_error(stars, &best) else { return best };
    for order in 1..=MOST_ORDER {
        let polynomial = Polynomial::new(order, shape);
        let noise = (FIGURES * stars.len()) as f64;
        if stars.len() < STARS_PER_TERM * polynomial.len() || least <= noise {
            break;
        }
        if let Some(error) = prediction_error(stars, &polynomial)
            && error < CLEARLY_BETTER * least
        {
            (best, least) = (polynomial, error);
        }
    }
    best
}

/// The sum of squares by which predictions are off, over their variance; `None` if a star cannot be predicted.
fn prediction_error(stars: &[Star], polynomial: &Polynomial) -> Option<f64> {
    let bases: Vec<Array1<f64>> =
        stars.iter().map(|star| polynomial.at(star.place.0, star.place.1).into()).collect();
    let weights: Vec<f64> = stars.iter().map(weight).collect();
    let matrix = Array2::from_shape_fn((polynomial.len(), polynomial.len()), |(j, k)| {
        bases.iter().zip(&weights).map(|(basis, weight)| weight * basis[j] * basis[k]).sum()
    });
    let leverages = bases.iter().zip(&weights).map(|(basis, weight)| {
        solve_positive(matrix.clone(), basis.clone()).map(|solution| weight * basis.dot(&solution))
    });
    let leverages: Vec<f64> = leverages.collect::<Option<_>>()?;
    let mut sum = 0.0;
    for quantity in 0..FIGURES {
        let values: Vec<f64> = stars.iter().map(|star| figures(star)[quantity]).collect();
        let mut right = Array1::zeros(polynomial.len());
        for ((basis, weight), value) in bases.iter().zip(&weights).zip(&values) {
            right.scaled_add(weight * value, basis);
        }
        let fitted = solve_positive(matrix.clone(), right)?;
        for (((basis, weight), value), leverage) in bases.iter().zip(&weights).zip(&values).zip(&leverages) {
            sum += weight * ((value - basis.dot(&fitted)) / (1.0 - leverage)).powi(2);
        }
    }
    sum.is_finite().then_some(sum)
}

/// Size and ellipticity; noise moves the three alike.
fn figures(star: &Star) -> [f64; FIGURES] {
    let [e1, e2] = star.moments.ellipticity();
    [2.0 * star.moments.fwhm_px().ln(), e1, e2]
}

/// Of the noise of an ellipticity, √2 over the signal to noise of the flux.
fn weight(star: &Star) -> f64 {
    let Moments { xx, xy, yy, flux, .. } = star.moments;
    let pixels = 4.0 * PI * (xx * yy - xy * xy).sqrt();
    let variance = star.variance[[star.variance.nrows() / 2, star.variance.ncols() / 2]];
    (2.0 * variance * pixels / (flux * flux) + LEAST_SCATTER * LEAST_SCATTER).recip()
}
