//! Spectra inside the subfilters.
//!
//! The unknowns are fluxes `y_a`, one per subfilter, but displacement depends on the wavelength
//! inside it. A spectrum that is constant inside each subfilter is a staircase. A staircase through
//! a sloping spectrum has too small a first moment, by 1/n² of it: fitted colours are steeper than
//! the true ones by 1/(1 − 1/n²), 12 % for three subfilters. The smoothest spectrum with the given
//! fluxes, a *histogram spline*, has no such bias.

use ndarray::{Array1, Array2, Array3, ArrayView3, Axis, s};

/// A photon spectrum on a grid of wavelengths as a linear function of the subfilters' fluxes.
///
/// `weight_al[a, l]` is the share of subfilter `a`'s flux that arrives at grid point `l`; some are
/// negative. The shares of `a` over the points of subfilter `b` sum to `δ_ab`.
#[derive(Clone, Debug, PartialEq)]
pub struct SmoothSpectrum {
    /// Weights, shape `(subfilters, grid points)`.
    pub weight_al: Array2<f64>,
}

impl SmoothSpectrum {
    /// The smoothest spectrum: relative to a flat one, with the smallest integral of its squared
    /// second derivative.
    ///
    /// Grid points have ascending wavelengths (any unit), positive shares of a flat spectrum, and
    /// subfilters from 0 to `n − 1`, each of which has at least one point. The fluxes of a flat or
    /// a linear spectrum give that spectrum.
    ///
    /// # Panics
    ///
    /// If the three differ in length or a subfilter has no point.
    #[must_use]
    pub fn new(wavelength: &[f64], share: &[f64], subfilter: &[usize], n: usize) -> Self {
        let points = wavelength.len();
        assert!(
            share.len() == points && subfilter.len() == points,
            "one share and one subfilter for each point"
        );
        let in_subfilter =
            Array2::from_shape_fn((n, points), |(b, l)| f64::from(u8::from(subfilter[l] == b)));
        assert!(
            in_subfilter.sum_axis(Axis(1)).iter().all(|count| *count > 0.0),
            "every subfilter has a point"
        );
        let share = Array1::from_vec(share.to_vec());
        let relative = match n {
            1 => Array2::ones((1, points)),
            _ => smoothest(wavelength, &(&in_subfilter * &share), n),
        };
        // Cardinal except for rounding; corrected to be exact.
        let fluxes = relative.dot(&(&in_subfilter * &share).t());
        let weight_al = solve_linear(fluxes, &relative * &share);
        Self { weight_al }
    }
}

/// Row `a`: the smoothest p with ∫ p·T over subfilter b equal to δ_ab, by a linear system with one
/// multiplier per subfilter.
fn smoothest(wavelength: &[f64], weight_bl: &Array2<f64>, n: usize) -> Array2<f64> {
    let points = wavelength.len();
    let width = (wavelength[points - 1] - wavelength[0]).max(f64::MIN_POSITIVE);
    let x: Vec<f64> = wavelength.iter().map(|w| (w - wavelength[0]) / width * points as f64).collect();
    let mut system = Array2::zeros((points + n, points + n));
    // Second differences on the uneven grid, squared.
    for i in 1..points.saturating_sub(1) {
        let (left, right) = (x[i] - x[i - 1], x[i + 1] - x[i]);
        let middle = (left + right) / 2.0;
        let second = [1.0 / (left * middle), -(1.0 / left + 1.0 / right) / middle, 1.0 / (right * middle)];
        for (j, a) in second.iter().enumerate() {
            for (k, b) in second.iter().enumerate() {
                system[[i - 1 + j, i - 1 + k]] += a * b * middle;
            }
        }
    }
    // With fewer points than the penalty needs a direction is free: it gets a prior without weight
    // in the result.
    for i in 0..points {
        system[[i, i]] += 1e-10;
    }
    system.slice_mut(s![points.., ..points]).assign(weight_bl);
    system.slice_mut(s![..points, points..]).assign(&weight_bl.t());
    let mut right_side = Array2::zeros((points + n, n));
    for a in 0..n {
        right_side[[points + a, a]] = 1.0;
    }
    solve_linear(system, right_side).slice(s![..points, ..]).t().to_owned()
}

