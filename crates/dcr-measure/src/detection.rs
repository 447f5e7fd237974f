//! Source detection: pixels where the image, smoothed with the PSF, exceeds the noise.
//!
//! For a Gaussian `G` of the PSF's width, the smoothed image `G ∗ I` has the variance `G² ∗ v`, and
//! `G²` is a Gaussian 1/√2 as wide with sum `1/(4πσ²)`. The ratio of the two, less its median, has
//! a standard deviation of 1 away from sources if the variance is right. It is divided by its
//! measured scatter (from the median absolute deviation). Groups of connected pixels (diagonals
//! included) above the threshold that are large enough are detections, dilated by a multiple of the
//! PSF's σ.

use dcr_solver::kernel::{Boundary, gaussian_filter};
use ndarray::{Array2, ArrayView2, Zip, s};

use crate::statistics::median_and_scatter;

/// Criteria of a detection.
#[derive(Clone, Copy, Debug)]
pub struct Detection {
    /// Standard deviation of the PSF in px.
    psf_sigma: f64,
    threshold: f32,
    min_pixels: usize,
    grow_px: f64,
}

impl Detection {
    /// Groups of at least `min_pixels` connected pixels above `threshold`, in standard deviations
    /// of an image smoothed with a Gaussian PSF of standard deviation `psf_sigma` px.
    #[must_use]
    pub const fn new(psf_sigma: f64, threshold: f64, min_pixels: usize) -> Self {
        Self { psf_sigma, threshold: threshold as f32, min_pixels, grow_px: 0.0 }
    }

    /// The same detection with its groups dilated by `sigmas` standard deviations of the PSF.
    #[must_use]
    pub fn grown_by(self, sigmas: f64) -> Self {
        Self { grow_px: sigmas * self.psf_sigma, ..self }
    }

    /// Groups of at least the minimum number of pixels above the threshold, ordered by first pixel.
    pub fn groups(&self, significance: &Array2<f32>) -> Vec<Vec<(usize, usize)>> {
        groups(&significance.mapv(|s| s > self.threshold), self.min_pixels)
    }

    /// Pixels of sources. Pixels with a non-finite image or variance are ignored.
    pub fn detect(&self, image: ArrayView2<f32>, variance: ArrayView2<f32>) -> Array2<bool> {
        let significance = self.significance(image, variance);
        let above = significance.mapv(|s| s > self.threshold);
        grown(&without_small_groups(&above, self.min_pixels), self.grow_px)
    }

    /// Smoothed image over its noise; 0 where there are no data.
    pub fn significance(&self, image: ArrayView2<f32>, variance: ArrayView2<f32>) -> Array2<f32> {
        let known =
            Zip::from(&image).and(&variance).map_collect(|i, v| i.is_finite() && *v > 0.0 && v.is_finite());
        let kept = |plane: ArrayView2<f32>| {
            Zip::from(&plane).and(&known).map_collect(|p, known| if *known { *p } else { 0.0 })
        };
        let sigma = self.psf_sigma;
        let smooth = gaussian_filter(kept(image).view(), sigma, Boundary::Reflect);
        let noise = gaussian_filter(kept(variance).view(), sigma / 2.0_f64.sqrt(), Boundary::Reflect);
        let energy = (4.0 * std::f64::consts::PI * sigma * sigma).recip() as f32;
        let mut significance = Zip::from(&smooth)
            .and(&noise)
            .and(&known)
            .map_collect(|s, n, known| if *known && *n > 0.0 { s / (n * energy).sqrt() } else { f32::NAN });
        let values: Vec<f32> = significance.iter().copied().filter(|s| s.is_finite()).collect();
        let (centre, scatter) = median_and_scatter(values);
        let scale = if scatter > 0.0 { scatter as f32 } else { 1.0 };
        significance.mapv_inplace(|s| if s.is_finite() { (s - centre) / scale } else { 0.0 });
        significance
    }
}

/// Set pixels in groups of at least `fewest` that touch by sides or corners.
pub fn without_small_groups(flags: &Array2<bool>, fewest: usize) -> Array2<bool> {
    let mut out = Array2::from_elem(flags.dim(), false);
    groups(flags, fewest).into_iter().flatten().for_each(|at| out[at] = true);
    out
}

