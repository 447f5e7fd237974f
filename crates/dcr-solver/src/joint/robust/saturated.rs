//! Saturated stars: fits of stars with masked cores in every visit to their halos.
//!
//! Without data the prior holds the model to 0, and a halo cannot be predicted without its core.
//! Visits of poor seeing, with the widest halos, would be clipped around the hole before the model
//! had grown there, and for good. A star is simple, however: its flux, the slope of its spectrum
//! and its position follow from the halos of all visits, each with its own transfer function. At
//! the position `x`
//!
//! ```text
//! m_i(p) = Σ_j c_j S_ij(p − x),    S_ij(k) = P(k) Σ_a A_ia(k) E_aj,    j = 0, 1
//! minimise Σ_i Σ_p ρ((s_i − m_i)²/(v + g m_i + (ε m_i)²)) + c_1²/((0.4 c_0)² + (τ₀σ)²)
//! ```
//!
//! with the flat spectrum `E_a0 = f_a` and the slope `E_a1`, a visit's sky variance `v` and shot
//! noise `g`, the `ε` of clipping for errors of the PSF, and Cauchy's `ρ`, which is robust against
//! other sources. No curvature is fitted: it would absorb errors in the wings of PSFs. Fitted
//! pixels are those around the star to the depth of the hole and somewhat farther. The PSF images
//! `S_ij` are computed once for the tile, and Gauss–Newton steps interpolate them.
//!
//! A star is accepted if it lies in its hole and explains nearly all light around; a bad column, a
//! gap between detectors or a masked galaxy has none. Its light is then a fixed source
//! ([`Tile::fixed`]): part of every prediction, while the solves find the remainder. The prior does
//! not pull it to 0, and its brightness, a million times the noise, does not slow the iterations.
//! Halo pixels are weighted by the noise of its light, a hundred times the sky's: the light is
//! known from thousands of pixels, and weights that follow it do not bias. A hole has at most one
//! star. A second one in it is left to the solves, as is any that is not accepted.

use std::iter;

use ndarray::Array2;
use rayon::prelude::*;
use rustfft::num_complex::{Complex32, Complex64};

use crate::joint::config::JointConfig;
use crate::joint::fourier::grid::Grid;
use crate::joint::operator::tile::{Buffer, Tile, TileVisit};
use crate::joint::operator::transfer::Fiducial;
use crate::joint::problem::spectrum::{SLOPE_SPREAD, Spectrum};
use crate::kernel::{Order, prefilter};
use crate::linalg::solve_positive_definite;
use crate::rarity::groups;

/// Minimum depth of a hole with a star: distance of its deepest pixel from any with data, along
/// rows and columns, px. Bad columns are narrower.
const SHALLOWEST: usize = 2;
/// Maximum depth of a hole with a star, px.
const DEEPEST: usize = 30;
/// Radius of fitted pixels beyond the depth of the hole, in units of the visit's FWHM.
const RING: f64 = 2.5;
/// Maximum Gauss–Newton steps.
const STEPS: usize = 20;
/// Longest step, px.
const LONGEST: f64 = 1.0;
/// Step, in px, that ends the fit if it also changes the flux by less than a thousandth: the solves
/// find the rest.
const SHORTEST: f64 = 0.01;
/// Residual in σ at which a pixel has half its weight.
const HALF: f64 = 2.0;
/// Rounds of fitting all stars, each with the light of the others subtracted.
const ROUNDS: usize = 3;
/// Minimum share of the power around the hole that a star explains.
const EXPLAINED: f64 = 0.9;
/// Fraction of a pivot of the normal equations below which they are singular: a slope may rest on
/// its prior alone.
const SINGULAR: f64 = 1e-13;

/// A star with a masked core in every visit.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SaturatedStar {
    /// Flux in each subfilter.
    pub(crate) fluxes: Vec<f64>,
    /// Position, in pixels from the tile's first.
    pub(crate) y: f64,
    pub(crate) x: f64,
}