/// Solves `matrix · x = right_side` by elimination with partial pivoting. The systems are regular
/// by construction.
fn solve_linear(mut matrix: Array2<f64>, mut right_side: Array2<f64>) -> Array2<f64> {
    let n = matrix.nrows();
    for column in 0..n {
        let pivot =
            (column..n).max_by(|a, b| matrix[[*a, column]].abs().total_cmp(&matrix[[*b, column]].abs()));
        let pivot = pivot.unwrap_or(column);
        for j in 0..n {
            matrix.swap([column, j], [pivot, j]);
        }
        for j in 0..right_side.ncols() {
            right_side.swap([column, j], [pivot, j]);
        }
        for row in column + 1..n {
            let factor = matrix[[row, column]] / matrix[[column, column]];
            if factor != 0.0 {
                let (above, mut below) = matrix.multi_slice_mut((s![column, column..], s![row, column..]));
                below.scaled_add(-factor, &above);
                let (above, mut below) = right_side.multi_slice_mut((s![column, ..], s![row, ..]));
                below.scaled_add(-factor, &above);
            }
        }
    }
    for row in (0..n).rev() {
        for below in row + 1..n {
            let factor = matrix[[row, below]];
            let (mut this, that) = right_side.multi_slice_mut((s![row, ..], s![below, ..]));
            this.scaled_add(-factor, &that);
        }
        let pivot = matrix[[row, row]];
        right_side.row_mut(row).mapv_inplace(|v| v / pivot);
    }
    right_side
}

/// Shares of each subfilter's flux in the half-subfilters of the whole band.
///
/// The light in half `h` (0 blue, 1 red) of subfilter `c` is `Σ_b share[b, 2c + h]·y_b`. With a
/// spectrum that is constant inside each subfilter, its two halves have one half each. With a
/// smooth spectrum the neighbours tilt it, and shares may be negative; the two halves of `c` still
/// sum to `δ_bc`, for `y_b` is the flux of subfilter `b` alone.
#[derive(Clone, Debug, PartialEq)]
pub struct SpectralBasis {
    shares_bh: Array2<f64>,
}

impl SpectralBasis {
    /// A constant spectrum inside each of `n` subfilters.
    #[must_use]
    pub fn constant(n: usize) -> Self {
        Self { shares_bh: Array2::from_shape_fn((n, 2 * n), |(b, h)| if h / 2 == b { 0.5 } else { 0.0 }) }
    }

    /// A smooth spectrum ([`SmoothSpectrum`]), condensed to halves at a subfilter's mean wavelength
    /// ∓ its standard deviation. The flux and first moment of each subfilter are kept, and for a
    /// flat spectrum the second too.
    ///
    /// Arguments and panics are those of [`SmoothSpectrum::new`].
    #[must_use]
    pub fn smooth(wavelength: &[f64], share: &[f64], subfilter: &[usize], n: usize) -> Self {
        let spectrum = SmoothSpectrum::new(wavelength, share, subfilter, n);
        let mut shares_bh = Array2::zeros((n, 2 * n));
        for c in 0..n {
            let points: Vec<usize> = (0..wavelength.len()).filter(|l| subfilter[*l] == c).collect();
            let flat = |f: &dyn Fn(usize) -> f64| {
                points.iter().map(|l| share[*l] * f(*l)).sum::<f64>()
                    / points.iter().map(|l| share[*l]).sum::<f64>()
            };
            let mean = flat(&|l| wavelength[l]);
            let deviation = flat(&|l| (wavelength[l] - mean).powi(2)).sqrt();
            for b in 0..n {
                let sum = |f: &dyn Fn(usize) -> f64| {
                    points.iter().map(|l| spectrum.weight_al[[b, *l]] * f(*l)).sum::<f64>()
                };
                let flux = f64::from(u8::from(b == c));
                let tilt =
                    if deviation > 0.0 { sum(&|l| wavelength[l] - mean) / (2.0 * deviation) } else { 0.0 };
                shares_bh[[b, 2 * c]] = flux / 2.0 - tilt;
                shares_bh[[b, 2 * c + 1]] = flux / 2.0 + tilt;
            }
        }
        Self { shares_bh }
    }

    /// Number of subfilters.
    #[must_use]
    pub fn subfilters(&self) -> usize {
        self.shares_bh.nrows()
    }

    /// The shares, `(subfilters, 2 × subfilters)`.
    #[must_use]
    pub fn shares(&self) -> &Array2<f64> {
        &self.shares_bh
    }

