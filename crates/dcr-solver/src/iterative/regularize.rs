//! Regularisation: clamps between iterations and between subfilters (docs/algorithm.md §6.4 to
//! §6.9, §12.2).

use std::ops::Range;

use multiversion::multiversion;
use ndarray::{Array2, Array3, ArrayView2, ArrayView3, ArrayViewMut2, ArrayViewMut3, Axis, Zip, s};
use rayon::prelude::*;

use super::config::{FrequencyClamp, IterationClamp, IterativeConfig};
use super::weights::{ROWS_AT_A_TIME, background_noise, noise_of_sum};
use crate::kernel::{Boundary, Region, Smoother, Window, copy_folded, gaussian_filter, open_diamond_rows};

/// Margin of noise estimates from the edge, px.
const NOISE_MARGIN: usize = 5;

/// Columns processed at a time.
const COLS_AT_A_TIME: usize = 512;

/// Flag of a pixel above the upper bound.
const HIGH: u8 = 1;
/// Flag of a pixel below the lower bound.
const LOW: u8 = 2;

/// Sets pixels beyond a bound to the bound, except in groups smaller than `width` (radius in px of
/// a diamond), which look like noise. `None` leaves that side free; no low bound lies above the
/// high one.
pub fn clamp_groups(
    plane: ArrayViewMut2<f32>,
    high: Option<ArrayView2<f32>>,
    low: Option<ArrayView2<f32>>,
    width: usize,
) {
    let bounds = |at: (usize, usize)| {
        (low.map_or(f32::NEG_INFINITY, |low| low[at]), high.map_or(f32::INFINITY, |high| high[at]))
    };
    let mut flags = Array2::zeros(plane.dim());
    Zip::indexed(&mut flags).and(&plane).for_each(|at, flag, v| *flag = beyond(*v, bounds(at)));
    set_groups(plane, &flags, width, bounds);
}

/// Clamps `new` to a range around `old` (docs/algorithm.md §6.4).
pub fn clamp_iteration(new: ArrayViewMut2<f32>, old: ArrayView2<f32>, noise: f64, config: &IterativeConfig) {
    let factor = config.regularize_model_iterations as f32;
    if factor == 0.0 {
        return;
    }
    let room = match config.iteration_clamp {
        IterationClamp::Reference => Room::Reference { factor },
        IterationClamp::Symmetric => Room::Symmetric { change: factor - 1.0, floor: 3.0 * noise as f32 },
    };
    let mut flags = Array2::zeros(new.dim());
    let bands: Vec<_> = flags.axis_chunks_iter_mut(Axis(0), ROWS_AT_A_TIME).collect();
    bands.into_par_iter().enumerate().for_each(|(i, mut band)| {
        for (y, mut flags) in band.axis_iter_mut(Axis(0)).enumerate() {
            let y = i * ROWS_AT_A_TIME + y;
            if let (Some(flags), Some(new), Some(old)) =
                (flags.as_slice_mut(), new.row(y).to_slice(), old.row(y).to_slice())
            {
                room.flag(new, old, flags);
            }
        }
    });
    set_groups(new, &flags, config.regularization_width, |at| room.bounds(old[at]));
}

/// Range of a pixel in an iteration.
#[derive(Clone, Copy)]
enum Room {
    Symmetric { change: f32, floor: f32 },
    Reference { factor: f32 },
}

impl Room {
    fn bounds(self, old: f32) -> (f32, f32) {
        match self {
            Self::Symmetric { change, floor } => symmetric_bounds(old, change, floor),
            Self::Reference { factor } => (old / factor, old.abs() * factor),
        }
    }

