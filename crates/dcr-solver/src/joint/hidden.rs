//! Stars in holes: a bright star saturates every visit, and of its light only the halo is left.
//!
//! Where no visit has data the prior holds the model to no light, and a halo cannot be predicted without the core that it comes from: visits of poor seeing, whose
//! halos are the widest, would be clipped around the hole before the model had grown there. A star is simple, however: its flux in each subfilter
//! and its position follow from the halos of all visits, each with its own transfer function. At `x`, with fluxes `Σ_j c_j E_aj`,
//!
//! ```text
//! m_i(p) = Σ_j c_j S_ij(p − x),    S_ij(k) = P(k) Σ_a A_ia(k) E_aj
//! minimise Σ_i Σ_p ρ((s_i − m_i)²/(v + g m_i + (ε m_i)²)) + Σ_{j>0} (c_j/(β c_0))²
//! ```
//!
//! with the flat spectrum `E_a0 = f_a`, departures from it and their width `β` as in the final solve, a visit's sky variance `v` and shot noise `g`, the `ε` of
//! clipping for errors of the PSF, and Cauchy's `ρ`, which lets the light of others pass. Pixels are those around the star, as far as the hole is deep
//! and somewhat farther. The images `S_ij` are drawn once for the tile, Gauss–Newton steps interpolate them.
//!
//! A star is believed if it lies in its hole and explains nearly all light around; a dead column, a gap between detectors or a masked galaxy
//! explain no star. Its light is then given ([`Tile::given`]): part of every prediction, and what the solves find is what it leaves. So nothing holds it to
//! 0, and its brightness, a million times the noise, is no burden to the iterations. A hole has one star: a second one in it is left to the solves, as all are
//! that are not believed.

use ndarray::Array2;
use rayon::prelude::*;
use rustfft::num_complex::{Complex32, Complex64};

use super::config::JointConfig;
use super::fourier::Grid;
use super::normal::solve_normal;
use super::operator::{Slot, Tile, TileVisit};
use super::spectrum::Spectrum;
use super::transfer::Fiducial;
use crate::rarity::groups;

/// A hole may hide a star if its deepest pixel is so many pixels from any that some visit has, along rows and columns: a bad column is not as wide, …
const SHALLOWEST: usize = 2;
/// … and what is deeper is no star's.
const DEEPEST: usize = 30;
/// How far pixels are fitted, beyond the depth of the hole, in units of the visit's FWHM.
const RING: f64 = 2.5;
/// The most Gauss–Newton steps, …
const STEPS: usize = 20;
/// … none longer than this, in pixels; …
const LONGEST: f64 = 1.0;
/// … and none follows one shorter than this that changed the flux by less than a thousandth: the rest is found by the solves.
const SHORTEST: f64 = 0.01;
/// A residual of so many σ counts half.
const HALF: f64 = 4.0;
/// Rounds of fitting all stars, each with the light of the others taken away.
const ROUNDS: usize = 3;
/// The share of the power around the hole that a star explains.
const EXPLAINED: f64 = 0.9;
/// What is left of a pivot of the normal equations where they are taken for singular: colours may rest on their prior alone.
const SINGULAR: f64 = 1e-13;

/// A star that no visit shows the core of.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct HiddenStar {
    /// Its flux in each subfilter.
    pub(crate) fluxes: Vec<f64>,
    /// Its position, in pixels from the tile's first.
    pub(crate) y: f64,
    pub(crate) x: f64,
}

/// The stars in the holes of a tile.
pub(crate) fn hidden_stars(
    tile: &mut Tile,
    fiducial: &Fiducial,
    spectrum: &Spectrum,
    config: &JointConfig,
) -> Vec<HiddenStar> {
    let holes = holes(tile);
    let Some(deepest) = holes.iter().map(|hole| hole.depth).max() else { return vec![] };
    let departures = spectrum.departures(config.colour_damping);
    let mut basis = vec![spectrum.fractions().to_vec()];
    basis.extend(departures.columns().into_iter().map(|column| column.to_vec()));
    let portraits = portraits(tile, fiducial, &basis, deepest);
    let (shape, sigma) = (tile.grid.shape, tile.sigma);
    let halos = Halos { visits: &tile.visits, shape, sigma, portraits, basis, config };
    let mut stars: Vec<Option<Fit>> = vec![None; holes.len()];
    for _ in 0..if holes.len() == 1 { 1 } else { ROUNDS } {
        let of_hole = |(i, hole): (usize, &Hole)| {
            let others: Vec<&Fit> =
                stars.iter().enumerate().filter(|(k, _)| *k != i).filter_map(|(_, s)| s.as_ref()).collect();
            halos.fit(hole, &others)
        };
        stars = holes.par_iter().enumerate().map(of_hole).collect();
    }
    stars.iter().flatten().map(|star| star.in_subfilters(&halos.basis)).collect()
}

