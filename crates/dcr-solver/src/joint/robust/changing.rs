//! Sources whose flux differs between visits.
//!
//! At every peak of the model, each visit's flux relative to its prediction is
//!
//! ```text
//! A_i = Σ_p r_i m_i / v_i  /  Σ_p m_i² / v_i
//! ```
//!
//! over pixels within one FWHM, with the residual `r`, the prediction `m` and the variance `v`. A
//! source changes if two or more visits deviate from its median. The scale of each visit is the
//! median over all its sources, and the scatter of its constant ones is added to the errors, so
//! that neither zero points nor PSFs make sources change.

use ndarray::{Array2, Axis};
use rustfft::num_complex::Complex32;
use serde::{Deserialize, Serialize};

use crate::joint::operator::tile::{FULL, Tile, TileVisit};
use crate::kernel::{Boundary, gaussian_filter};

/// Smoothing of the model's light, px.
const SMOOTHING: f64 = 1.5;
/// Peaks of the model's smoothed light above this many σ of a visit's sky are tested.
const BRIGHT: f64 = 8.0;
/// Radius in FWHM of a source's pixels, and of those that a changing one takes from fits.
const RADIUS: f64 = 1.0;
const TAKEN: f64 = 2.5;
/// Deviation of a visit in units of its error.
const DEVIATES: f64 = 4.0;
/// Minimum number of deviating visits, and of visits.
const FEWEST: usize = 2;
const FEWEST_VISITS: usize = 3;
/// Relative error of a flux below which it counts in a visit's scale and scatter.
const MEASURED: f64 = 0.05;
/// Minimum number of sources of a visit's scale.
const FEWEST_SOURCES: usize = 5;
/// Bounds of the scatter of constant sources.
const SCATTER: [f64; 2] = [0.01, 0.05];
/// Quantile of absolute deviations that measures it, and its value for a normal distribution: below
/// the median, since many sources can change.
const LOW_QUANTILE: (f64, f64) = (0.3, 0.385);

/// A source whose flux differs between visits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChangingSource {
    /// Row of its peak in the patch.
    pub y: usize,
    /// Column of its peak in the patch.
    pub x: usize,
    /// Radius of its light, px.
    pub radius_px: f64,
    /// Root mean square over the visits of the flux relative to its median, less 1.
    pub scatter: f64,
    /// Largest deviation of a visit in units of its error.
    pub significance: f64,
    /// Flux in each visit of the patch relative to the median, less 1; `None` without data. These
    /// are relative to the model, which follows the sharpest visits: theirs are too small.
    pub excesses: Vec<Option<f64>>,
}

impl ChangingSource {
    /// The pixels, row and column, of a patch of that shape that have its light.
    pub fn pixels(&self, shape: (usize, usize)) -> impl Iterator<Item = (usize, usize)> {
        disc((self.y, self.x), self.radius_px, shape)
    }
}

/// Relative flux of a source in a visit, and its error; `None` with less than half of its pixels.
type Excess = Option<(f64, f64)>;

/// Changing sources of a tile, with positions in the tile. `excesses` are in the order of the
/// tile's visits.
pub(crate) fn changing_sources(
    tile: &mut Tile,
    model: &[Complex32],
    light: &Array2<f32>,
    fwhm_px: f64,
) -> Vec<ChangingSource> {
    if tile.visits.len() < FEWEST_VISITS {
        return vec![];
    }
    let peaks = peaks(tile, light, fwhm_px);
    if peaks.is_empty() {
        return vec![];
    }
    let shape = tile.grid.shape;
    let mut visits: Vec<Vec<Excess>> = vec![];
    let of_visit = |_: usize, visit: &TileVisit, prediction: &[f32]| {
        let excesses: Vec<Excess> =
            peaks.iter().map(|peak| excess(visit, prediction, shape, *peak, RADIUS * fwhm_px)).collect();
        scaled(excesses)
    };
    tile.with_predictions(model, of_visit, |excesses| visits.push(excesses));
    let source = |(i, (y, x)): (usize, &(usize, usize))| {
        let of_visits: Vec<Excess> = visits.iter().map(|visit| visit[i]).collect();
        let measured: Vec<(f64, f64)> = of_visits.iter().flatten().copied().collect();
        if measured.len() < FEWEST_VISITS {
            return None;
        }
        let middle = median(measured.iter().map(|(value, _)| *value).collect());
        let deviations = measured.iter().map(|(value, error)| (value - middle).abs() / error);
        let significance = deviations.clone().fold(0.0, f64::max);
        if deviations.filter(|deviation| *deviation > DEVIATES).count() < FEWEST {
            return None;
        }
        let relative = |value: f64| (value - middle) / (1.0 + middle).max(MEASURED);
        let squares: f64 = measured.iter().map(|(value, _)| relative(*value).powi(2)).sum();
        Some(ChangingSource {
            y: *y,
            x: *x,
            radius_px: TAKEN * fwhm_px,
            scatter: (squares / measured.len() as f64).sqrt(),
            significance,
            excesses: of_visits.iter().map(|e| e.map(|(value, _)| relative(value))).collect(),
        })
    };
    peaks.iter().enumerate().filter_map(source).collect()
}

