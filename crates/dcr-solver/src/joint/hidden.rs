//! Stars whose core no visit shows.

use ndarray::Array2;
use rayon::prelude::*;
use rustfft::num_complex::{Complex32, Complex64};

use super::config::JointConfig;
use super::fourier::Grid;
use super::operator::{Slot, Tile, TileVisit};
use super::spectrum::Spectrum;
use super::transfer::Fiducial;
use super::visits::Noise;
use crate::rarity::groups;

/// A hole hides a star if a pixel in it is this far from any that some visit has, in steps along rows and columns, …
const SHALLOWEST: usize = 2;
/// … and none is farther than this.
const DEEPEST: usize = 30;
/// How far beyond the hole a visit's pixels are fitted, in units of its FWHM.
const RING: f64 = 2.5;
/// Rounds of Gauss–Newton.
const ROUNDS: usize = 20;
/// A residual of so many σ counts half.
const HALF: f64 = 4.0;
/// The share of the light around the hole that a star must explain.
const EXPLAINED: f64 = 0.8;
/// How surely it is there, in σ.
const SIGNIFICANT: f64 = 20.0;

/// A star.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct HiddenStar {
    /// Its flux in each subfilter.
    pub(crate) fluxes: Vec<f64>,
    /// Position, in pixels from the tile's first.
    pub(crate) y: f64,
    pub(crate) x: f64,
}

impl HiddenStar {
    pub(crate) fn flat(&self, spectrum: &Spectrum) -> Vec<f64> {
        let total: f64 = self.fluxes.iter().sum();
        spectrum.fractions().iter().map(|f| f * total).collect()
    }

    pub(crate) fn departures(&self, spectrum: &Spectrum) -> Vec<f64> {
        self.fluxes.iter().zip(self.flat(spectrum)).map(|(flux, flat)| flux - flat).collect()
    }
}

/// The stars in the holes of a tile.
pub(crate) fn hidden_stars(
    tile: &mut Tile,
    fiducial: &Fiducial,
    spectrum: &Spectrum,
    config: &JointConfig,
) -> Vec<HiddenStar> {
    let holes = holes(tile);
    if holes.is_empty() {
        return vec![];
    }
    let basis = basis(spectrum, config);
    let points: Vec<_> = basis.iter().map(|fluxes| point_source(&tile.grid, fiducial, fluxes)).collect();
    let deepest = holes.iter().map(|hole| hole.depth).max().unwrap_or(0) as f64;
    let mut portraits = vec![];
    for batch in tile.visits.chunks(tile.slots.len().max(1)) {
        let of_one = |(visit, slot): (&TileVisit, &mut Slot)| {
            let reach = 2.0 * deepest + RING * visit.fwhm_px + 3.0;
            Portrait::new(&tile.grid, tile.n, visit, &points, reach as usize, slot)
        };
        let batch: Vec<Portrait> = batch.par_iter().zip(&mut tile.slots).map(of_one).collect();
        portraits.extend(batch);
    }
    let fit_one = |hole: &Hole| {
        let pixels = hole.surroundings(tile);
        let star = fit(hole, &pixels, &tile.visits, &portraits, &basis, config);
        star
    };
    holes.iter().filter_map(fit_one).collect()
}

/// The light of stars at the fiducial PSF, `kx × subfilter × ky`.
pub(crate) fn add_light(
    stars: &[HiddenStar],
    grid: &Grid,
    fiducial: &Fiducial,
    fluxes: impl Fn(&HiddenStar) -> Vec<f64>,
    out: &mut [Complex32],
) {
    let ky = grid.ky();
    let origin = (grid.tile_rows().start as f64, grid.tile_cols().start as f64);
    for star in stars {
        let fluxes = fluxes(star);
        let [along_y, along_x] = grid.frequencies().phases(origin.0 + star.y, origin.1 + star.x);
        for ((ix, rows), px) in out.chunks_exact_mut(fluxes.len() * ky).enumerate().zip(&along_x) {
            for (row, f) in rows.chunks_exact_mut(ky).zip(&fluxes) {
                let psf = &fiducial.modes()[ix * ky..][..ky];
                for ((out, p), py) in row.iter_mut().zip(psf).zip(&along_y) {
                    let value: Complex64 = p * px * py * *f;
                    *out += Complex32::new(value.re as f32, value.im as f32);
                }
            }
        }
    }
}

