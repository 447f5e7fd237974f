//! Every tolerance of the crate's tests, each with its reason.

/// Refraction against the reference's own numbers, relative: double precision and another order of operations.
pub(crate) const REFERENCE_RELATIVE: f64 = 1e-12;

/// The same for differences of refraction, relative to the refraction itself: they are a hundredth of it.
pub(crate) const REFERENCE_DIFFERENCE: f64 = 1e-14;

/// Our ray integral against the yardstick values of ALGORITHM §1, which are given to 0.1 mas.
pub(crate) const YARDSTICK_RAY_ARCSEC: f64 = 0.1e-3;

/// The expansion against the same values: what ALGORITHM §1 says it meets, and the last digit given.
pub(crate) const YARDSTICK_EXPANSION_ARCSEC: f64 = 0.55e-3;

/// The quadrature of the ray integral against one with a quarter of its steps.
pub(crate) const QUADRATURE_ARCSEC: f64 = 1e-6;

/// The hydrostatic expansion against the ray integral with the same index, to airmass 2 (measured: 0.10 mas).
pub(crate) const HYDROSTATIC_ARCSEC: f64 = 0.15e-3;

/// Stone's expansion against the ray integral with Ciddor's index at good sites: the goal of ALGORITHM §1.
pub(crate) const STONE_ARCSEC: f64 = 1e-3;

/// The same at any site: the factor κ, up to 0.3 %, and the humid tropics (measured: 6.6 mas at 51° north).
pub(crate) const STONE_ANYWHERE_ARCSEC: f64 = 7e-3;

/// Dispersion in an atmosphere with a lapse rate of 4 to 9 K/km instead of 6.5, at airmass 2.
pub(crate) const LAPSE_RATE_ARCSEC: f64 = 0.1e-3;

/// Ciddor's table gives `(n − 1)·10⁸` to one digit after the point.
pub(crate) const CIDDOR_TABLE: f64 = 0.06;