/// The model's light in all subfilters, smoothed.
pub(crate) fn total_light(tile: &Tile, model: &[Complex32]) -> Array2<f32> {
    let light = tile.planes(model, 0).sum_axis(Axis(0));
    gaussian_filter(light.view(), SMOOTHING, Boundary::Reflect)
}

/// Bright local maxima of the model's light.
fn peaks(tile: &Tile, light: &Array2<f32>, fwhm_px: f64) -> Vec<(usize, usize)> {
    let sigma = median(tile.visits.iter().map(|visit| visit.noise.sky_variance.sqrt()).collect());
    let (rows, cols) = light.dim();
    let reach = (0.5 * fwhm_px).ceil() as usize;
    let highest_around = |(y, x): (usize, usize)| {
        let near = |i: usize, n: usize| i.saturating_sub(reach)..n.min(i + reach + 1);
        near(y, rows).all(|v| near(x, cols).all(|u| light[[v, u]] <= light[[y, x]]))
    };
    let bright = light.indexed_iter().filter(|(_, value)| f64::from(**value) > BRIGHT * sigma);
    bright.map(|(at, _)| at).filter(|at| highest_around(*at)).collect()
}

/// Relative flux of a visit within a radius of a peak.
fn excess(
    visit: &TileVisit,
    prediction: &[f32],
    shape: (usize, usize),
    peak: (usize, usize),
    radius: f64,
) -> Excess {
    let (mut product, mut power, mut good, mut all) = (0.0, 0.0, 0, 0);
    for (y, x) in disc(peak, radius, shape) {
        all += 1;
        let i = y * shape.1 + x;
        if visit.good[i] == 0 {
            continue;
        }
        good += 1;
        let (m, r) = (f64::from(prediction[i]), f64::from(visit.image[i] - prediction[i]));
        let of_fixed = f64::from(FULL) / f64::from(visit.good[i]);
        let variance =
            visit.noise.sky_variance * of_fixed + f64::from(visit.noise_of_light(i, prediction[i]));
        product += r * m / variance;
        power += m * m / variance;
    }
    (2 * good > all && power > 0.0).then(|| (product / power, power.sqrt().recip()))
}

/// Fluxes relative to a visit's scale, with the scatter of its constant sources in their errors.
fn scaled(mut excesses: Vec<Excess>) -> Vec<Excess> {
    let measured: Vec<f64> =
        excesses.iter().flatten().filter(|(_, error)| *error < MEASURED).map(|(value, _)| *value).collect();
    if measured.len() < FEWEST_SOURCES {
        let [least, _] = SCATTER;
        excesses.iter_mut().flatten().for_each(|(_, error)| *error = error.hypot(least));
        return excesses;
    }
    let scale = median(measured.clone());
    let mut sizes: Vec<f64> = measured.iter().map(|value| (value - scale).abs()).collect();
    let (quantile, normal) = LOW_QUANTILE;
    let index = (quantile * sizes.len() as f64) as usize;
    let [least, most] = SCATTER;
    let scatter = (*sizes.select_nth_unstable_by(index, f64::total_cmp).1 / normal).clamp(least, most);
    for (value, error) in excesses.iter_mut().flatten() {
        (*value, *error) = (*value - scale, error.hypot(scatter));
    }
    excesses
}

/// The median, the upper one of two; 0 of nothing.
fn median(mut values: Vec<f64>) -> f64 {
    let middle = values.len() / 2;
    match values.is_empty() {
        true => 0.0,
        false => *values.select_nth_unstable_by(middle, f64::total_cmp).1,
    }
}

/// Pixels of a tile that have the light of a changing source.
pub(crate) fn light_of(sources: &[ChangingSource], shape: (usize, usize)) -> Array2<bool> {
    let mut out = Array2::from_elem(shape, false);
    sources.iter().flat_map(|source| source.pixels(shape)).for_each(|at| out[at] = true);
    out
}

/// The pixels of a plane within a radius.
fn disc(
    (y, x): (usize, usize),
    radius: f64,
    (rows, cols): (usize, usize),
) -> impl Iterator<Item = (usize, usize)> {
    let reach = radius.ceil() as usize;
    let near = move |i: usize, n: usize| i.saturating_sub(reach)..n.min(i + reach + 1);
    let inside = move |(v, u): &(usize, usize)| (*v as f64 - y as f64).hypot(*u as f64 - x as f64) <= radius;
    near(y, rows).flat_map(move |v| near(x, cols).map(move |u| (v, u))).filter(inside)
}
