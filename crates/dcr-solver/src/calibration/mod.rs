//! Low-order calibration of an exposure against its prediction.
//!
//! An exposure differs from a prediction by more than noise: its zero point, astrometry, PSF and
//! sky are known to a few per cent, a few hundredths of the PSF's width and a fraction of the
//! noise. On bright sources each of these leaves residuals far above the noise. All are smooth over
//! an image, so that a few numbers describe them:
//!
//! ```text
//! s(x) ≈ (1 + f) m(x) − δ·∇m + ½ [(s + e₁) ∂²ₓ + (s − e₁) ∂²ᵧ + 2 e₂ ∂ₓ∂ᵧ] m + ½ (δ·∇)² m + b
//! ```
//!
//! with the prediction `m`, a relative flux `f`, a displacement `δ`, changes `s`, `e₁`, `e₂` of the
//! PSF's second moments and a background `b`, each a polynomial over the image. The
//! moments are those of Gaussian PSFs to first order in the change (Bernstein & Jarvis 2002, AJ
//! 123, 583).
//!
//! [`fit`] determines the polynomials by weighted least squares. Only pixels of bright sources
//! count for all terms but the background: elsewhere the prediction's own noise attenuates the
//! flux, and everything gets worse. Every coefficient has a Gaussian prior, pixels and sources that
//! contradict the rest lose their weight, and the order of each polynomial is that of the highest
//! evidence.

mod coefficients;
mod derivatives;
mod evidence;
mod model_error;
mod pixels;
mod terms;

pub(crate) use coefficients::Coordinates;
pub use coefficients::{Calibration, CalibrationReport, LocalTerms};
pub use model_error::ModelError;
pub(crate) use pixels::{RobustFit, robust_equations};
pub use terms::{CalibrationData, CalibrationOrders, PolynomialOrder};
pub(crate) use terms::{Priors, Term};

use pixels::sky_sigma;

/// Fits the calibration of an exposure.
///
/// Returns `None` without a usable pixel or with no term. With few or faint sources the prior
/// decides, and the result is close to no change.
///
/// ```
/// use dcr_solver::calibration::{CalibrationData, CalibrationOrders, fit};
/// use ndarray::Array2;
///
/// // Stars on a grid; the exposure is brighter by 2 % and displaced by 0.05 px along x.
/// let stars = |scale: f32, dx: f32| {
///     Array2::from_shape_fn((120, 120), |(y, x)| {
///         let (dy, dx) = ((y % 20) as f32 - 10.0, (x % 20) as f32 - 10.0 - dx);
///         scale * 500.0 * (-(dy * dy + dx * dx) / 5.0).exp()
///     })
/// };
/// let (image, prediction) = (stars(1.02, 0.05), stars(1.0, 0.0));
/// let (variance, good) = (Array2::ones((120, 120)), Array2::from_elem((120, 120), true));
/// let data = CalibrationData {
///     image: image.view(),
///     variance: variance.view(),
///     prediction: prediction.view(),
///     good: good.view(),
///     fwhm_px: 3.7,
/// };
/// let found = fit(&data, &CalibrationOrders::default()).unwrap();
/// let middle = found.at(60.0, 60.0);
/// assert!((middle.flux - 0.02).abs() < 2e-3 && (middle.displacement.dx - 0.05).abs() < 2e-3);
/// let corrected = found.apply(prediction.view());
/// assert!((&corrected - &image).iter().all(|r| r.abs() < 2.0));
/// ```
///
/// # Panics
///
/// If the arrays differ in shape.
#[must_use]
pub fn fit(data: &CalibrationData, orders: &CalibrationOrders) -> Option<Calibration> {
    let shape = data.image.dim();
    assert!(
        [data.variance.dim(), data.prediction.dim(), data.good.dim()].iter().all(|d| *d == shape),
        "all planes have the shape of the image"
    );
    if *orders == CalibrationOrders::NONE {
        return None;
    }
    let priors = Priors { fwhm_px: data.fwhm_px, sigma: sky_sigma(data)? };
    let coordinates = Coordinates { shape };
    let robust = robust_equations(data, (0, 0), &coordinates, orders, &priors)?;
    Some(robust.calibration(coordinates, orders, &priors))
}

#[cfg(test)]
mod tests;
