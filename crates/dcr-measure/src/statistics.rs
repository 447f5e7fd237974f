//! Robust statistics: the median, and the standard deviation from the median absolute deviation.

/// 1/0.6745: standard deviation of a normal distribution with a median absolute deviation of 1.
pub const SIGMA_PER_MAD: f64 = 1.482_602_218_505_602;

/// The median, the mean of the middle two of an even number; `None` of nothing.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        n if n % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

/// Median of many pixels without a full sort; the upper of the middle two for an even number, 0
/// without pixels.
pub fn median_of_pixels(mut values: Vec<f32>) -> f32 {
    select_middle(&mut values)
}

/// As [`median_of_pixels`], with the standard deviation.
pub fn median_and_scatter(mut values: Vec<f32>) -> (f32, f64) {
    let centre = select_middle(&mut values);
    values.iter_mut().for_each(|value| *value = (*value - centre).abs());
    (centre, SIGMA_PER_MAD * f64::from(select_middle(&mut values)))
}

/// The value below which the fraction `share` of the pixels lies; it changes their order. 0 of
/// nothing.
pub fn quantile_of_pixels(values: &mut [f32], share: f64) -> f32 {
    let last = values.len().saturating_sub(1);
    match values.is_empty() {
        true => 0.0,
        false => *values.select_nth_unstable_by((share * last as f64).round() as usize, f32::total_cmp).1,
    }
}

fn select_middle(values: &mut [f32]) -> f32 {
    if values.is_empty() {
        return 0.0;
    }
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f32::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_of_even_odd_and_none() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![3.0, 1.0]), Some(2.0));
        assert_eq!(median(vec![]), None);
        assert_eq!(median_of_pixels(vec![3.0, 1.0]), 3.0);
        assert_eq!(median_of_pixels(vec![]), 0.0);
    }

    #[test]
    fn quantile_is_that_of_the_sorted_pixels() {
        let mut values = vec![4.0, 1.0, 3.0, 2.0, 5.0];
        assert_eq!([0.0, 0.5, 0.95].map(|share| quantile_of_pixels(&mut values, share)), [1.0, 3.0, 5.0]);
        assert_eq!(quantile_of_pixels(&mut [], 0.5), 0.0);
    }

    #[test]
    fn scatter_does_not_see_an_outlier() {
        assert_eq!(median_and_scatter(vec![1.0, 2.0, 3.0, 4.0, 1e9]), (3.0, SIGMA_PER_MAD));
        assert_eq!(median_and_scatter(vec![]), (0.0, 0.0));
    }
}
