//! Response kernels of the mask-free problem: from model pixel to model pixel, and from visit pixel
//! to model pixel, as planes of lags.
//!
//! They propagate noise where it is not stationary. Symbols are those of [`super::stars`].

use std::f64::consts::TAU;
use std::ops::Range;

use ndarray::{Array2, ArrayView2, s};
use rayon::prelude::*;
use rustfft::num_complex::Complex64;

use super::coarse::{Coarse, Representative, SIDE};
use crate::joint::config::JointConfig;
use crate::joint::operator::elimination::Elimination;
use crate::joint::problem::spectrum::Spectrum;
use crate::joint::solve::map_first::flux_prior_weight;
use crate::linalg::hermitian::upper;

/// Largest lag.
pub(crate) const FARTHEST: isize = SIDE as isize / 2;
/// Share of the power of kernels between planes and visits that may be truncated.
const LOST: f64 = 0.01;

/// Kernels of a patch, with lag 0 in the middle.
pub(crate) struct NoiseKernels {
    pub(crate) n: usize,
    /// Number of spectral components.
    pub(crate) m: usize,
    pub(crate) fractions: Vec<f64>,
    /// B, for each pair of components.
    schur: Vec<Array2<f64>>,
    /// `q` of each component, subfilter by subfilter.
    pub(crate) shown: Vec<Array2<f64>>,
    /// Variance of `t₀` from the sky.
    pub(crate) flux_noise: f64,
    /// Kernels between planes and visits.
    pub(crate) of_visits: Vec<VisitKernels>,
    /// Largest lag of the visits' kernels.
    pub(crate) reach: isize,
}

/// Kernels of a representative visit, truncated where nearly all of their power is contained.
pub(crate) struct VisitKernels {
    /// Sky variance of a pixel, summed over the visits represented.
    pub(crate) sky: f32,
    /// Variance per unit of light, summed over the visits represented.
    pub(crate) shot: f32,
    /// Response of the visit to summed flux of flat spectrum.
    pub(crate) observed: Array2<f32>,
    /// Response of `t₀` to the visit, with [`MARGIN`] pixels of zeros around.
    pub(crate) flux: Array2<f32>,
    /// Response of `r` to the visit, for each component.
    pub(crate) components: Vec<Array2<f32>>,
}

/// Width of zeros around kernels of visits, so that [`MARGIN`] + 1 neighbours can be processed
/// together.
pub(crate) const MARGIN: isize = 3;

impl NoiseKernels {
    pub(crate) fn new(coarse: &Coarse, spectrum: &Spectrum, sigma: f64, config: &JointConfig) -> Self {
        let (n, modes) = (spectrum.count(), coarse.modes());
        let (m, f) = (n - 1, spectrum.fractions());
        let components = spectrum.components(config.colour_damping);
        let amplitude = coarse.fiducial.amplitude();
        let window = flux_prior_weight(&coarse.fiducial, 0.0, sigma);
        let planes = |count: usize| vec![vec![Complex64::default(); modes]; count];
        let (mut schur, mut shown) = (planes(m * (m + 1) / 2), planes(n * m));
        let (mut all, mut couplings) = (vec![0.0; modes], planes(m));
        let mut flux_noise = 0.0;
        let mut elimination = Elimination::new(f, &components);
        for mode in 0..modes {
            let p = f64::from(amplitude[mode]);
            elimination.eliminate(&coarse.at(mode), f64::from(window[mode]));
            let Elimination { observed, flux, coupling, schur: complement, .. } = &elimination;
            all[mode] = *flux;
            flux_noise += coarse.frequencies.multiplicity(mode / SIDE) * observed / (flux * flux);
            schur.iter_mut().zip(complement).for_each(|(plane, s)| plane[mode] = s * (p * p));
            couplings.iter_mut().zip(coupling).for_each(|(plane, c)| plane[mode] = c * p);
            for (plane, (a, j)) in shown.iter_mut().zip((0..n).flat_map(|a| (0..m).map(move |j| (a, j)))) {
                plane[mode] = p * (components[[a, j]] - coupling[j] * f[a] / flux);
            }
        }
        let pixels = |modes: Vec<Vec<Complex64>>| -> Vec<Array2<f64>> {
            modes.par_iter().map(|modes| plane(coarse, modes)).collect()
        };
        let (schur, shown) = (pixels(schur), pixels(shown));
        let of_one = |one: &Representative| {
            let mut modes_of = planes(2 + m);
            for mode in 0..modes {
                let observed: Complex64 = (0..n).map(|a| one.at(mode, a, n) * f[a]).sum();
                let weight = 1.0 / one.noise.sky_variance;
                modes_of[0][mode] = observed;
                modes_of[1][mode] = observed.conj() * (weight / all[mode]);
                for j in 0..m {
                    let direct: Complex64 =
                        (0..n).map(|a| one.at(mode, a, n).conj() * components[[a, j]]).sum();
                    let of_flux = couplings[j][mode].conj() / all[mode] * observed.conj();
                    modes_of[2 + j][mode] = (direct * f64::from(amplitude[mode]) - of_flux) * weight;
                }
            }
            pixels(modes_of)
        };
        let of_visits: Vec<Vec<Array2<f64>>> = coarse.representatives.par_iter().map(of_one).collect();
        let (of_light, reach) = (reach(&of_visits, 0..1), reach(&of_visits, 1..2 + m));
        let of_visits = coarse.representatives.iter().zip(of_visits);
        let of_visits =
            of_visits.map(|(one, planes)| VisitKernels::new(one, &planes, of_light, reach)).collect();
        Self { n, m, fractions: f.to_vec(), schur, shown, flux_noise, of_visits, reach }
    }