/// Fits the stars in the holes of a tile.
pub(crate) fn saturated_stars(
    tile: &mut Tile,
    fiducial: &Fiducial,
    spectrum: &Spectrum,
    config: &JointConfig,
) -> Vec<SaturatedStar> {
    let holes = holes(tile);
    let Some(deepest) = holes.iter().map(|hole| hole.depth).max() else { return vec![] };
    let slope = spectrum.components(1.0).columns().into_iter().next().map(|column| column.to_vec());
    let basis: Vec<Vec<f64>> = iter::once(spectrum.fractions().to_vec()).chain(slope).collect();
    let psf_images = psf_images(tile, fiducial, &basis, deepest);
    let (shape, sigma) = (tile.grid.shape, tile.sigma);
    let halos = Halos { visits: &tile.visits, shape, sigma, psf_images, basis, config };
    let mut stars: Vec<Option<Fit>> = holes.par_iter().map(|hole| halos.fit(hole, &[])).collect();
    for _ in 1..ROUNDS {
        let again = |(i, hole): (usize, &Hole)| {
            let others = stars.iter().enumerate().filter(|(other, _)| *other != i);
            let others: Vec<&Fit> =
                others.filter_map(|(_, star)| star.as_ref()).filter(|star| halos.reach(hole, star)).collect();
            if others.is_empty() { stars[i].clone() } else { halos.fit(hole, &others) }
        };
        stars = holes.par_iter().enumerate().map(again).collect();
    }
    stars.iter().flatten().map(|star| star.in_subfilters(&halos.basis)).collect()
}

/// Light of stars at the fiducial PSF, `kx × subfilter × ky`; empty without stars.
pub(crate) fn light(stars: &[SaturatedStar], grid: &Grid, fiducial: &Fiducial) -> Vec<Complex32> {
    let Some(n) = stars.first().map(|star| star.fluxes.len()) else { return vec![] };
    let (first_row, first_col) = (grid.tile_rows().start as f64, grid.tile_cols().start as f64);
    let mut out = vec![Complex32::default(); n * grid.modes()];
    for star in stars {
        add_star(&mut out, grid, fiducial, &star.fluxes, (first_row + star.y, first_col + star.x));
    }
    out
}

/// Adds a star at a position relative to the grid's first pixel.
fn add_star(out: &mut [Complex32], grid: &Grid, fiducial: &Fiducial, fluxes: &[f64], (y, x): (f64, f64)) {
    let ky = grid.ky();
    let [along_y, along_x] = grid.frequencies().phases(y, x);
    let columns = out.par_chunks_exact_mut(fluxes.len() * ky).zip(fiducial.modes().par_chunks_exact(ky));
    columns.zip(&along_x).for_each(|((rows, psf), px)| {
        for (row, flux) in rows.chunks_exact_mut(ky).zip(fluxes) {
            for ((out, p), py) in row.iter_mut().zip(psf).zip(&along_y) {
                let value: Complex64 = p * px * py * *flux;
                *out += Complex32::new(value.re as f32, value.im as f32);
            }
        }
    });
}

/// Connected pixels without data, large enough for a star's core.
struct Hole {
    /// Rows and columns.
    pixels: Vec<(usize, usize)>,
    /// Position of the deepest pixel.
    middle: (f64, f64),
    /// Steps along rows and columns from the deepest pixel to data.
    depth: usize,
}

fn holes(tile: &Tile) -> Vec<Hole> {
    let cols = tile.grid.shape.1;
    let mut empty = vec![true; tile.grid.shape.0 * cols];
    for visit in &tile.visits {
        empty.iter_mut().zip(&visit.good).for_each(|(empty, good)| *empty &= *good == 0);
    }
    let pixels: Vec<u32> = (0..empty.len() as u32).filter(|at| empty[*at as usize]).collect();
    groups(&pixels, cols).into_iter().filter_map(|group| Hole::new(&group, tile.grid.shape)).collect()
}

impl Hole {
    fn new(group: &[u32], (rows, cols): (usize, usize)) -> Option<Self> {
        let pixels: Vec<_> = group.iter().map(|at| (*at as usize / cols, *at as usize % cols)).collect();
        let range = |of: fn(&(usize, usize)) -> usize| {
            let (first, last) = (pixels.iter().map(of).min()?, pixels.iter().map(of).max()?);
            Some((first, last - first + 1))
        };
        let ((top, height), (left, width)) = (range(|p| p.0)?, range(|p| p.1)?);
        let index = |y: usize, x: usize| (y - top) * width + x - left;
        let mut inside = vec![false; height * width];
        pixels.iter().for_each(|(y, x)| inside[index(*y, *x)] = true);
        // Erosion, one pixel layer at a time; the tile edge does not count as an exit.
        let mut rest = pixels.clone();
        for depth in 1..=DEEPEST {
            let on_rim = |(y, x): &(usize, usize)| {
                let neighbours = [(y.wrapping_sub(1), *x), (y + 1, *x), (*y, x.wrapping_sub(1)), (*y, x + 1)];
                let within = |y: usize, x: usize| {
                    (top..top + height).contains(&y) && (left..left + width).contains(&x)
                };
                let out =
                    |(y, x): (usize, usize)| y < rows && x < cols && !(within(y, x) && inside[index(y, x)]);
                neighbours.into_iter().any(out)
            };
            let (rim, deeper): (Vec<_>, Vec<_>) = rest.iter().partition(|pixel| on_rim(pixel));
            if deeper.is_empty() {
                return (depth >= SHALLOWEST).then(|| Self { middle: middle(&rim), pixels, depth });
            }
            rim.iter().for_each(|(y, x)| inside[index(*y, *x)] = false);
            rest = deeper;
        }
        None
    }

