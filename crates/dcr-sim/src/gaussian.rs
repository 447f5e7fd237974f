//! Two-dimensional Gaussians, integrated over pixels and added to an image.
//!
//! All sources are sums of Gaussians: a star has the Gaussians of its PSF, a galaxy's Gaussians are
//! convolved with them by adding covariances, and light of another wavelength is the same Gaussian
//! at another position. No Fourier transform or interpolation is involved.
//!
//! A round Gaussian of flux `F`, centre `c` and width `σ` contributes to pixel `(x, y)`
//!
//! ```text
//! F · ¼ [erf u(x+½−cx) − erf u(x−½−cx)] [erf u(y+½−cy) − erf u(y−½−cy)],   u(d) = d / (√2 σ)
//! ```
//!
//! which is exact. Elliptical Gaussians are integrated by Gauss–Legendre quadrature with 3 × 3
//! points per pixel. The error is `15 / (2·10⁶ σ⁶)` of the peak for each axis of width σ: 1.1e-5 in
//! total for σ = 1 pixel (`gaussian_elliptical_meets_round`), and below 3e-5 for any PSF that
//! [`FieldConfig`](crate::FieldConfig) allows. Consecutive samples of a row follow by two
//! multiplications (the second difference of a quadratic is constant), outwards from the peak of
//! the row, where values shrink and rounding errors do not grow.

use ndarray::{ArrayViewMut2, s};

/// Nodes of Gauss–Legendre quadrature on a pixel of width 1 about 0: −½√(3/5), 0, ½√(3/5).
const NODES: [f64; 3] = [-0.387_298_334_620_741_7, 0.0, 0.387_298_334_620_741_7];

/// Their weights, of sum 1.
const WEIGHTS: [f64; 3] = [5.0 / 18.0, 8.0 / 18.0, 5.0 / 18.0];

/// Second central moments of a profile, in square pixels (or any square unit).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Covariance {
    pub(crate) xx: f64,
    pub(crate) xy: f64,
    pub(crate) yy: f64,
}

impl Covariance {
    /// Moments of a round Gaussian.
    pub(crate) fn round(sigma: f64) -> Self {
        Self { xx: sigma * sigma, xy: 0.0, yy: sigma * sigma }
    }

    /// All moments multiplied by `factor`: a Gaussian `√factor` times as wide.
    pub(crate) fn scaled(self, factor: f64) -> Self {
        Self { xx: self.xx * factor, xy: self.xy * factor, yy: self.yy * factor }
    }

    /// Moments of the convolution of this profile with another.
    pub(crate) fn convolved(self, other: Self) -> Self {
        Self { xx: self.xx + other.xx, xy: self.xy + other.xy, yy: self.yy + other.yy }
    }

    fn determinant(self) -> f64 {
        self.xx * self.yy - self.xy * self.xy
    }

    /// Whether the moments are valid: finite, nonnegative, and with a correlation of at most 1.
    pub(crate) fn is_possible(self) -> bool {
        self.xx >= 0.0
            && self.yy >= 0.0
            && self.xx.is_finite()
            && self.yy.is_finite()
            && self.determinant() >= 0.0
    }

    fn is_round(self) -> bool {
        self.xy == 0.0 && self.xx == self.yy
    }
}

/// A Gaussian on the pixel grid, whose pixel centres have integer coordinates.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gaussian {
    pub(crate) flux: f64,
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) covariance: Covariance,
}

impl Gaussian {
    /// Adds this Gaussian to `image` (rows are y), where it exceeds `floor` per pixel.
    ///
    /// The part outside the image is dropped. The flux below the floor is at most `2π
    /// √det(covariance) · floor`.
    pub(crate) fn add_to(&self, image: ArrayViewMut2<f64>, floor: f64) {
        let area = std::f64::consts::TAU * libm::sqrt(self.covariance.determinant());
        let contrast = self.flux.abs() / (area * floor);
        if contrast.is_nan() || contrast <= 1.0 {
            return;
        }
        let reach = libm::sqrt(2.0 * libm::log(contrast));
        let (rows, columns) = image.dim();
        let x = pixels_within(self.x, reach * libm::sqrt(self.covariance.xx), columns);
        let y = pixels_within(self.y, reach * libm::sqrt(self.covariance.yy), rows);
        if self.covariance.is_round() {
            self.add_round(image, x, y);
        } else {
            self.add_elliptical(image, x, y);
        }
    }

