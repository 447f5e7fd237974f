//! Order of the polynomial that best predicts the sizes and shapes of stars over the patch.
//!
//! Each star's size and ellipticity is predicted from the other stars by a weighted fit. One fit is
//! enough: with the residual `r` and the leverage `h`, the prediction error is `r/(1 − h)`. A
//! higher order must predict clearly better, and is tried only where prediction errors exceed the
//! noise.

use std::f64::consts::PI;

use dcr_image::psf::Moments;
use ndarray::{Array1, Array2};

use super::stars::Star;
use crate::matching_kernel::{Polynomial, solve_positive};

const MOST_ORDER: usize = 2;
/// Minimum stars per polynomial term.
pub(super) const STARS_PER_TERM: usize = 2;
/// Maximum ratio of the sums of squares of a higher and a lower order. Where nothing varies, 6
/// stars fall below it by chance in 2 % of cases, 12 in 0.6 %, 20 in 0.1 % (simulated).
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
        if stars.len() < STARS_PER_TERM * polynomial.terms() || least <= noise {
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

/// Sum of squared prediction errors over their variance; `None` if a star cannot be predicted.
fn prediction_error(stars: &[Star], polynomial: &Polynomial) -> Option<f64> {
    let bases: Vec<Array1<f64>> =
        stars.iter().map(|star| polynomial.at(star.place.0, star.place.1).into()).collect();
    let weights: Vec<f64> = stars.iter().map(weight).collect();
    let matrix = Array2::from_shape_fn((polynomial.terms(), polynomial.terms()), |(j, k)| {
        bases.iter().zip(&weights).map(|(basis, weight)| weight * basis[j] * basis[k]).sum()
    });
    let leverages = bases
        .iter()
        .zip(&weights)
        .map(|(basis, weight)| solve_positive(&matrix, basis).map(|solution| weight * basis.dot(&solution)));
    let leverages: Vec<f64> = leverages.collect::<Option<_>>()?;
    let mut sum = 0.0;
    for quantity in 0..FIGURES {
        let values: Vec<f64> = stars.iter().map(|star| figures(star)[quantity]).collect();
        let mut right = Array1::zeros(polynomial.terms());
        for ((basis, weight), value) in bases.iter().zip(&weights).zip(&values) {
            right.scaled_add(weight * value, basis);
        }
        let fitted = solve_positive(&matrix, &right)?;
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

/// Inverse-variance weight: σ_e = √2 / (S/N).
fn weight(star: &Star) -> f64 {
    let Moments { xx, xy, yy, flux, .. } = star.moments;
    let pixels = 4.0 * PI * (xx * yy - xy * xy).sqrt();
    let variance = star.variance[[star.variance.nrows() / 2, star.variance.ncols() / 2]];
    (2.0 * variance * pixels / (flux * flux) + LEAST_SCATTER * LEAST_SCATTER).recip()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: (usize, usize) = (400, 600);

    /// A star of S/N of some hundreds, of this width along x.
    fn star(place: (f64, f64), width: f64) -> Star {
        let moments = Moments { x: 0.0, y: 0.0, xx: width * width, xy: 0.0, yy: 3.0, flux: 3000.0 };
        let (pixels, variance) = (Array2::zeros((1, 1)), Array2::ones((1, 1)));
        Star { pixels, variance, clear: Array2::from_elem((1, 1), true), moments, place }
    }

    /// Scattered stars with widths given by their positions from 0 to 1, and an error of a few
    /// thousandths.
    fn stars(count: usize, width: impl Fn(f64, f64) -> f64) -> Vec<Star> {
        let part = |i: usize, step: f64| (i as f64 * step).fract();
        let one = |i: usize| {
            let (v, u) = (part(i, 0.618), part(i, 0.414));
            let error = 0.006 * (part(i, 0.732) - 0.5);
            star((v * SHAPE.0 as f64, u * SHAPE.1 as f64), width(u, v) + error)
        };
        (0..count).map(one).collect()
    }

    fn order(stars: &[Star]) -> usize {
        trend(stars, SHAPE).order()
    }

    #[test]
    fn trend_of_stars_that_are_alike_is_none() {
        for count in [0, 1, 2, 6, 12, 40] {
            assert_eq!(order(&stars(count, |_, _| 1.7)), 0, "{count}");
        }
    }

    #[test]
    fn trend_has_the_order_that_stars_tell_and_are_enough_for() {
        let slope = |u: f64, v: f64| 1.6 + 0.1 * u + 0.1 * v;
        let bend = |u: f64, _: f64| 1.6 + 0.6 * (u - 0.5).powi(2);
        for (count, expected) in [(5, 0), (6, 1), (12, 1), (40, 1)] {
            assert_eq!(order(&stars(count, slope)), expected, "{count}");
        }
        for (count, expected) in [(5, 0), (12, 2), (40, 2)] {
            assert_eq!(order(&stars(count, bend)), expected, "{count}");
        }
    }

    #[test]
    fn trend_across_a_line_of_stars_is_not_made_up() {
        let line: Vec<Star> = (0..20).map(|i| star((200.0, 30.0 * f64::from(i)), 1.7)).collect();
        assert_eq!(order(&line), 0);
    }
}
