//! Weights of the model against the template, and the noise of its planes.

use multiversion::multiversion;
use ndarray::{Array2, ArrayView2, ArrayView3, Axis, s};
use rayon::prelude::*;

use crate::kernel::{Boundary, Region, gaussian_filter};

/// Rows of a band: bands are processed side by side, and summed in order.
pub(crate) const ROWS_AT_A_TIME: usize = 64;

/// Weight of the model against the template (docs/algorithm.md §5.5): 1 on sources, tapering to 0
/// away from them.
///
/// DETECTED pixels, blurred with a Gaussian of `width` px, over the maximum. Nothing detected: all
/// zero.
#[must_use]
pub fn model_weights(detected: ArrayView2<bool>, width: f64) -> Array2<f32> {
    let indicator = detected.mapv(|d| f32::from(u8::from(d)));
    let blurred = gaussian_filter(indicator.view(), width, Boundary::Reflect);
    let peak = blurred.iter().copied().fold(0.0_f32, f32::max);
    if peak > 0.0 { blurred / peak } else { blurred }
}

/// Standard deviation over background pixels at least `margin` px inside the plane; 0 where there
/// are none.
///
/// Non-finite pixels are left out.
#[must_use]
pub fn background_noise(plane: ArrayView2<f32>, background: ArrayView2<bool>, margin: usize) -> f64 {
    noise_of_sum(plane.insert_axis(Axis(0)), background, margin)
}

/// [`background_noise`] of the sum of planes, `(planes, rows, cols)`.
pub(crate) fn noise_of_sum(planes: ArrayView3<f32>, background: ArrayView2<bool>, margin: usize) -> f64 {
    let (_, rows, cols) = planes.dim();
    if rows <= 2 * margin || cols <= 2 * margin {
        return 0.0;
    }
    let (inside_y, inside_x) = (margin..rows - margin, margin..cols - margin);
    let planes = planes.slice_move(s![.., inside_y.clone(), inside_x.clone()]);
    let background = background.slice_move(s![inside_y, inside_x]);
    // Squares are about a value of the background, so that a pedestal does not drown them.
    let usable = |(at, b): ((usize, usize), &bool)| {
        let sum: f32 = planes.slice(s![.., at.0, at.1]).sum();
        (*b && sum.is_finite()).then_some(sum)
    };
    let Some(centre) = background.indexed_iter().find_map(usable) else { return 0.0 };
    let bands: Vec<usize> = (0..background.nrows()).step_by(ROWS_AT_A_TIME).collect();
    let of_band = |top: &usize| {
        let (mut moments, mut sum) = (Moments::default(), vec![0.0_f32; background.ncols()]);
        for y in *top..(top + ROWS_AT_A_TIME).min(background.nrows()) {
            sum.fill(-centre);
            for plane in planes.axis_iter(Axis(0)) {
                match plane.row(y).to_slice() {
                    Some(row) => add(row, &mut sum),
                    None => sum.iter_mut().zip(plane.row(y)).for_each(|(s, v)| *s += v),
                }
            }
            let Some(background) = background.row(y).to_slice() else {
                unreachable!("rows of the background are contiguous")
            };
            moments.add(&sum, background);
        }
        moments
    };
    // Bands have one size and are summed in order, for any number of threads.
    let parts: Vec<Moments> = bands.par_iter().map(of_band).collect();
    parts.into_iter().fold(Moments::default(), Moments::with).deviation()
}

/// Count, sum and sum of squares of values.
#[derive(Clone, Copy, Default)]
struct Moments {
    count: f64,
    sum: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, values: &[f32], take: &[bool]) {
        let [count, sum, squares] = moments_of_row(values, take);
        *self = self.with(Self { count, sum, squares });
    }

    fn with(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            sum: self.sum + other.sum,
            squares: self.squares + other.squares,
        }
    }

    fn deviation(self) -> f64 {
        if self.count == 0.0 {
            return 0.0;
        }
        let mean = self.sum / self.count;
        (self.squares / self.count - mean * mean).max(0.0).sqrt()
    }
}

/// Count, sum and sum of squares of the selected values.
#[multiversion(targets("x86_64+avx2"))]
fn moments_of_row(values: &[f32], take: &[bool]) -> [f64; 3] {
    const LANES: usize = 16;
    let (mut count, mut sum, mut squares) = ([0_u32; LANES], [0.0_f64; LANES], [0.0_f64; LANES]);
    for (values, take) in values.chunks(LANES).zip(take.chunks(LANES)) {
        for lane in 0..values.len().min(take.len()) {
            let take = take[lane] & (values[lane].abs() < f32::INFINITY);
            let value = f64::from(if take { values[lane] } else { 0.0 });
            count[lane] += u32::from(take);
            sum[lane] += value;
            squares[lane] += value * value;
        }
    }
    [count.iter().map(|c| f64::from(*c)).sum(), sum.iter().sum(), squares.iter().sum()]
}

#[multiversion(targets("x86_64+avx2"))]
fn add(row: &[f32], sum: &mut [f32]) {
    for (s, v) in sum.iter_mut().zip(row) {
        *s += v;
    }
}

/// Weight of each pixel in the convergence metric (docs/algorithm.md §7.1): |mean plane| + 3 ×
/// noise; all zero becomes 1.
pub(crate) struct Significance<'a> {
    /// Planes of the model, `(subfilters, rows, cols)`.
    model_byx: ArrayView3<'a, f32>,
    floor: f32,
    /// The model is 0 everywhere: all pixels count equally.
    nothing: bool,
}

impl<'a> Significance<'a> {
    pub(crate) fn new(model_byx: ArrayView3<'a, f32>, noise: f64) -> Self {
        let floor = 3.0 * noise as f32;
        let mut out = Self { model_byx, floor, nothing: false };
        let (_, rows, cols) = model_byx.dim();
        out.nothing = floor == 0.0 && out.of(&Region::whole((rows, cols))).iter().all(|s| *s == 0.0);
        out
    }

    /// The weights of a region of the model's planes.
    pub(crate) fn of(&self, region: &Region) -> Array2<f32> {
        if self.nothing {
            return Array2::ones(region.shape());
        }
        let mut out = Array2::zeros(region.shape());
        let share = 1.0 / self.model_byx.len_of(Axis(0)) as f32;
        for (y, mut row) in region.rows.clone().zip(out.rows_mut()) {
            let Some(row) = row.as_slice_mut() else { unreachable!("a new array is contiguous") };
            for plane in self.model_byx.axis_iter(Axis(0)) {
                match plane.slice(s![y, region.cols.clone()]).to_slice() {
                    Some(plane) => add(plane, row),
                    None => unreachable!("rows of the model are contiguous"),
                }
            }
            for value in row {
                let mean = *value * share;
                *value = if mean.is_finite() { mean.abs() + self.floor } else { self.floor };
            }
        }
        out
    }
}
