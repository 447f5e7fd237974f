//! Stamps about bright sources, from which a kernel is learnt.

use ndarray::{Array2, Zip, s};
use rayon::prelude::*;

use super::basis::Shapes;
use super::{Frame, filled};
use crate::convolve::correlate;

/// Minimum significance of a peak used for PSF matching, in standard deviations.
const BRIGHT: f32 = 20.0;
/// Half the side of a stamp, in FWHM of the wider PSF.
const HALF_SIDE_FWHM: f64 = 2.5;
/// The share of a stamp's pixels that must be good.
const GOOD_SHARE: f64 = 0.6;
/// Rows and columns of blocks over which stamps are spread, so that no crowded corner dominates.
const BLOCKS: usize = 4;
/// Maximum stamps per block.
const MOST_IN_BLOCK: usize = 12;
/// Floor of the model error, as a share of the light. It keeps one bright star from dominating.
const MODEL_ERROR: f64 = 0.01;

/// Good pixels of one stamp, with the image there convolved with each shape.
pub(super) struct Stamp {
    pub(super) row: usize,
    pub(super) col: usize,
    /// `[pixel, shape]`; the last column is 1, for the background.
    pub(super) design: Array2<f64>,
    /// The image to be matched, minus nothing.
    pub(super) target: Vec<f64>,
    /// Inverse standard deviations.
    pub(super) weight: Vec<f64>,
}

/// Cuts stamps of `sharp`, convolved with each shape, and of `wide`.
pub(super) fn cut(sharp: &Frame<'_>, wide: &Frame<'_>, shapes: &Shapes) -> Vec<Stamp> {
    let half = (HALF_SIDE_FWHM * sharp.fwhm_px.max(wide.fwhm_px)).ceil() as usize;
    // A pixel can be modelled where no bad pixel of the image that is convolved is near; further ones, filled, hardly matter.
    let unusable = {
        let reached = grown(sharp.bad, shapes.core, shapes.half);
        Zip::from(&reached).and(wide.bad).map_collect(|a, b| *a || *b)
    };
    let places = places(wide, &unusable, half);
    let known = filled(sharp);
    let cutter = Cutter { known: &known, sharp, wide, shapes, unusable: &unusable, half };
    places.into_par_iter().filter_map(|place| cutter.stamp(place)).collect()
}

/// The brightest peaks, spread over the field and apart from one another.
fn places(frame: &Frame<'_>, unusable: &Array2<bool>, half: usize) -> Vec<(usize, usize)> {
    let significance = smoothed(frame);
    let (rows, cols) = significance.dim();
    let reach = (frame.fwhm_px / 2.0).ceil() as usize + 1;
    let mut peaks = Vec::new();
    for row in half..rows.saturating_sub(half) {
        for col in half..cols.saturating_sub(half) {
            let value = significance[[row, col]];
            if value < BRIGHT || unusable[[row, col]] {
                continue;
            }
            let around = significance.slice(s![row - reach..=row + reach, col - reach..=col + reach]);
            if around.iter().all(|other| *other <= value) {
                peaks.push((value, row, col));
            }
        }
    }
    peaks.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    let mut taken: Vec<(usize, usize)> = Vec::new();
    let mut in_block = [[0; BLOCKS]; BLOCKS];
    for (_, row, col) in peaks {
        let block = &mut in_block[row * BLOCKS / rows][col * BLOCKS / cols];
        let apart = |(r, c): &(usize, usize)| r.abs_diff(row).max(c.abs_diff(col)) > half;
        if *block < MOST_IN_BLOCK && taken.iter().all(apart) {
            *block += 1;
            taken.push((row, col));
        }
    }
    taken
}

