//! The shapes that a kernel is made of, and the polynomials by which they vary over the field.

use dcr_image::psf::FWHM_PER_SIGMA;
use ndarray::Array2;

/// Degrees of the polynomials on the three Gaussians, narrow to wide.
const DEGREES: [usize; 3] = [4, 3, 2];
/// The narrowest Gaussian's σ in px.
const NARROWEST: f64 = 0.7;
/// The least σ in px of the other two.
const LEAST: [f64; 2] = [1.0, 2.2];
/// Half-width of the kernel, in σ of the widest Gaussian.
const REACH_SIGMA: f64 = 3.0;
/// Half the side of the largest kernel.
const LARGEST_HALF: usize = 30;

/// The shapes: the first of sum 1, all others of sum 0, all of one odd side.
#[derive(Clone, Debug)]
pub(super) struct Shapes {
    pub planes: Vec<Array2<f64>>,
    pub half: usize,
    /// Radius in px that holds most of such a kernel.
    pub core: usize,
    /// Approximate factor by which such a kernel lowers the variance: that of the Gaussian.
    pub noise: f64,
}

impl Shapes {
    /// Shapes for a kernel between PSFs of these widths (FWHM in px).
    ///
    /// The Gaussian that matches Gaussian PSFs has `σ² = σ_wide² − σ_sharp²`. The three Gaussians
    /// have this width, twice this width, and a narrow width that shifts and trims.
    pub(super) fn between(sharp_fwhm: f64, wide_fwhm: f64) -> Self {
        let base = (wide_fwhm * wide_fwhm - sharp_fwhm * sharp_fwhm).max(0.0).sqrt() / FWHM_PER_SIGMA;
        let sigmas = [NARROWEST, base.max(LEAST[0]), (2.0 * base).max(LEAST[1])];
        let half = ((REACH_SIGMA * sigmas[2]).ceil() as usize).min(LARGEST_HALF);
        let side = 2 * half + 1;
        let mut point = Array2::zeros((side, side));
        point[[half, half]] = 1.0;
        let mut planes = vec![point];
        for (sigma, degree) in sigmas.into_iter().zip(DEGREES) {
            for i in 0..=degree {
                for j in 0..=degree - i {
                    planes.push(shape(half, sigma, i as i32, j as i32));
                }
            }
        }
        let first = planes[0].clone();
        for plane in &mut planes[1..] {
            let sum = plane.sum();
            plane.scaled_add(-sum, &first);
        }
        let noise = (4.0 * std::f64::consts::PI * base * base).max(1.0).recip();
        let core = (2.0 * base).ceil().max(2.0) as usize;
        Self { planes, half, core, noise }
    }
}

/// `x^i y^j exp(−r²/2σ²)` in units of σ, divided by the Gaussian's sum.
fn shape(half: usize, sigma: f64, i: i32, j: i32) -> Array2<f64> {
    let side = 2 * half + 1;
    let gaussian = |u: f64, v: f64| (-0.5 * (u * u + v * v)).exp();
    let at = |index: usize| (index as f64 - half as f64) / sigma;
    let plain = Array2::from_shape_fn((side, side), |(row, col)| gaussian(at(col), at(row)));
    let sum = plain.sum();
    Array2::from_shape_fn((side, side), |(row, col)| {
        at(col).powi(i) * at(row).powi(j) * plain[[row, col]] / sum
    })
}

/// The monomials up to some order of the place in an image, scaled to −1 to 1.
#[derive(Clone, Debug)]
pub struct Polynomial {
    /// Powers of x and y, the constant first.
    powers: Vec<(i32, i32)>,
    shape: (usize, usize),
}

impl Polynomial {
    /// All monomials up to `order` over an image of `shape` (rows, columns).
    pub fn new(order: usize, shape: (usize, usize)) -> Self {
        let mut powers = Vec::new();
        for degree in 0..=order as i32 {
            powers.extend((0..=degree).map(|y| (degree - y, y)));
        }
        Self { powers, shape }
    }

    /// The highest power.
    pub fn order(&self) -> usize {
        self.powers.last().map_or(0, |(_, y)| *y as usize)
    }

    /// Number of terms.
    pub fn terms(&self) -> usize {
        self.powers.len()
    }

    /// The value of one at a pixel.
    pub fn term(&self, m: usize, row: f64, col: f64) -> f64 {
        let scaled = |at: f64, length: usize| 2.0 * at / (length as f64 - 1.0).max(1.0) - 1.0;
        let (i, j) = self.powers[m];
        scaled(col, self.shape.1).powi(i) * scaled(row, self.shape.0).powi(j)
    }

    /// The values of all at a pixel.
    pub fn at(&self, row: f64, col: f64) -> Vec<f64> {
        (0..self.terms()).map(|m| self.term(m, row, col)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_have_no_sum_but_the_first() {
        for (sharp, wide) in [(3.0, 3.0), (3.0, 6.0), (2.0, 20.0)] {
            let shapes = Shapes::between(sharp, wide);
            assert_eq!(shapes.planes.len(), 1 + 15 + 10 + 6);
            for (i, plane) in shapes.planes.iter().enumerate() {
                let expected = if i == 0 { 1.0 } else { 0.0 };
                assert!((plane.sum() - expected).abs() < 1e-12);
                assert_eq!(plane.dim(), (2 * shapes.half + 1, 2 * shapes.half + 1));
            }
        }
    }

    #[test]
    fn polynomial_counts_its_terms_and_starts_with_one() {
        for (order, count) in [(0, 1), (1, 3), (2, 6)] {
            let place = Polynomial::new(order, (11, 21));
            assert_eq!(place.terms(), count);
            assert_eq!(place.at(0.0, 20.0)[0], 1.0);
        }
        assert_eq!(Polynomial::new(1, (11, 21)).at(0.0, 20.0), [1.0, 1.0, -1.0]);
        assert_eq!(Polynomial::new(1, (1, 1)).at(0.0, 0.0), [1.0, -1.0, -1.0]);
    }
}