    fn holds(&self, (y, x): (f64, f64)) -> bool {
        let at = (y.round(), x.round());
        self.pixels.iter().any(|(y, x)| (*y as f64, *x as f64) == at)
    }
}

/// The pixel nearest to the mean of all.
fn middle(pixels: &[(usize, usize)]) -> (f64, f64) {
    let mean = |of: fn(&(usize, usize)) -> usize| {
        pixels.iter().map(|pixel| of(pixel) as f64).sum::<f64>() / pixels.len().max(1) as f64
    };
    let (y, x) = (mean(|p| p.0), mean(|p| p.1));
    let places = pixels.iter().map(|(y, x)| (*y as f64, *x as f64));
    places.min_by(|a, b| apart(*a, (y, x)).total_cmp(&apart(*b, (y, x)))).unwrap_or((y, x))
}

fn apart(a: (f64, f64), b: (f64, f64)) -> f64 {
    (a.0 - b.0).hypot(a.1 - b.1)
}

/// PSF image of a visit: a point source with each of the spectra.
struct PsfImage {
    /// Coefficients of cubic splines; the source is on the middle pixel of each plane.
    planes: Vec<Array2<f64>>,
    /// Radius of fitted pixels beyond the depth of the hole, px.
    ring: f64,
}

/// Light of a PSF image at a pixel, and its derivatives with respect to the star's y and x.
type Light = [f64; 3];

fn psf_images(tile: &mut Tile, fiducial: &Fiducial, basis: &[Vec<f64>], deepest: usize) -> Vec<PsfImage> {
    let of_visit = |visit: &TileVisit| PsfImage { planes: vec![], ring: RING * visit.seeing_px };
    let mut out: Vec<PsfImage> = tile.visits.iter().map(of_visit).collect();
    let Tile { grid, visits, buffers, n, .. } = tile;
    let mut point = vec![Complex32::default(); *n * grid.modes()];
    for fluxes in basis {
        point.fill(Complex32::default());
        add_star(&mut point, grid, fiducial, fluxes, (0.0, 0.0));
        let batches = visits.chunks(buffers.len().max(1)).zip(out.chunks_mut(buffers.len().max(1)));
        for (visits, psf_images) in batches {
            let batch = visits.par_iter().zip(psf_images).zip(buffers.par_iter_mut());
            batch.for_each(|((visit, psf_image), buffer)| {
                // With additional pixels for interpolation.
                let reach = (deepest as f64 + psf_image.ring) as usize + 3;
                visit.predict(grid, *n, &point, buffer);
                let plane = around_the_first(grid, buffer, reach);
                psf_image.planes.push(prefilter(plane.view(), Order::CUBIC));
            });
        }
    }
    out
}

/// Pixels around the first of the periodic grid, of a prediction already taken along `ky`.
fn around_the_first(grid: &Grid, buffer: &mut Buffer, reach: usize) -> Array2<f64> {
    let (rows, cols) = grid.padded;
    let reach = reach.min((rows.min(cols) - 1) / 2);
    let mut out = Array2::zeros((2 * reach + 1, 2 * reach + 1));
    grid.read_rows(&buffer.spectrum, 0..rows, &mut buffer.scratch, |row, line| {
        let target = (row + reach) % rows;
        if target <= 2 * reach {
            for (i, out) in out.row_mut(target).iter_mut().enumerate() {
                *out = f64::from(line[(cols + i - reach) % cols] * grid.scale());
            }
        }
    });
    out
}

impl PsfImage {
    /// Radius of the image, px.
    fn reach(&self) -> usize {
        self.planes[0].nrows() / 2
    }

    /// Light of each spectrum at an offset from the source; 0 beyond the image.
    fn light(&self, dy: f64, dx: f64, out: &mut [Light]) {
        out.fill(Light::default());
        let middle = self.reach() as f64;
        let (y, x) = (dy + middle, dx + middle);
        let drawn = 1.0..2.0 * middle - 1.0;
        if !drawn.contains(&y) || !drawn.contains(&x) {
            return;
        }
        let ((along_y, slope_y), (along_x, slope_x)) = (splines(y.fract()), splines(x.fract()));
        let (row, col) = (y as usize - 1, x as usize - 1);
        for (plane, out) in self.planes.iter().zip(out) {
            for i in 0..4 {
                let (mut value, mut slope) = (0.0, 0.0);
                for j in 0..4 {
                    let coefficient = plane[[row + i, col + j]];
                    value += along_x[j] * coefficient;
                    slope += slope_x[j] * coefficient;
                }
                out[0] += along_y[i] * value;
                out[1] -= slope_y[i] * value;
                out[2] -= along_y[i] * slope;
            }
        }
    }
}