    fn add_round(&self, mut image: ArrayViewMut2<f64>, x: std::ops::Range<usize>, y: std::ops::Range<usize>) {
        let sigma = libm::sqrt(self.covariance.xx);
        let along_x = pixel_shares(self.x, sigma, x.clone());
        let along_y = pixel_shares(self.y, sigma, y.clone());
        for (mut row, share) in image.slice_mut(s![y, x]).outer_iter_mut().zip(along_y) {
            let row_flux = self.flux * share;
            for (pixel, share) in row.iter_mut().zip(&along_x) {
                *pixel += row_flux * share;
            }
        }
    }

    fn add_elliptical(
        &self,
        mut image: ArrayViewMut2<f64>,
        x: std::ops::Range<usize>,
        y: std::ops::Range<usize>,
    ) {
        let determinant = self.covariance.determinant();
        let peak = self.flux / (std::f64::consts::TAU * libm::sqrt(determinant));
        // The inverse covariance: value = peak · exp(−½ (a dx² + 2 b dx dy + c dy²)).
        let a = self.covariance.yy / determinant;
        let b = -self.covariance.xy / determinant;
        let c = self.covariance.xx / determinant;
        if x.is_empty() {
            return;
        }
        let first = x.start as f64;
        let last = (x.end - 1) as f64;
        for (y, mut row) in y.clone().zip(image.slice_mut(s![y, x]).outer_iter_mut()) {
            for (node_y, weight_y) in NODES.into_iter().zip(WEIGHTS) {
                let dy = y as f64 + node_y - self.y;
                // Peak of this line of samples, and the nearest pixel in the row.
                let summit = self.x - b * dy / a;
                let start = libm::round(summit.clamp(first, last));
                let start_index = (start - first) as usize;
                let pixels = row.as_slice_mut().expect("rows of the images drawn on are contiguous");
                for (node_x, weight_x) in NODES.into_iter().zip(WEIGHTS) {
                    let dx = start + node_x - self.x;
                    let value = peak
                        * (weight_x * weight_y)
                        * libm::exp(-0.5 * (a * dx * dx + 2.0 * b * dx * dy + c * dy * dy));
                    let slope = a * dx + b * dy;
                    let (left, right) = pixels.split_at_mut(start_index);
                    walk(right.iter_mut(), value, libm::exp(-slope - 0.5 * a), libm::exp(-a));
                    // The leftward recurrence starts one pixel to the left.
                    let ratio = libm::exp(slope - 0.5 * a);
                    walk(left.iter_mut().rev(), value * ratio, ratio * libm::exp(-a), libm::exp(-a));
                }
            }
        }
    }
}

/// Adds samples of a Gaussian by recurrence: each value is the last times `ratio`, which shrinks by
/// `bend`.
fn walk<'a>(pixels: impl Iterator<Item = &'a mut f64>, value: f64, ratio: f64, bend: f64) {
    let (mut value, mut ratio) = (value, ratio);
    for pixel in pixels {
        *pixel += value;
        value *= ratio;
        ratio *= bend;
    }
}

/// The share of a Gaussian's flux in each of `pixels` along one axis.
fn pixel_shares(centre: f64, sigma: f64, pixels: std::ops::Range<usize>) -> Vec<f64> {
    let scale = std::f64::consts::FRAC_1_SQRT_2 / sigma;
    let erf_at = |edge: f64| libm::erf((edge - centre) * scale);
    let mut before = erf_at(pixels.start as f64 - 0.5);
    pixels
        .map(|pixel| {
            let after = erf_at(pixel as f64 + 0.5);
            let share = 0.5 * (after - before);
            before = after;
            share
        })
        .collect()
}

