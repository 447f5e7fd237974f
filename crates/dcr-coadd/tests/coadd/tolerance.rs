//! All tolerances, each with its reason.

/// Subfilter planes of a whole golden run, of their peak: the reference itself moves by 3.5e-6 under rounding.
pub(crate) const GOLDEN_MODEL: f64 = 1e-5;
/// Convergence metrics of a golden run, relative: the reference's own spread is 8e-6.
pub(crate) const GOLDEN_METRIC: f64 = 2e-5;
/// Gains of a golden run, absolute: they are a difference of metrics, magnified.
pub(crate) const GOLDEN_GAIN: f64 = 1e-3;
/// Variances that are copied or divided by the number of subfilters, relative: one rounding to `f32`.
pub(crate) const ROUNDING: f64 = 3e-7;
