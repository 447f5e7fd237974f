//! Noise of subfilters on bright sources, where the prior is as local as the light and its shot
//! noise.
//!
//! A uniform prior with the scale on a star ([`super::covariance`]) overstates the noise of the
//! star's colour: slow variations, which the data hardly constrain, are free only on the star. Here
//! the mask-free problem is solved in a disc, with the matrix of
//! [`crate::joint::precondition::bright_stars`]. With the summed flux eliminated
//! ([`crate::joint::operator::elimination`]), a plane is the flux without components, plus the
//! response to components:
//!
//! ```text
//! y_a = f_a t₀ + Σ_j q_aj ∗ τ u_j,    t₀ = F⁻¹ fᵀb/T,    T = fᵀHf + window
//! q_aj = F⁻¹ P (E_aj − f_a fᵀHE_j/T)
//! K u = τ r,    K = 1 + τBτ,    noise of r: B
//! ```
//!
//! with the back-projected data `b` and the components' right-hand side `r`. At a pixel `p`,
//!
//! ```text
//! w = τ q_a(p − ·),    var y_a(p) = (f_a² var t₀ + wᵀ (K⁻¹ − K⁻²) w) (1 + e)
//! ```
//!
//! where `e` is the shot noise of sources relative to the noise of the sky ([`super::starlight`]).

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use super::kernels::{FARTHEST, NoiseKernels, at};
use super::starlight::{StarLight, TOGETHER};
use crate::joint::precondition::cover::{circle, greedy_cover, limited_radius};
use crate::joint::precondition::schwarz::mask_free_matrix;
use crate::linalg::cholesky::{LANES, cholesky, solve_triangles_together};

/// Pixels are bright where `τ² B₀` exceeds this.
const BRIGHT: f64 = 0.5;
/// Radius of a disc, in units of the FWHM of the PSF.
const RADIUS: f64 = 1.3;
/// Core of a disc, the pixels whose noise it gives, in units of the radius.
const CORE: f64 = 0.8;
/// Largest fraction of the patch's pixels that are evaluated, the brightest first, so that a
/// crowded field does not take longer than its solution.
const MOST_PIXELS: f64 = 0.1;

/// Source noise, relative to the sky's, below which that of the planes is taken from the summed
/// flux.
const FAINT: f32 = 0.05;

/// Noise in bright pixels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StarNoise {
    /// Indices `row × cols + col` in the patch, ascending.
    pixels: Vec<u32>,
    /// Variances of each pixel for full coverage, subfilter by subfilter.
    variances: Vec<f32>,
    /// Source noise of the summed flux at each pixel, relative to the sky's.
    source_noise: Vec<f32>,
}

/// Noise in a bright pixel.
#[derive(Clone)]
struct OfPixel {
    pixel: u32,
    variances: Vec<f32>,
    source_noise: f32,
}

/// Maps of the solved patch.
#[derive(Clone, Copy)]
pub(crate) struct PatchMaps<'a> {
    /// τ, the prior scale.
    pub(crate) tau_yx: &'a Array2<f32>,
    /// The planes' sum without fixed sources, whose noise is in the weights.
    pub(crate) flux_yx: ArrayView2<'a, f32>,
    /// Source noise of the summed flux, relative to the sky's, from the mean of the visits.
    pub(crate) source_noise_yx: &'a Array2<f32>,
}

impl StarNoise {
    pub(crate) fn new(kernels: &NoiseKernels, maps: &PatchMaps, fwhm_px: f64) -> Self {
        if kernels.m == 0 {
            return Self::default();
        }
        let radius = limited_radius(RADIUS * fwhm_px, kernels.m).min(FARTHEST as f64 / 2.0).max(1.0);
        let discs = discs(maps.tau_yx, kernels.largest(), radius);
        let offsets = circle(radius);
        let light_yx = kernels.light(maps.flux_yx);
        let of_disc = |disc: &Disc| disc.noise(kernels, maps, &light_yx, &offsets);
        let mut pixels: Vec<OfPixel> = discs.par_iter().flat_map_iter(of_disc).collect();
        pixels.sort_unstable_by_key(|of| of.pixel);
        Self {
            pixels: pixels.iter().map(|of| of.pixel).collect(),
            variances: pixels.iter().flat_map(|of| &of.variances).copied().collect(),
            source_noise: pixels.iter().map(|of| of.source_noise).collect(),
        }
    }

    /// Converts to another unit: variances are multiplied by `factor`.
    pub(crate) fn scale(&mut self, factor: f32) {
        self.variances.iter_mut().for_each(|variance| *variance *= factor);
    }

    /// Writes the source noise of the planes' sum at bright pixels into its map.
    pub(crate) fn write_source_noise(&self, source_noise_yx: &mut Array2<f32>) {
        let cols = source_noise_yx.ncols();
        for (pixel, value) in self.pixels.iter().zip(&self.source_noise) {
            source_noise_yx[[*pixel as usize / cols, *pixel as usize % cols]] = *value;
        }
    }