/// The image smoothed by its PSF, a Gaussian here, over its noise.
fn smoothed(frame: &Frame<'_>) -> Array2<f32> {
    let sigma = frame.fwhm_px / dcr_image::psf::FWHM_PER_SIGMA;
    let half = (3.0 * sigma).ceil() as usize;
    let kernel = Array2::from_shape_fn((2 * half + 1, 2 * half + 1), |(row, col)| {
        let r2 = (row as f64 - half as f64).powi(2) + (col as f64 - half as f64).powi(2);
        (-0.5 * r2 / (sigma * sigma)).exp()
    });
    let kept = |plane: &Array2<f32>| {
        Zip::from(plane).and(frame.bad).map_collect(|value, bad| if *bad { 0.0 } else { *value })
    };
    let signal = correlate(kept(frame.image).view(), kernel.view());
    let noise = correlate(kept(frame.variance).view(), kernel.mapv(|weight| weight * weight).view());
    Zip::from(&signal).and(&noise).map_collect(|s, v| if *v > 0.0 { s / v.sqrt() } else { 0.0 })
}

/// Pixels within `reach` of a set one along both axes, or within `edge` of the edge.
fn grown(flags: &Array2<bool>, reach: usize, edge: usize) -> Array2<bool> {
    let along = |line: Vec<bool>| -> Vec<bool> {
        let n = line.len();
        let mut last = None;
        let mut out = vec![false; n];
        for i in 0..n {
            if line[i] {
                last = Some(i);
            }
            out[i] |= i < edge || i + edge >= n || last.is_some_and(|last| i - last <= reach);
        }
        let mut next = None;
        for i in (0..n).rev() {
            if line[i] {
                next = Some(i);
            }
            out[i] |= next.is_some_and(|next| next - i <= reach);
        }
        out
    };
    let mut out = flags.clone();
    for mut row in out.rows_mut() {
        let done = along(row.to_vec());
        row.iter_mut().zip(done).for_each(|(flag, done)| *flag = done);
    }
    for mut column in out.columns_mut() {
        let done = along(column.to_vec());
        column.iter_mut().zip(done).for_each(|(flag, done)| *flag = done);
    }
    out
}

struct Cutter<'a> {
    /// The image to convolve, without holes.
    known: &'a Array2<f32>,
    sharp: &'a Frame<'a>,
    wide: &'a Frame<'a>,
    shapes: &'a Shapes,
    unusable: &'a Array2<bool>,
    half: usize,
}

impl Cutter<'_> {
    /// The stamp about a pixel, unless too many of its pixels are bad.
    fn stamp(&self, (row, col): (usize, usize)) -> Option<Stamp> {
        let pixels: Vec<(usize, usize)> = (row - self.half..=row + self.half)
            .flat_map(|r| (col - self.half..=col + self.half).map(move |c| (r, c)))
            .filter(|at| !self.unusable[*at])
            .collect();
        let side = (2 * self.half + 1) as f64;
        if (pixels.len() as f64) < GOOD_SHARE * side * side {
            return None;
        }
        let shapes = &self.shapes.planes;
        let reach = self.shapes.half;
        let mut design = Array2::ones((pixels.len(), shapes.len() + 1));
        let kernels: Vec<Array2<f64>> =
            shapes.iter().map(|shape| crate::convolve::turned(shape.view())).collect();
        for (&(r, c), mut line) in pixels.iter().zip(design.rows_mut()) {
            let around = self.known.slice(s![r - reach..=r + reach, c - reach..=c + reach]);
            for (kernel, value) in kernels.iter().zip(line.iter_mut()) {
                *value = kernel.iter().zip(&around).map(|(k, a)| k * f64::from(*a)).sum();
            }
        }
        let target: Vec<f64> = pixels.iter().map(|at| f64::from(self.wide.image[*at])).collect();
        let weight = pixels
            .iter()
            .zip(&target)
            .map(|(at, value)| {
                let noise = f64::from(self.wide.variance[*at])
                    + self.shapes.noise * f64::from(self.sharp.variance[*at]);
                (noise + (MODEL_ERROR * value).powi(2)).sqrt().recip()
            })
            .collect();
        Some(Stamp { row, col, design, target, weight })
    }
}
