//! PSF models of PSFEx: images whose pixels are polynomials of the position.
//!
//! The model on its own grid of steps of PSF_SAMP pixels is Σ P_k(x, y)·image_k, with the terms of
//! [`polynomial`], and x and y counted from 1. A pixel value is the model at the pixel centre
//! (PSFEx models include the pixel response), by Lanczos-4 interpolation as in PSFEx. A model whose
//! light is off-centre is sampled about the centre of its light (see `centring`).
//!
//! # References
//!
//! - E. Bertin, 2011, ADASS XX, ASP Conf. Ser. 442, 435: PSFEx.

mod polynomial;

use ndarray::{Array2, Array3, ArrayView2, Axis, s};

use super::centring::{CENTRED_PX, Offset};
use super::{Stamp, StampError};
pub(super) use polynomial::{AxisCards, Polynomial};

/// Half the width of the interpolation kernel, in steps of the model.
const LANCZOS: f64 = 4.0;
/// Maximum number of centring iterations.
const RECENTRINGS: usize = 4;

/// A PSFEx model.
#[derive(Clone, Debug, PartialEq)]
pub struct PsfEx {
    /// One image per polynomial term.
    terms: Array3<f64>,
    polynomial: Polynomial,
    /// Step of the model's grid in pixels.
    step: f64,
    /// Offset from parent coordinates to model coordinates, which count from 1.
    origin: [f64; 2],
}

impl PsfEx {
    /// A model for an image whose first pixel is `(x0, y0)` of the parent.
    ///
    /// # Errors
    ///
    /// [`StampError`] if the number of images differs from the number of terms (trailing images of
    /// zeros are allowed), for empty images or values that are not finite, and for a step out of
    /// range.
    pub(super) fn new(
        terms: Array3<f64>,
        polynomial: Polynomial,
        step: f64,
        (x0, y0): (i64, i64),
    ) -> Result<Self, StampError> {
        let refuse = |reason: String| Err(StampError::Model { reason });
        let (count, height, width) = terms.dim();
        let needed = polynomial.terms();
        if terms.is_empty() || count < needed {
            return refuse(format!(
                "it has {count} images of {width} × {height}; its polynomial has {needed} terms"
            ));
        }
        let surplus = terms.slice(s![needed.., .., ..]);
        if surplus.iter().any(|value| *value != 0.0) {
            return refuse(format!("it has {count} images, but its polynomial has {needed} terms"));
        }
        if terms.iter().any(|value| !value.is_finite()) {
            return refuse("it has pixels that are not finite".to_owned());
        }
        if !(step > 0.0 && step < 100.0) {
            return Err(StampError::Profile {
                quantity: "PSF_SAMP",
                got: step,
                allowed: "above 0, below 100 pixels",
            });
        }
        let terms = terms.slice(s![..needed, .., ..]).to_owned();
        Ok(Self { terms, polynomial, step, origin: [x0 as f64 - 1.0, y0 as f64 - 1.0] })
    }

    /// The stamp at parent pixel coordinates `(x, y)`.
    pub(super) fn stamp_at(&self, x: f64, y: f64) -> Result<Stamp, StampError> {
        let model = self.model_at(x, y);
        let mut about = Offset::default();
        let mut stamp = self.sampled(&model, about)?;
        for _ in 0..RECENTRINGS {
            let Some(off) = Offset::of(&stamp).filter(|off| off.length() > CENTRED_PX) else { break };
            about = about.plus(off).checked(stamp.pixels().dim())?;
            stamp = self.sampled(&model, about)?;
        }
        Ok(stamp)
    }

    /// The stamp at `(x, y)` about the middle of the model, not centred and not normalised.
    pub(super) fn raw_at(&self, x: f64, y: f64) -> Array2<f64> {
        self.pixels(&self.model_at(x, y), Offset::default())
    }

    fn model_at(&self, x: f64, y: f64) -> Array2<f64> {
        let mut model = Array2::zeros((self.terms.len_of(Axis(1)), self.terms.len_of(Axis(2))));
        let values = self.polynomial.values(x - self.origin[0], y - self.origin[1]);
        for (value, term) in values.into_iter().zip(self.terms.outer_iter()) {
            model.scaled_add(value, &term);
        }
        model
    }

    fn sampled(&self, model: &Array2<f64>, about: Offset) -> Result<Stamp, StampError> {
        Stamp::new(self.pixels(model, about))
    }

    /// The model at the pixels around the position `about`, in pixels from its middle.
    fn pixels(&self, model: &Array2<f64>, about: Offset) -> Array2<f64> {
        let (rows, columns) = model.dim();
        let half_of = |length: usize| ((length / 2) as f64 * self.step).floor().max(1.0) as usize;
        // Separable interpolation: first along the rows, then along the columns.
        let across = self.resample(model.view(), half_of(columns), about.dx);
        self.resample(across.t(), half_of(rows), about.dy).t().to_owned()
    }

