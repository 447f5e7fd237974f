//! The noise of subfilters on bright sources, where the prior is as local as the light, and so is the noise that the light makes.
//!
//! A prior that is as wide everywhere as it is on a star ([`super::covariance`]) overstates the noise of the star's colour: slow variations of it, of which data
//! know little, are free only on the star. Here the problem without masks is solved in a disc, as in [`super::bright`]. With the total
//! eliminated as in [`super::stationary`], a plane is what the total would be without departures, and what departures make of it:
//!
//! ```text
//! y_a = f_a t₀ + Σ_j q_aj ∗ τ u_j,    t₀ = F⁻¹ fᵀb/T,    q_aj = F⁻¹ P (E_aj − f_a fᵀHE_j/T),    T = fᵀHf + window
//! K u = τ r,    K = 1 + τBτ,    noise of r: B
//! ```
//!
//! with `b` what the data say, and `r` what they say of departures. At a pixel `p`,
//!
//! ```text
//! w = τ q_a(p − ·),    var y_a(p) = f_a² var t₀ (1 + e₀) + wᵀ (K⁻¹ − K⁻²) w (1 + e₁)
//! ```
//!
//! where `e₀` and `e₁` are what light of sources adds to the noise of the sky: for the total at the pixel itself, for departures on the flanks
//! of a source, from which a colour is told.

use std::f64::consts::TAU;

use ndarray::Array2;
use rayon::prelude::*;
use rustfft::num_complex::Complex64;

use super::coarse::{Coarse, SIDE};
use super::config::JointConfig;
use super::hermitian::upper;
use super::spectrum::Spectrum;
use super::triangle::{LANES, cholesky, solve_triangles_together, triangle};
use super::uniform::total_strength;

/// Pixels are bright where `τ² B₀` exceeds this.
const BRIGHT: f64 = 0.5;
/// Radius of a disc, in units of the FWHM of the PSF, …
const RADIUS: f64 = 1.3;
/// … of the part of it for which it answers, in units of the radius, …
const OWN: f64 = 0.8;
/// … and the most unknowns in it.
const MOST_UNKNOWNS: f64 = 480.0;
/// The largest part of the patch's pixels that is looked at, the brightest first, so that a crowded field does not take longer than its solution.
const MOST_PIXELS: f64 = 0.1;
/// Half the side of kernels.
const REACH: isize = SIDE as isize / 2;

/// Variances of subfilters in bright pixels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StarNoise {
    /// Indices `row × cols + col` in the patch, ascending.
    pixels: Vec<u32>,
    /// Of each pixel, subfilter by subfilter, as they would be if all visits covered it.
    variances: Vec<f32>,
}

/// What the noise depends on from place to place.
pub(crate) struct Light<'a> {
    /// τ.
    pub(crate) width_yx: &'a Array2<f32>,
    /// `e₀`.
    pub(crate) at_pixel_yx: &'a Array2<f32>,
    /// `e₁`.
    pub(crate) on_flanks_yx: &'a Array2<f32>,
}

impl StarNoise {
    pub(crate) fn new(
        coarse: &Coarse,
        spectrum: &Spectrum,
        light: &Light,
        fwhm_px: f64,
        sigma: f64,
        config: &JointConfig,
    ) -> Self {
        let n = spectrum.count();
        if n == 1 {
            return Self::default();
        }
        let kernels = Kernels::new(coarse, spectrum, sigma, config);
        let most = (MOST_UNKNOWNS / (std::f64::consts::PI * (n - 1) as f64)).sqrt();
        let radius = (RADIUS * fwhm_px).min(most).min(REACH as f64 / 2.0).max(1.0);
        let discs = discs(light.width_yx, kernels.largest(), radius);
        let offsets = circle(radius);
        let of_disc = |disc: &Disc| disc.variances(&kernels, light, &offsets);
        let mut found: Vec<(u32, Vec<f32>)> = discs.par_iter().flat_map_iter(of_disc).collect();
        found.sort_unstable_by_key(|(pixel, _)| *pixel);
        let (pixels, variances): (_, Vec<Vec<f32>>) = found.into_iter().unzip();
        Self { pixels, variances: variances.concat() }
    }

    /// Puts the variances of subfilter `a` of `n` into its plane.
    pub(crate) fn write(&self, a: usize, n: usize, coverage_yx: &Array2<f32>, variance_yx: &mut Array2<f32>) {
        let cols = variance_yx.ncols();
        for (pixel, variances) in self.pixels.iter().zip(self.variances.chunks_exact(n)) {
            let at = [*pixel as usize / cols, *pixel as usize % cols];
            if variance_yx[at].is_finite() {
                variance_yx[at] = variances[a] / coverage_yx[at];
            }
        }
    }
}

