//! Numbers in a file that mean "no data": one rule for images, weights, variances and standard
//! deviations.
//!
//! A pixel value is missing if it is not finite, or at least 1e30 in absolute value. An uncertainty
//! means missing data if it is not finite, zero, negative, or so large that it stands for infinity:
//! SExtractor and SWarp write 1e30, and use 1e15 as the limit. A weight counts by its inverse.
//! [`super::constant`] treats constant values that fill borders.

use super::layout::UncertaintyKind;

/// Pixel values of at least this size mean missing data.
const HUGE_VALUE: f32 = 1e30;
/// Uncertainties of at least this size count as infinite: 1e15, rounded down in `f32`.
const HUGE_UNCERTAINTY: f64 = 1e15 * (1.0 - 1e-6);
/// Ratio to the smallest uncertainty above which uncertainties count as infinite, in large units.
const HUGE_RATIO: f64 = 1e6;
/// Limit for uncertainties in any unit: below 1e30, also as `f32`.
const ALWAYS_HUGE: f64 = 1e29;

/// Whether a pixel value is valid.
pub(super) fn is_datum(value: f32) -> bool {
    value.abs() < HUGE_VALUE
}

/// A number that rises with the uncertainty: variance, standard deviation, or inverse of the
/// weight.
fn size(kind: UncertaintyKind, value: f32) -> f64 {
    match kind {
        UncertaintyKind::Variance | UncertaintyKind::StandardDeviation => f64::from(value),
        UncertaintyKind::InverseVariance => f64::from(value).recip(),
    }
}

/// Whether an uncertainty may be infinite; [`limit`] then decides.
pub(super) fn may_be_huge(kind: UncertaintyKind, value: f32) -> bool {
    value > 0.0 && value.is_finite() && size(kind, value) >= HUGE_UNCERTAINTY
}

/// Threshold for infinite uncertainties, from a sample of the image: 1e15, or a million times the
/// smallest if that is larger, but at most 1e29.
pub(super) fn limit(kind: UncertaintyKind, sample: impl Iterator<Item = f32>) -> f64 {
    let smallest = sample
        .filter(|value| *value > 0.0 && value.is_finite())
        .map(|value| size(kind, value))
        .fold(f64::INFINITY, f64::min);
    (HUGE_RATIO * smallest).clamp(HUGE_UNCERTAINTY, ALWAYS_HUGE)
}

/// The variance for an uncertainty; NaN for missing data.
pub(super) fn variance(kind: UncertaintyKind, value: f32, limit: f64) -> f32 {
    if !(value > 0.0 && value.is_finite()) || size(kind, value) >= limit {
        return f32::NAN;
    }
    let variance = match kind {
        UncertaintyKind::Variance => value,
        UncertaintyKind::InverseVariance => value.recip(),
        UncertaintyKind::StandardDeviation => value * value,
    };
    // Squares and inverses can overflow.
    if variance > 0.0 && variance.is_finite() { variance } else { f32::NAN }
}

#[cfg(test)]
mod tests {
    use super::UncertaintyKind::{InverseVariance, StandardDeviation, Variance};
    use super::*;

    const KINDS: [UncertaintyKind; 3] = [Variance, InverseVariance, StandardDeviation];

    #[test]
    fn uncertainties_that_say_no_data_say_so_in_every_kind() {
        for kind in KINDS {
            let limit = limit(kind, [1.0, 4.0].into_iter());
            for value in [0.0, -0.0, -1.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MIN] {
                assert!(variance(kind, value, limit).is_nan(), "{kind:?} {value}");
            }
            let huge = if kind == InverseVariance { 1e-30 } else { 1e30 };
            assert!(variance(kind, huge, limit).is_nan(), "{kind:?}");
            let least = if kind == InverseVariance { 1e-15 } else { 1e15 };
            assert!(variance(kind, least, limit).is_nan(), "{kind:?}");
        }
        assert_eq!(variance(Variance, 4.0, 1e15), 4.0);
        assert_eq!(variance(InverseVariance, 4.0, 1e15), 0.25);
        assert_eq!(variance(StandardDeviation, 4.0, 1e15), 16.0);
        assert!(variance(StandardDeviation, 1e20, f64::INFINITY).is_nan());
        assert!(variance(InverseVariance, f32::from_bits(1), f64::INFINITY).is_nan());
    }

    #[test]
    fn units_in_which_all_is_large_or_small_lose_nothing() {
        for (kind, scale) in
            [(Variance, 1e20_f32), (Variance, 1e-24), (InverseVariance, 1e-18), (InverseVariance, 1e24)]
        {
            let limit = limit(kind, [scale, 3.0 * scale].into_iter());
            for value in [scale, 0.5 * scale, 100.0 * scale] {
                assert!(variance(kind, value, limit) > 0.0, "{kind:?} {value}");
            }
        }
        let limit = limit(Variance, [1e18, 1e30].into_iter());
        assert!(variance(Variance, 1e30, limit).is_nan() && variance(Variance, 1e20, limit) > 0.0);
        // Where nothing else was seen, 1e30 is no datum all the same.
        assert!(variance(Variance, 1e30, super::limit(Variance, [1e30].into_iter())).is_nan());
        assert!(variance(Variance, 1e16, super::limit(Variance, std::iter::empty())) > 0.0);
    }

    #[test]
    fn values_are_data_below_1e30() {
        assert!([0.0, -32_768.0, 1e-30, 9.9e29, -9.9e29].into_iter().all(is_datum));
        assert!([1e30, -1e30, f32::MIN, f32::INFINITY, f32::NAN].into_iter().all(|value| !is_datum(value)));
    }
}