/// The light of stars at the fiducial PSF, `kx × subfilter × ky`; nothing at all of none.
pub(crate) fn light(stars: &[HiddenStar], grid: &Grid, fiducial: &Fiducial) -> Vec<Complex32> {
    let Some(n) = stars.first().map(|star| star.fluxes.len()) else { return vec![] };
    let (first_row, first_col) = (grid.tile_rows().start as f64, grid.tile_cols().start as f64);
    let mut out = vec![Complex32::default(); n * grid.modes()];
    for star in stars {
        add_star(&mut out, grid, fiducial, &star.fluxes, (first_row + star.y, first_col + star.x));
    }
    out
}

/// Adds a star so far from the grid's first pixel.
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

/// Connected pixels that no visit has, with room for a star's core.
struct Hole {
    /// Rows and columns.
    pixels: Vec<(usize, usize)>,
    /// The deepest pixel in the middle.
    middle: (f64, f64),
    /// How many steps along rows and columns lead out of it from there.
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
        // Rim by rim is taken off. What lies beyond the tile is not known, and no way out.
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

/// What a visit makes of a point source of each of the spectra.
struct Portrait {
    /// The source is on the middle pixel of each plane.
    planes: Vec<Array2<f32>>,
    /// How far pixels are fitted beyond the depth of the hole.
    ring: f64,
}

/// The light that a portrait has somewhere: its value, and its derivatives with respect to the star's y and x.
type Light = [f64; 3];

fn portraits(tile: &mut Tile, fiducial: &Fiducial, basis: &[Vec<f64>], deepest: usize) -> Vec<Portrait> {
    let of_visit = |visit: &TileVisit| Portrait { planes: vec![], ring: RING * visit.fwhm_px };
    let mut out: Vec<Portrait> = tile.visits.iter().map(of_visit).collect();
    let Tile { grid, visits, slots, n, .. } = tile;
    let mut point = vec![Complex32::default(); *n * grid.modes()];
    for fluxes in basis {
        point.fill(Complex32::default());
        add_star(&mut point, grid, fiducial, fluxes, (0.0, 0.0));
        let batches = visits.chunks(slots.len().max(1)).zip(out.chunks_mut(slots.len().max(1)));
        for (visits, portraits) in batches {
            let batch = visits.par_iter().zip(portraits).zip(slots.par_iter_mut());
            batch.for_each(|((visit, portrait), slot)| {
                // A pixel more on each side, for interpolation.
                let reach = (deepest as f64 + portrait.ring) as usize + 2;
                visit.predict(grid, *n, &point, slot);
                portrait.planes.push(around_the_first(grid, slot, reach));
            });
        }
    }
    out
}

/// The pixels around the grid's first, of a prediction already taken along `ky`. The grid is periodic.
fn around_the_first(grid: &Grid, slot: &mut Slot, reach: usize) -> Array2<f32> {
    let (rows, cols) = grid.padded;
    let reach = reach.min((rows.min(cols) - 1) / 2);
    let mut out = Array2::zeros((2 * reach + 1, 2 * reach + 1));
    grid.read_rows(&slot.spectrum, 0..rows, &mut slot.scratch, |row, line| {
        let target = (row + reach) % rows;
        if target <= 2 * reach {
            for (i, out) in out.row_mut(target).iter_mut().enumerate() {
                *out = line[(cols + i - reach) % cols] * grid.scale();
            }
        }
    });
    out
}

impl Portrait {
    /// The light of each spectrum so far from the source, by cubic convolution; none beyond what was drawn.
    fn light(&self, dy: f64, dx: f64, out: &mut [Light]) {
        out.fill(Light::default());
        let side = self.planes[0].nrows();
        let middle = (side / 2) as f64;
        let (y, x) = (dy + middle, dx + middle);
        let drawn = 1.0..(side - 2) as f64;
        if !drawn.contains(&y) || !drawn.contains(&x) {
            return;
        }
        let ((along_y, slope_y), (along_x, slope_x)) = (cubic(y.fract()), cubic(x.fract()));
        let (row, col) = (y as usize - 1, x as usize - 1);
        for (plane, out) in self.planes.iter().zip(out) {
            for i in 0..4 {
                let (mut value, mut slope) = (0.0, 0.0);
                for j in 0..4 {
                    let pixel = f64::from(plane[[row + i, col + j]]);
                    value += along_x[j] * pixel;
                    slope += slope_x[j] * pixel;
                }
                out[0] += along_y[i] * value;
                out[1] -= slope_y[i] * value;
                out[2] -= along_y[i] * slope;
            }
        }
    }
}

/// Weights of four neighbours for a place so far behind the second, and their derivatives (Keys 1981).
fn cubic(t: f64) -> ([f64; 4], [f64; 4]) {
    let weights = [
        t * (t * (1.0 - 0.5 * t) - 0.5),
        1.0 + t * t * (1.5 * t - 2.5),
        t * (0.5 + t * (2.0 - 1.5 * t)),
        t * t * (0.5 * t - 0.5),
    ];
    let slopes =
        [t * (2.0 - 1.5 * t) - 0.5, t * (4.5 * t - 5.0), 0.5 + t * (4.0 - 4.5 * t), t * (1.5 * t - 1.0)];
    (weights, slopes)
}

/// All that stars are fitted to.
struct Halos<'a> {
    visits: &'a [TileVisit],
    shape: (usize, usize),
    /// Noise per pixel of the weighted coadd.
    sigma: f64,
    portraits: Vec<Portrait>,
    /// The flat spectrum, and departures from it.
    basis: Vec<Vec<f64>>,
    config: &'a JointConfig,
}

