//! One pass over the data: forward model, residual, back-projection and the metric's sums, tile by tile.
//!
//! A tile needs the residual a little beyond its edge, for that is where its light may have gone, and the model a
//! little further still. Tiles do not depend on each other and are summed visit by visit in order, so that the result
//! depends neither on the number of threads nor on the tiling.

use std::ops::Range;

use ndarray::{Array2, Array3, ArrayView2, ArrayView3, Axis, CowArray, s};
use rayon::prelude::*;

use super::config::{Edge, Interpolation, IterativeConfig};
use super::planes::forward_support;
use super::tile::{Comparison, ModelPlanes, TileWork, VisitStencils};
use super::weights::Significance;
use crate::kernel::{Order, Region, prefilter_f32, shift_add};
use crate::observation::{DETECTED, GOOD, Observations, SourceError, SubfilterShift};
use crate::spectrum::SpectralBasis;

/// Sides of a tile, rows and columns: all its planes stay in a core's cache.
const TILE: (usize, usize) = (48, 256);

/// Tiles whose results are held before they are put in their places.
pub(crate) const TILES_AT_A_TIME: usize = 256;

/// The share of a pixel's samples that may come from unconstrained pixels: interpolation weights below it are rounding.
const TRUST_LEAK: f32 = 1e-3;

/// Where the solver works: all arrays cover `domain`, a region of the patch.
pub(crate) struct Pass<'a> {
    pub(crate) observations: &'a dyn Observations,
    pub(crate) cells: &'a [Region],
    pub(crate) basis: &'a SpectralBasis,
    pub(crate) config: &'a IterativeConfig,
    pub(crate) domain: &'a Region,
    /// DETECTED in the template, over `domain`; the metric's pixels unless each visit's own are asked for.
    pub(crate) detected: ArrayView2<'a, bool>,
    /// Over `domain`, 1 near model pixels that no visit constrains, 0 elsewhere: light from there is not to be trusted.
    pub(crate) unconstrained: Option<ArrayView2<'a, f32>>,
}

/// What a pass gives.
pub(crate) struct Projected {
    /// Σ_i w_i·shift(r_i, −d_ia), `(subfilters, domain)`; not yet divided by coverage.
    pub(crate) back_byx: Array3<f32>,
    /// The metric's numerator and denominator for each visit.
    pub(crate) metric_sums: Vec<[f64; 2]>,
}

/// A piece of a cell, in patch coordinates.
pub(crate) struct Tile {
    pub(crate) cell: usize,
    pub(crate) region: Region,
}

/// Where a prediction can be believed, in a part of the domain.
pub(crate) struct Trust {
    /// Only here, in the part's own indices.
    pub(crate) inside: Region,
    /// And not where light came from unconstrained pixels.
    pub(crate) leaked: Option<Leaked>,
}

/// Pixels whose prediction draws on what no visit constrains.
pub(crate) struct Leaked {
    /// All of them are here, in the indices of the part of the domain that was asked about.
    region: Region,
    pixels: Array2<bool>,
}

impl Leaked {
    /// Sets a row's values to `nothing` where the prediction is not to be believed; `cols` are the row's columns.
    pub(crate) fn clear<T: Copy>(&self, y: usize, cols: &Range<usize>, row: &mut [T], nothing: T) {
        if !self.region.rows.contains(&y) {
            return;
        }
        for (x, leaked) in self.region.cols.clone().zip(self.pixels.row(y - self.region.rows.start)) {
            if *leaked && cols.contains(&x) {
                row[x - cols.start] = nothing;
            }
        }
    }
}

