//! The noise of the model, mode by mode, and the variance that planes, their sum and any template have from it.
//!
//! With the data's Hessian `H` of all visits, unmasked, and a prior `R`, the noise covariance of the model at a mode is
//!
//! ```text
//! C = (H + R)⁻¹ H (H + R)⁻¹,      var(template) = Σ_k A C A*,      var(y_a) = Σ_k C_aa
//! ```
//!
//! in the units of a sum over modes that is a mean. The prior of the final solve varies from place to place; `C` is kept for several of its widths `τ`, and
//! a variance is interpolated, in logarithms, at the width of each pixel. It is then divided by the pixel's coverage. A frequency grid of 33 × 33 is enough,
//! whatever the patch's size: PSFs are small. What a template of a later exposure needs is this, and no visit.
//!
//! Sources make noise of their own, which the weights do not know, and must not. Where the planes' sum has `1 + e` times the noise that sky alone
//! would make, all else has, nearly: the variance is multiplied by that ([`NoiseMaps::source_noise_yx`]). On bright sources the subfilters have their own variance,
//! that of [`super::stars`].
//!
//! # Accuracy
//!
//! Noise alone is in it: not the choice of the prior, nor clipping, nor errors of PSFs. Scatter of 96 draws of all noise of a field of 8 visits over what
//! is stated, in the sky and on pixels above 1, 10 and 100 σ of the sum: sums 1.03, 1.03, 1.03, 0.97; templates 1.01, 1.02, 1.01, 0.98; planes of the
//! outermost subfilters 1.02, 1.01, 1.05, 0.97 and 1.02, 1.01, 1.03, 1.04, of the middle one 1.03, 1.04, 1.01, 1.03 (a test of `dcr-coadd` holds them). Two FWHM
//! from a bright star the middle one's may be 12 % too small. Where masks leave less than 85 % of the data, the formula, which takes
//! them for the same everywhere, is a rough figure: 0.88 to 0.98 down to 70 %, below it up to several times too small.

use ndarray::{Array2, Array3, ArrayView2, Axis, Zip};
use rustfft::num_complex::{Complex32, Complex64};

use super::coarse::{Coarse, SIDE};
use crate::joint::config::JointConfig;
use crate::joint::fourier::frequencies::Frequencies;
use crate::joint::problem::spectrum::Spectrum;
use crate::joint::solve::first::{floor_of_total, total_strength};
use crate::linalg::hermitian::{Hermitian, upper};

/// Widths of the prior for which covariances are kept: from the least, by this factor, …
const WIDTH_RATIO: f64 = 4.0;
/// … this often. The last is 16,000 times the first: free.
const WIDTHS: usize = 8;
/// Width of the prior on the spectrum's slope that makes the noise which a star's has around it, in units of the star's own, …
const SLOPE_WIDTH: f64 = 0.8;
/// … and on its curvature and all that is further. Found by comparison with the scatter of draws.
const CURVATURE_WIDTH: f64 = 1.2;
/// Coverage below which no variance is stated.
const LEAST_COVERAGE: f32 = 0.02;

/// Noise covariances of the subfilters, mode by mode, for several widths of the prior.
#[derive(Clone, Debug, PartialEq)]
pub struct Covariance {
    /// Widths of the prior, ascending, in the units of the planes. One, of no meaning, for one subfilter.
    pub widths: Vec<f64>,
    /// Covariances: `(widths, subfilter pairs, 2 × modes)`. Pairs are those of the upper triangle, row by row; modes those with `kx ≥ 0` of a
    /// 33 × 33 grid, `ky` running fastest, real part before imaginary.
    pub values: Array3<f32>,
}

/// What the noise of the planes depends on from place to place: one value for each pixel of the patch.
#[derive(Clone, Copy, Debug)]
pub struct NoiseMaps<'a> {
    /// Weight of the data over that of all visits together.
    pub coverage_yx: ArrayView2<'a, f32>,
    /// Width of the prior.
    pub freedom_yx: ArrayView2<'a, f32>,
    /// Variance that sources' light has in the planes' sum, over that of the sky.
    pub source_noise_yx: ArrayView2<'a, f32>,
}