/// Groups of at least `fewest` set pixels that touch by sides or corners, ordered by first pixel.
pub fn groups(flags: &Array2<bool>, fewest: usize) -> Vec<Vec<(usize, usize)>> {
    let (rows, cols) = flags.dim();
    let mut open = flags.clone();
    let mut out = Vec::new();
    for y in 0..rows {
        let mut from = 0;
        while let Some(x) = open.slice(s![y, from..]).iter().position(|open| *open).map(|x| from + x) {
            from = x + 1;
            open[[y, x]] = false;
            let mut group = vec![(y, x)];
            let mut next = 0;
            while let Some(&(y, x)) = group.get(next) {
                next += 1;
                for ny in y.saturating_sub(1)..(y + 2).min(rows) {
                    for nx in x.saturating_sub(1)..(x + 2).min(cols) {
                        if std::mem::take(&mut open[[ny, nx]]) {
                            group.push((ny, nx));
                        }
                    }
                }
            }
            if group.len() >= fewest {
                out.push(group);
            }
        }
    }
    out
}

/// Pixels within a distance of a set pixel.
pub fn grown(flags: &Array2<bool>, distance: f64) -> Array2<bool> {
    let (rows, cols) = flags.dim();
    let reach = distance.floor() as isize;
    let mut disc = Vec::new();
    for dy in -reach..=reach {
        let half = (distance * distance - (dy * dy) as f64).max(0.0).sqrt() as isize;
        disc.push((dy, half));
    }
    let mut out = flags.clone();
    for ((y, x), set) in flags.indexed_iter() {
        // The inside of a group grows to nothing new.
        let inside = y > 0
            && x > 0
            && y + 1 < rows
            && x + 1 < cols
            && flags[[y - 1, x]]
            && flags[[y + 1, x]]
            && flags[[y, x - 1]]
            && flags[[y, x + 1]];
        if !set || inside {
            continue;
        }
        for (dy, half) in &disc {
            let Some(row) = y.checked_add_signed(*dy).filter(|row| *row < rows) else { continue };
            let (from, to) = (x.saturating_sub(*half as usize), (x + *half as usize + 1).min(cols));
            (from..to).for_each(|col| out[[row, col]] = true);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Noise of variance 4 from a fixed sequence, nearly normal: a sum of twelve even numbers.
    fn noise(shape: (usize, usize)) -> Array2<f32> {
        let mut state = 7_u64;
        let mut even = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 24) as f32
        };
        Array2::from_shape_fn(shape, |_| 2.0 * ((0..12).map(|_| even()).sum::<f32>() - 6.0))
    }

    fn detection() -> Detection {
        Detection::new(1.7, 5.0, 5).grown_by(2.4)
    }

    #[test]
    fn detection_of_noise_alone_is_nothing_even_with_a_wrong_variance_and_background() {
        let image = noise((120, 110)) + 50.0;
        for variance in [4.0, 0.01, 100.0] {
            let variance = Array2::from_elem(image.dim(), variance);
            assert!(detection().detect(image.view(), variance.view()).iter().all(|d| !d));
        }
    }

    #[test]
    fn detection_of_a_star_is_round_it_and_nowhere_else() {
        let mut image = noise((80, 90));
        for ((y, x), value) in image.indexed_iter_mut() {
            let r2 = (y as f32 - 40.0).powi(2) + (x as f32 - 30.0).powi(2);
            *value += 20.0 * (-r2 / (2.0 * 1.7 * 1.7)).exp();
        }
        image[[10, 10]] = f32::NAN;
        let variance = Array2::from_elem(image.dim(), 4.0);
        let detected = detection().detect(image.view(), variance.view());
        assert!(detected[[40, 30]]);
        for ((y, x), d) in detected.indexed_iter() {
            let r = (y as f64 - 40.0).hypot(x as f64 - 30.0);
            assert!(!d || r < 12.0, "({y}, {x})");
            assert!(*d || r > 4.0, "({y}, {x})");
        }
    }

    #[test]
    fn detection_in_an_image_without_data_or_of_one_pixel_is_nothing() {
        for shape in [(1, 1), (5, 7)] {
            let nan = Array2::from_elem(shape, f32::NAN);
            let one = Array2::from_elem(shape, 1.0);
            assert!(detection().detect(nan.view(), one.view()).iter().all(|d| !d));
            assert!(detection().detect(one.view(), one.view()).iter().all(|d| !d));
        }
    }

    #[test]
    fn groups_hang_together_by_corners() {
        let flags = Array2::from_shape_fn((6, 6), |(y, x)| y == x && y < 4);
        assert_eq!(without_small_groups(&flags, 4), flags);
        assert!(without_small_groups(&flags, 5).iter().all(|f| !f));
    }
}
