//! PSF models made by PSFEx: images whose pixels are polynomials of the place.
//!
//! With x' = (x − x₀)/s_x and y' likewise, x and y counted from 1, the model on its own grid of steps
//! of PSF_SAMP pixels is Σ P_k(x', y')·image_k, with the terms in the order 1, x', x'², …, y', x'y',
//! …, y'². The value of a pixel is that model at the pixel's centre (PSFEx models include the
//! pixel), by Lanczos-4 interpolation, as PSFEx itself does.
//!
//! # References
//!
//! - E. Bertin, 2011, ADASS XX, ASP Conf. Ser. 442, 435: PSFEx.

use ndarray::{Array2, ArrayView2, Axis};
use ndarray::{Array3, s};

use super::{Stamp, StampError};

/// Half the width of the interpolation kernel, in steps of the model.
const LANCZOS: f64 = 4.0;

/// A PSFEx model.
#[derive(Clone, Debug, PartialEq)]
pub struct PsfEx {
    /// One image per polynomial term.
    terms: Array3<f64>,
    degree: usize,
    zero: [f64; 2],
    scale: [f64; 2],
    /// Step of the model's grid in pixels.
    step: f64,
    /// What to subtract from parent coordinates to get those of the model, from 1.
    origin: [f64; 2],
}

/// The numbers beside the images of a PSFEx model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Polynomial {
    pub(super) degree: usize,
    pub(super) zero: [f64; 2],
    pub(super) scale: [f64; 2],
    pub(super) step: f64,
}

impl PsfEx {
    /// A model for an image whose first pixel is `(x0, y0)` of the parent.
    pub(super) fn new(
        terms: Array3<f64>,
        polynomial: Polynomial,
        (x0, y0): (i64, i64),
    ) -> Result<Self, StampError> {
        let Polynomial { degree, zero, scale, step } = polynomial;
        let needed = (degree + 1) * (degree + 2) / 2;
        if terms.len_of(Axis(0)) < needed || terms.is_empty() {
            let got = terms.len_of(Axis(0)) as f64;
            return Err(StampError::Profile {
                quantity: "the number of polynomial terms",
                got,
                allowed: "(n + 1)(n + 2)/2 for the degree n",
            });
        }
        if !(step > 0.0 && step < 100.0) {
            return Err(StampError::Profile {
                quantity: "PSF_SAMP",
                got: step,
                allowed: "above 0, below 100 pixels",
            });
        }
        if let Some(&got) = scale.iter().find(|scale| !scale.is_finite() || **scale == 0.0) {
            return Err(StampError::Profile { quantity: "POLSCAL", got, allowed: "finite and not 0" });
        }
        let terms = terms.slice(s![..needed, .., ..]).to_owned();
        Ok(Self { terms, degree, zero, scale, step, origin: [x0 as f64 - 1.0, y0 as f64 - 1.0] })
    }

    /// The stamp at pixel coordinates `(x, y)` of the parent.
    pub(super) fn stamp_at(&self, x: f64, y: f64) -> Result<Stamp, StampError> {
        let along =
            |value: f64, axis: usize| (value - self.origin[axis] - self.zero[axis]) / self.scale[axis];
        let model = self.model_at(along(x, 0), along(y, 1));
        let (rows, columns) = model.dim();
        let half_of = |length: usize| ((length / 2) as f64 * self.step).floor().max(1.0) as usize;
        let (half_y, half_x) = (half_of(rows), half_of(columns));
        // Separable: first along the rows, then along the columns.
        let across = self.resample(model.view(), half_x);
        let stamp = self.resample(across.t(), half_y);
        Stamp::new(stamp.t().to_owned())
    }

    fn model_at(&self, x: f64, y: f64) -> Array2<f64> {
        let mut model = Array2::zeros((self.terms.len_of(Axis(1)), self.terms.len_of(Axis(2))));
        let powers = (0..=self.degree).flat_map(|j| (0..=self.degree - j).map(move |i| (i, j)));
        for ((i, j), term) in powers.zip(self.terms.outer_iter()) {
            model.scaled_add(x.powi(i as i32) * y.powi(j as i32), &term);
        }
        model
    }