/// Cubic B-splines of four neighbours at the distance `t` behind the second, and their derivatives.
fn splines(t: f64) -> ([f64; 4], [f64; 4]) {
    let u = 1.0 - t;
    let values = [
        u * u * u / 6.0,
        (4.0 - 3.0 * t * t * (1.0 + u)) / 6.0,
        (4.0 - 3.0 * u * u * (1.0 + t)) / 6.0,
        t * t * t / 6.0,
    ];
    let slopes = [-0.5 * u * u, t * (1.5 * t - 2.0), u * (2.0 - 1.5 * u), 0.5 * t * t];
    (values, slopes)
}

/// Data of the fits.
struct Halos<'a> {
    visits: &'a [TileVisit],
    shape: (usize, usize),
    /// Noise per pixel of the weighted coadd.
    sigma: f64,
    psf_images: Vec<PsfImage>,
    /// The flat spectrum and, in more than one subfilter, a slope.
    basis: Vec<Vec<f64>>,
    config: &'a JointConfig,
}

/// Parameters of a star.
#[derive(Clone)]
struct Fit {
    /// Coefficient of each spectrum of the basis.
    parts: Vec<f64>,
    place: (f64, f64),
}

impl Fit {
    fn in_subfilters(&self, basis: &[Vec<f64>]) -> SaturatedStar {
        let flux = |a: usize| self.parts.iter().zip(basis).map(|(part, spectrum)| part * spectrum[a]).sum();
        SaturatedStar { fluxes: (0..basis[0].len()).map(flux).collect(), y: self.place.0, x: self.place.1 }
    }
}

/// Normal equations for the coefficients and the position of a star, and their data.
struct Equations {
    matrix: Vec<f64>,
    right_side: Vec<f64>,
    /// Weighted power of the light, and of the fit's residual.
    power: f64,
    rest: f64,
}

impl Halos<'_> {
    /// The star in a hole, if there is one; `others` are subtracted.
    fn fit(&self, hole: &Hole, others: &[&Fit]) -> Option<Fit> {
        let mut star = Fit { parts: vec![0.0; self.basis.len()], place: hole.middle };
        for _ in 0..STEPS {
            let Equations { matrix, right_side, .. } = self.equations(hole, &star, others);
            let step = solve_positive_definite(&matrix, &right_side, SINGULAR)?;
            let (parts, place) = step.split_at(star.parts.len());
            star.parts.iter_mut().zip(parts).for_each(|(part, step)| *part += step);
            let length = place[0].hypot(place[1]);
            let damping = LONGEST / length.max(LONGEST);
            star.place = (star.place.0 + damping * place[0], star.place.1 + damping * place[1]);
            if length < SHORTEST && parts[0].abs() < 1e-3 * star.parts[0].abs() {
                break;
            }
        }
        let Equations { power, rest, .. } = self.equations(hole, &star, others);
        let believed = rest < (1.0 - EXPLAINED) * power && hole.holds(star.place) && self.is_light(&star);
        believed.then_some(star)
    }

    /// True if the light of a star reaches pixels around a hole.
    fn reach(&self, hole: &Hole, star: &Fit) -> bool {
        let drawn = self.psf_images.iter().map(PsfImage::reach).max().unwrap_or(0) as f64;
        let ring = self.psf_images.iter().map(|psf_image| psf_image.ring).fold(0.0, f64::max);
        apart(star.place, hole.middle) < drawn + hole.depth as f64 + ring
    }

    /// True if all fluxes are positive.
    fn is_light(&self, star: &Fit) -> bool {
        star.in_subfilters(&self.basis).fluxes.iter().all(|flux| *flux > 0.0)
    }

    /// Equations for the next step from the present parameters.
    fn equations(&self, hole: &Hole, star: &Fit, others: &[&Fit]) -> Equations {
        let known = star.parts.len();
        let mut out = Equations::new(known + 2);
        let mut lights = vec![Light::default(); known];
        let mut row = vec![0.0; known + 2];
        for (visit, psf_image) in self.visits.iter().zip(&self.psf_images) {
            for (y, x) in around(star.place, hole.depth as f64 + psf_image.ring, self.shape) {
                let at = y * self.shape.1 + x;
                if visit.good[at] == 0 {
                    continue;
                }
                let mut light_of = |star: &Fit| {
                    psf_image.light(y as f64 - star.place.0, x as f64 - star.place.1, &mut lights);
                    let sum =
                        |i: usize| lights.iter().zip(&star.parts).map(|(l, part)| l[i] * part).sum::<f64>();
                    [sum(0), sum(1), sum(2)]
                };
                let image = f64::from(visit.image[at]) - others.iter().map(|o| light_of(o)[0]).sum::<f64>();
                let [model, by_y, by_x] = light_of(star);
                row.iter_mut().zip(&lights).for_each(|(row, light)| *row = light[0]);
                row[known..].copy_from_slice(&[by_y, by_x]);
                let noise = visit.noise.sky_variance + visit.noise.shot * model.max(0.0);
                let variance = noise + (self.config.clip_fraction * model).powi(2);
                let residual = image - model;
                out.add(&row, residual, image, 1.0 / (variance + (residual / HALF).powi(2)));
            }
        }
        let width = (SLOPE_SPREAD * star.parts[0]).hypot(self.config.colour_floor * self.sigma);
        (1..known).for_each(|j| out.hold(j, star.parts[j], width));
        // A star without flux yet has no position.
        (known..known + 2).for_each(|i| out.hold(i, 0.0, LONGEST));
        out
    }
}

