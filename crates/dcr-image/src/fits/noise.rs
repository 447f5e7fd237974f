//! Noise estimate for images without variance.

use ndarray::Array2;

use crate::BBox;

/// Side of the central box that is measured.
const SAMPLE_SIDE: usize = 1024;
/// Ratio of σ to the median absolute value of a normal distribution.
const SIGMA_PER_MEDIAN: f64 = 1.482_602_218_505_602;

/// The central part of an image for the noise estimate, large enough for 1 % precision.
pub(super) fn sample(bbox: &BBox) -> BBox {
    let width = bbox.width.min(SAMPLE_SIDE);
    let height = bbox.height.min(SAMPLE_SIDE);
    BBox::new(
        bbox.x0 + ((bbox.width - width) / 2) as i64,
        bbox.y0 + ((bbox.height - height) / 2) as i64,
        width,
        height,
    )
}

/// Variance of the sky noise, from the median absolute difference of neighbours in a row, which is
/// insensitive to sources and to a sloping background. It underestimates noise correlated by
/// resampling. NaN if no two neighbours have data.
pub(super) fn background_variance(image: &Array2<f32>) -> f32 {
    let mut differences: Vec<f32> = image
        .rows()
        .into_iter()
        .flat_map(|row| row.windows(2).into_iter().map(|pair| (pair[1] - pair[0]).abs()).collect::<Vec<_>>())
        .filter(|difference| difference.is_finite())
        .collect();
    if differences.is_empty() {
        return f32::NAN;
    }
    let middle = differences.len() / 2;
    let (_, median, _) = differences.select_nth_unstable_by(middle, f32::total_cmp);
    let sigma = f64::from(*median) * SIGMA_PER_MEDIAN;
    (sigma * sigma / 2.0) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variance_of_a_checkerboard_is_that_of_its_steps() {
        let board = Array2::from_shape_fn((8, 8), |(y, x)| if (x + y) % 2 == 0 { 1.0 } else { -1.0 });
        let expected = (2.0 * SIGMA_PER_MEDIAN).powi(2) / 2.0;
        assert!((f64::from(background_variance(&board)) - expected).abs() < 1e-5);
        assert!(background_variance(&Array2::from_elem((3, 1), 1.0)).is_nan());
        assert!(background_variance(&Array2::from_elem((3, 3), f32::NAN)).is_nan());
    }

    #[test]
    fn sample_stays_inside() {
        let bbox = BBox::new(-7, 3, 2000, 10);
        assert_eq!(sample(&bbox), BBox::new(481, 3, 1024, 10));
    }
}
