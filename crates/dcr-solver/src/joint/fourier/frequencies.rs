//! Frequencies of a half plane of modes, and functions of them alone: phases and the window.

use std::f64::consts::{FRAC_PI_2, TAU};

use rustfft::num_complex::Complex64;

/// Frequencies of a half plane of modes, in cycles per pixel.
#[derive(Clone, Debug)]
pub(crate) struct Frequencies {
    /// Frequency of every `ky`, in the order of transforms.
    pub(crate) y: Vec<f64>,
    /// Frequency of every `kx`.
    pub(crate) x: Vec<f64>,
    shape: (usize, usize),
}

impl Frequencies {
    /// Frequencies of planes of that shape.
    pub(crate) fn new(shape: (usize, usize)) -> Self {
        Self {
            y: (0..shape.0).map(|k| signed(k, shape.0) / shape.0 as f64).collect(),
            x: (0..shape.1 / 2 + 1).map(|k| k as f64 / shape.1 as f64).collect(),
            shape,
        }
    }

    /// Multiplicity of a mode with this `kx` in a sum over all modes of a real plane, over the
    /// number of pixels. With this weight, sums over modes are sums over pixels.
    pub(crate) fn multiplicity(&self, kx: usize) -> f64 {
        multiplicity(kx, self.shape)
    }

    /// The [`window`] along y and along x.
    pub(crate) fn windows(&self, start: f64) -> [Vec<f64>; 2] {
        [&self.y, &self.x].map(|axis| axis.iter().map(|f| window(*f, start)).collect())
    }

    /// exp(−2πi k·distance) along y and along x.
    pub(crate) fn phases(&self, dy: f64, dx: f64) -> [Vec<Complex64>; 2] {
        [phases(&self.y, dy), phases(&self.x, dx)]
    }
}

/// [`Frequencies::multiplicity`] for planes of that shape.
pub(crate) fn multiplicity(kx: usize, shape: (usize, usize)) -> f64 {
    f64::from(1 + u8::from(kx > 0)) / (shape.0 * shape.1) as f64
}

/// Window: 1 below the frequency `start`, then a smooth fall to 0 at the Nyquist frequency.
pub(crate) fn window(f: f64, start: f64) -> f64 {
    let beyond = (f.abs() - start) / (0.5 - start);
    if beyond > 0.0 { (FRAC_PI_2 * beyond.min(1.0)).cos().powi(2) } else { 1.0 }
}

/// exp(−2πi f·distance).
pub(crate) fn phases(frequencies: &[f64], distance: f64) -> Vec<Complex64> {
    frequencies.iter().map(|f| Complex64::cis(-TAU * f * distance)).collect()
}

/// Signed frequency number of an index; the second half is negative.
fn signed(k: usize, length: usize) -> f64 {
    if k <= length / 2 { k as f64 } else { k as f64 - length as f64 }
}