/// A unit of flux on the first pixel of the grid.
fn point_source(grid: &Grid, fiducial: &Fiducial, fluxes: &[f64]) -> Vec<Complex32> {
    let origin = HiddenStar {
        fluxes: fluxes.to_vec(),
        y: -(grid.tile_rows().start as f64),
        x: -(grid.tile_cols().start as f64),
    };
    let mut out = vec![Complex32::default(); fluxes.len() * grid.modes()];
    add_light(&[origin], grid, fiducial, |star| star.fluxes.clone(), &mut out);
    out
}

/// Connected pixels that no visit has.
struct Hole {
    /// The pixels, as row and column, in order.
    pixels: Vec<(usize, usize)>,
    /// The middle of its deepest pixels.
    centre: (f64, f64),
    depth: usize,
}

/// The holes that may hide a star.
fn holes(tile: &Tile) -> Vec<Hole> {
    let (rows, cols) = tile.grid.shape;
    let mut empty = vec![true; rows * cols];
    for visit in &tile.visits {
        empty.iter_mut().zip(&visit.good).for_each(|(e, good)| *e &= *good == 0);
    }
    let pixels: Vec<u32> = (0..empty.len() as u32).filter(|i| empty[*i as usize]).collect();
    groups(&pixels, cols).into_iter().filter_map(|group| Hole::new(&group, (rows, cols), &empty)).collect()
}

impl Hole {
    fn new(group: &[u32], (rows, cols): (usize, usize), empty: &[bool]) -> Option<Self> {
        let pixels: Vec<(usize, usize)> =
            group.iter().map(|i| (*i as usize / cols, *i as usize % cols)).collect();
        // The hole is peeled, rim by rim; what lies beyond the tile is not known, and belongs to it.
        let mut left: Vec<(usize, usize)> = pixels.clone();
        let mut inside = empty.to_vec();
        for depth in 1..=DEEPEST {
            let rim = |(y, x): &(usize, usize)| {
                let at = |y: usize, x: usize| y < rows && x < cols && !inside[y * cols + x];
                at(y.wrapping_sub(1), *x) || at(y + 1, *x) || at(*y, x.wrapping_sub(1)) || at(*y, x + 1)
            };
            let (peeled, rest): (Vec<_>, Vec<_>) = left.iter().copied().partition(rim);
            if peeled.is_empty() {
                return None;
            }
            if rest.is_empty() {
                let count = left.len() as f64;
                let mean = |of: fn(&(usize, usize)) -> usize| left.iter().map(|p| of(p) as f64).sum::<f64>() / count;
                let centre = (mean(|p| p.0), mean(|p| p.1));
                return (depth >= SHALLOWEST).then_some(Self { pixels, centre, depth });
            }
            peeled.iter().for_each(|(y, x)| inside[y * cols + x] = false);
            left = rest;
        }
        None
    }

    /// For each visit its good pixels around the hole.
    fn surroundings(&self, tile: &Tile) -> Vec<Vec<Pixel>> {
        let (rows, cols) = tile.grid.shape;
        let of_visit = |visit: &TileVisit| {
            let reach = self.depth as f64 + RING * visit.fwhm_px;
            let range = |c: f64, n: usize| (c - reach).max(0.0) as usize..((c + reach) as usize + 1).min(n);
            let mut out = vec![];
            for y in range(self.centre.0, rows) {
                for x in range(self.centre.1, cols) {
                    let distance = (y as f64 - self.centre.0).hypot(x as f64 - self.centre.1);
                    if distance <= reach && visit.good[y * cols + x] != 0 {
                        out.push(Pixel { y: y as f64, x: x as f64, light: f64::from(visit.image[y * cols + x]) });
                    }
                }
            }
            out
        };
        tile.visits.iter().map(of_visit).collect()
    }

    fn holds(&self, star: &HiddenStar) -> bool {
        let near = |(y, x): &(usize, usize)| (*y as f64 - star.y).abs() <= 0.5 && (*x as f64 - star.x).abs() <= 0.5;
        self.pixels.iter().any(near)
    }
}

struct Pixel {
    y: f64,
    x: f64,
    light: f64,
}