impl Equations {
    fn new(unknowns: usize) -> Self {
        Self {
            matrix: vec![0.0; unknowns * unknowns],
            right_side: vec![0.0; unknowns],
            power: 0.0,
            rest: 0.0,
        }
    }

    /// Adds a pixel: its derivatives, residual, light and weight.
    fn add(&mut self, row: &[f64], residual: f64, light: f64, weight: f64) {
        for (i, (a, sums)) in row.iter().zip(self.matrix.chunks_exact_mut(row.len())).enumerate() {
            self.right_side[i] += weight * a * residual;
            sums.iter_mut().zip(row).for_each(|(sum, b)| *sum += weight * a * b);
        }
        self.power += weight * light * light;
        self.rest += weight * residual * residual;
    }

    /// Adds a prior of that width about 0 on an unknown, given its present value.
    fn hold(&mut self, i: usize, value: f64, width: f64) {
        let n = self.right_side.len();
        self.matrix[i * n + i] += 1.0 / (width * width);
        self.right_side[i] -= value / (width * width);
    }
}

/// Pixels of a plane within `reach` of a position.
fn around(place: (f64, f64), reach: f64, shape: (usize, usize)) -> impl Iterator<Item = (usize, usize)> {
    let range =
        |c: f64, n: usize| (c - reach).max(0.0).ceil() as usize..((c + reach).max(-1.0) as usize + 1).min(n);
    let cols = range(place.1, shape.1);
    let square = range(place.0, shape.0).flat_map(move |y| cols.clone().map(move |x| (y, x)));
    square.filter(move |(y, x)| apart((*y as f64, *x as f64), place) <= reach)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibration::CalibrationOrders;
    use crate::joint::fixtures::band;
    use crate::joint::patch::session::{Session, SharedInputs};
    use crate::joint::problem::JointProblem;
    use crate::joint::problem::psf::PsfStamp;
    use crate::joint::problem::visits::{JointInMemory, JointVisit, Noise};
    use crate::joint::progress::IterationBudget;
    use crate::joint::robust::calibration::VisitCalibrations;
    use crate::kernel::{PixelShift, Region};
    use crate::observation::GOOD;

    const SHAPE: (usize, usize) = (80, 76);
    /// σ of the sky.
    const SKY: f64 = 5.0;
    /// Light above which pixels are saturated.
    const SATURATED: f32 = 4000.0;
    /// Tolerance of a star's position, px.
    const PLACE: f64 = 0.03;
    /// Tolerance of the relative flux: noise, interpolation, and light beyond the stamps.
    const FLUX: f64 = 0.01;
    /// Tolerance of the relative flux in a subfilter.
    const SUBFILTER: f64 = 0.04;

    /// A source: place, flux, slope of its spectrum over the band, and size over that of the PSF.
    #[derive(Clone, Copy)]
    struct Source {
        place: (f64, f64),
        flux: f64,
        slope: f64,
        size: f64,
    }

    fn star(place: (f64, f64), flux: f64, slope: f64) -> Source {
        Source { place, flux, slope, size: 1.0 }
    }

    const BRIGHT: Source = Source { place: (40.3, 35.6), flux: 5e6, slope: 0.5, size: 1.0 };

    /// A Moffat profile with atmospheric wings.
    fn profile(fwhm: f64, r: f64) -> f64 {
        let width = 0.5 * fwhm / (2.0_f64.powf(0.2) - 1.0).sqrt();
        (1.0 + (r / width).powi(2)).powi(-5)
    }

    fn pixels(fwhm: f64) -> Array2<f64> {
        Array2::from_shape_fn((41, 41), |(y, x)| profile(fwhm, apart((y as f64, x as f64), (20.0, 20.0))))
    }

    /// A visit with that seeing and displacement of blue light against red.
    fn visit(sources: &[Source], n: usize, fwhm: f64, refraction: (f64, f64), seed: u64) -> JointVisit {
        let displacements = band(n)
            .wavelengths()
            .iter()
            .map(|w| (475.0 - w) / 150.0)
            .map(|r| PixelShift { dy: r * refraction.0, dx: r * refraction.1 })
            .collect();
        let mut image = Array2::zeros(SHAPE);
        for source in sources {
            let norm = 1.0 / pixels(fwhm * source.size).sum();
            for w in band(6).wavelengths() {
                let r = (475.0 - w) / 150.0;
                let light = norm * source.flux / 24.0 * (1.0 - source.slope * r);
                let at = (source.place.0 + r * refraction.0, source.place.1 + r * refraction.1);
                for ((y, x), pixel) in image.indexed_iter_mut() {
                    *pixel += light * profile(fwhm * source.size, apart((y as f64, x as f64), at));
                }
            }
        }
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut noise = || {
            // Twelve uniform deviates are as good as a normal one.
            let mut uniform = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 11) as f64 / (1_u64 << 53) as f64
            };
            (0..12).map(|_| uniform()).sum::<f64>() - 6.0
        };
        let image = image.mapv(|light: f64| (light + SKY * noise()) as f32);
        let flags = image.mapv(|light| if light < SATURATED { GOOD } else { 0 });
        let psf = PsfStamp::new(pixels(fwhm)).unwrap();
        let noise = Noise { sky_variance: SKY * SKY, shot: 0.0 };
        JointVisit { image, flags, noise, psf, displacements }
    }

    /// Six visits, the last two blurry.
    fn field(sources: &[Source], n: usize) -> JointInMemory {
        let views = [
            (3.8, (1.8, 0.4)),
            (4.0, (-2.0, 0.9)),
            (4.4, (0.2, 0.1)),
            (4.2, (-1.9, -0.3)),
            (6.4, (1.5, -1.1)),
            (7.0, (-1.2, 1.6)),
        ];
        let visits = views.iter().zip(1..);
        JointInMemory { visits: visits.map(|((f, r), seed)| visit(sources, n, *f, *r, seed)).collect() }
    }

    fn config() -> JointConfig {
        JointConfig { seeing_exponent: 0.0, ..JointConfig::default() }
    }

    /// A region opened by the solver, and its PSF.
    fn open(visits: &JointInMemory, n: usize, region: &Region) -> (Session, PsfStamp) {
        let spectrum = band(n);
        let problem = JointProblem { visits, shape: SHAPE, spectrum: &spectrum, fiducial: None };
        let sigma = SKY / (visits.visits.len() as f64).sqrt();
        let shared = SharedInputs { fiducial: visits.visits[0].psf.clone(), sigma, furthest: 2.0 };
        (Session::open(&problem, &config(), region, &shared).unwrap(), shared.fiducial)
    }

    fn found_in(visits: &JointInMemory, n: usize, region: &Region) -> Vec<SaturatedStar> {
        let (mut session, psf) = open(visits, n, region);
        let fiducial = Fiducial::new(&psf, &session.tile.grid.frequencies());
        saturated_stars(&mut session.tile, &fiducial, &band(n), &config())
    }

    fn found(visits: &JointInMemory, n: usize) -> Vec<SaturatedStar> {
        found_in(visits, n, &Region::whole(SHAPE))
    }

    /// Checks a star against its source, at an origin in the field, to `times` the tolerances.
    fn assert_like(star: &SaturatedStar, source: &Source, origin: (f64, f64), times: f64) {
        let n = star.fluxes.len();
        let total: f64 = star.fluxes.iter().sum();
        assert!((total / source.flux - 1.0).abs() < times * FLUX, "{star:?}");
        let place = (star.y + origin.0, star.x + origin.1);
        assert!(apart(place, source.place) < times * PLACE, "{star:?}");
        for (a, flux) in star.fluxes.iter().enumerate() {
            let drawn = source.flux / n as f64 * (1.0 + source.slope * ((a as f64 + 0.5) / n as f64 - 0.5));
            assert!((flux / drawn - 1.0).abs() < times * SUBFILTER, "{a}: {flux} {drawn}");
        }
    }

    fn mask(visits: &mut JointInMemory, rows: std::ops::Range<usize>, cols: std::ops::Range<usize>) {
        for visit in &mut visits.visits {
            visit.flags.slice_mut(ndarray::s![rows.clone(), cols.clone()]).fill(0);
        }
    }

    #[test]
    fn saturated_star_has_its_flux_place_and_colour() {
        for n in [1, 2, 3] {
            let source = Source { slope: if n == 1 { 0.0 } else { BRIGHT.slope }, ..BRIGHT };
            let stars = found(&field(&[source], n), n);
            assert_eq!(stars.len(), 1);
            assert_like(&stars[0], &source, (0.0, 0.0), 1.0);
        }
    }

    #[test]
    fn saturated_star_is_found_in_a_bleed_trail_and_among_others() {
        let others = [star((40.0, 52.0), 2e4, -0.4), star((28.5, 24.0), 1e4, 0.0)];
        let mut visits = field(&[&[BRIGHT], &others[..]].concat(), 3);
        mask(&mut visits, 15..60, 33..39);
        let stars = found(&visits, 3);
        assert_eq!(stars.len(), 1);
        // The light of the others adds errors.
        assert_like(&stars[0], &BRIGHT, (0.0, 0.0), 2.0);
    }

    #[test]
    fn saturated_stars_side_by_side_are_separated() {
        let pair = [star((36.2, 24.4), 5e6, 0.5), star((42.7, 49.1), 1e6, -0.5)];
        let stars = found(&field(&pair, 3), 3);
        assert_eq!(stars.len(), 2);
        stars.iter().zip(&pair).for_each(|(star, source)| assert_like(star, source, (0.0, 0.0), 1.0));
    }

    #[test]
    fn saturated_star_beyond_the_tiles_edge_is_none_and_within_it_the_same() {
        let visits = field(&[BRIGHT], 3);
        let region = |first: usize| Region { rows: first..SHAPE.0, cols: 0..SHAPE.1 };
        let stars = found_in(&visits, 3, &region(37));
        assert_eq!(stars.len(), 1);
        assert_like(&stars[0], &BRIGHT, (37.0, 0.0), 1.0);
        assert_eq!(found_in(&visits, 3, &region(43)), []);
    }

    /// The colour is then the prior's.
    #[test]
    fn saturated_star_in_visits_all_alike_has_its_flux() {
        let visits = (1..4).map(|seed| visit(&[BRIGHT], 3, 3.5, (1.0, 0.5), seed)).collect();
        let stars = found(&JointInMemory { visits }, 3);
        assert_eq!(stars.len(), 1);
        let total: f64 = stars[0].fluxes.iter().sum();
        assert!((total / BRIGHT.flux - 1.0).abs() < 2.0 * FLUX, "{stars:?}");
    }

    #[test]
    fn saturated_stars_are_not_found_in_other_holes() {
        // A bad column, a gap, and a block on empty sky, beside a star or on a faint one.
        let moderate = star((40.3, 35.6), 3e4, 0.5);
        for (rows, cols) in
            [(0..80, 40..43), (60..80, 0..76), (0..9, 0..76), (10..16, 60..66), (46..51, 34..39)]
        {
            let mut visits = field(&[moderate], 3);
            mask(&mut visits, rows.clone(), cols.clone());
            assert_eq!(found(&visits, 3), [], "{rows:?} {cols:?}");
        }
        let galaxy = Source { size: 3.0, ..moderate };
        let mut visits = field(&[Source { flux: 2e6, ..galaxy }], 3);
        mask(&mut visits, 36..45, 31..40);
        assert_eq!(found(&visits, 3), []);
        assert_eq!(found(&field(&[moderate], 3), 3), []);
    }

    #[test]
    fn saturated_star_keeps_its_halo_from_being_clipped() {
        let visits = field(&[BRIGHT], 3);
        let lost = |fixed: bool| -> usize {
            let (mut session, _) = open(&visits, 3, &Region::whole(SHAPE));
            if !fixed {
                session.tile.fixed = vec![];
            }
            let mut calibrations = VisitCalibrations::new(SHAPE, CalibrationOrders::NONE);
            for visit in &visits.visits {
                calibrations.push(&visit.noise, visit.psf.seeing_px(), PixelShift::default());
            }
            let about = (&calibrations, &Region::whole(SHAPE));
            let mut go_on = |_, _| true;
            let mut budget = IterationBudget::new(&mut go_on, 0);
            session.solve_first(&config().clip_rounds, about, &config(), &mut budget);
            let lost = |visit: &TileVisit| visit.good.iter().zip(&visit.used).filter(|(g, u)| g != u).count();
            session.tile.visits.iter().map(lost).sum()
        };
        let (with, without) = (lost(true), lost(false));
        assert!(with < 40 && without > 400, "{with} {without}");
    }

    #[test]
    fn saturated_light_is_part_of_every_prediction_and_of_the_planes() {
        let (mut session, psf) = open(&field(&[BRIGHT], 2), 2, &Region::whole(SHAPE));
        let tile = &mut session.tile;
        let fiducial = Fiducial::new(&psf, &tile.grid.frequencies());
        let faint = SaturatedStar { fluxes: vec![300.0, 200.0], y: 20.3, x: 50.8 };
        let model = light(&[faint], &tile.grid, &fiducial);
        assert!(!tile.fixed.is_empty());
        let whole = tile.with_fixed_sources(&model).into_owned();
        let zeros = vec![Complex32::default(); tile.unknowns()];
        let seen = |tile: &mut Tile, y: Option<&[Complex32]>| {
            let mut out = zeros.clone();
            tile.add_residual(y, &mut out);
            let mut predictions = vec![];
            let y = y.unwrap_or(&zeros);
            tile.with_predictions(y, |_, _, plane| plane.to_vec(), |plane| predictions.push(plane));
            let mut chosen = zeros.clone();
            tile.add_chosen_residual(y, &mut chosen, |_, _, _| {});
            (out, chosen, predictions, tile.planes(y, 3))
        };
        let (with, none) = (seen(tile, Some(&model)), seen(tile, None));
        let fixed = std::mem::take(&mut tile.fixed);
        assert_eq!(seen(tile, Some(&whole)), with);
        assert_eq!(seen(tile, Some(&fixed)), none);
    }

    /// Interpolated PSF images against stars drawn at their position.
    #[test]
    fn saturated_psf_images_hold_at_any_position() {
        let (mut session, psf) = open(&field(&[BRIGHT], 2), 2, &Region::whole(SHAPE));
        let tile = &mut session.tile;
        let fiducial = Fiducial::new(&psf, &tile.grid.frequencies());
        tile.fixed = vec![];
        let basis = [vec![0.4, 0.6]];
        let psf_images = psf_images(tile, &fiducial, &basis, 6);
        let place = (40.37, 35.81);
        let drawn = |tile: &mut Tile, (y, x): (f64, f64)| {
            let model = light(&[SaturatedStar { fluxes: basis[0].clone(), y, x }], &tile.grid, &fiducial);
            let mut out = vec![];
            tile.with_predictions(&model, |_, _, plane| plane.to_vec(), |plane| out.push(plane));
            out
        };
        let (here, moved) = (drawn(tile, place), drawn(tile, (place.0 + 0.01, place.1)));
        for ((psf_image, here), moved) in psf_images.iter().zip(&here).zip(&moved) {
            for (y, x) in around(place, 6.0 + psf_image.ring, SHAPE) {
                let away = apart((y as f64, x as f64), place);
                let mut light = [Light::default()];
                psf_image.light(y as f64 - place.0, x as f64 - place.1, &mut light);
                let (exact, moved) = (f64::from(here[y * SHAPE.1 + x]), f64::from(moved[y * SHAPE.1 + x]));
                if away > 5.0 {
                    assert!(
                        (light[0][0] - exact).abs() < 0.01 * exact.abs() + 1e-6,
                        "{away} {light:?} {exact}"
                    );
                    let slope = 100.0 * (moved - exact);
                    assert!(
                        (light[0][1] - slope).abs() < 0.1 * slope.abs() + 1e-5,
                        "{away} {light:?} {slope}"
                    );
                }
            }
        }
    }

    #[test]
    fn saturated_holes_are_as_deep_as_the_way_out() {
        let at = |rows: std::ops::Range<u32>, cols: std::ops::Range<u32>| -> Vec<u32> {
            rows.flat_map(|y| cols.clone().map(move |x| y * 100 + x)).collect()
        };
        let hole = |pixels: &[u32]| Hole::new(pixels, (100, 100)).map(|hole| (hole.depth, hole.middle));
        assert_eq!(hole(&at(10..15, 20..25)), Some((3, (12.0, 22.0))));
        assert_eq!(hole(&at(10..40, 20..22)), None, "as narrow as a bad column");
        assert_eq!(hole(&at(0..3, 20..25)), Some((3, (0.0, 22.0))), "the edge is no way out");
        assert_eq!(hole(&at(10..80, 10..80)), None, "too deep");
        assert_eq!(hole(&at(0..100, 0..100)), None, "no data");
    }
}
