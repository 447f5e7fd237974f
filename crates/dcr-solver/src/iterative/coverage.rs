//! How many visits reach each pixel, and with which weight (ALGORITHM §5.4).

use multiversion::multiversion;
use ndarray::{Array2, Array3, Axis, Zip, s};
use rayon::prelude::*;

use super::config::{Edge, IterativeConfig};
use super::project::{Pass, Tile, Trust, margin};
use crate::kernel::{Order, prefilter_f32, shift_add};
use crate::observation::{GOOD, SourceError};

/// How many visits, and with which weight, reach each pixel in each subfilter (ALGORITHM §5.4).
#[derive(Clone, Debug)]
pub struct Coverage {
    /// Number of visits, as their good-pixel maps displaced and summed, `(subfilters, rows, cols)`.
    pub count_byx: Array3<f32>,
    /// The same with the visits' weights.
    pub weight_byx: Array3<f32>,
    /// Rounded counts.
    pub n_image_byx: Array3<u16>,
}

impl Pass<'_> {
    /// Coverage of the domain.
    pub(crate) fn coverage(&self) -> Result<Coverage, SourceError> {
        // Weights are never interpolated with an order that overshoots, but in the reference.
        let order = match self.config.edge {
            Edge::NoWeight => Order::LINEAR,
            Edge::Zero => self.config.spline_order(),
        };
        let tiles = self.tiles();
        let done: Vec<Coverage> =
            tiles.par_iter().map(|tile| self.cover_tile(tile, order)).collect::<Result<_, _>>()?;
        let n = self.basis.subfilters();
        let (rows, cols) = self.domain.shape();
        let mut out = Coverage::zeros((n, rows, cols));
        for (tile, part) in tiles.iter().zip(done) {
            let region = tile.region.within(self.domain);
            let at = s![.., region.rows, region.cols];
            out.count_byx.slice_mut(at).assign(&part.count_byx);
            out.weight_byx.slice_mut(at).assign(&part.weight_byx);
            out.n_image_byx.slice_mut(at).assign(&part.n_image_byx);
        }
        Ok(out)
    }

    fn cover_tile(&self, tile: &Tile, order: Order) -> Result<Coverage, SourceError> {
        let mut out =
            Coverage::zeros((self.basis.subfilters(), tile.region.rows.len(), tile.region.cols.len()));
        for visit in 0..self.observations.visits() {
            let shifts = self.observations.shifts(visit, tile.cell);
            let region = tile.region.grown(margin(shifts, order), self.domain);
            let pixels = self.observations.pixels(visit, &region)?;
            let Trust { inside, leaked } = self.trust(shifts, &region.within(self.domain));
            let mut good = Array2::zeros(region.shape());
            Zip::from(inside.of_mut(good.view_mut()))
                .and(inside.of(&pixels.flags.view()))
                .and(inside.of(&pixels.image.view()))
                .for_each(|g, f, s| *g = f32::from(u8::from(f & GOOD != 0 && s.is_finite())));
            if let Some(leaked) = leaked {
                good.zip_mut_with(&leaked, |g, leaked| *g = if *leaked { 0.0 } else { *g });
            }
            let good = prefilter_f32(good.view(), order);
            let target = tile.region.within(&region);
            let weight = self.observations.weight(visit) as f32;
            for (b, shift) in shifts.iter().enumerate() {
                let mut share = Array2::zeros(tile.region.shape());
                shift_add(good.view(), shift.mean.reversed(), order, 1.0, share.view_mut(), &target);
                let mut count = out.count_byx.index_axis_mut(Axis(0), b);
                let mut total = out.weight_byx.index_axis_mut(Axis(0), b);
                let mut n_image = out.n_image_byx.index_axis_mut(Axis(0), b);
                if let (Some(share), Some(count), Some(total), Some(n_image)) =
                    (share.as_slice(), count.as_slice_mut(), total.as_slice_mut(), n_image.as_slice_mut())
                {
                    add_share(share, weight, count, total, n_image);
                }
            }
        }
        Ok(out)
    }
}

impl Coverage {
    fn zeros(shape: (usize, usize, usize)) -> Self {
        Self {
            count_byx: Array3::zeros(shape),
            weight_byx: Array3::zeros(shape),
            n_image_byx: Array3::zeros(shape),
        }
    }

    /// 1/weight where enough visits see the pixel in every subfilter, else 0; `n_image` is emptied there too.
    pub(crate) fn into_inverse(mut self, config: &IterativeConfig) -> (Array3<f32>, Array3<u16>) {
        let (n, rows, cols) = self.count_byx.dim();
        let enough = |count: f32| {
            if config.reference_bookkeeping {
                f64::from(count) > config.min_coverage
            } else {
                // Interpolation weights sum to 1 only to rounding.
                f64::from(count) > config.min_coverage - 1e-3
            }
        };
        for y in 0..rows {
            for x in 0..cols {
                let covered =
                    (0..n).all(|b| enough(self.count_byx[[b, y, x]]) && self.weight_byx[[b, y, x]] > 0.0);
                for b in 0..n {
                    let weight = &mut self.weight_byx[[b, y, x]];
                    *weight = if covered { 1.0 / *weight } else { 0.0 };
                    if !covered {
                        self.n_image_byx[[b, y, x]] = 0;
                    }
                }
            }
        }
        (self.weight_byx, self.n_image_byx)
    }
}

/// Adds a visit's share of each pixel, between 0 and 1 but for the ringing of high orders, to the three sums.
#[multiversion(targets("x86_64+avx2", "x86_64+avx512f+avx512vl"))]
fn add_share(share: &[f32], weight: f32, count: &mut [f32], total: &mut [f32], n_image: &mut [u16]) {
    /// Adding and taking away 1.5 × 2²³ rounds to the nearest integer, ties to even.
    const ROUNDER: f32 = 12_582_912.0;
    for (((share, count), total), n_image) in share.iter().zip(count).zip(total).zip(n_image) {
        *count += share;
        *total += weight * share;
        *n_image += ((share + ROUNDER) - ROUNDER).max(0.0) as u16;
    }
}
