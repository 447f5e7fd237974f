//! The terms of a calibration: orders, priors, and the images that are compared.

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use crate::kernel::FWHM_PER_SIGMA;

/// A term of the calibration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Term {
    /// The sky level.
    Background,
    /// Flux of the exposure over that of the prediction, minus 1.
    Flux,
    /// Displacement of the exposure against the prediction.
    Displacement,
    /// Second moments of the exposure's PSF minus those of the prediction's.
    Moments,
}

impl Term {
    /// All terms, in the order of the coefficients, with their numbers of images.
    pub(crate) const ALL: [(Self, usize); 4] =
        [(Self::Background, 1), (Self::Flux, 1), (Self::Displacement, 2), (Self::Moments, 3)];
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

/// Order of a term's polynomial, as a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PolynomialOrder {
    /// The term is left out.
    Off,
    /// One number.
    Constant,
    /// Up to order 1: three numbers.
    Linear,
    /// Up to order 2: six numbers.
    Quadratic,
}

impl PolynomialOrder {
    /// The order; `None` if off.
    #[must_use]
    pub fn order(self) -> Option<u8> {
        match self {
            Self::Off => None,
            Self::Constant => Some(0),
            Self::Linear => Some(1),
            Self::Quadratic => Some(2),
        }
    }
}

impl Default for CalibrationOrders {
    fn default() -> Self {
        Self { background: Some(2), flux: Some(1), displacement: Some(2), moments: Some(1) }
    }
}

impl CalibrationOrders {
    /// No terms: nothing is calibrated.
    pub const NONE: Self = Self { background: None, flux: None, displacement: None, moments: None };

    pub(crate) fn get(&self, term: Term) -> Option<u8> {
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

/// Prior scales of the coefficients.
pub(crate) struct Priors {
    /// FWHM of the PSF, px.
    pub(crate) fwhm_px: f64,
    /// Noise of a pixel of the sky.
    pub(crate) sigma: f64,
}

impl Priors {
    /// Prior scale of a coefficient of a term: of the mean (`order` 0), or of a variation over the
    /// image.
    pub(crate) fn scale(&self, term: Term, order: u8) -> f64 {
        let constant = order == 0;
        match term {
            Term::Background => self.sigma * if constant { 2.0 } else { 1.0 },
            Term::Flux if constant => 0.05,
            Term::Flux => 0.02,
            // 20 mas of a PSF of 0.7″.
            Term::Displacement => self.fwhm_px * if constant { 0.2 } else { 0.03 },
            // 3 % of the width.
            Term::Moments => 0.06 * (self.fwhm_px / FWHM_PER_SIGMA).powi(2),
        }
    }
}
