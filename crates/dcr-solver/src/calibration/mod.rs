//! Low-order calibration of an exposure against its prediction.
//!
//! An exposure differs from a prediction by more than noise: its zero point, astrometry, PSF and sky
//! are known to a few per cent, a few hundredths of the PSF's width and a fraction of the noise. On
//! bright sources each of these leaves residuals far above the noise. All are smooth over an image,
//! so that a few numbers describe them:
//!
//! ```text
//! s(x) ≈ (1 + f) m(x) − δ·∇m + ½ [(s + e₁) ∂²ₓ + (s − e₁) ∂²ᵧ + 2 e₂ ∂ₓ∂ᵧ] m + ½ (δ·∇)² m + b
//! ```
//!
//! with the prediction `m`, a relative flux `f`, a displacement `δ`, changes `s`, `e₁`, `e₂` of the
//! PSF's second moments and a background `b`, each a polynomial over the image ([`Term`]). The
//! moments are those of Gaussian PSFs to first order in the change (Bernstein & Jarvis 2002, AJ 123,
//! 583).
//!
//! [`fit`] determines the polynomials by weighted least squares. Only pixels of bright sources count
//! for all terms but the background: elsewhere the prediction's own noise attenuates the flux, and
//! everything gets worse. Every coefficient has a Gaussian prior, pixels and sources that contradict
//! the rest lose their weight, and the order of each polynomial is that of the highest evidence.

mod coefficients;
mod derivatives;
mod evidence;
mod pixels;

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

pub use coefficients::{Calibration, LocalTerms};

use coefficients::{Coordinates, TERMS};
use evidence::choose;
use pixels::{Selection, robust_equations};

/// A term of the calibration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Term {
    /// The sky level.
    Background,
    /// Flux of the exposure over that of the prediction, minus 1.
    Flux,
    /// Displacement of the exposure against the prediction.
    Displacement,
    /// Second moments of the exposure's PSF minus those of the prediction's.
    Moments,
}

/// Highest order of each term's polynomial; `None` leaves the term out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CalibrationOrders {
    /// Order of the background.
    pub background: Option<u8>,
    /// Order of the relative flux.
    pub flux: Option<u8>,
    /// Order of the displacement along each axis.
    pub displacement: Option<u8>,
    /// Order of the second moments of the PSF.
    pub moments: Option<u8>,
}

impl Default for CalibrationOrders {
    fn default() -> Self {
        Self { background: Some(2), flux: Some(1), displacement: Some(2), moments: Some(1) }
    }
}

impl CalibrationOrders {
    /// No terms: nothing is calibrated.
    pub const NONE: Self = Self { background: None, flux: None, displacement: None, moments: None };

    fn get(&self, term: Term) -> Option<u8> {
        match term {
            Term::Background => self.background,
            Term::Flux => self.flux,
            Term::Displacement => self.displacement,
            Term::Moments => self.moments,
        }
    }
}

/// An exposure and its prediction on the same pixels.
pub struct CalibrationData<'a> {
    /// The exposure.
    pub image: ArrayView2<'a, f32>,
    /// Variance of its pixels.
    pub variance: ArrayView2<'a, f32>,
    /// The prediction, in the same units. Pixels that are not finite are not used.
    pub prediction: ArrayView2<'a, f32>,
    /// Pixels whose values are valid in both.
    pub good: ArrayView2<'a, bool>,
    /// FWHM of the exposure's PSF, px.
    pub fwhm_px: f64,
}

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
    if TERMS.iter().all(|term| orders.get(*term).is_none()) {
        return None;
    }
    let selection = Selection::new(data)?;
    let coordinates = Coordinates::new(shape);
    let priors = Priors { fwhm_px: data.fwhm_px, sigma: selection.sigma };
    let equations = robust_equations(data, &selection, &coordinates, orders, &priors)?;
    let (orders, solution) = choose(&equations, orders, &priors);
    Some(Calibration::new(coordinates, orders, &solution, equations.sources))
}

/// Prior scales of the coefficients.
pub(crate) struct Priors {
    fwhm_px: f64,
    /// Noise of a pixel of the sky.
    sigma: f64,
}

impl Priors {
    /// Prior scale of a coefficient of a term: of the mean (`order` 0), or of a variation over the
    /// image.
    fn scale(&self, term: Term, order: u8) -> f64 {
        let constant = order == 0;
        match term {
            Term::Background => self.sigma * if constant { 2.0 } else { 1.0 },
            Term::Flux if constant => 0.05,
            Term::Flux => 0.02,
            // 20 mas of a PSF of 0.7″.
            Term::Displacement => self.fwhm_px * if constant { 0.2 } else { 0.03 },
            // 3 % of the width.
            Term::Moments => 0.06 * (self.fwhm_px / 2.3548).powi(2),
        }
    }
}

#[cfg(test)]
mod tests;
