//! Coverage: number and weight of visits that reach each pixel (docs/algorithm.md §5.4).

use multiversion::multiversion;
use ndarray::{Array2, Array3, Axis, Zip, s};
use rayon::prelude::*;

use super::config::{Edge, IterativeConfig};
use super::leaks::Leaks;
use super::project::Pass;
use super::tiling::{Tile, margin};
use crate::kernel::{Order, Region, Stencil, Window, prefilter_f32};
use crate::observation::{GOOD, Pixels, Rows, SourceError};

/// Number and weight of visits that reach each pixel in each subfilter (docs/algorithm.md §5.4).
#[derive(Clone, Debug)]
pub struct Coverage {
    /// Number of visits: sum of their displaced good-pixel maps, `(subfilters, rows, cols)`.
    pub count_byx: Array3<f32>,
    /// Weight of the visits, of the same shape.
    pub weight_byx: Array3<f32>,
    /// Rounded counts.
    pub n_image_byx: Array3<u16>,
}

impl Pass<'_> {
    /// Coverage of the domain.
    pub(crate) fn coverage(&self) -> Result<Coverage, SourceError> {
        let n = self.basis.subfilters();
        let (rows, cols) = self.domain.shape();
        let mut out = Coverage::zeros((n, rows, cols));
        self.cover(self.tiles(), &mut out)?;
        Ok(out)
    }

    /// Recomputes the coverage where visits have lost pixels to `leaks`.
    pub(crate) fn withdraw(&self, leaks: &Leaks, coverage: &mut Coverage) -> Result<(), SourceError> {
        let reach = |tile: &Tile| {
            let visits = 0..self.observations.visits();
            visits.map(|v| margin(self.observations.shifts(v, tile.cell), Order::LINEAR)).max().unwrap_or(0)
        };
        let touched = |tile: &Tile| leaks.touch(&tile.region.grown(reach(tile), self.domain));
        let tiles: Vec<Tile> = self.tiles().into_iter().filter(touched).collect();
        self.cover(tiles, coverage)
    }

    fn cover(&self, tiles: Vec<Tile>, out: &mut Coverage) -> Result<(), SourceError> {
        self.for_batches(tiles, self.coverage_order(), |tiles, rows| {
            let done: Vec<Coverage> = tiles
                .par_iter()
                .map_init(CoverageWork::default, |work, tile| self.cover_tile(tile, rows, work))
                .collect::<Result<_, _>>()?;
            for (tile, part) in tiles.iter().zip(done) {
                let region = tile.region.within(self.domain);
                let at = s![.., region.rows, region.cols];
                out.count_byx.slice_mut(at).assign(&part.count_byx);
                out.weight_byx.slice_mut(at).assign(&part.weight_byx);
                out.n_image_byx.slice_mut(at).assign(&part.n_image_byx);
            }
            Ok(())
        })
    }

    /// Weights are never interpolated with an overshooting order, except in the reference.
    fn coverage_order(&self) -> Order {
        match self.config.edge {
            Edge::NoWeight => Order::LINEAR,
            Edge::Zero => self.config.spline_order(),
        }
    }

    /// Removes the pixels of a visit that draw on unconstrained model pixels; returns `false`
    /// without any.
    fn take_leaks(&self, visit: usize, region: &Region, inside: &Region, good: &mut Window) -> bool {
        let Some(leaks) = self.leaks else { return false };
        let cols = region.cols.start + inside.cols.start..region.cols.start + inside.cols.end;
        let mut any = false;
        for y in region.rows.start + inside.rows.start..region.rows.start + inside.rows.end {
            if leaks.has_row(visit, y) {
                let (in_y, in_x) = (y - self.domain.rows.start, cols.start - self.domain.cols.start);
                let row = good.row_mut(in_y as isize, in_x as isize, cols.len());
                leaks.clear(visit, (y, &cols), row, 0.0);
                any = true;
            }
        }
        any
    }

    fn cover_tile(
        &self,
        tile: &Tile,
        rows: &dyn Rows,
        work: &mut CoverageWork,
    ) -> Result<Coverage, SourceError> {
        let order = self.coverage_order();
        let here = tile.region.within(self.domain);
        let mut out = Coverage::zeros((self.basis.subfilters(), here.rows.len(), here.cols.len()));
        // Visits that are good everywhere around the tile.
        let (mut whole_visits, mut whole_weight) = (0_u16, 0.0_f64);
        for visit in 0..self.observations.visits() {
            let shifts = self.observations.shifts(visit, tile.cell);
            let region = tile.region.grown(margin(shifts, order), self.domain);
            let pixels = rows.pixels(visit, &region)?;
            let local = region.within(self.domain);
            let inside = self.support(shifts, &local);
            work.good.cover_around(&here, margin(shifts, order));
            let all_good = work.note_good(&pixels, &local, &inside);
            let all_good = all_good && !self.take_leaks(visit, &region, &inside, &mut work.good);
            let back: Vec<Stencil> = shifts
                .iter()
                .map(|shift| Stencil::new(order, self.domain.shape(), shift.mean.reversed(), 1.0))
                .collect();
            let weight = self.observations.weight(visit);
            if all_good && self.config.edge == Edge::NoWeight && back.iter().all(|s| s.reaches(&here)) {
                whole_visits += 1;
                whole_weight += weight;
                continue;
            }
            if order.needs_prefilter() {
                work.prefilter(&local, order);
            }
            work.good.mirror_beyond(&local);
            for (b, stencil) in back.iter().enumerate() {
                work.add_visit(&here, b, stencil, weight as f32, &mut out);
            }
        }
        out.count_byx += f32::from(whole_visits);
        out.weight_byx += whole_weight as f32;
        out.n_image_byx += whole_visits;
        Ok(out)
    }
}