    /// Largest diagonal element of B at lag 0.
    pub(crate) fn largest(&self) -> f64 {
        let pairs = upper(self.m).zip(&self.schur).filter(|((j, k), _)| j == k);
        pairs.map(|(_, b)| at(b, 0, 0)).fold(0.0, f64::max)
    }

    /// A map of the visits' pixels, averaged with the squared response of the summed flux. Pixels
    /// beyond the map are 0.
    pub(crate) fn averaged(&self, map_yx: &Array2<f32>) -> Array2<f32> {
        let farthest = self.reach + MARGIN;
        let side = (2 * farthest + 1) as usize;
        let mut kernel = Array2::<f32>::zeros((side, side));
        for visit in &self.of_visits {
            kernel.zip_mut_with(&visit.flux, |sum, v| *sum += visit.sky * v * v);
        }
        kernel /= kernel.sum();
        convolved(map_yx.view(), &kernel)
    }

    /// Variance of each visit's light at every pixel of a patch, from the planes' sum.
    pub(crate) fn light(&self, flux_yx: ArrayView2<f32>) -> Vec<Array2<f32>> {
        let of_visit = |visit: &VisitKernels| {
            let mut light = convolved(flux_yx, &visit.observed);
            light.mapv_inplace(|v| visit.shot * v.max(0.0));
            light
        };
        self.of_visits.iter().map(of_visit).collect()
    }

    /// B of a pair of components, `j ≤ k`.
    pub(crate) fn pair(&self, j: usize, k: usize) -> &Array2<f64> {
        &self.schur[j * self.m + k - j * (j + 1) / 2]
    }
}

impl VisitKernels {
    /// `planes` are the responses of the visit, of the flux and of the components.
    fn new(one: &Representative, planes: &[Array2<f64>], of_light: isize, reach: isize) -> Self {
        let cut_at = |plane: &Array2<f64>, reach: isize, margin: isize| {
            let side = (2 * (reach + margin) + 1) as usize;
            Array2::from_shape_fn((side, side), |(y, x)| {
                let (dy, dx) = (y as isize - reach - margin, x as isize - reach - margin);
                if dy.abs().max(dx.abs()) <= reach { at(plane, dy, dx) as f32 } else { 0.0 }
            })
        };
        // Truncation loses no light.
        let mut observed = cut_at(&planes[0], of_light, 0);
        observed *= planes[0].sum() as f32 / observed.sum();
        let cut = |plane: &Array2<f64>| cut_at(plane, reach, MARGIN);
        Self {
            sky: (one.count * one.noise.sky_variance) as f32,
            shot: (one.count * one.noise.shot) as f32,
            observed,
            flux: cut(&planes[1]),
            components: planes[2..].iter().map(cut).collect(),
        }
    }
}