/// A variance as a function of the prior's width.
#[derive(Clone, Debug)]
struct Curve {
    /// Logarithms of width and variance.
    points: Vec<(f64, f64)>,
}

impl Covariance {
    /// Covariances of a patch's visits, seen from its middle.
    pub(crate) fn new(coarse: &Coarse, spectrum: &Spectrum, config: &JointConfig, sigma: f64) -> Self {
        let (n, modes) = (spectrum.count(), coarse.modes());
        let pairs = n * (n + 1) / 2;
        let amplitude = coarse.fiducial.amplitude();
        // The final solve holds the total to the first one's, which has nearly all its noise: the floor takes none away.
        let floor = if n == 1 { floor_of_total(n, config) } else { 0.0 };
        let total = total_strength(&coarse.fiducial, floor, sigma);
        let mut departures = spectrum.departures(config.colour_damping);
        for (j, mut departure) in departures.axis_iter_mut(Axis(1)).enumerate() {
            departure *= if j == 0 { SLOPE_WIDTH } else { CURVATURE_WIDTH };
        }
        let count = if n == 1 { 1 } else { WIDTHS };
        let widths: Vec<f64> =
            (0..count).map(|i| config.colour_floor * sigma * WIDTH_RATIO.powi(i as i32)).collect();
        let mut values = Array3::zeros((count, pairs, 2 * modes));
        for (width, mut values) in widths.iter().zip(values.axis_iter_mut(Axis(0))) {
            for mode in 0..modes {
                let held = width * f64::from(amplitude[mode]).max(1e-9);
                let strength = (f64::from(total[mode]), 1.0 / (held * held));
                let noise = mode_covariance(&coarse.at(mode), spectrum.fractions(), &departures, strength);
                for (pair, (a, b)) in upper(n).enumerate() {
                    values[[pair, 2 * mode]] = noise.at(a, b).re as f32;
                    values[[pair, 2 * mode + 1]] = noise.at(a, b).im as f32;
                }
            }
        }
        Self { widths, values }
    }

    /// In another unit: planes are multiplied by this factor.
    pub(crate) fn scale(&mut self, factor: f32) {
        self.widths.iter_mut().for_each(|width| *width *= f64::from(factor));
        self.values *= factor * factor;
    }

    /// Number of subfilters.
    fn subfilters(&self) -> usize {
        // Pairs are n (n + 1)/2.
        ((8 * self.values.len_of(Axis(1)) + 1).isqrt() - 1) / 2
    }

    /// Whether the arrays fit together, as those of a run read back from files may not.
    #[must_use]
    pub fn is_consistent(&self, subfilters: usize) -> bool {
        let modes = SIDE * (SIDE / 2 + 1);
        self.values.dim() == (self.widths.len(), subfilters * (subfilters + 1) / 2, 2 * modes)
            && !self.widths.is_empty()
            && self.widths.iter().all(|w| *w > 0.0)
            && self.values.iter().all(|v| v.is_finite())
    }

    /// The variance of every pixel of subfilter `a`'s plane; infinite where nothing is known.
    ///
    /// # Panics
    ///
    /// If there is no such subfilter, or the maps differ in shape.
    #[must_use]
    pub fn plane_variance(&self, a: usize, maps: &NoiseMaps) -> Array2<f32> {
        let n = self.subfilters();
        assert!(a < n, "subfilter {a} of {n}");
        let pair = upper(n).position(|p| p == (a, a)).unwrap_or(0);
        let curve = self.curve(|w, mode| f64::from(self.values[[w, pair, 2 * mode]]));
        curve.plane(maps)
    }

    /// The variance of every pixel of the planes' sum.
    ///
    /// # Panics
    ///
    /// If the maps differ in shape.
    #[must_use]
    pub fn total_variance(&self, maps: &NoiseMaps) -> Array2<f32> {
        let pairs: Vec<_> = upper(self.subfilters()).enumerate().collect();
        let curve = self.curve(|w, mode| {
            pairs
                .iter()
                .map(|(pair, (a, b))| {
                    f64::from(1 + u8::from(a != b)) * f64::from(self.values[[w, *pair, 2 * mode]])
                })
                .sum()
        });
        curve.plane(maps)
    }