impl Pass<'_> {
    /// Compares `model_byx` (over the domain) with every visit.
    pub(crate) fn run(
        &self,
        model_byx: ArrayView3<f32>,
        significance: &Significance,
    ) -> Result<Projected, SourceError> {
        match (self.config.order, self.config.edge) {
            (Interpolation::Spline(order), Edge::NoWeight) => self.run_tiles(model_byx, significance, order),
            (Interpolation::Spline(order), Edge::Zero) => self.run_in_one_piece(model_byx, significance, order),
            (Interpolation::Fourier, _) => self.run_fourier(model_byx, significance),
        }
    }

    /// The domain in tiles, side by side.
    fn run_tiles(&self, model_byx: ArrayView3<f32>, significance: &Significance, order: Order) -> Result<Projected, SourceError> {
        let coefficients: CowArray<f32, _> = match order.needs_prefilter() {
            true => prefiltered(model_byx, order).into(),
            false => model_byx.into(),
        };
        let planes = ModelPlanes::new(coefficients.view(), self.basis);
        let mut out = self.nothing_projected();
        let stencils = self.stencils(&planes, order);
        for batch in self.tiles().chunks(TILES_AT_A_TIME) {
            let done: Vec<(Array3<f32>, Vec<[f64; 2]>)> = batch
                .par_iter()
                .map_init(TileWork::default, |work, tile| {
                    let sums = self.run_tile(tile, &planes, &stencils[tile.cell], significance, order, work)?;
                    Ok((std::mem::take(&mut work.back_byx), sums))
                })
                .collect::<Result<_, SourceError>>()?;
            for (tile, (back_byx, sums)) in batch.iter().zip(done) {
                let region = tile.region.within(self.domain);
                out.back_byx.slice_mut(s![.., region.rows, region.cols]).assign(&back_byx);
                add_sums(&mut out.metric_sums, &sums);
            }
        }
        if order.needs_prefilter() {
            // Interpolating each residual and summing is summing and interpolating: one prefilter for all visits.
            out.back_byx = prefiltered(out.back_byx.view(), order);
        }
        Ok(out)
    }
    /// Compares a tile's pixels with the visits; leaves what comes back in `work`.
    fn run_tile(
        &self,
        tile: &Tile,
        planes: &ModelPlanes,
        visits: &[VisitStencils],
        significance: &Significance,
        order: Order,
        work: &mut TileWork,
    ) -> Result<Vec<[f64; 2]>, SourceError> {
        let here = tile.region.within(self.domain);
        let weight = self.metric_weight(significance, &here);
        let near_leaks = self.near_unconstrained(tile);
        work.begin(&here, planes, visits, order);
        let mut sums = Vec::with_capacity(visits.len());
        for (visit, stencils) in visits.iter().enumerate() {
            let region = tile.region.grown(stencils.margin(), self.domain);
            let pixels = self.observations.pixels(visit, &region)?;
            let local = region.within(self.domain);
            let shifts = self.observations.shifts(visit, tile.cell);
            let leaked = near_leaks.as_ref().and_then(|near| self.leaked(shifts, &local, near));
            let with = Comparison {
                pixels: &pixels,
                region: &local,
                leaked: leaked.as_ref(),
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
            weight.zip_mut_with(&region.of(&self.detected), |w, d| *w = if *d { *w } else { 0.0 });
        }
        weight
    }

    /// The reference takes each visit's own DETECTED pixels.
    pub(crate) fn counted_flags(&self) -> u8 {
        GOOD | if self.config.reference_bookkeeping { DETECTED } else { 0 }
    }

    /// Where, in a part of the domain, the model's prediction can be believed: its light comes from inside the domain, and
    /// from no pixel that nothing constrains. All of these are in `near`.
    pub(crate) fn trust(&self, shifts: &[SubfilterShift], local: &Region, near: Option<&Region>) -> Trust {
        if self.config.edge == Edge::Zero {
            return Trust { inside: Region::whole(local.shape()), leaked: None };
        }
        let support = forward_support(self.domain.shape(), shifts).intersection(local);
        if support.rows.is_empty() || support.cols.is_empty() {
            return Trust { inside: Region { rows: 0..0, cols: 0..0 }, leaked: None };
        }
        let leaked = near.and_then(|near| self.leaked(shifts, local, near));
        Trust { inside: support.within(local), leaked }
    }

    /// The pixels around a tile whose prediction may draw on what nothing constrains lie in this region; `None` if there are none.
    pub(crate) fn near_unconstrained(&self, tile: &Tile) -> Option<Region> {
        let unconstrained = self.unconstrained?;
        let visits = 0..self.observations.visits();
        let reach = visits
            .map(|v| margin(self.observations.shifts(v, tile.cell), self.config.spline_order()))
            .max()
            .unwrap_or(0);
        let whole = Region::whole(self.domain.shape());
        let around = tile.region.within(self.domain).grown(2 * reach, &whole);
        let mut marked: Option<Region> = None;
        for (y, row) in around.rows.clone().zip(around.of(&unconstrained).rows()) {
            let Some(first) = row.iter().position(|u| *u != 0.0) else { continue };
            let last = row.iter().rposition(|u| *u != 0.0).unwrap_or(first);
            let cols = around.cols.start + first..around.cols.start + last + 1;
            marked = Some(match marked {
                None => Region { rows: y..y + 1, cols },
                Some(m) => Region {
                    rows: m.rows.start..y + 1,
                    cols: m.cols.start.min(cols.start)..m.cols.end.max(cols.end),
                },
            });
        }
        Some(marked?.grown(reach, &whole))
    }

    /// Pixels of a part of the domain, all of them in `near`, whose light comes from pixels that nothing constrains.
    fn leaked(&self, shifts: &[SubfilterShift], local: &Region, near: &Region) -> Option<Leaked> {
        let unconstrained = self.unconstrained?;
        let region = near.intersection(local);
        if region.rows.is_empty() || region.cols.is_empty() {
            return None;
        }
        let mut light = Array2::zeros(region.shape());
        for shift in shifts.iter().flat_map(SubfilterShift::forward_shifts) {
            shift_add(unconstrained, *shift, Order::LINEAR, 1.0, light.view_mut(), &region);
        }
        Some(Leaked { region: region.within(local), pixels: light.mapv(|l| l > TRUST_LEAK) })
    }

    /// The domain in tiles, cell by cell. Data that count beyond the edge need the domain in one piece.
    pub(crate) fn tiles(&self) -> Vec<Tile> {
        if self.config.edge == Edge::Zero {
            let middle = |r: &Range<usize>| (r.start + r.end) / 2;
            let (y, x) = (middle(&self.domain.rows), middle(&self.domain.cols));
            let cell =
                self.cells.iter().position(|c| c.rows.contains(&y) && c.cols.contains(&x)).unwrap_or(0);
            return vec![Tile { cell, region: self.domain.clone() }];
        }
        let mut tiles = vec![];
        for (cell, area) in self.cells.iter().enumerate() {
            let area = area.intersection(self.domain);
            for y in area.rows.clone().step_by(TILE.0) {
                for x in area.cols.clone().step_by(TILE.1) {
                    let region = Region {
                        rows: y..(y + TILE.0).min(area.rows.end),
                        cols: x..(x + TILE.1).min(area.cols.end),
                    };
                    tiles.push(Tile { cell, region });
                }
            }
        }
        tiles
    }

    pub(crate) fn nothing_projected(&self) -> Projected {
        let (rows, cols) = self.domain.shape();
        Projected {
            back_byx: Array3::zeros((self.basis.subfilters(), rows, cols)),
            metric_sums: vec![[0.0; 2]; self.observations.visits()],
        }
    }
}

/// How far beyond a tile its residuals are needed.
pub(crate) fn margin(shifts: &[SubfilterShift], order: Order) -> usize {
    let reach = shifts.iter().map(SubfilterShift::reach).fold(0.0, f64::max);
    reach.ceil() as usize + order.reach()
}

/// Coefficients of all planes.
pub(crate) fn prefiltered(planes: ArrayView3<f32>, order: Order) -> Array3<f32> {
    let filtered: Vec<Array2<f32>> = (0..planes.len_of(Axis(0)))
        .into_par_iter()
        .map(|b| prefilter_f32(planes.index_axis(Axis(0), b), order))
        .collect();
    let mut out = Array3::zeros(planes.dim());
    for (mut plane, filtered) in out.axis_iter_mut(Axis(0)).zip(filtered) {
        plane.assign(&filtered);
    }
    out
}

pub(crate) fn add_sums(total: &mut [[f64; 2]], part: &[[f64; 2]]) {
    for (t, p) in total.iter_mut().zip(part) {
        t[0] += p[0];
        t[1] += p[1];
    }
}