    fn flag(self, new: &[f32], old: &[f32], flags: &mut [u8]) {
        match self {
            Self::Symmetric { change, floor } => flag_symmetric([change, floor], new, old, flags),
            Self::Reference { .. } => {
                for ((flag, new), old) in flags.iter_mut().zip(new).zip(old) {
                    *flag = beyond(*new, self.bounds(*old));
                }
            }
        }
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn flag_symmetric([change, floor]: [f32; 2], new: &[f32], old: &[f32], flags: &mut [u8]) {
    for ((flag, new), old) in flags.iter_mut().zip(new).zip(old) {
        *flag = beyond(*new, symmetric_bounds(*old, change, floor));
    }
}

#[inline(always)]
fn symmetric_bounds(old: f32, change: f32, floor: f32) -> (f32, f32) {
    let room = old.abs() * change + floor;
    (old - room, old + room)
}

#[inline(always)]
fn beyond(value: f32, (low, high): (f32, f32)) -> u8 {
    (HIGH * u8::from(value > high)) | (LOW * u8::from(value < low))
}

/// Sets flagged pixels to their bound, if their flags are in large enough groups.
fn set_groups(
    mut plane: ArrayViewMut2<f32>,
    flags: &Array2<u8>,
    width: usize,
    bounds: impl Fn((usize, usize)) -> (f32, f32) + Sync,
) {
    let bands: Vec<_> = plane.axis_chunks_iter_mut(Axis(0), ROWS_AT_A_TIME).collect();
    bands.into_par_iter().enumerate().for_each(|(i, mut band)| {
        let rows = i * ROWS_AT_A_TIME..i * ROWS_AT_A_TIME + band.nrows();
        let Some(kept) = open_diamond_rows(flags.view(), rows.clone(), width) else { return };
        for ((y, x), value) in band.indexed_iter_mut() {
            let (low, high) = match kept[[y, x]] {
                0 => continue,
                _ => bounds((rows.start + y, x)),
            };
            *value = if kept[[y, x]] & HIGH != 0 { high } else { low };
        }
    });
}

/// Additional inputs of the frequency clamp.
pub struct Surroundings<'a> {
    /// The model before this step, `(subfilters, rows, cols)`.
    pub old_byx: ArrayView3<'a, f32>,
    /// Pixels without sources and faults.
    pub background: ArrayView2<'a, bool>,
    /// Share of each subfilter in a flat spectrum.
    pub fractions: &'a [f64],
}

/// Clamps the ratios of the planes.
pub fn clamp_frequency(new_byx: &mut Array3<f32>, around: &Surroundings, config: &IterativeConfig) {
    if config.regularize_model_frequency == 0.0 || new_byx.len_of(Axis(0)) < 2 {
        return;
    }
    if conserves(config, new_byx.len_of(Axis(0))) {
        let mut out = Array3::zeros(new_byx.dim());
        let whole = Region::whole((out.len_of(Axis(1)), out.len_of(Axis(2))));
        conserving_into(new_byx.view(), around, config, &whole, out.view_mut(), &|_, _, _| {});
        *new_byx = out;
    } else {
        reference(new_byx, around, config);
    }
}

/// True if the frequency clamp is the flux-conserving one, and not off.
pub(crate) fn conserves(config: &IterativeConfig, subfilters: usize) -> bool {
    config.regularize_model_frequency > 0.0
        && config.frequency_clamp == FrequencyClamp::Conserving
        && subfilters > 1
}

/// Callback that gets the subfilter, the place `(y, x)` and the pixels of a piece of a row, and may
/// change them.
pub(crate) type Settle<'a> = dyn Fn(usize, (usize, usize), &mut [f32]) + Sync + 'a;

/// Flux-conserving clamp of either sign: colours are smooth.
///
/// Let `t = Σ_a y_a` and `δ_a = y_a − f_a t`, which sum to 0 over subfilters. A source's δ looks
/// like the source. So δ_a is replaced by `c_a t`, where `c_a = G(δ_a t) / (G(t²) + noise²)` is the
/// least-squares slope of δ_a on t in a Gaussian neighbourhood (`regularization_width`), which
/// shrinks to 0 where there is only noise. The `c_a` sum to 0 too: t does not change in any pixel.
/// Last, all δ of a pixel are scaled by one factor so that `c_a` lies between `f_a·(1/√clamp − 1)`
/// and `f_a·(√clamp − 1)`.
///
/// Only `part` of the planes is written, to `out`; every finished piece of a row is passed to
/// `settle`.
pub(crate) fn conserving_into(
    new_byx: ArrayView3<f32>,
    around: &Surroundings,
    config: &IterativeConfig,
    part: &Region,
    mut out: ArrayViewMut3<f32>,
    settle: &Settle,
) {
    let noise = noise_of_sum(new_byx, around.background, NOISE_MARGIN);
    let clamp = Conserving {
        planes_byx: new_byx,
        fractions: around.fractions.iter().map(|f| *f as f32).collect(),
        // Two degrees of smoothing: the slope's own noise is that of as many pixels as the Gaussian
        // averages.
        floor: (noise * noise) as f32,
        root: config.regularize_model_frequency.sqrt() as f32,
    };
    let width = config.regularization_width.max(1) as f64;
    let bands: Vec<_> = out.axis_chunks_iter_mut(Axis(1), ROWS_AT_A_TIME).collect();
    bands.into_par_iter().enumerate().for_each_init(
        || ConservingWork::new(width, new_byx.len_of(Axis(0))),
        |work, (i, mut band)| {
            let (height, top) = (band.len_of(Axis(1)), part.rows.start + i * ROWS_AT_A_TIME);
            for left in part.cols.clone().step_by(COLS_AT_A_TIME) {
                let block = Region {
                    rows: top..top + height,
                    cols: left..(left + COLS_AT_A_TIME).min(part.cols.end),
                };
                clamp.prepare(&block, work);
                for y in block.rows.clone() {
                    clamp.row(y, &block.cols, work);
                    for (b, row) in work.rows.iter_mut().enumerate() {
                        let (y, x) = (y - top, left - part.cols.start);
                        settle(b, (i * ROWS_AT_A_TIME + y, x), row);
                        let mut target = band.slice_mut(s![b, y, x..x + row.len()]);
                        if let Some(target) = target.as_slice_mut() {
                            target.copy_from_slice(row);
                        }
                    }
                }
            }
        },
    );
}

/// The flux-conserving clamp of planes.
struct Conserving<'a> {
    planes_byx: ArrayView3<'a, f32>,
    fractions: Vec<f32>,
    floor: f32,
    root: f32,
}