    /// Interpolates each row at whole pixels, −half to half, from `about` pixels beyond the middle.
    fn resample(&self, model: ArrayView2<'_, f64>, half: usize, about: f64) -> Array2<f64> {
        let (rows, length) = model.dim();
        // In PSFEx the centre is at pixel length/2, rounded down, for odd and even lengths.
        let middle = (length / 2) as f64;
        let mut out = Array2::zeros((rows, 2 * half + 1));
        for (column, mut values) in out.axis_iter_mut(Axis(1)).enumerate() {
            let position = middle + (column as f64 - half as f64 + about) / self.step;
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

    fn axes(keys: [&str; 2]) -> Vec<AxisCards> {
        let numbers = |key: &str| if key == "X_IMAGE" { (100.0, 50.0) } else { (200.0, 25.0) };
        let axis = |key: &str| {
            let (zero, scale) = numbers(key);
            AxisCards { key: key.into(), zero, scale, group: 1 }
        };
        keys.map(axis).to_vec()
    }

    fn model(images: &[Array2<f64>], degree: usize, step: f64) -> Result<PsfEx, StampError> {
        along(["X_IMAGE", "Y_IMAGE"], images, degree, step)
    }

    fn along(keys: [&str; 2], images: &[Array2<f64>], degree: usize, step: f64) -> Result<PsfEx, StampError> {
        let views: Vec<_> = images.iter().map(|image| image.view()).collect();
        let terms = ndarray::stack(Axis(0), &views).unwrap();
        PsfEx::new(terms, Polynomial::new(&axes(keys), &[degree])?, step, (1000, 2000))
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
    fn polynomial_follows_the_names_of_its_axes() {
        let (a, b) = (gaussian(15, 2.0), gaussian(15, 3.0) * 0.2);
        let zero = Array2::zeros((15, 15));
        let images = [a.clone(), b.clone(), zero];
        // y' = −2 at 150 from 1, which is the first axis of the one and the second of the other.
        let (xy, yx) = (model(&images, 1, 1.0).unwrap(), along(["Y_IMAGE", "X_IMAGE"], &images, 1, 1.0));
        let worst = |got: Stamp, expected: Array2<f64>| {
            let expected = Stamp::new(expected).unwrap();
            (got.pixels() - expected.pixels()).iter().fold(0.0_f64, |worst, d| worst.max(d.abs()))
        };
        assert!(worst(xy.stamp_at(1149.0, 2149.0).unwrap(), &a + &b) < 1e-12);
        assert!(worst(yx.unwrap().stamp_at(1149.0, 2149.0).unwrap(), &a - &b * 2.0) < 1e-12);
    }

    /// Relative change of a width by interpolation half-way between pixels. Measured: 2.0e-3.
    const CENTRE_TOLERANCE: f64 = 3e-3;

    #[test]
    fn model_off_its_middle_is_sampled_about_its_light() {
        for step in [0.6, 1.0] {
            let sigma = 1.8 / step;
            let off = Array2::from_shape_fn((41, 41), |(row, column)| {
                let (y, x) = (row as f64 - 20.4, column as f64 - 19.3);
                (-0.5 * (x * x + y * y) / (sigma * sigma)).exp()
            });
            let stamp = model(&[off], 0, step).unwrap().stamp_at(0.0, 0.0).unwrap();
            let moments = stamp.moments().unwrap();
            let middle = (stamp.pixels().nrows() / 2) as f64;
            assert!((moments.x - middle).hypot(moments.y - middle) < CENTRED_PX, "{moments:?} {middle}");
            let width = moments.fwhm_px() / (FWHM_PER_SIGMA * 1.8);
            assert!((width - 1.0).abs() < CENTRE_TOLERANCE, "step {step}: {width}");
        }
    }

    #[test]
    fn model_without_its_terms_or_steps_is_refused() {
        let reason =
            |images: &[Array2<f64>], degree, step| model(images, degree, step).unwrap_err().to_string();
        let star = gaussian(15, 2.0);
        assert!(
            reason(std::slice::from_ref(&star), 1, 1.0)
                .contains("1 images of 15 × 15; its polynomial has 3 terms")
        );
        assert!(reason(&[star.clone(), star.clone()], 0, 1.0).contains("2 images, but its polynomial has 1"));
        assert!(model(&[star.clone(), Array2::zeros((15, 15))], 0, 1.0).is_ok());
        for step in [0.0, -1.0, f64::NAN, 100.0] {
            assert!(reason(std::slice::from_ref(&star), 0, step).contains("PSF_SAMP"));
        }
        let mut holed = star;
        holed[[3, 3]] = f64::INFINITY;
        assert!(reason(&[holed], 0, 1.0).contains("not finite"));
    }
}
