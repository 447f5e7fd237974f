//! Medians and scatters that a few sources do not move.

/// 1/0.6745: standard deviation of a normal distribution with a median absolute deviation of 1.
const SIGMA_PER_MAD: f32 = 1.482_602_2;

/// Median of the finite values, and their standard deviation from the median absolute deviation;
/// `None` without any.
pub(crate) fn median_and_scatter(values: impl IntoIterator<Item = f32>) -> Option<(f32, f32)> {
    let mut values: Vec<f32> = values.into_iter().filter(|value| value.is_finite()).collect();
    let centre = at_rank(&mut values, 0.5)?;
    values.iter_mut().for_each(|value| *value = (*value - centre).abs());
    let deviation = at_rank(&mut values, 0.5)?;
    Some((centre, SIGMA_PER_MAD * deviation))
}

/// The value below which this share of the numbers among some values lies; `None` of none.
pub(crate) fn quantile(values: impl IntoIterator<Item = f32>, share: f64) -> Option<f32> {
    at_rank(&mut values.into_iter().filter(|value| value.is_finite()).collect::<Vec<_>>(), share)
}

fn at_rank(values: &mut [f32], share: f64) -> Option<f32> {
    let last = values.len().checked_sub(1)?;
    let rank = (share.clamp(0.0, 1.0) * last as f64).round() as usize;
    Some(*values.select_nth_unstable_by(rank, f32::total_cmp).1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_and_scatter_leave_out_what_is_no_number() {
        let (centre, scatter) = median_and_scatter([1.0, f32::NAN, 2.0, 3.0, f32::INFINITY]).unwrap();
        assert_eq!(centre, 2.0);
        assert!((scatter - SIGMA_PER_MAD).abs() < 1e-6);
        assert_eq!(median_and_scatter([f32::NAN]), None);
        assert_eq!(median_and_scatter([]), None);
    }

    #[test]
    fn quantiles_reach_both_ends() {
        let values = [5.0, 1.0, 4.0, 2.0, 3.0];
        assert_eq!(quantile(values, 0.0), Some(1.0));
        assert_eq!(quantile(values, 0.5), Some(3.0));
        assert_eq!(quantile(values, 1.0), Some(5.0));
        assert_eq!(quantile([f32::NAN], 0.5), None);
    }
}