/// What a visit makes of a point source.
struct Portrait {
    /// The source is on the middle pixel.
    planes: Vec<Array2<f32>>,
    reach: usize,
}

impl Portrait {
    fn new(grid: &Grid, n: usize, visit: &TileVisit, points: &[Vec<Complex32>], reach: usize, slot: &mut Slot) -> Self {
        let (rows, cols) = grid.padded;
        let reach = reach.min((rows.min(cols) - 1) / 2);
        let side = 2 * reach + 1;
        let mut of_point = |point: &Vec<Complex32>| {
            let mut plane = Array2::zeros((side, side));
            visit.predict(grid, n, point, slot);
            grid.read_rows(&slot.spectrum, 0..rows, &mut slot.scratch, |row, line| {
                let at = (row + reach) % rows;
                if at < side {
                    for (i, out) in plane.row_mut(at).iter_mut().enumerate() {
                        *out = line[(cols + i - reach) % cols] * grid.scale();
                    }
                }
            });
            plane
        };
        Self { planes: points.iter().map(&mut of_point).collect(), reach }
    }

    /// Its light so far from the source, by cubic convolution; 0 beyond its reach.
    fn at(&self, dy: f64, dx: f64, out: &mut [f64]) {
        out.fill(0.0);
        let (y, x) = (dy + self.reach as f64, dx + self.reach as f64);
        let inside = |v: f64| v >= 1.0 && v < (2 * self.reach - 1) as f64;
        if !inside(y) || !inside(x) {
            return;
        }
        let (wy, wx) = (cubic(y.fract()), cubic(x.fract()));
        let (y0, x0) = (y as usize - 1, x as usize - 1);
        for (plane, out) in self.planes.iter().zip(out) {
            let row = |i: usize| (0..4).map(|j| wx[j] * f64::from(plane[[y0 + i, x0 + j]])).sum::<f64>();
            *out = (0..4).map(|i| wy[i] * row(i)).sum();
        }
    }
}

/// Weights of four neighbours for a place so far behind the second (Keys 1981).
fn cubic(t: f64) -> [f64; 4] {
    [
        t * (t * (1.0 - 0.5 * t) - 0.5),
        1.0 + t * t * (1.5 * t - 2.5),
        t * (0.5 + t * (2.0 - 1.5 * t)),
        t * t * (0.5 * t - 0.5),
    ]
}