/// Workspace of a tile.
#[derive(Default)]
struct CoverageWork {
    good: Window,
    share: Vec<f32>,
    blended: Vec<f32>,
}

impl CoverageWork {
    /// Notes good pixels of a region of a visit as 1, others as 0; returns `true` if all are good.
    fn note_good(&mut self, pixels: &Pixels, region: &Region, inside: &Region) -> bool {
        let mut all = inside.shape() == region.shape();
        for y in inside.rows.clone() {
            let (x, count) = (region.cols.start + inside.cols.start, inside.cols.len());
            let row = self.good.row_mut((region.rows.start + y) as isize, x as isize, count);
            let part = s![y, inside.cols.clone()];
            if let (Some(image), Some(flags)) =
                (pixels.image.slice(part).as_slice(), pixels.flags.slice(part).as_slice())
            {
                good_pixels(image, flags, row);
            }
            all &= row.iter().fold(1.0_f32, |least, g| least.min(*g)) == 1.0;
        }
        all
    }

    /// Turns the noted pixels into spline coefficients.
    fn prefilter(&mut self, region: &Region, order: Order) {
        let (top, left) = (region.rows.start as isize, region.cols.start as isize);
        let mut plane = Array2::zeros(region.shape());
        for (y, mut row) in (top..).zip(plane.rows_mut()) {
            let good = self.good.row(y, left, row.len());
            row.iter_mut().zip(good).for_each(|(v, g)| *v = *g);
        }
        let filtered = prefilter_f32(plane.view(), order);
        for (y, row) in (top..).zip(filtered.rows()) {
            let good = self.good.row_mut(y, left, row.len());
            good.iter_mut().zip(row).for_each(|(g, v)| *g = *v);
        }
    }

    /// Adds a visit's displaced pixels to the sums of a subfilter.
    fn add_visit(&mut self, tile: &Region, b: usize, stencil: &Stencil, weight: f32, out: &mut Coverage) {
        let part = tile.intersection(&stencil.support());
        let (width, (rows, cols)) = (part.cols.len(), tile.shape());
        self.share.resize(width, 0.0);
        self.blended.resize(width + Stencil::SCRATCH, 0.0);
        let (Some(count), Some(total), Some(n_image)) =
            (out.count_byx.as_slice_mut(), out.weight_byx.as_slice_mut(), out.n_image_byx.as_slice_mut())
        else {
            unreachable!("a tile's sums are contiguous")
        };
        for y in part.rows.clone() {
            self.share.fill(0.0);
            let displaced = [(stencil, &self.good)];
            Stencil::add_rows(displaced, (y, part.cols.start), &mut self.blended, &mut self.share);
            let start = (b * rows + y - tile.rows.start) * cols + part.cols.start - tile.cols.start;
            let at = start..start + width;
            add_share(&self.share, weight, &mut count[at.clone()], &mut total[at.clone()], &mut n_image[at]);
        }
    }
}

/// Indicator of good pixels, 1 or 0.
#[multiversion(targets("x86_64+avx2"))]
fn good_pixels(image: &[f32], flags: &[u8], out: &mut [f32]) {
    for ((g, s), f) in out.iter_mut().zip(image).zip(flags) {
        *g = if (f & GOOD != 0) & (s.abs() < f32::INFINITY) { 1.0 } else { 0.0 };
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

    /// Pixels with enough visits in every subfilter.
    pub(crate) fn covered(&self, config: &IterativeConfig) -> Array2<bool> {
        let (_, rows, cols) = self.count_byx.dim();
        // Interpolation weights sum to 1 only to rounding.
        let leeway = if config.reference_bookkeeping { 0.0 } else { 1e-3 };
        let enough = (config.min_coverage - leeway) as f32;
        let mut covered_yx = Array2::from_elem((rows, cols), true);
        for (count, weight) in self.count_byx.axis_iter(Axis(0)).zip(self.weight_byx.axis_iter(Axis(0))) {
            Zip::from(&mut covered_yx)
                .and(count)
                .and(weight)
                .for_each(|covered, count, weight| *covered &= (*count > enough) & (*weight > 0.0));
        }
        covered_yx
    }

    /// 1/weight where enough visits cover the pixel, else 0; the number of visits is 0 there too.
    pub(crate) fn into_inverse(self, config: &IterativeConfig) -> (Array3<f32>, Array3<u16>) {
        let covered_yx = self.covered(config);
        let Self { weight_byx: mut inverse_byx, mut n_image_byx, .. } = self;
        for (inverse, n) in inverse_byx.axis_iter_mut(Axis(0)).zip(n_image_byx.axis_iter_mut(Axis(0))) {
            Zip::from(inverse).and(n).and(&covered_yx).for_each(|w, n, covered| {
                *w = if *covered { 1.0 / *w } else { 0.0 };
                *n = if *covered { *n } else { 0 };
            });
        }
        (inverse_byx, n_image_byx)
    }
}

/// Adds a visit's coverage of each pixel, between 0 and 1 except for the ringing of high orders, to
/// the three sums.
#[multiversion(targets("x86_64+avx2"))]
fn add_share(share: &[f32], weight: f32, count: &mut [f32], total: &mut [f32], n_image: &mut [u16]) {
    /// Adding and taking away 1.5 × 2²³ rounds to the nearest integer, ties to even.
    const ROUNDER: f32 = 12_582_912.0;
    for (((share, count), total), n_image) in share.iter().zip(count).zip(total).zip(n_image) {
        *count += share;
        *total += weight * share;
        *n_image += ((share + ROUNDER) - ROUNDER).max(0.0) as u16;
    }
}
