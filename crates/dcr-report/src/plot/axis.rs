//! Axes: range, ticks and labels.

/// An axis along which values lie evenly, or their logarithms.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Axis {
    low: f64,
    high: f64,
    logarithmic: bool,
    ticks: Vec<f64>,
    label: String,
}

impl Axis {
    /// One that has all of these values, and some space beyond them.
    pub(crate) fn linear(values: impl IntoIterator<Item = f64>, label: impl Into<String>) -> Self {
        let (low, high) = range(values).unwrap_or((0.0, 1.0));
        let space = if high > low { 0.05 * (high - low) } else { 0.5 * low.abs().max(1.0) };
        let (low, high) = (low - space, high + space);
        Self { low, high, logarithmic: false, ticks: ticks(low, high, 6), label: label.into() }
    }

    /// One from 0 to beyond all of these values.
    pub(crate) fn from_zero(values: impl IntoIterator<Item = f64>, label: impl Into<String>) -> Self {
        let (_, high) = range(values).unwrap_or((0.0, 1.0));
        let high = if high > 0.0 { 1.08 * high } else { 1.0 };
        // A mark at 0 is to be seen whole.
        Self { low: -0.04 * high, high, logarithmic: false, ticks: ticks(0.0, high, 6), label: label.into() }
    }

    /// A logarithmic one for the values above 0.
    pub(crate) fn logarithmic(values: impl IntoIterator<Item = f64>, label: impl Into<String>) -> Self {
        let (low, high) = range(values.into_iter().filter(|value| *value > 0.0)).unwrap_or((0.1, 1.0));
        let (low, high) = (low / 1.15, high * 1.15);
        Self { low, high, logarithmic: true, ticks: logarithmic_ticks(low, high), label: label.into() }
    }

