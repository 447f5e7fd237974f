//! The sky of an image as a plane, with its noise, from pixels outside detected sources.
//!
//! The plane is fitted by least squares to the pixels within 2.5 standard deviations of it,
//! repeatedly. The noise is the distance from the median to the quantile 0.159 of the residuals:
//! undetected faint sources all lie on the other side.

use crate::statistics::quantile_of_pixels;

/// Pixels further than this from the plane do not count in the next fit, in standard deviations.
const CLIP_SIGMA: f64 = 2.5;
/// Fits.
const PASSES: usize = 8;
/// Minimum pixels for a plane.
const FEWEST_PIXELS: usize = 500;
/// Quantile of a normal distribution one standard deviation below its mean.
pub const ONE_SIGMA_BELOW: f64 = 0.158_655;
/// Standard deviation of a uniform distribution of width 1, to the power of −2.
const PER_SPREAD: f64 = 12.0;

/// A pixel of the sky.
#[derive(Clone, Copy, Debug)]
pub struct SkyPixel {
    /// Offsets from the middle of the image, in units of its width and height: −½ to ½.
    pub place: [f32; 2],
    /// Pixel value.
    pub value: f32,
    /// Variance of the value.
    pub variance: f32,
}

/// A plane through the sky.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SkyPlane {
    /// Value in the middle of the image.
    pub level: f64,
    /// Rise from side to side, along x and y.
    pub rise: [f64; 2],
    /// Standard deviation of a pixel about the plane.
    pub sigma: f64,
    /// Pixels that count in the fit.
    pub pixels: usize,
}

impl SkyPlane {
    /// Fits the plane to pixels of the sky; `None` if they are too few.
    pub fn of(pixels: &[SkyPixel]) -> Option<Self> {
        if pixels.len() < FEWEST_PIXELS {
            return None;
        }
        let mut plane = Self { level: 0.0, rise: [0.0; 2], sigma: 0.0, pixels: 0 };
        for _ in 0..PASSES {
            let residuals: Vec<f32> =
                pixels.iter().map(|p| (f64::from(p.value) - plane.at(p.place)) as f32).collect();
            let middle = f64::from(quantile_of_pixels(&mut residuals.clone(), 0.5));
            plane.level += middle;
            plane.sigma = middle - f64::from(quantile_of_pixels(&mut residuals.clone(), ONE_SIGMA_BELOW));
            let kept = |residual: f32| (f64::from(residual) - middle).abs() <= CLIP_SIGMA * plane.sigma;
            let mut equations = Equations::default();
            for (pixel, _) in pixels.iter().zip(&residuals).filter(|(_, residual)| kept(**residual)) {
                equations.add(pixel.place, f64::from(pixel.value) - plane.at(pixel.place));
            }
            plane.pixels = equations.count();
            let Some([level, x, y]) = equations.solve() else { break };
            plane.level += level;
            plane.rise = [plane.rise[0] + x, plane.rise[1] + y];
        }
        (plane.sigma.is_finite() && plane.sigma > 0.0).then_some(plane)
    }

    /// Its value at a place.
    pub fn at(&self, [x, y]: [f32; 2]) -> f64 {
        self.level + self.rise[0] * f64::from(x) + self.rise[1] * f64::from(y)
    }

    /// Rise along the steepest direction, from side to side, in standard deviations of a pixel.
    pub fn steepness(&self) -> f64 {
        self.rise[0].hypot(self.rise[1]) / self.sigma
    }

    /// Standard error of the steepness, if noise of neighbouring pixels is independent.
    pub fn steepness_error(&self) -> f64 {
        (PER_SPREAD / self.pixels.max(1) as f64).sqrt()
    }
}

/// Normal equations of a plane.
#[derive(Default)]
struct Equations {
    /// Sums of 1, x, y, x², xy, y².
    sums: [f64; 6],
    /// Sums of the values, times 1, x, y.
    values: [f64; 3],
}

impl Equations {
    fn add(&mut self, [x, y]: [f32; 2], value: f64) {
        let (x, y) = (f64::from(x), f64::from(y));
        let terms = [1.0, x, y, x * x, x * y, y * y];
        self.sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
        self.values.iter_mut().zip([value, x * value, y * value]).for_each(|(sum, term)| *sum += term);
    }

    fn count(&self) -> usize {
        self.sums[0] as usize
    }

    /// Level and rises; `None` where the pixels lie on a line.
    fn solve(&self) -> Option<[f64; 3]> {
        let [n, x, y, xx, xy, yy] = self.sums;
        let rows = [[n, x, y], [x, xx, xy], [y, xy, yy]];
        let whole = determinant(rows);
        // Pixels all over an image have n³/144; the limit is a strip of a hundredth of its width.
        (whole > 1e-6 * n.powi(3)).then(|| {
            std::array::from_fn(|term| {
                let mut replaced = rows;
                replaced.iter_mut().zip(self.values).for_each(|(row, value)| row[term] = value);
                determinant(replaced) / whole
            })
        })
    }
}

fn determinant([a, b, c]: [[f64; 3]; 3]) -> f64 {
    a[0] * (b[1] * c[2] - b[2] * c[1]) - a[1] * (b[0] * c[2] - b[2] * c[0])
        + a[2] * (b[0] * c[1] - b[1] * c[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Noise of standard deviation 2 on a plane, and in a tenth of the pixels sources.
    fn pixels(level: f32, rise: [f32; 2]) -> Vec<SkyPixel> {
        let mut state = 5_u64;
        let mut even = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 24) as f32
        };
        let mut pixel = |i: usize| {
            let place = [(i % 100) as f32 / 100.0 - 0.495, (i / 100) as f32 / 80.0 - 0.49375];
            let noise = 2.0 * ((0..12).map(|_| even()).sum::<f32>() - 6.0);
            let source = if i.is_multiple_of(10) { 500.0 * even() * even() } else { 0.0 };
            let value = level + rise[0] * place[0] + rise[1] * place[1] + noise + source;
            SkyPixel { place, value, variance: 4.0 }
        };
        (0..8000).map(&mut pixel).collect()
    }

    #[test]
    fn plane_and_noise_are_found_among_sources() {
        for rise in [[0.0, 0.0], [6.0, -3.0], [0.0, 40.0]] {
            let plane = SkyPlane::of(&pixels(7.0, rise)).unwrap();
            assert!((plane.level - 7.0).abs() < 0.25, "{plane:?}");
            assert!((plane.sigma / 2.0 - 1.0).abs() < 0.12, "{plane:?}");
            for (found, true_rise) in plane.rise.into_iter().zip(rise) {
                assert!((found - f64::from(true_rise)).abs() < 0.4, "{plane:?}");
            }
        }
        let flat = SkyPlane::of(&pixels(0.0, [0.0; 2])).unwrap();
        assert!(flat.steepness() < 4.0 * flat.steepness_error());
    }

    #[test]
    fn plane_of_few_equal_or_aligned_pixels() {
        let sky = pixels(1.0, [0.0; 2]);
        assert_eq!(SkyPlane::of(&sky[..400]), None);
        let equal: Vec<SkyPixel> = sky.iter().map(|p| SkyPixel { value: 3.0, ..*p }).collect();
        assert_eq!(SkyPlane::of(&equal), None, "no noise");
        let aligned: Vec<SkyPixel> =
            sky.iter().map(|p| SkyPixel { place: [p.place[0], 0.1], ..*p }).collect();
        assert_eq!(SkyPlane::of(&aligned).unwrap().rise, [0.0; 2]);
    }
}