/// Workspace of the clamp.
struct ConservingWork {
    smoother: Smoother,
    /// t², and δ_a t for all but the last plane, whose sum is 0 with them.
    products: Vec<Window>,
    /// The finished row of each plane.
    rows: Vec<Vec<f32>>,
    /// Slopes, smoothed power and sum of each pixel.
    slopes: Vec<Vec<f32>>,
    power: Vec<f32>,
    total: Vec<f32>,
    scale: Vec<f32>,
}

impl ConservingWork {
    fn new(width: f64, planes: usize) -> Self {
        Self {
            smoother: Smoother::new(width),
            products: vec![Window::default(); planes],
            rows: vec![vec![]; planes],
            slopes: vec![vec![]; planes],
            power: vec![],
            total: vec![],
            scale: vec![],
        }
    }
}

impl Conserving<'_> {
    /// Computes the products around a block.
    fn prepare(&self, block: &Region, work: &mut ConservingWork) {
        let radius = work.smoother.radius();
        work.products.iter_mut().for_each(|product| product.cover_around(block, radius));
        let Some(first) = work.products.first() else { return };
        let cols = first.cols();
        for y in first.rows() {
            for (plane, row) in self.planes_byx.axis_iter(Axis(0)).zip(&mut work.rows) {
                row.resize(cols.len(), 0.0);
                copy_folded(plane, (y, cols.start), Boundary::Reflect, row);
            }
            sum_rows(&work.rows, &mut work.total);
            let (power, others) = work.products.split_at_mut(1);
            multiply(0.0, &work.total, &work.total, power[0].row_mut(y, cols.start, cols.len()));
            for ((product, row), fraction) in others.iter_mut().zip(&work.rows).zip(&self.fractions) {
                multiply(*fraction, row, &work.total, product.row_mut(y, cols.start, cols.len()));
            }
        }
    }

    /// Clamps the columns `cols` of row `y`; leaves them in `work.rows`.
    fn row(&self, y: usize, cols: &Range<usize>, work: &mut ConservingWork) {
        let at = (y as isize, cols.start as isize);
        work.rows.iter_mut().for_each(|row| row.resize(cols.len(), 0.0));
        for (plane, row) in self.planes_byx.axis_iter(Axis(0)).zip(&mut work.rows) {
            copy_folded(plane, at, Boundary::Reflect, row);
        }
        sum_rows(&work.rows, &mut work.total);
        work.power.resize(cols.len(), 0.0);
        work.smoother.row(&work.products[0], at, &mut work.power);
        work.scale.clear();
        work.scale.resize(cols.len(), 1.0);
        let Some((last, free)) = work.slopes.split_last_mut() else { return };
        last.clear();
        last.resize(cols.len(), 0.0);
        for (slope, product) in free.iter_mut().zip(&work.products[1..]) {
            slope.resize(cols.len(), 0.0);
            work.smoother.row(product, at, slope);
            to_slope(&work.power, self.floor, slope, last);
        }
        for (slope, fraction) in work.slopes.iter().zip(&self.fractions) {
            limit_scale(
                [fraction * (self.root - 1.0), fraction * (1.0 / self.root - 1.0)],
                slope,
                &mut work.scale,
            );
        }
        for ((slope, fraction), row) in work.slopes.iter().zip(&self.fractions).zip(&mut work.rows) {
            share_out(*fraction, slope, &work.scale, &work.total, row);
        }
    }
}