    /// Writes the variances of subfilter `a` of `n` into its plane.
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

/// A disc around a bright pixel.
struct Disc {
    centre: (isize, isize),
    /// Pixels whose noise the disc gives.
    own: Vec<(isize, isize)>,
}

/// Discs around the brightest uncovered pixels; `largest` is the largest diagonal element of B₀.
fn discs(tau_yx: &Array2<f32>, largest: f64, radius: f64) -> Vec<Disc> {
    let (rows, cols) = tau_yx.dim();
    let tau_yx = tau_yx.as_standard_layout();
    let width = tau_yx.as_slice().expect("the layout is standard");
    let is_bright = |i: u32| f64::from(width[i as usize]).powi(2) * largest > BRIGHT;
    let bright: Vec<u32> = (0..width.len() as u32).filter(|i| is_bright(*i)).collect();
    let offsets = circle(CORE * radius);
    let place = |i: u32| (i as isize / cols as isize, i as isize % cols as isize);
    let core = |centre: u32| {
        let (y, x) = place(centre);
        let around = offsets.iter().map(|o| (y + o.0, x + o.1));
        let inside = around.filter(|(y, x)| (0..rows as isize).contains(y) && (0..cols as isize).contains(x));
        inside.map(|(y, x)| (y * cols as isize + x) as u32).filter(|i| is_bright(*i)).collect()
    };
    let mut left = (MOST_PIXELS * width.len() as f64) as usize;
    let mut out = vec![];
    if left == 0 {
        return out;
    }
    greedy_cover(width, bright, core, |centre, own| {
        left = left.saturating_sub(own.len());
        out.push(Disc { centre: place(centre), own: own.into_iter().map(place).collect() });
        left > 0
    });
    out
}

impl Disc {
    /// Noise of the disc's core.
    fn noise(
        &self,
        kernels: &NoiseKernels,
        maps: &PatchMaps,
        light_yx: &[Array2<f32>],
        offsets: &[(isize, isize)],
    ) -> Vec<OfPixel> {
        let (rows, cols) = maps.tau_yx.dim();
        let inside =
            |(y, x): &(isize, isize)| (0..rows as isize).contains(y) && (0..cols as isize).contains(x);
        let places = offsets.iter().map(|o| (self.centre.0 + o.0, self.centre.1 + o.1));
        let places: Vec<(isize, isize)> = places.filter(inside).collect();
        let width: Vec<f64> =
            places.iter().map(|(y, x)| f64::from(maps.tau_yx[[*y as usize, *x as usize]])).collect();
        let kernel = |j, k, (dy, dx)| at(kernels.pair(j, k), dy, dx);
        let factor = cholesky(&mask_free_matrix(&places, &width, kernels.m, kernel));
        let n = kernels.n;
        let nearly = |(y, x): &(isize, isize)| maps.source_noise_yx[[*y as usize, *x as usize]];
        let (lit, dim): (Vec<_>, Vec<_>) = self.own.iter().partition(|at| nearly(at) >= FAINT);
        let light = (!lit.is_empty()).then(|| StarLight::around(kernels, &places, light_yx));
        // Variance from the sky, and `x`.
        let solved = |asked: &[((isize, isize), usize)]| {
            let mut w = vec![[0.0; LANES]; kernels.m * places.len()];
            for (lane, ((y, x), a)) in asked.iter().enumerate() {
                let shown = &kernels.shown[a * kernels.m..];
                for (w, shown) in w.chunks_exact_mut(places.len()).zip(shown) {
                    for ((w, place), tau) in w.iter_mut().zip(&places).zip(&width) {
                        w[lane] = tau * at(shown, y - place.0, x - place.1);
                    }
                }
            }
            let mut x = w.clone();
            solve_triangles_together(&factor, &mut x);
            let of_plane = |(lane, (_, a)): (usize, &(_, usize))| {
                let of_components: f64 = w.iter().zip(&x).map(|(w, x)| x[lane] * (w[lane] - x[lane])).sum();
                kernels.fractions[*a].powi(2) * kernels.flux_noise + of_components
            };
            (asked.iter().enumerate().map(of_plane).collect::<Vec<f64>>(), x)
        };
        let together = |asked: &[((isize, isize), usize)]| {
            let (mut of_sky, mut tau_x) = (vec![], vec![[0.0; TOGETHER]; kernels.m * places.len()]);
            for (part, asked) in asked.chunks(LANES).enumerate() {
                let (variances, x) = solved(asked);
                of_sky.extend(variances);
                for ((out, x), tau) in tau_x.iter_mut().zip(&x).zip(width.iter().cycle()) {
                    out[part * LANES..][..LANES]
                        .iter_mut()
                        .zip(x)
                        .for_each(|(out, x)| *out = (x * tau) as f32);
                }
            }
            let excess: Vec<f64> = match &light {
                Some(light) if nearly(&asked[0].0) >= FAINT => {
                    let asked: Vec<_> = asked.iter().map(|(at, a)| (*at, kernels.fractions[*a])).collect();
                    light.excess(&asked, &tau_x).to_vec()
                }
                _ => asked.iter().map(|(at, _)| f64::from(nearly(at))).collect(),
            };
            of_sky.into_iter().zip(excess).map(|(v, excess)| (v * (1.0 + excess)) as f32).collect::<Vec<_>>()
        };
        let of_own = |own: &[(isize, isize)]| -> Vec<OfPixel> {
            let asked: Vec<_> = own.iter().flat_map(|at| (0..n).map(move |a| (*at, a))).collect();
            let variances: Vec<f32> = asked.chunks(TOGETHER).flat_map(together).collect();
            let of_pixel = |(at, variances): (&(isize, isize), &[f32])| OfPixel {
                pixel: (at.0 as usize * cols + at.1 as usize) as u32,
                variances: variances.to_vec(),
                source_noise: match &light {
                    Some(light) if nearly(at) >= FAINT => light.of_flux(*at),
                    _ => nearly(at),
                },
            };
            own.iter().zip(variances.chunks_exact(n)).map(of_pixel).collect()
        };
        [of_own(&lit), of_own(&dim)].concat()
    }
}
