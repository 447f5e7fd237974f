//! Correlation of the noise of neighbouring pixels of a coadd.
//!
//! With pixels `z` away from sources, each divided by its stated standard deviation and less their
//! mean,
//!
//! ```text
//! ρ(dy, dx) = Σ z(y, x) z(y + dy, x + dx) / Σ z²
//! ```
//!
//! for the neighbours along x, along y and along the two diagonals (their mean). Warping and smooth
//! models correlate pixels. The standard deviation of `z` checks the variance: where neighbours are
//! correlated it is below 1, and sums over many pixels scatter more than the variance implies.

use dcr_image::header::Card;
use ndarray::{ArrayView2, Zip, s};
use serde::Serialize;

/// Outlier threshold in standard deviations.
const OUTLIER_SIGMA: f32 = 5.0;
/// Minimum pixels for the measurement.
const FEWEST: usize = 100;

/// Correlation of the noise of neighbouring pixels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct NoiseCorrelation {
    /// Correlation of neighbours along x.
    pub x: f64,
    /// Correlation of neighbours along y.
    pub y: f64,
    /// Correlation of neighbours along diagonals.
    pub diagonal: f64,
    /// Standard deviation of the pixels over that of the variance.
    pub scatter: f64,
}

impl NoiseCorrelation {
    /// Measures the correlation away from sources; `None` if too few pixels are left.
    pub fn measure(
        image: ArrayView2<'_, f32>,
        variance: ArrayView2<'_, f32>,
        excluded: ArrayView2<'_, bool>,
    ) -> Option<Self> {
        let mut z = Zip::from(image).and(variance).and(excluded).map_collect(|value, variance, excluded| {
            let z = value / variance.sqrt();
            if *excluded || !z.is_finite() || z.abs() > OUTLIER_SIGMA { f32::NAN } else { z }
        });
        let (mut count, mut sum) = (0_usize, 0.0);
        for value in z.iter().filter(|value| value.is_finite()) {
            count += 1;
            sum += f64::from(*value);
        }
        if count < FEWEST {
            return None;
        }
        let mean = (sum / count as f64) as f32;
        z -= mean;
        let (rows, cols) = z.dim();
        let product = |a: ArrayView2<'_, f32>, b: ArrayView2<'_, f32>| {
            let (mut pairs, mut sum) = (0_usize, 0.0);
            for (a, b) in a.iter().zip(b) {
                if a.is_finite() && b.is_finite() {
                    pairs += 1;
                    sum += f64::from(*a) * f64::from(*b);
                }
            }
            sum / pairs.max(1) as f64
        };
        let own = product(z.view(), z.view());
        let along_x = product(z.slice(s![.., ..cols - 1]), z.slice(s![.., 1..]));
        let along_y = product(z.slice(s![..rows - 1, ..]), z.slice(s![1.., ..]));
        let falling = product(z.slice(s![..rows - 1, ..cols - 1]), z.slice(s![1.., 1..]));
        let rising = product(z.slice(s![1.., ..cols - 1]), z.slice(s![..rows - 1, 1..]));
        (own > 0.0).then(|| Self {
            x: along_x / own,
            y: along_y / own,
            diagonal: f64::midpoint(falling, rising) / own,
            scatter: own.sqrt(),
        })
    }

    /// The cards of the file.
    pub fn cards(&self) -> [Card; 4] {
        [
            Card::new("NOISCORX", self.x).with_comment("correlation of noise of neighbours along x"),
            Card::new("NOISCORY", self.y).with_comment("the same along y"),
            Card::new("NOISCORD", self.diagonal).with_comment("the same along diagonals"),
            Card::new("NOISSCAT", self.scatter).with_comment("scatter of pixels over that of VARIANCE"),
        ]
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    /// Sums of 250 × 200 products of noise: 1/√50000 and some.
    const NOISE: f64 = 0.015;

    fn white(shape: (usize, usize)) -> Array2<f32> {
        let mut state = 3_u64;
        let mut even = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 24) as f32
        };
        Array2::from_shape_fn(shape, |_| (0..12).map(|_| even()).sum::<f32>() - 6.0)
    }

    fn measured(image: &Array2<f32>, variance: f32) -> Option<NoiseCorrelation> {
        let variance = Array2::from_elem(image.dim(), variance);
        let none = Array2::from_elem(image.dim(), false);
        NoiseCorrelation::measure(image.view(), variance.view(), none.view())
    }

    #[test]
    fn correlation_of_white_noise_is_none() {
        let found = measured(&(white((200, 250)) + 0.5), 4.0).unwrap();
        assert!(found.x.abs() < NOISE && found.y.abs() < NOISE && found.diagonal.abs() < NOISE, "{found:?}");
        assert!((found.scatter - 0.5).abs() < 0.01, "{found:?}");
    }

    #[test]
    fn correlation_of_averaged_neighbours_is_one_half() {
        let noise = white((200, 251));
        let averaged = &noise.slice(s![.., 1..]) + &noise.slice(s![.., ..250]);
        let found = measured(&averaged, 2.0).unwrap();
        assert!((found.x - 0.5).abs() < NOISE && found.y.abs() < NOISE, "{found:?}");
        assert!(found.diagonal.abs() < NOISE && (found.scatter - 1.0).abs() < NOISE, "{found:?}");
    }

    #[test]
    fn correlation_of_too_few_pixels_is_unknown() {
        assert_eq!(measured(&white((9, 11)), 1.0), None);
        assert_eq!(measured(&Array2::from_elem((20, 20), f32::NAN), 1.0), None);
        assert_eq!(measured(&Array2::zeros((20, 20)), 1.0), None);
        assert_eq!(measured(&white((20, 20)), 0.0), None);
    }
}