/// `total = Σ rows`, for at least two rows.
fn sum_rows(rows: &[Vec<f32>], total: &mut Vec<f32>) {
    let [first, second, others @ ..] = rows else { return };
    total.resize(first.len(), 0.0);
    sum_of(first, second, total);
    others.iter().for_each(|row| add(row, total));
}

#[multiversion(targets("x86_64+avx2"))]
fn sum_of(a: &[f32], b: &[f32], out: &mut [f32]) {
    for ((o, a), b) in out.iter_mut().zip(a).zip(b) {
        *o = a + b;
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn add(row: &[f32], total: &mut [f32]) {
    for (t, v) in total.iter_mut().zip(row) {
        *t += v;
    }
}

/// `out = (row − fraction·total)·total`.
#[multiversion(targets("x86_64+avx2"))]
fn multiply(fraction: f32, row: &[f32], total: &[f32], out: &mut [f32]) {
    for ((o, v), t) in out.iter_mut().zip(row).zip(total) {
        *o = (v - fraction * t) * t;
    }
}

/// Turns a smoothed product into a slope, and subtracts it from the last plane's.
#[multiversion(targets("x86_64+avx2"))]
fn to_slope(power: &[f32], floor: f32, slope: &mut [f32], last: &mut [f32]) {
    for ((c, last), p) in slope.iter_mut().zip(last).zip(power) {
        let power = p + floor;
        *c = if power > 0.0 { *c / power } else { 0.0 };
        *last -= *c;
    }
}

/// Lowers each pixel's scale until its slope is between the bounds, one above and one below 0.
#[multiversion(targets("x86_64+avx2"))]
fn limit_scale([high, low]: [f32; 2], slope: &[f32], scale: &mut [f32]) {
    for (s, c) in scale.iter_mut().zip(slope) {
        let bound = if *c > 0.0 { high } else { low };
        let most = if (*c > high) | (*c < low) { bound / c } else { 1.0 };
        *s = if most < *s { most } else { *s };
    }
}

/// `row = (fraction + slope·scale)·total`.
#[multiversion(targets("x86_64+avx2"))]
fn share_out(fraction: f32, slope: &[f32], scale: &[f32], total: &[f32], row: &mut [f32]) {
    for (((v, c), s), t) in row.iter_mut().zip(slope).zip(scale).zip(total) {
        *v = (fraction + c * s) * t;
    }
}

/// The clamp of docs/algorithm.md §6.9, as in the reference.
fn reference(new_byx: &mut Array3<f32>, around: &Surroundings, config: &IterativeConfig) {
    let width = config.regularization_width as f64;
    let root = config.regularize_model_frequency.sqrt() as f32;
    let noise = background_noise(new_byx.index_axis(Axis(0), 0), around.background, NOISE_MARGIN);
    let Some(mut mean) = around.old_byx.mean_axis(Axis(0)) else { return };
    mean.mapv_inplace(|v| if v.is_finite() && v > 0.0 { v } else { 0.0 });
    if mean.iter().all(|v| *v == 0.0) {
        return;
    }
    let floor = (3.0 * noise / (2.0 * width)) as f32;
    let smoothed = |plane: ArrayView2<f32>| gaussian_filter(plane, width, Boundary::Zero) + floor;
    let smooth = smoothed(mean.view());
    let (high, low) = (&smooth * root, &smooth / root);
    new_byx.axis_iter_mut(Axis(0)).collect::<Vec<_>>().into_par_iter().for_each(|mut plane| {
        clamp_groups(plane.view_mut(), Some(high.view()), Some(low.view()), config.regularization_width);
        let ratio = smoothed(plane.view()) / &smooth;
        let blurred = gaussian_filter(ratio.view(), width / 3.0, Boundary::Reflect);
        Zip::from(&mut plane)
            .and(&ratio)
            .and(&blurred)
            .and(&mean)
            .for_each(|y, q, b, m| *y = (q + 3.0 * (q - b)) * m);
    });
}
