//! One pass over the data: forward model, residual, back-projection and the metric's sums, tile by
//! tile.
//!
//! A tile needs the residual a little beyond its edge, where its light may have gone, and the model
//! a little further still. Tiles are independent of each other and are summed visit by visit in
//! order, so that the result depends neither on the number of threads nor on the tiling.

use ndarray::{Array2, Array3, ArrayView2, ArrayView3, ArrayViewMut2, Axis, s};
use rayon::prelude::*;

use super::config::{Edge, Interpolation, IterativeConfig};
use super::leaks::Leaks;
use super::planes::forward_support;
use super::tile::{Comparison, ModelPlanes, TileWork, VisitStencils};
use super::tiling::{Tile, margin, tiles};
use super::weights::Significance;
use crate::kernel::{Order, Region, prefilter_in_place};
use crate::observation::{DETECTED, GOOD, Observations, Rows, SourceError, SubfilterShift};
use crate::spectrum::SpectralBasis;

/// Tiles whose results are held before they are copied to the planes.
const TILES_AT_A_TIME: usize = 256;

/// Inputs of a pass: all arrays cover `domain`, a region of the patch.
pub(crate) struct Pass<'a> {
    pub(crate) observations: &'a dyn Observations,
    pub(crate) cells: &'a [Region],
    pub(crate) basis: &'a SpectralBasis,
    pub(crate) config: &'a IterativeConfig,
    pub(crate) domain: &'a Region,
    /// DETECTED in the template, over `domain`; the metric's pixels, unless each visit's own are
    /// used.
    pub(crate) detected: ArrayView2<'a, bool>,
    /// Untrusted pixels, whose prediction draws on unconstrained model pixels.
    pub(crate) leaks: Option<&'a Leaks>,
}

/// Results of a pass.
#[derive(Default)]
pub(crate) struct Projected {
    /// Σ_i w_i·shift(r_i, −d_ia), `(subfilters, domain)`; not yet divided by coverage.
    pub(crate) back_byx: Array3<f32>,
    /// The metric's numerator and denominator for each visit.
    pub(crate) metric_sums: Vec<[f64; 2]>,
    /// Memory for the model's spline coefficients.
    coefficients_byx: Array3<f32>,
}