/// A star as it is fitted.
#[derive(Clone)]
struct Fit {
    /// Its share of each spectrum of the basis.
    parts: Vec<f64>,
    place: (f64, f64),
}

impl Fit {
    fn in_subfilters(&self, basis: &[Vec<f64>]) -> HiddenStar {
        let flux = |a: usize| self.parts.iter().zip(basis).map(|(part, spectrum)| part * spectrum[a]).sum();
        HiddenStar { fluxes: (0..basis[0].len()).map(flux).collect(), y: self.place.0, x: self.place.1 }
    }
}

/// Normal equations for the parts and the place of a star, and what they rest on.
struct Equations {
    matrix: Vec<f64>,
    right_side: Vec<f64>,
    /// The weighted power of the light, and of what the star leaves of it.
    power: f64,
    rest: f64,
}

impl Halos<'_> {
    /// The star in a hole, if there is one; `others` are known already.
    fn fit(&self, hole: &Hole, others: &[&Fit]) -> Option<Fit> {
        let mut star = Fit { parts: vec![0.0; self.basis.len()], place: hole.middle };
        for _ in 0..STEPS {
            let Equations { matrix, right_side, .. } = self.equations(hole, &star, others);
            let step = solve_normal(&matrix, &right_side, SINGULAR)?;
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
        let believed = star.parts[0] > 0.0 && rest < (1.0 - EXPLAINED) * power && hole.holds(star.place);
        believed.then_some(star)
    }

    fn equations(&self, hole: &Hole, star: &Fit, others: &[&Fit]) -> Equations {
        let known = star.parts.len();
        let mut out = Equations::new(known + 2);
        let mut lights = vec![Light::default(); known];
        let mut row = vec![0.0; known + 2];
        for (visit, portrait) in self.visits.iter().zip(&self.portraits) {
            let reach = hole.depth as f64 + portrait.ring;
            let near = |other: &&&Fit| apart(other.place, star.place) < 3.0 * reach;
            let others: Vec<&Fit> = others.iter().filter(near).copied().collect();
            for (y, x) in around(star.place, reach, self.shape) {
                let at = y * self.shape.1 + x;
                if visit.good[at] == 0 {
                    continue;
                }
                let mut light_of = |star: &Fit| {
                    portrait.light(y as f64 - star.place.0, x as f64 - star.place.1, &mut lights);
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
        let width = (self.config.colour_width * star.parts[0]).hypot(self.config.colour_floor * self.sigma);
        (1..known).for_each(|j| out.hold(j, star.parts[j], width));
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

    /// A pixel: its derivatives, what is left of its light, and the weight.
    fn add(&mut self, row: &[f64], residual: f64, light: f64, weight: f64) {
        for (i, (a, sums)) in row.iter().zip(self.matrix.chunks_exact_mut(row.len())).enumerate() {
            self.right_side[i] += weight * a * residual;
            sums.iter_mut().zip(row).for_each(|(sum, b)| *sum += weight * a * b);
        }
        self.power += weight * light * light;
        self.rest += weight * residual * residual;
    }

    /// Holds an unknown, of that value now, to 0.
    fn hold(&mut self, i: usize, value: f64, width: f64) {
        let n = self.right_side.len();
        self.matrix[i * n + i] += 1.0 / (width * width);
        self.right_side[i] -= value / (width * width);
    }
}

/// Pixels of a plane no farther than `reach` from a place.
fn around(place: (f64, f64), reach: f64, shape: (usize, usize)) -> impl Iterator<Item = (usize, usize)> {
    let range =
        |c: f64, n: usize| (c - reach).max(0.0).ceil() as usize..((c + reach).max(-1.0) as usize + 1).min(n);
    let cols = range(place.1, shape.1);
    let square = range(place.0, shape.0).flat_map(move |y| cols.clone().map(move |x| (y, x)));
    square.filter(move |(y, x)| apart((*y as f64, *x as f64), place) <= reach)
}