/// What a pixel has to do with those around it, as planes of `SIDE × SIDE` lags with 0 in the middle.
struct Kernels {
    n: usize,
    m: usize,
    fractions: Vec<f64>,
    /// B, of each pair of departures.
    schur: Vec<Array2<f64>>,
    /// `q`, subfilter by subfilter, of each departure.
    shown: Vec<Array2<f64>>,
    /// The noise of `t₀` that the sky makes.
    total_noise: f64,
}

impl Kernels {
    fn new(coarse: &Coarse, spectrum: &Spectrum, sigma: f64, config: &JointConfig) -> Self {
        let (n, modes) = (spectrum.count(), coarse.modes());
        let (m, f) = (n - 1, spectrum.fractions());
        let departures = spectrum.departures(config.colour_damping);
        let amplitude = coarse.fiducial.amplitude();
        let window = total_strength(&coarse.fiducial, 0.0, sigma);
        let planes = |count: usize| vec![vec![Complex64::default(); modes]; count];
        let (mut schur, mut shown) = (planes(m * (m + 1) / 2), planes(n * m));
        let mut total_noise = 0.0;
        for mode in 0..modes {
            let (h, p) = (coarse.at(mode), f64::from(amplitude[mode]));
            let of_total = |a: usize| (0..n).map(|b| h.at(a, b) * f[b]).sum::<Complex64>();
            let of_departure =
                |j: usize, a: usize| (0..n).map(|b| h.at(a, b) * departures[[b, j]] * p).sum::<Complex64>();
            let seen = (0..n).map(|a| of_total(a).re * f[a]).sum::<f64>();
            let all = seen + f64::from(window[mode]);
            total_noise += coarse.frequencies.multiplicity(mode / SIDE) * seen / (all * all);
            let coupling: Vec<Complex64> =
                (0..m).map(|j| (0..n).map(|a| of_departure(j, a) * f[a]).sum()).collect();
            for (pair, (j, k)) in upper(m).enumerate() {
                let direct: Complex64 = (0..n).map(|a| of_departure(k, a) * departures[[a, j]] * p).sum();
                schur[pair][mode] = direct - coupling[j].conj() * coupling[k] / all;
            }
            for a in 0..n {
                for j in 0..m {
                    shown[a * m + j][mode] = p * departures[[a, j]] - coupling[j] * f[a] / all;
                }
            }
        }
        let pixels = |modes: Vec<Vec<Complex64>>| -> Vec<Array2<f64>> {
            modes.par_iter().map(|modes| plane(coarse, modes)).collect()
        };
        let (schur, shown) = (pixels(schur), pixels(shown));
        Self { n, m, fractions: f.to_vec(), schur, shown, total_noise }
    }

    /// The largest of B₀ on its diagonal.
    fn largest(&self) -> f64 {
        let pairs = upper(self.m).zip(&self.schur).filter(|((j, k), _)| j == k);
        pairs.map(|(_, b)| at(b, 0, 0)).fold(0.0, f64::max)
    }

    fn pair(&self, j: usize, k: usize) -> &Array2<f64> {
        &self.schur[j * self.m + k - j * (j + 1) / 2]
    }
}

/// The pixels of a half plane of modes, 0 in the middle.
fn plane(coarse: &Coarse, modes: &[Complex64]) -> Array2<f64> {
    let (fy, fx) = (&coarse.frequencies.y, &coarse.frequencies.x);
    let wave = |f: f64, i: usize| Complex64::cis(TAU * f * (i as f64 - REACH as f64));
    let along_y: Vec<Complex64> = fy.iter().flat_map(|f| (0..SIDE).map(move |y| wave(*f, y))).collect();
    let mut out = Array2::zeros((SIDE, SIDE));
    for (ix, (f, modes)) in fx.iter().zip(modes.chunks_exact(SIDE)).enumerate() {
        let weight = coarse.frequencies.multiplicity(ix);
        for y in 0..SIDE {
            let sum: Complex64 = modes.iter().enumerate().map(|(k, v)| v * along_y[k * SIDE + y]).sum();
            for x in 0..SIDE {
                out[[y, x]] += weight * (sum * wave(*f, x)).re;
            }
        }
    }
    out
}

/// A kernel at a lag, 0 beyond its reach.
fn at(kernel: &Array2<f64>, dy: isize, dx: isize) -> f64 {
    match dy.abs().max(dx.abs()) <= REACH {
        true => kernel[[(dy + REACH) as usize, (dx + REACH) as usize]],
        false => 0.0,
    }
}

/// Lags within a radius, row by row.
fn circle(radius: f64) -> Vec<(isize, isize)> {
    let reach = radius as isize;
    let square = (-reach..=reach).flat_map(|y| (-reach..=reach).map(move |x| (y, x)));
    square.filter(|(y, x)| (*y as f64).hypot(*x as f64) <= radius).collect()
}

/// A bright place.
struct Disc {
    centre: (isize, isize),
    /// The pixels for which it answers.
    own: Vec<(isize, isize)>,
}

