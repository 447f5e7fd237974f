//! A visit's PSF as a stamp, and its transfer function.

use std::f64::consts::TAU;

use multiversion::multiversion;
use ndarray::Array2;
use rustfft::num_complex::Complex64;

use crate::joint::fourier::frequencies::Frequencies;

/// Widest step in the search for the width of a transfer function, cycles per pixel.
const WIDTH_STEP: f64 = 0.01;

/// A PSF as an image in pixels of the data, with the pixel response included as in the image of a
/// star.
#[derive(Clone, Debug, PartialEq)]
pub struct PsfStamp {
    pixels_yx: Array2<f64>,
    centre: (f64, f64),
    includes_refraction: bool,
}

/// Pixels that are not a PSF.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PsfError {
    /// A pixel is NaN or infinite.
    #[error("the PSF stamp's pixel at row {row}, column {col} is not finite")]
    NotFinite {
        /// Row index.
        row: usize,
        /// Column index.
        col: usize,
    },
    /// The sum of the pixels cannot be normalised.
    #[error("the PSF stamp's pixels sum to {sum}; expected a positive sum")]
    NotPositive {
        /// Sum of the pixels.
        sum: f64,
    },
}

impl PsfStamp {
    /// A stamp whose PSF is centred on the pixel `(rows / 2, cols / 2)`; it is normalised to sum 1.
    ///
    /// # Errors
    ///
    /// [`PsfError`] if a pixel is not finite or their sum not positive, as for an empty stamp.
    pub fn new(pixels_yx: Array2<f64>) -> Result<Self, PsfError> {
        let centre = ((pixels_yx.nrows() / 2) as f64, (pixels_yx.ncols() / 2) as f64);
        Self::with_centre(pixels_yx, centre)
    }

    /// A stamp whose PSF is centred on the index `(y, x)`, which need not be whole.
    ///
    /// # Errors
    ///
    /// As [`PsfStamp::new`].
    pub fn with_centre(mut pixels_yx: Array2<f64>, centre: (f64, f64)) -> Result<Self, PsfError> {
        if let Some(((row, col), _)) = pixels_yx.indexed_iter().find(|(_, v)| !v.is_finite()) {
            return Err(PsfError::NotFinite { row, col });
        }
        let sum = pixels_yx.sum();
        if sum.is_nan() || sum <= 0.0 || !sum.is_finite() {
            return Err(PsfError::NotPositive { sum });
        }
        pixels_yx.mapv_inplace(|v| v / sum);
        Ok(Self { pixels_yx, centre, includes_refraction: false })
    }

    /// Marks the stamp as measured on stars in the exposure, which are smeared by refraction.
    #[must_use]
    pub fn with_refraction(self) -> Self {
        Self { includes_refraction: true, ..self }
    }

    /// True if the stamp is marked as smeared by refraction.
    #[must_use]
    pub const fn includes_refraction(&self) -> bool {
        self.includes_refraction
    }

    /// A Gaussian, sampled at pixel centres out to 4 σ, for visits with known seeing only.
    ///
    /// # Errors
    ///
    /// [`PsfError::NotPositive`] if `fwhm_px` is not a positive, finite number.
    pub fn gaussian(fwhm_px: f64) -> Result<Self, PsfError> {
        if !(fwhm_px.is_finite() && fwhm_px > 0.0) {
            return Err(PsfError::NotPositive { sum: fwhm_px });
        }
        let sigma = fwhm_px / (8.0 * 2.0_f64.ln()).sqrt();
        let radius = (4.0 * sigma).ceil().max(2.0);
        let side = 2 * radius as usize + 1;
        Self::new(Array2::from_shape_fn((side, side), |(y, x)| {
            (-0.5 * ((y as f64 - radius).powi(2) + (x as f64 - radius).powi(2)) / (sigma * sigma)).exp()
        }))
    }

    /// The pixels; they sum to 1.
    #[must_use]
    pub fn pixels(&self) -> &Array2<f64> {
        &self.pixels_yx
    }