    /// The variance of every pixel of a template with the transfer functions `transfer` on this grid, `kx × subfilter × ky`.
    pub(crate) fn template_variance(&self, transfer: &[Complex32], maps: &NoiseMaps) -> Array2<f32> {
        let n = self.subfilters();
        let curve = self.curve(|w, mode| {
            let mut matrix = Hermitian::zeros(n);
            for (pair, (a, b)) in upper(n).enumerate() {
                let (re, im) = (self.values[[w, pair, 2 * mode]], self.values[[w, pair, 2 * mode + 1]]);
                matrix.add(a, b, Complex64::new(f64::from(re), f64::from(im)));
            }
            let a = |a: usize| transfer[(mode / SIDE * n + a) * SIDE + mode % SIDE];
            // A C A*: the form of the conjugate.
            let v: Vec<Complex64> =
                (0..n).map(|i| Complex64::new(f64::from(a(i).re), -f64::from(a(i).im))).collect();
            matrix.form(&v)
        });
        curve.plane(maps)
    }

    /// The mean over modes of `of(width, mode)`, for every width.
    fn curve(&self, of: impl Fn(usize, usize) -> f64) -> Curve {
        let frequencies = Frequencies::new((SIDE, SIDE));
        let modes = frequencies.x.len() * SIDE;
        let mean = |w: usize| (0..modes).map(|m| frequencies.multiplicity(m / SIDE) * of(w, m)).sum::<f64>();
        let point = |(w, width): (usize, &f64)| (width.ln(), mean(w).max(f64::MIN_POSITIVE).ln());
        Curve { points: self.widths.iter().enumerate().map(point).collect() }
    }
}

impl Curve {
    /// The variance at a width: linear in logarithms, constant beyond the ends.
    fn at(&self, width: f64) -> f64 {
        let x = width.max(f64::MIN_POSITIVE).ln();
        let above = self.points.partition_point(|p| p.0 <= x);
        let (last, value) = (self.points.len() - 1, |i: usize| self.points[i].1);
        if above == 0 || above > last {
            return value(above.min(last)).exp();
        }
        let (a, b) = (self.points[above - 1], self.points[above]);
        (a.1 + (b.1 - a.1) * (x - a.0) / (b.0 - a.0)).exp()
    }

    fn plane(&self, maps: &NoiseMaps) -> Array2<f32> {
        Zip::from(&maps.coverage_yx).and(&maps.freedom_yx).and(&maps.source_noise_yx).map_collect(
            |coverage, freedom, source_noise| {
                if *coverage < LEAST_COVERAGE || coverage.is_nan() {
                    return f32::INFINITY;
                }
                let of_sky = self.at(f64::from(*freedom)) / f64::from(*coverage);
                (of_sky * (1.0 + f64::from(*source_noise))) as f32
            },
        )
    }
}

/// The noise covariance at a mode, given the data's Hessian and the strength of the prior on the total and on departures.
fn mode_covariance(
    data: &Hermitian,
    fractions: &[f64],
    departures: &Array2<f64>,
    strength: (f64, f64),
) -> Hermitian {
    let n = fractions.len();
    // In the space of total and departures, y = G x.
    let g = |a: usize, j: usize| if j == 0 { fractions[a] } else { departures[[a, j - 1]] };
    let mut in_x = Hermitian::zeros(n);
    for (i, j) in upper(n) {
        let value: Complex64 = (0..n)
            .flat_map(|a| (0..n).map(move |b| (a, b)))
            .map(|(a, b)| data.at(a, b) * (g(a, i) * g(b, j)))
            .sum();
        in_x.add(i, j, if i == j { Complex64::from(value.re) } else { value });
    }
    let mut held = in_x.clone();
    for i in 0..n {
        held.add(i, i, Complex64::from(if i == 0 { strength.0 } else { strength.1 }));
    }
    let noise = held.inverse().around(&in_x);
    let mut out = Hermitian::zeros(n);
    for (a, b) in upper(n) {
        let value: Complex64 = (0..n)
            .flat_map(|i| (0..n).map(move |j| (i, j)))
            .map(|(i, j)| noise.at(i, j) * (g(a, i) * g(b, j)))
            .sum();
        out.add(a, b, if a == b { Complex64::from(value.re) } else { value });
    }
    out
}