    /// The fraction of the axis at which a value lies; `None` for one that the axis cannot have.
    pub(crate) fn fraction(&self, value: f64) -> Option<f64> {
        let fraction = if self.logarithmic {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        fraction.is_finite().then_some(fraction)
    }

    /// Ticks with their labels.
    pub(crate) fn ticks(&self) -> Vec<(f64, String)> {
        let decimals = self.ticks.iter().map(|tick| decimals(*tick)).max().unwrap_or(0);
        let text = |tick: f64| {
            let digits = if self.logarithmic { self::decimals(tick) } else { decimals };
            // Never "-0".
            format!("{:.digits$}", if tick == 0.0 { 0.0 } else { tick }).replace('-', "−")
        };
        self.ticks.iter().map(|tick| (*tick, text(*tick))).collect()
    }

    /// Label of the axis.
    pub(crate) fn label(&self) -> &str {
        &self.label
    }
}

/// The smallest and the largest number; `None` of none.
fn range(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    values.into_iter().filter(|value| value.is_finite()).fold(None, |range, value| {
        let (low, high) = range.unwrap_or((value, value));
        Some((value.min(low), value.max(high)))
    })
}

/// At most `most` multiples of 1, 2 or 5 times a power of ten between two numbers.
pub(crate) fn ticks(low: f64, high: f64, most: usize) -> Vec<f64> {
    if !(low.is_finite() && high.is_finite() && high > low) {
        return vec![];
    }
    let least_step = (high - low) / most.max(1) as f64;
    let power = 10_f64.powf(least_step.log10().floor());
    let step =
        [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= least_step);
    let step = step.unwrap_or(10.0 * power);
    // Rounding must not lose a tick that lies on an end.
    let slack = 1e-9;
    let (first, last) = ((low / step - slack).ceil() as i64, (high / step + slack).floor() as i64);
    (first..=last).map(|i| tidy(i as f64 * step)).collect()
}

/// Powers of ten, with 2 and 5 times them over less than two decades; [`ticks`] over less than a
/// factor of six.
fn logarithmic_ticks(low: f64, high: f64) -> Vec<f64> {
    if high / low < 6.0 {
        return ticks(low, high, 8);
    }
    let factors: &[f64] = if high / low < 100.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let powers = low.log10().floor() as i32..=high.log10().ceil() as i32;
    powers
        .flat_map(|power| factors.iter().map(move |factor| tidy(factor * 10_f64.powi(power))))
        .filter(|tick| (low..=high).contains(tick))
        .collect()
}

/// A number as it would be written with nine digits.
fn tidy(value: f64) -> f64 {
    format!("{value:.9e}").parse().unwrap_or(value)
}

/// The digits behind the point that a number needs, six at most.
fn decimals(value: f64) -> usize {
    let text = format!("{:.6}", value.abs());
    let text = text.trim_end_matches('0');
    text.len() - text.find('.').map_or(text.len(), |point| point + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ticks_are_round() {
        assert_eq!(ticks(0.0, 1.0, 6), [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]);
        assert_eq!(ticks(0.97, 2.03, 6), [1.0, 1.2, 1.4, 1.6, 1.8, 2.0]);
        assert_eq!(ticks(-3.0, 38.0, 5), [0.0, 10.0, 20.0, 30.0]);
        assert_eq!(ticks(1234.0, 1236.0, 5), [1234.0, 1234.5, 1235.0, 1235.5, 1236.0]);
        assert_eq!(ticks(1.0, 1.0, 5), [] as [f64; 0]);
        assert_eq!(ticks(f64::NAN, 1.0, 5), [] as [f64; 0]);
    }

    #[test]
    fn logarithmic_ticks_are_powers_of_ten_or_between() {
        assert_eq!(logarithmic_ticks(0.015, 0.11), [0.02, 0.05, 0.1]);
        assert_eq!(logarithmic_ticks(0.5, 2000.0), [1.0, 10.0, 100.0, 1000.0]);
        assert_eq!(logarithmic_ticks(0.9, 1.6), [0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6]);
    }

    #[test]
    fn texts_of_ticks_have_as_many_digits_as_the_finest() {
        let texts = |axis: &Axis| axis.ticks().into_iter().map(|(_, text)| text).collect::<Vec<_>>();
        assert_eq!(texts(&Axis::linear([-1.0, 1.0], "")), ["−1.0", "−0.5", "0.0", "0.5", "1.0"]);
        assert_eq!(texts(&Axis::logarithmic([0.02, 3.0], "")), ["0.1", "1"]);
        assert_eq!(
            texts(&Axis::logarithmic([0.045, 0.13], "")),
            ["0.04", "0.06", "0.08", "0.1", "0.12", "0.14"]
        );
        assert_eq!(texts(&Axis::from_zero([0.0, 37.0], "")), ["0", "10", "20", "30"]);
    }

    #[test]
    fn axes_of_nothing_or_of_one_value_have_a_range() {
        for axis in [
            Axis::linear([], ""),
            Axis::linear([f64::NAN], ""),
            Axis::linear([2.0], ""),
            Axis::from_zero([0.0], ""),
            Axis::logarithmic([-1.0, 0.0], ""),
        ] {
            assert!(axis.high > axis.low && axis.ticks.len() >= 2, "{axis:?}");
        }
        assert_eq!(Axis::logarithmic([1.0], "").fraction(0.0), None);
        assert_eq!(Axis::linear([1.0], "").fraction(f64::NAN), None);
    }

    proptest! {
        #[test]
        fn ticks_lie_inside_and_are_neither_many_nor_none(low in -1e6_f64..1e6, size in -6.0_f64..6.0, most in 2_usize..9) {
            let high = low + 10_f64.powf(size);
            let ticks = ticks(low, high, most);
            let slack = 1e-6 * (high - low) + 1e-9 * low.abs();
            prop_assert!(ticks.iter().all(|tick| *tick >= low - slack && *tick <= high + slack));
            prop_assert!(ticks.len() <= most + 1);
            prop_assert!(most < 5 || !ticks.is_empty());
        }
    }
}