/// Discs about the brightest pixels that are in none yet, given the largest of B₀.
fn discs(width_yx: &Array2<f32>, largest: f64, radius: f64) -> Vec<Disc> {
    let (rows, cols) = width_yx.dim();
    let width = |i: u32| width_yx[[i as usize / cols, i as usize % cols]];
    let is_bright = |i: u32| f64::from(width(i)).powi(2) * largest > BRIGHT;
    let mut bright: Vec<u32> = (0..width_yx.len() as u32).filter(|i| is_bright(*i)).collect();
    bright.sort_unstable_by(|a, b| width(*b).total_cmp(&width(*a)).then(a.cmp(b)));
    let mut open = Array2::from_shape_fn((rows, cols), |(y, x)| is_bright((y * cols + x) as u32));
    let offsets = circle(OWN * radius);
    let mut left = (MOST_PIXELS * width_yx.len() as f64) as usize;
    let mut out = vec![];
    for pixel in bright {
        let centre = (pixel as usize / cols, pixel as usize % cols);
        if !open[centre] || left == 0 {
            continue;
        }
        let centre = (centre.0 as isize, centre.1 as isize);
        let mut own = vec![];
        for at in offsets.iter().map(|o| (centre.0 + o.0, centre.1 + o.1)) {
            if let Some(open) = open.get_mut([at.0 as usize, at.1 as usize]).filter(|open| **open) {
                *open = false;
                own.push(at);
            }
        }
        left = left.saturating_sub(own.len());
        out.push(Disc { centre, own });
    }
    out
}

impl Disc {
    /// Index in the patch and variances of its own pixels.
    fn variances(
        &self,
        kernels: &Kernels,
        light: &Light,
        offsets: &[(isize, isize)],
    ) -> Vec<(u32, Vec<f32>)> {
        let (rows, cols) = light.width_yx.dim();
        let inside =
            |(y, x): &(isize, isize)| (0..rows as isize).contains(y) && (0..cols as isize).contains(x);
        let places = offsets.iter().map(|o| (self.centre.0 + o.0, self.centre.1 + o.1));
        let places: Vec<(isize, isize)> = places.filter(inside).collect();
        let width: Vec<f64> =
            places.iter().map(|(y, x)| f64::from(light.width_yx[[*y as usize, *x as usize]])).collect();
        let factor = cholesky(&matrix(kernels, &places, &width));
        let n = kernels.n;
        let asked: Vec<(usize, usize)> =
            (0..self.own.len()).flat_map(|own| (0..n).map(move |a| (own, a))).collect();
        let together = |asked: &[(usize, usize)]| {
            let mut w = vec![[0.0; LANES]; kernels.m * places.len()];
            for (lane, (own, a)) in asked.iter().enumerate() {
                let (y, x) = self.own[*own];
                let shown = &kernels.shown[a * kernels.m..];
                for (w, shown) in w.chunks_exact_mut(places.len()).zip(shown) {
                    for ((w, place), tau) in w.iter_mut().zip(&places).zip(&width) {
                        w[lane] = tau * at(shown, y - place.0, x - place.1);
                    }
                }
            }
            let mut x = w.clone();
            solve_triangles_together(&factor, &mut x);
            let of_lane =
                move |lane: usize| w.iter().zip(&x).map(|(w, x)| x[lane] * (w[lane] - x[lane])).sum();
            (0..asked.len()).map(of_lane).collect::<Vec<f64>>()
        };
        let of_departures: Vec<f64> = asked.chunks(LANES).flat_map(together).collect();
        let of_pixel = |((y, x), of_departures): (&(isize, isize), &[f64])| {
            let here = [*y as usize, *x as usize];
            let total = kernels.total_noise * f64::from(1.0 + light.at_pixel_yx[here]);
            let flanks = f64::from(1.0 + light.on_flanks_yx[here]);
            let planes = kernels.fractions.iter().zip(of_departures);
            let variances = planes.map(|(f, departures)| (f * f * total + departures * flanks) as f32);
            ((here[0] * cols + here[1]) as u32, variances.collect())
        };
        self.own.iter().zip(of_departures.chunks_exact(n)).map(of_pixel).collect()
    }
}

/// The lower triangle of `1 + τBτ` among some pixels, departure by departure.
fn matrix(kernels: &Kernels, places: &[(isize, isize)], width: &[f64]) -> Vec<f64> {
    let m = kernels.m;
    let mut out = Vec::with_capacity(triangle(m * places.len()));
    for j in 0..m {
        for (p, here) in places.iter().enumerate() {
            for k in 0..=j {
                let others = if k == j { &places[..=p] } else { places };
                for (o, other) in others.iter().enumerate() {
                    // What k at `other` gives j at `here`, the kernel of (k, j) being what j gives k.
                    let b = at(kernels.pair(k, j), other.0 - here.0, other.1 - here.1);
                    let one = f64::from(u8::from(k == j && o == p));
                    out.push(one + b * width[p] * width[o]);
                }
            }
        }
    }
    out
}
