//! Gain: weight of a new solution (docs/algorithm.md §7.3).

use super::config::Gain;

/// Number of efficiencies in the running median.
const WINDOW: usize = 4;

/// Base gain: the setting, or 1/(n − 1), with which a step replaces the sum of the planes by that
/// of the residuals.
///
/// One subfilter gets infinity: the whole step.
#[must_use]
pub fn base_gain(given: Option<f64>, subfilters: usize) -> f64 {
    given.unwrap_or(1.0 / (subfilters as f64 - 1.0))
}

/// Gain of the next iteration, from the metric before the first and after every iteration
/// (`metrics`) and the earlier gains.
///
/// Two consecutive metrics and the gain between them give the metric of an undamped step. The
/// median of these over the last iterations predicts the present one; the better the prediction,
/// the larger the gain.
///
/// # Panics
///
/// If `metrics` is not one longer than `gains`.
#[must_use]
pub fn next_gain(mode: Gain, base: f64, metrics: &[f64], gains: &[f64]) -> f64 {
    assert_eq!(metrics.len(), gains.len() + 1, "one metric more than gains");
    if mode == Gain::Fixed || metrics.len() <= 2 || !base.is_finite() {
        return base;
    }
    let n = gains.len();
    let undamped = |k: usize| (((1.0 + gains[k]) * metrics[k + 1] - metrics[k]) / gains[k]).max(0.0);
    let expected = median((n.saturating_sub(WINDOW)..n).map(undamped).collect());
    let (last_gain, previous, new) = (gains[n - 1], metrics[n - 1], metrics[n]);
    let predicted = (expected * last_gain + previous) / (1.0 + last_gain);
    let miss = (predicted - new) / ((previous - expected) / (1.0 + last_gain));
    let gain = ((1.0 - miss.abs()) + last_gain) / 2.0;
    // NaN, from constant metrics, also gives the base gain.
    if gain > base { gain } else { base }
}

fn median(mut values: Vec<f64>) -> f64 {
    if values.iter().any(|v| v.is_nan()) {
        return f64::NAN;
    }
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}