    /// The light in every half: planes of shape `(2n, rows, cols)` from `(n, rows, cols)`.
    ///
    /// # Panics
    ///
    /// If the number of planes is not that of the subfilters.
    #[must_use]
    pub fn halves(&self, model_byx: ArrayView3<f32>) -> Array3<f32> {
        let (n, rows, cols) = model_byx.dim();
        assert_eq!(n, self.subfilters(), "one plane for each subfilter");
        let mut out = Array3::zeros((2 * n, rows, cols));
        for (h, mut half) in out.axis_iter_mut(Axis(0)).enumerate() {
            for (b, plane) in model_byx.axis_iter(Axis(0)).enumerate() {
                let share = self.shares_bh[[b, h]] as f32;
                if share != 0.0 {
                    half.scaled_add(share, &plane);
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A band of 405 to 552 nm in `n` subfilters with an uneven throughput.
    fn grid(n: usize) -> (Vec<f64>, Vec<f64>, Vec<usize>) {
        let points = 12 * n;
        let wavelength: Vec<f64> =
            (0..points).map(|l| 405.0 + 147.0 * (l as f64 + 0.5) / points as f64).collect();
        let share: Vec<f64> = wavelength.iter().map(|w| 1.0 + 0.3 * ((w - 430.0) / 30.0).sin()).collect();
        let total: f64 = share.iter().sum();
        (wavelength, share.iter().map(|s| s / total).collect(), (0..points).map(|l| l / 12).collect())
    }

    #[test]
    fn smooth_spectrum_is_cardinal() {
        for n in 1..=6 {
            let (wavelength, share, subfilter) = grid(n);
            let spectrum = SmoothSpectrum::new(&wavelength, &share, &subfilter, n);
            for a in 0..n {
                for b in 0..n {
                    let sum: f64 = (0..share.len())
                        .filter(|l| subfilter[*l] == b)
                        .map(|l| spectrum.weight_al[[a, l]])
                        .sum();
                    assert!((sum - f64::from(u8::from(a == b))).abs() < 1e-9, "n = {n}, {a} {b}: {sum}");
                }
            }
        }
    }

    #[test]
    fn smooth_spectrum_reproduces_a_linear_spectrum() {
        for n in 2..=6 {
            let (wavelength, share, subfilter) = grid(n);
            let photons: Vec<f64> =
                wavelength.iter().zip(&share).map(|(w, s)| s * (1.0 + (w - 450.0) / 200.0)).collect();
            let mut flux = vec![0.0; n];
            photons.iter().zip(&subfilter).for_each(|(p, b)| flux[*b] += p);
            let spectrum = SmoothSpectrum::new(&wavelength, &share, &subfilter, n);
            for (l, expected) in photons.iter().enumerate() {
                let got: f64 = (0..n).map(|a| flux[a] * spectrum.weight_al[[a, l]]).sum();
                assert!(
                    (got / expected - 1.0).abs() < 1e-5,
                    "n = {n}, point {l}: {got} instead of {expected}"
                );
            }
        }
    }

    #[test]
    fn smooth_basis_keeps_fluxes_and_first_moments_of_a_linear_spectrum() {
        let (wavelength, share, subfilter) = grid(3);
        let photons: Vec<f64> =
            wavelength.iter().zip(&share).map(|(w, s)| s * (1.0 + (w - 450.0) / 200.0)).collect();
        let mut flux = [0.0; 3];
        photons.iter().zip(&subfilter).for_each(|(p, b)| flux[*b] += p);
        let basis = SpectralBasis::smooth(&wavelength, &share, &subfilter, 3);
        for c in 0..3 {
            let half = |h: usize| (0..3).map(|b| flux[b] * basis.shares()[[b, 2 * c + h]]).sum::<f64>();
            assert!((half(0) + half(1) - flux[c]).abs() < 1e-9);
            let of = |f: &dyn Fn(usize) -> f64| {
                (0..wavelength.len()).filter(|l| subfilter[*l] == c).map(f).sum::<f64>()
            };
            let mean = of(&|l| share[l] * wavelength[l]) / of(&|l| share[l]);
            let deviation = (of(&|l| share[l] * (wavelength[l] - mean).powi(2)) / of(&|l| share[l])).sqrt();
            let moment = of(&|l| photons[l] * (wavelength[l] - mean));
            assert!(((half(1) - half(0)) * deviation - moment).abs() < 1e-4 * flux[c], "subfilter {c}");
        }
    }

    #[test]
    fn constant_basis_halves_are_half_of_the_whole() {
        let model = Array3::from_shape_fn((2, 2, 3), |(b, y, x)| (b * 6 + y * 3 + x) as f32);
        let halves = SpectralBasis::constant(2).halves(model.view());
        for h in 0..4 {
            assert_eq!(halves.index_axis(Axis(0), h), model.index_axis(Axis(0), h / 2).mapv(|v| v / 2.0));
        }
    }
}