impl Pass<'_> {
    /// Compares `model_byx` (over the domain) with every visit. Overwrites `out`.
    pub(crate) fn run(
        &self,
        model_byx: ArrayView3<f32>,
        significance: &Significance,
        out: &mut Projected,
    ) -> Result<(), SourceError> {
        out.make_room(
            (self.basis.subfilters(), self.domain.rows.len(), self.domain.cols.len()),
            self.observations.visits(),
        );
        match (self.config.order, self.config.edge) {
            (Interpolation::Spline(order), Edge::NoWeight) => {
                self.run_tiles(model_byx, significance, order, out)
            }
            (Interpolation::Spline(order), Edge::Zero) => {
                self.run_in_one_piece(model_byx, significance, order, out)
            }
            (Interpolation::Fourier, _) => self.run_fourier(model_byx, significance, out),
        }
    }

    /// The domain in tiles, side by side.
    fn run_tiles(
        &self,
        model_byx: ArrayView3<f32>,
        significance: &Significance,
        order: Order,
        out: &mut Projected,
    ) -> Result<(), SourceError> {
        let mut coefficients_byx = std::mem::take(&mut out.coefficients_byx);
        let planes = match order.needs_prefilter() {
            true => {
                if coefficients_byx.dim() != model_byx.dim() {
                    coefficients_byx = Array3::zeros(model_byx.dim());
                }
                for_planes(&mut coefficients_byx, |b, mut plane| {
                    plane.assign(&model_byx.index_axis(Axis(0), b));
                    prefilter_in_place(plane, order);
                });
                ModelPlanes::new(coefficients_byx.view(), self.basis)
            }
            false => ModelPlanes::new(model_byx, self.basis),
        };
        let stencils = self.stencils(&planes, order);
        self.for_batches(self.tiles(), order, |tiles, rows| {
            let done: Vec<(Array3<f32>, Vec<[f64; 2]>)> = tiles
                .par_iter()
                .map_init(TileWork::default, |work, tile| {
                    let sums =
                        self.run_tile(tile, rows, &planes, &stencils[tile.cell], significance, work)?;
                    Ok((std::mem::take(&mut work.back_byx), sums))
                })
                .collect::<Result<_, SourceError>>()?;
            for (tile, (back_byx, sums)) in tiles.iter().zip(done) {
                let region = tile.region.within(self.domain);
                out.back_byx.slice_mut(s![.., region.rows, region.cols]).assign(&back_byx);
                add_sums(&mut out.metric_sums, &sums);
            }
            Ok(())
        })?;
        if order.needs_prefilter() {
            // Interpolation and summation commute: one prefilter for all visits.
            for_planes(&mut out.back_byx, |_, plane| prefilter_in_place(plane, order));
        }
        out.coefficients_byx = coefficients_byx;
        Ok(())
    }

    /// Processes tiles in batches, from the top down, with the rows of the visits that each needs.
    pub(crate) fn for_batches(
        &self,
        mut tiles: Vec<Tile>,
        order: Order,
        mut work: impl FnMut(&[Tile], &dyn Rows) -> Result<(), SourceError>,
    ) -> Result<(), SourceError> {
        tiles.sort_by_key(|tile| tile.region.rows.start);
        let visits = 0..self.observations.visits();
        let reach = visits
            .flat_map(|visit| (0..self.cells.len()).map(move |cell| (visit, cell)))
            .map(|(visit, cell)| margin(self.observations.shifts(visit, cell), order))
            .max()
            .unwrap_or(0);
        let needed = |tiles: &[Tile]| {
            let start = tiles.iter().map(|tile| tile.region.rows.start).min().unwrap_or(0);
            let end = tiles.iter().map(|tile| tile.region.rows.end).max().unwrap_or(0);
            let whole = Region { rows: start..end, cols: 0..1 };
            whole.grown(reach, &Region { rows: self.domain.rows.clone(), cols: 0..1 }).rows
        };
        let mut batches: Vec<&[Tile]> = vec![];
        let mut rest = tiles.as_slice();
        while let Some(first) = rest.first() {
            let top = first.region.rows.start;
            let fits = |tile: &Tile| {
                tile.region.rows.start == top
                    || tile.region.rows.end - top + 2 * reach <= self.observations.rows_at_a_time()
            };
            let count = rest.iter().take(TILES_AT_A_TIME).take_while(|tile| fits(tile)).count();
            let (batch, others) = rest.split_at(count);
            batches.push(batch);
            rest = others;
        }
        for (i, batch) in batches.iter().enumerate() {
            let next = batches.get(i + 1).map(|next| needed(next));
            let rows = self.observations.rows(needed(batch), next)?;
            work(batch, rows.as_ref())?;
        }
        Ok(())
    }

    /// Compares a tile's pixels with the visits; leaves the back-projection in `work`.
    fn run_tile(
        &self,
        tile: &Tile,
        rows: &dyn Rows,
        planes: &ModelPlanes,
        visits: &[VisitStencils],
        significance: &Significance,
        work: &mut TileWork,
    ) -> Result<Vec<[f64; 2]>, SourceError> {
        let here = tile.region.within(self.domain);
        let weight = self.metric_weight(significance, &here);
        work.begin(&here, planes, visits);
        let mut sums = Vec::with_capacity(visits.len());
        for (visit, stencils) in visits.iter().enumerate() {
            let region = tile.region.grown(stencils.margin(), self.domain);
            let pixels = rows.pixels(visit, &region)?;
            let local = region.within(self.domain);
            let with = Comparison {
                pixels: &pixels,
                region: &local,
                origin: (self.domain.rows.start, self.domain.cols.start),
                leaks: self.leaks.map(|leaks| (leaks, visit)),
                weight: weight.view(),
                counted: self.counted_flags(),
            };
            sums.push(work.add_visit(&here, stencils, &with));
        }
        Ok(sums)
    }

    /// The displacements of all visits, by cell.
    fn stencils(&self, planes: &ModelPlanes, order: Order) -> Vec<Vec<VisitStencils>> {
        let shape = self.domain.shape();
        let visit = |visit, cell| {
            let shifts = self.observations.shifts(visit, cell);
            let support = forward_support(shape, shifts);
            let weight = self.observations.weight(visit);
            VisitStencils::new(shifts, planes, order, weight, support, margin(shifts, order))
        };
        (0..self.cells.len())
            .map(|cell| (0..self.observations.visits()).map(|v| visit(v, cell)).collect())
            .collect()
    }

    /// Weight of a region's pixels in the metric: their significance, on detected sources.
    pub(crate) fn metric_weight(&self, significance: &Significance, region: &Region) -> Array2<f32> {
        let mut weight = significance.of(region);
        if !self.config.reference_bookkeeping {
            for (mut weight, detected) in weight.rows_mut().into_iter().zip(region.of(&self.detected).rows())
            {
                weight.iter_mut().zip(detected).for_each(|(w, d)| *w = if *d { *w } else { 0.0 });
            }
        }
        weight
    }

    /// The reference takes each visit's own DETECTED pixels.
    pub(crate) fn counted_flags(&self) -> u8 {
        GOOD | if self.config.reference_bookkeeping { DETECTED } else { 0 }
    }

    /// Pixels of a part of the domain whose predicted light comes from inside the domain, in
    /// indices of the part.
    pub(crate) fn support(&self, shifts: &[SubfilterShift], local: &Region) -> Region {
        if self.config.edge == Edge::Zero {
            return Region::whole(local.shape());
        }
        let support = forward_support(self.domain.shape(), shifts).intersection(local);
        if support.rows.is_empty() || support.cols.is_empty() {
            return Region { rows: 0..0, cols: 0..0 };
        }
        support.within(local)
    }

    /// The domain in tiles, cell by cell. Data beyond the edge need the domain in one piece.
    pub(crate) fn tiles(&self) -> Vec<Tile> {
        tiles(self.cells, self.domain, self.config.edge == Edge::Zero)
    }
}

impl Projected {
    /// Allocates the sums; memory of the right size is reused, and back-projections are left as
    /// they are.
    fn make_room(&mut self, shape: (usize, usize, usize), visits: usize) {
        if self.back_byx.dim() != shape {
            self.back_byx = Array3::zeros(shape);
        }
        self.metric_sums.clear();
        self.metric_sums.resize(visits, [0.0; 2]);
    }
}

/// Processes all planes side by side.
fn for_planes(planes: &mut Array3<f32>, work: impl Fn(usize, ArrayViewMut2<f32>) + Sync) {
    let planes: Vec<_> = planes.axis_iter_mut(Axis(0)).collect();
    planes.into_par_iter().enumerate().for_each(|(b, plane)| work(b, plane));
}

pub(crate) fn add_sums(total: &mut [[f64; 2]], part: &[[f64; 2]]) {
    for (t, p) in total.iter_mut().zip(part) {
        t[0] += p[0];
        t[1] += p[1];
    }
}