/// Range of pixels, out of `count`, with centres within `reach` + 1 of `centre`.
fn pixels_within(centre: f64, reach: f64, count: usize) -> std::ops::Range<usize> {
    // Casts of floats saturate, so that distant centres give an empty range at one end.
    let start = (libm::floor(centre - reach).max(0.0) as usize).min(count);
    let end = ((libm::ceil(centre + reach) + 1.0).max(0.0) as usize).min(count);
    start..end.max(start)
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    /// Rounding of sums of some thousand pixels.
    const ROUNDING: f64 = 1e-12;

    fn drawn(gaussian: Gaussian, floor: f64) -> Array2<f64> {
        let mut image = Array2::zeros((61, 71));
        gaussian.add_to(image.view_mut(), floor);
        image
    }

    fn sum_of(image: &Array2<f64>, f: impl Fn(f64, f64) -> f64) -> f64 {
        image.indexed_iter().map(|((y, x), v)| v * f(x as f64, y as f64)).sum()
    }

    #[test]
    fn gaussian_round_has_its_flux_centre_and_width() {
        let image =
            drawn(Gaussian { flux: 1000.0, x: 35.3, y: 29.8, covariance: Covariance::round(1.7) }, 1e-14);
        let flux = sum_of(&image, |_, _| 1.0);
        assert!((flux / 1000.0 - 1.0).abs() < ROUNDING);
        assert!((sum_of(&image, |x, _| x) / flux - 35.3).abs() < 1e-10);
        assert!((sum_of(&image, |_, y| y) / flux - 29.8).abs() < 1e-10);
        // Integration over a pixel adds the pixel's own second moment, 1/12, up to aliasing
        // (exp(−2π²σ²) = 2e-25).
        let xx = sum_of(&image, |x, _| (x - 35.3) * (x - 35.3)) / flux;
        assert!((xx - 1.7 * 1.7 - 1.0 / 12.0).abs() < 1e-9);
    }

    #[test]
    fn gaussian_elliptical_has_its_moments() {
        let covariance = Covariance { xx: 6.0, xy: 2.5, yy: 4.0 };
        let image = drawn(Gaussian { flux: -50.0, x: 34.6, y: 30.1, covariance }, 1e-14);
        let flux = sum_of(&image, |_, _| 1.0);
        assert!((flux + 50.0).abs() < 1e-8);
        let xy = sum_of(&image, |x, y| (x - 34.6) * (y - 30.1)) / flux;
        assert!((xy - 2.5).abs() < 1e-6);
        let xx = sum_of(&image, |x, _| (x - 34.6) * (x - 34.6)) / flux;
        assert!((xx - 6.0 - 1.0 / 12.0).abs() < 1e-5);
    }

    #[test]
    fn gaussian_elliptical_meets_round() {
        // Round to 1e-13 of its size, yet drawn by quadrature: 2 · 15 / 2·10⁶ of the peak.
        let sigma = 1.0;
        let round =
            drawn(Gaussian { flux: 1.0, x: 35.2, y: 30.4, covariance: Covariance::round(sigma) }, 1e-16);
        let covariance = Covariance { xy: 1e-13, ..Covariance::round(sigma) };
        let quadrature = drawn(Gaussian { flux: 1.0, x: 35.2, y: 30.4, covariance }, 1e-16);
        let peak = round.iter().copied().fold(0.0, f64::max);
        let worst = (&round - &quadrature).iter().fold(0.0_f64, |m, d| m.max(d.abs()));
        assert!(worst < 1.5e-5 * peak, "{}", worst / peak);
    }

    #[test]
    fn gaussian_far_off_the_image_adds_nothing() {
        for (x, y) in [(-500.0, 30.0), (35.0, 900.0), (1e300, -1e300)] {
            let image = drawn(Gaussian { flux: 1.0, x, y, covariance: Covariance::round(2.0) }, 1e-9);
            assert!(image.iter().all(|&v| v == 0.0));
            let covariance = Covariance { xx: 4.0, xy: 1.0, yy: 5.0 };
            let image = drawn(Gaussian { flux: 1.0, x, y, covariance }, 1e-9);
            assert!(image.iter().all(|&v| v == 0.0));
        }
    }

    #[test]
    fn gaussian_cut_at_the_floor_loses_what_is_stated() {
        let gaussian = Gaussian { flux: 1e4, x: 35.0, y: 30.0, covariance: Covariance::round(3.0) };
        let lost = 1e4 - sum_of(&drawn(gaussian, 1e-2), |_, _| 1.0);
        assert!((0.0..std::f64::consts::TAU * 9.0 * 1e-2).contains(&lost), "{lost}");
    }

    #[test]
    fn gaussian_partly_outside_keeps_the_part_inside() {
        let covariance = Covariance { xx: 5.0, xy: -1.0, yy: 3.0 };
        let near_edge = Gaussian { flux: 1.0, x: 0.7, y: 1.2, covariance };
        let image = drawn(near_edge, 1e-14);
        let moved = drawn(Gaussian { x: 30.7, y: 31.2, ..near_edge }, 1e-14);
        for ((y, x), value) in image.indexed_iter().filter(|((y, x), _)| *y < 28 && *x < 38) {
            assert!((value - moved[[y + 30, x + 30]]).abs() < 1e-12);
        }
    }
}