    /// Interpolates each row at whole pixels from the middle, −half to half.
    fn resample(&self, model: ArrayView2<'_, f64>, half: usize) -> Array2<f64> {
        let (rows, length) = model.dim();
        // PSFEx has its centre at the pixel length/2, rounded down, whether the length is odd or not.
        let middle = (length / 2) as f64;
        let mut out = Array2::zeros((rows, 2 * half + 1));
        for (column, mut values) in out.axis_iter_mut(Axis(1)).enumerate() {
            let position = middle + (column as f64 - half as f64) / self.step;
            let first = (position - LANCZOS).ceil().max(0.0) as usize;
            let last = ((position + LANCZOS).floor().max(0.0) as usize).min(length - 1);
            let mut total = 0.0;
            for sample in first..=last.max(first) {
                if sample >= length {
                    break;
                }
                let weight = lanczos(sample as f64 - position);
                total += weight;
                values.scaled_add(weight, &model.column(sample));
            }
            if total != 0.0 {
                values /= total;
            }
        }
        out
    }
}

fn lanczos(x: f64) -> f64 {
    let sinc = |t: f64| if t == 0.0 { 1.0 } else { t.sin() / t };
    if x.abs() >= LANCZOS {
        0.0
    } else {
        sinc(std::f64::consts::PI * x) * sinc(std::f64::consts::PI * x / LANCZOS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::psf::FWHM_PER_SIGMA;

    /// A round Gaussian on a model grid, width in steps of that grid.
    fn gaussian(side: usize, sigma: f64) -> Array2<f64> {
        let middle = (side / 2) as f64;
        Array2::from_shape_fn((side, side), |(row, column)| {
            let r2 = (row as f64 - middle).powi(2) + (column as f64 - middle).powi(2);
            (-0.5 * r2 / (sigma * sigma)).exp() / sigma.powi(2)
        })
    }

    fn model(images: &[Array2<f64>], degree: usize, step: f64) -> Result<PsfEx, StampError> {
        let views: Vec<_> = images.iter().map(|image| image.view()).collect();
        let terms = ndarray::stack(Axis(0), &views).unwrap();
        PsfEx::new(
            terms,
            Polynomial { degree, zero: [100.0, 200.0], scale: [50.0, 25.0], step },
            (1000, 2000),
        )
    }

    #[test]
    fn interpolation_keeps_the_width_at_any_sampling() {
        for step in [0.5, 0.7, 1.0] {
            let sigma_px = 1.8;
            let psf = model(&[gaussian(41, sigma_px / step)], 0, step).unwrap();
            let got = psf.stamp_at(0.0, 0.0).unwrap().fwhm_px().unwrap();
            assert!((got / (FWHM_PER_SIGMA * sigma_px) - 1.0).abs() < 2e-3, "step {step}: {got}");
        }
    }

    #[test]
    fn polynomial_is_one_x_y_with_places_from_one() {
        let (a, b, c) = (gaussian(15, 2.0), gaussian(15, 3.0), gaussian(15, 1.5));
        let psf = model(&[a.clone(), b.clone() * 0.2, c.clone() * 0.1], 1, 1.0).unwrap();
        // x' = 1 at x = 150 from 1, which is 149 from 0 and 1149 in the parent; y' = −2 at 150.
        let got = psf.stamp_at(1149.0, 2149.0).unwrap();
        let expected = Stamp::new(a + b * 0.2 - c * 0.2).unwrap();
        let worst = (got.pixels() - expected.pixels()).iter().fold(0.0_f64, |worst, d| worst.max(d.abs()));
        assert!(worst < 1e-12, "{worst:e}");
    }

    #[test]
    fn model_without_its_terms_or_steps_is_refused() {
        assert!(model(&[gaussian(15, 2.0)], 1, 1.0).is_err());
        assert!(model(&[gaussian(15, 2.0)], 0, 0.0).is_err());
        assert!(model(&[gaussian(15, 2.0)], 0, f64::NAN).is_err());
    }
}