    /// Seeing in pixels: FWHM of the atmospheric PSF, without pixels, whose transfer function falls
    /// to a half at the same frequency as this one. Unlike moments, it depends little on wings and
    /// noise.
    ///
    /// With `kₕ` that frequency, averaged over four directions, Kolmogorov's `exp(−3.44 (k
    /// F/0.976)^(5/3)) = ½` gives `F = 0.976/kₕ (ln 2/3.44)^(3/5)`. A transfer function that stays
    /// above a half has `kₕ` = ½.
    #[must_use]
    pub fn seeing_px(&self) -> f64 {
        0.97586 / self.frequency_at(0.5) * (2.0_f64.ln() / 3.44).powf(0.6)
    }

    /// Frequency at which the transfer function, averaged over four directions, falls to `level`,
    /// in cycles per pixel; ½ if it does not.
    pub(crate) fn frequency_at(&self, level: f64) -> f64 {
        let profiles = self.profiles();
        let mean = |k: f64| profiles.iter().map(|p| p.amplitude(k)).sum::<f64>() / profiles.len() as f64;
        let mut before = (0.0, 1.0);
        for step in 1..=(0.5 / WIDTH_STEP) as usize {
            let k = step as f64 * WIDTH_STEP;
            let now = (k, mean(k));
            if now.1 < level {
                return before.0 + (before.1 - level) / (before.1 - now.1) * (now.0 - before.0);
            }
            before = now;
        }
        0.5
    }

    /// The stamp's light summed along rows, columns and both diagonals.
    fn profiles(&self) -> [Profile; 4] {
        let cols = self.pixels_yx.ncols();
        [(1, 0), (0, 1), (1, 1), (1, -1)].map(|(along_y, along_x)| {
            // Pixels with the same `index` lie on one line across the direction.
            let index = |y: usize, x: usize| {
                if along_x < 0 { y + cols - 1 - x } else { along_y * y + along_x as usize * x }
            };
            let norm = f64::from(along_y as i32 + along_x * along_x).sqrt();
            let mut profile = vec![(0.0, 0.0); self.pixels_yx.nrows() + cols];
            for ((y, x), value) in self.pixels_yx.indexed_iter() {
                let position = along_y as f64 * (y as f64 - self.centre.0)
                    + f64::from(along_x) * (x as f64 - self.centre.1);
                let bin = &mut profile[index(y, x)];
                *bin = (position / norm, bin.1 + value);
            }
            Profile(profile)
        })
    }

    /// Transfer function of the PSF, widened by the factor `stretch`, laid out `kx × ky`: an exact
    /// Fourier sum over the stamp's pixels.
    pub(crate) fn transfer(&self, frequencies: &Frequencies, stretch: f64) -> Vec<Complex64> {
        transform(&self.pixels_yx, self.centre, frequencies, stretch)
    }
}

/// Fourier sum over pixels about a centre.
pub(crate) fn transform(
    pixels_yx: &Array2<f64>,
    centre: (f64, f64),
    frequencies: &Frequencies,
    stretch: f64,
) -> Vec<Complex64> {
    let (rows, cols) = pixels_yx.dim();
    let (fy, fx) = (&frequencies.y, &frequencies.x);
    let waves = |f: f64, n: usize, centre: f64| -> Vec<Complex64> {
        (0..n).map(|i| Complex64::cis(-TAU * f * stretch * (i as f64 - centre))).collect()
    };
    let ky = fy.len();
    // Rows with ±ky share their products: interleaved cosines and sines of half the
    // frequencies.
    let half = ky / 2 + 1;
    let (mut cosines, mut sines) = (vec![0.0; rows * half], vec![0.0; rows * half]);
    for (k, f) in fy[..half].iter().enumerate() {
        for (y, wave) in waves(*f, rows, centre.0).into_iter().enumerate() {
            cosines[y * half + k] = wave.re;
            sines[y * half + k] = wave.im;
        }
    }
    let mut out = vec![Complex64::default(); fx.len() * ky];
    let mut sums = [vec![0.0; half], vec![0.0; half], vec![0.0; half], vec![0.0; half]];
    for (f, column) in fx.iter().zip(out.chunks_exact_mut(ky)) {
        let along_x = waves(*f, cols, centre.1);
        sums.iter_mut().for_each(|s| s.fill(0.0));
        for (y, row) in pixels_yx.outer_iter().enumerate() {
            let value: Complex64 = row.iter().zip(&along_x).map(|(v, wave)| wave * *v).sum();
            let (c, s) = (&cosines[y * half..][..half], &sines[y * half..][..half]);
            add_waves(&mut sums, value, c, s);
        }
        let [cr, ci, sr, si] = &sums;
        for k in 0..half {
            column[k] = Complex64::new(cr[k] - si[k], ci[k] + sr[k]);
            let mirrored = (ky - k) % ky;
            if mirrored != k {
                column[mirrored] = Complex64::new(cr[k] + si[k], ci[k] - sr[k]);
            }
        }
    }
    out
}