/// Lag that contains all but a small share of the squares of the visits' kernels `some`.
fn reach(of_visits: &[Vec<Array2<f64>>], some: Range<usize>) -> isize {
    let largest = |plane: usize| {
        let power =
            |dy: isize, dx: isize| of_visits.iter().map(|of| at(&of[plane], dy, dx).powi(2)).sum::<f64>();
        let ring = |r: isize| -> f64 {
            let lags = (-r..=r).flat_map(|y| (-r..=r).map(move |x| (y, x)));
            lags.filter(|(y, x)| y.abs().max(x.abs()) == r).map(|(y, x)| power(y, x)).sum()
        };
        let rings: Vec<f64> = (0..=FARTHEST).map(ring).collect();
        let all: f64 = rings.iter().sum();
        let beyond = |r: &isize| rings[*r as usize + 1..].iter().sum::<f64>() <= LOST * all;
        (0..FARTHEST).find(beyond).unwrap_or(FARTHEST)
    };
    some.map(largest).max().unwrap_or(0)
}

/// A map convolved with a kernel that has lag 0 in its middle. Pixels beyond the map are 0.
fn convolved(map_yx: ArrayView2<f32>, kernel: &Array2<f32>) -> Array2<f32> {
    let farthest = (kernel.nrows() / 2) as isize;
    let (rows, cols) = map_yx.dim();
    let mut out = vec![0.0; rows * cols];
    out.par_chunks_exact_mut(cols.max(1)).enumerate().for_each(|(y, out)| {
        for ((ky, kx), weight) in kernel.indexed_iter().filter(|(_, weight)| **weight != 0.0) {
            let (from, dx) = (y as isize + farthest - ky as isize, kx as isize - farthest);
            if !(0..rows as isize).contains(&from) || dx.unsigned_abs() >= cols {
                continue;
            }
            // out[x] takes map[x − dx].
            let (to, first) = (dx.max(0) as usize, (-dx).max(0) as usize);
            let length = cols - dx.unsigned_abs();
            let row = map_yx.slice(s![from as usize, first..first + length]);
            out[to..to + length].iter_mut().zip(row).for_each(|(out, v)| *out += weight * v);
        }
    });
    Array2::from_shape_vec((rows, cols), out).expect("rows cover the map")
}

/// Pixels of a half plane of modes, lag 0 in the middle.
fn plane(coarse: &Coarse, modes: &[Complex64]) -> Array2<f64> {
    let (fy, fx) = (&coarse.frequencies.y, &coarse.frequencies.x);
    let wave = |f: f64, i: usize| Complex64::cis(TAU * f * (i as f64 - FARTHEST as f64));
    let waves = |f: &[f64]| -> Vec<Complex64> {
        f.iter().flat_map(|f| (0..SIDE).map(move |i| wave(*f, i))).collect()
    };
    let (along_y, along_x) = (waves(fy), waves(fx));
    let mut out = Array2::zeros((SIDE, SIDE));
    for (ix, (along_x, modes)) in along_x.chunks_exact(SIDE).zip(modes.chunks_exact(SIDE)).enumerate() {
        let weight = coarse.frequencies.multiplicity(ix);
        for y in 0..SIDE {
            let sum: Complex64 = modes.iter().enumerate().map(|(k, v)| v * along_y[k * SIDE + y]).sum();
            for (x, along_x) in along_x.iter().enumerate() {
                out[[y, x]] += weight * (sum * along_x).re;
            }
        }
    }
    out
}

/// A kernel at a lag, 0 beyond the largest.
pub(crate) fn at(kernel: &Array2<f64>, dy: isize, dx: isize) -> f64 {
    match dy.abs().max(dx.abs()) <= FARTHEST {
        true => kernel[[(dy + FARTHEST) as usize, (dx + FARTHEST) as usize]],
        false => 0.0,
    }
}