/// The star that the light around a hole comes from, if it does.
fn fit(
    hole: &Hole,
    pixels: &[Vec<Pixel>],
    visits: &[TileVisit],
    portraits: &[Portrait],
    basis: &[Vec<f64>],
    config: &JointConfig,
) -> Option<HiddenStar> {
    let n = basis.len();
    let mut at = hole.centre;
    let mut parts = vec![0.0; n];
    let variance = |noise: &Noise, m: f64| {
        noise.sky_variance + noise.shot * m.max(0.0) + (config.clip_fraction * m).powi(2)
    };
    let each = |of: &mut dyn FnMut(&Pixel, &Portrait, &Noise)| {
        for ((pixels, visit), portrait) in pixels.iter().zip(visits).zip(portraits) {
            pixels.iter().for_each(|pixel| of(pixel, portrait, &visit.noise));
        }
    };
    let (mut top, mut bottom) = (0.0, 0.0);
    let mut p = vec![0.0; n];
    each(&mut |pixel, portrait, noise| {
        portrait.at(pixel.y - at.0, pixel.x - at.1, &mut p);
        let w = 1.0 / variance(noise, pixel.light);
        top += w * p[0] * pixel.light;
        bottom += w * p[0] * p[0];
    });
    parts[0] = top / bottom;
    let mut error = f64::INFINITY;
    let mut q = vec![vec![0.0; n]; 4];
    let colours = std::env::var("NOCOL").is_err();
    for _round in 0..ROUNDS {
        let unknowns = n + 2;
        let mut a = vec![0.0; unknowns * unknowns];
        let mut b = vec![0.0; unknowns];
        let dot = |p: &[f64]| p.iter().zip(&parts).map(|(p, c)| p * c).sum::<f64>();
        each(&mut |pixel, portrait, noise| {
            let (dy, dx) = (pixel.y - at.0, pixel.x - at.1);
            portrait.at(dy, dx, &mut p);
            for (q, (y, x)) in q.iter_mut().zip([(-0.5, 0.0), (0.5, 0.0), (0.0, -0.5), (0.0, 0.5)]) {
                portrait.at(dy + y, dx + x, q);
            }
            let m = dot(&p);
            let mut row = p.clone();
            row.push(dot(&q[0]) - dot(&q[1]));
            row.push(dot(&q[2]) - dot(&q[3]));
            let v = variance(noise, m);
            let r = pixel.light - m;
            let w = 1.0 / (v + (r / HALF).powi(2));
            for i in 0..unknowns {
                b[i] += w * row[i] * r;
                for j in 0..unknowns {
                    a[i * unknowns + j] += w * row[i] * row[j];
                }
            }
        });
        // Colours are held to the flat spectrum as in the final solve.
        for i in 1..n {
            let weight = if colours { 1.0 / (config.colour_width * parts[0]).powi(2) } else { 1e30 };
            a[i * unknowns + i] += weight;
            b[i] -= weight * parts[i];
        }
        error = 1.0 / a[0].sqrt();
        let step = solve_normal(a, b)?;
        parts.iter_mut().zip(&step).for_each(|(c, s)| *c += s);
        let (sy, sx) = (step[n], step[n + 1]);
        let norm = sy.hypot(sx);
        let short = if norm > 1.0 { 1.0 / norm } else { 1.0 };
        at = (at.0 + short * sy, at.1 + short * sx);
        if std::env::var("HDBG").is_ok() { eprintln!("round {_round} {parts:?} {at:?} {step:?}"); }
        if norm < 0.005 && step[0].abs() < 1e-3 * parts[0].abs() {
            break;
        }
    }
    let (mut before, mut after) = (0.0, 0.0);
    let dot = |p: &[f64]| p.iter().zip(&parts).map(|(p, c)| p * c).sum::<f64>();
    each(&mut |pixel, portrait, noise| {
        portrait.at(pixel.y - at.0, pixel.x - at.1, &mut p);
        let m = dot(&p);
        let v = variance(noise, m);
        before += (pixel.light.powi(2) / v).min(400.0);
        after += ((pixel.light - m).powi(2) / v).min(400.0);
    });
    let fluxes: Vec<f64> = (0..n).map(|a| parts.iter().zip(basis).map(|(c, e)| c * e[a]).sum()).collect();
    let star = HiddenStar { fluxes, y: at.0, x: at.1 };
    if std::env::var("HDBG").is_ok() {
        let count: usize = pixels.iter().map(Vec::len).sum();
        eprintln!("hole {:?} depth {} pixels {} star {star:?} flat {:?} error {error} before {before} after {after} n {count}", hole.centre, hole.depth, hole.pixels.len(), basis[0]);
    }
    let wanted = parts[0] > SIGNIFICANT * error && before - after > EXPLAINED * before && hole.holds(&star);
    wanted.then_some(star)
}

/// Fluxes of a star of a flat spectrum, and of departures from it.
fn basis(spectrum: &Spectrum, config: &JointConfig) -> Vec<Vec<f64>> {
    let departures = spectrum.departures(config.colour_damping);
    let mut out = vec![spectrum.fractions().to_vec()];
    out.extend(departures.columns().into_iter().map(|column| column.to_vec()));
    out
}

fn solve_normal(mut a: Vec<f64>, mut x: Vec<f64>) -> Option<Vec<f64>> {
    let n = x.len();
    for j in 0..n {
        for i in j..n {
            let sum = a[i * n + j] - (0..j).map(|k| a[i * n + k] * a[j * n + k]).sum::<f64>();
            a[i * n + j] = match i == j {
                true if sum.is_nan() || sum <= 1e-12 * a[j * n + j] => return None,
                true => sum.sqrt(),
                false => sum / a[j * n + j],
            };
        }
    }
    for i in 0..n {
        x[i] = (x[i] - (0..i).map(|k| a[i * n + k] * x[k]).sum::<f64>()) / a[i * n + i];
    }
    for i in (0..n).rev() {
        x[i] = (x[i] - (i + 1..n).map(|k| a[k * n + i] * x[k]).sum::<f64>()) / a[i * n + i];
    }
    x.iter().all(|v| v.is_finite()).then_some(x)
}