/// `[Re v·c, Im v·c, Re v·s, Im v·s]`, added for every frequency.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
fn add_waves([cr, ci, sr, si]: &mut [Vec<f64>; 4], value: Complex64, cosines: &[f64], sines: &[f64]) {
    let n = cosines.len();
    let (cr, ci, sr, si) = (&mut cr[..n], &mut ci[..n], &mut sr[..n], &mut si[..n]);
    let sines = &sines[..n];
    for k in 0..n {
        cr[k] += value.re * cosines[k];
        ci[k] += value.im * cosines[k];
        sr[k] += value.re * sines[k];
        si[k] += value.im * sines[k];
    }
}

/// Light along one direction: positions relative to the centre, and fluxes.
struct Profile(Vec<(f64, f64)>);

impl Profile {
    /// |transfer function| at a frequency along this direction.
    fn amplitude(&self, k: f64) -> f64 {
        self.0.iter().map(|(x, v)| Complex64::cis(-TAU * k * x) * *v).sum::<Complex64>().norm()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn psf_transfer_of_a_gaussian_is_a_gaussian() {
        let psf = PsfStamp::gaussian(4.0).unwrap();
        let sigma = 4.0 / (8.0 * 2.0_f64.ln()).sqrt();
        for n in [17, 15] {
            let frequencies = Frequencies::new((n, 11));
            for (i, value) in psf.transfer(&frequencies, 1.1).iter().enumerate() {
                let k2 = (frequencies.y[i % n].powi(2) + frequencies.x[i / n].powi(2)) * 1.21;
                let expected = (-0.5 * (TAU * sigma).powi(2) * k2).exp();
                assert!((value - expected).norm() < 3e-4, "{i}: {value} {expected}");
            }
        }
    }

    #[test]
    fn psf_centre_between_pixels_only_turns_the_phase() {
        let pixels = PsfStamp::gaussian(5.0).unwrap().pixels().clone();
        let (rows, cols) = pixels.dim();
        let centred = PsfStamp::new(pixels.clone()).unwrap();
        let off = ((rows / 2) as f64 + 0.25, (cols / 2) as f64 - 1.0);
        let moved = PsfStamp::with_centre(pixels, off).unwrap();
        let frequencies = Frequencies::new((7, 9));
        let (at_rest, moved_on) = (centred.transfer(&frequencies, 1.0), moved.transfer(&frequencies, 1.0));
        for (i, (a, b)) in at_rest.iter().zip(moved_on).enumerate() {
            let turned = a * Complex64::cis(TAU * (frequencies.y[i % 7] * 0.25 - frequencies.x[i / 7]));
            assert!((turned - b).norm() < 1e-12);
        }
        assert!((centred.seeing_px() - moved.seeing_px()).abs() < 1e-6);
    }

    #[test]
    fn psf_fwhm_follows_the_seeing() {
        // A Gaussian is not a Kolmogorov PSF: its transfer function halves at 0.4412/FWHM, not at
        // 0.3734/FWHM.
        for fwhm in [3.0, 4.0, 7.0] {
            let got = PsfStamp::gaussian(fwhm).unwrap().seeing_px();
            assert!((got / fwhm - 0.3734 / 0.4412).abs() < 0.01, "{fwhm} {got}");
        }
    }

    #[test]
    fn psf_that_is_none_is_refused() {
        assert_eq!(PsfStamp::new(Array2::zeros((0, 0))), Err(PsfError::NotPositive { sum: 0.0 }));
        assert_eq!(PsfStamp::new(Array2::zeros((3, 3))), Err(PsfError::NotPositive { sum: 0.0 }));
        let mut pixels = Array2::ones((3, 3));
        pixels[[1, 2]] = f64::NAN;
        assert_eq!(PsfStamp::new(pixels), Err(PsfError::NotFinite { row: 1, col: 2 }));
        assert!(PsfStamp::gaussian(f64::NAN).is_err() && PsfStamp::gaussian(0.0).is_err());
    }
}
