//! One pass over the data: forward model, residual, back-projection and the metric's sums, tile by tile.
//!
//! A tile needs the residual a little beyond its edge, for that is where its light may have gone, and the model a
//! little further still. Tiles do not depend on each other and are summed visit by visit in order, so that the result
//! depends neither on the number of threads nor on the tiling.

use std::ops::Range;

use ndarray::{Array2, Array3, ArrayView2, Axis, Zip, s};
use rayon::prelude::*;

use super::config::{Edge, Interpolation, IterativeConfig};
use super::planes::{ForwardPlanes, FourierPlanes, forward_support};
use super::residual::{Row, compare};
use crate::kernel::{Order, Region, prefilter_f32, shift_add};
use crate::observation::{DETECTED, Observations, SourceError, SubfilterShift};
use crate::spectrum::SpectralBasis;

/// Sides of a tile, rows and columns: a handful of planes of this size stay in a core's cache.
const TILE: (usize, usize) = (64, 512);

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
    pub(crate) leaked: Option<Array2<bool>>,
}

/// A visit in a region: the residual with zeros where there is none, and the metric's sums.
struct Residual {
    residual: Array2<f32>,
    sums: [f64; 2],
}

impl Pass<'_> {
    /// Compares `model_byx` (over the domain) with every visit.
    pub(crate) fn run(
        &self,
        model_byx: &Array3<f32>,
        significance: &Array2<f32>,
    ) -> Result<Projected, SourceError> {
        let weight = self.metric_weight(significance);
        match self.config.order {
            Interpolation::Spline(order) => self.run_splines(model_byx, &weight, order),
            Interpolation::Fourier => self.run_fourier(model_byx, &weight),
        }
    }

    fn run_splines(
        &self,
        model_byx: &Array3<f32>,
        weight: &Array2<f32>,
        order: Order,
    ) -> Result<Projected, SourceError> {
        let planes = ForwardPlanes::new(model_byx.view(), self.basis, order);
        let tiles = self.tiles();
        let done: Vec<Projected> = tiles
            .par_iter()
            .map(|tile| self.project_tile(tile, &planes, weight, order))
            .collect::<Result<_, _>>()?;
        let mut out = self.nothing_projected();
        for (tile, part) in tiles.iter().zip(done) {
            let region = tile.region.within(self.domain);
            out.back_byx.slice_mut(s![.., region.rows, region.cols]).assign(&part.back_byx);
            add_sums(&mut out.metric_sums, &part.metric_sums);
        }
        if self.config.edge == Edge::NoWeight && order.needs_prefilter() {
            // Interpolating each residual and summing is summing and interpolating: one prefilter for all visits.
            out.back_byx.axis_iter_mut(Axis(0)).collect::<Vec<_>>().into_par_iter().for_each(|mut plane| {
                let filtered = prefilter_f32(plane.view(), order);
                plane.assign(&filtered);
            });
        }
        Ok(out)
    }

    fn project_tile(
        &self,
        tile: &Tile,
        planes: &ForwardPlanes,
        weight: &Array2<f32>,
        order: Order,
    ) -> Result<Projected, SourceError> {
        let mut out = Projected {
            back_byx: Array3::zeros((
                self.basis.subfilters(),
                tile.region.rows.len(),
                tile.region.cols.len(),
            )),
            metric_sums: Vec::with_capacity(self.observations.visits()),
        };
        for visit in 0..self.observations.visits() {
            let shifts = self.observations.shifts(visit, tile.cell);
            let region = tile.region.grown(margin(shifts, order), self.domain);
            let mut template = Array2::zeros(region.shape());
            planes.forward(shifts, &region.within(self.domain), template.view_mut());
            let Residual { mut residual, sums } =
                self.residual(visit, shifts, &region, &tile.region, template, weight)?;
            out.metric_sums.push(sums);
            if self.config.edge == Edge::Zero {
                residual = prefilter_f32(residual.view(), order);
            }
            let target = tile.region.within(&region);
            let visit_weight = self.observations.weight(visit) as f32;
            for (shift, plane) in shifts.iter().zip(out.back_byx.axis_iter_mut(Axis(0))) {
                shift_add(residual.view(), shift.mean.reversed(), order, visit_weight, plane, &target);
            }
        }
        Ok(out)
    }

    fn run_fourier(&self, model_byx: &Array3<f32>, weight: &Array2<f32>) -> Result<Projected, SourceError> {
        let planes = FourierPlanes::new(model_byx.view(), self.basis);
        let plan = &planes.plan;
        let mut out = self.nothing_projected();
        for (cell, area) in self.cells.iter().enumerate() {
            let area = area.intersection(self.domain);
            if area.rows.is_empty() || area.cols.is_empty() {
                continue;
            }
            let mut back: Vec<_> = (0..self.basis.subfilters()).map(|_| plan.zeros()).collect();
            for visit in 0..self.observations.visits() {
                let shifts = self.observations.shifts(visit, cell);
                let template = planes.forward(shifts);
                let Residual { residual, sums } =
                    self.residual(visit, shifts, self.domain, &area, template, weight)?;
                add_sums(&mut out.metric_sums[visit..=visit], &[sums]);
                let residual = plan.forward(residual.view());
                let visit_weight = self.observations.weight(visit);
                for (shift, back) in shifts.iter().zip(&mut back) {
                    plan.shift_add(&residual, shift.mean.reversed(), visit_weight, back);
                }
            }
            let target = area.within(self.domain);
            for (back, mut plane) in back.into_iter().zip(out.back_byx.axis_iter_mut(Axis(0))) {
                let mut whole = Array2::zeros(self.domain.shape());
                plan.inverse_add(back, whole.view_mut());
                plane
                    .slice_mut(s![target.rows.clone(), target.cols.clone()])
                    .assign(&target.of(&whole.view()));
            }
        }
        Ok(out)
    }

    /// `s − t` where it can be believed, and the metric's sums over `counted` (both regions in patch coordinates).
    fn residual(
        &self,
        visit: usize,
        shifts: &[SubfilterShift],
        region: &Region,
        counted: &Region,
        mut template: Array2<f32>,
        weight: &Array2<f32>,
    ) -> Result<Residual, SourceError> {
        let pixels = self.observations.pixels(visit, region)?;
        let local = region.within(self.domain);
        let Trust { inside, leaked } = self.trust(shifts, &local);
        let counted = counted.within(region).intersection(&inside);
        let mut sums = [0.0_f64; 2];
        let rows = template.axis_iter_mut(Axis(0)).zip(pixels.image.axis_iter(Axis(0)));
        for (i, ((mut template, image), flags)) in rows.zip(pixels.flags.axis_iter(Axis(0))).enumerate() {
            if !inside.rows.contains(&i) {
                template.fill(0.0);
                continue;
            }
            template.slice_mut(s![..inside.cols.start]).fill(0.0);
            template.slice_mut(s![inside.cols.end..]).fill(0.0);
            let believed = leaked.as_ref().map(|leaked| {
                Zip::from(&flags).and(leaked.row(i)).map_collect(|f, leaked| if *leaked { 0 } else { *f })
            });
            let flags = believed.as_ref().map_or(flags, |b| b.view());
            let weight = weight.slice(s![local.rows.start + i, local.cols.clone()]);
            // Pixels beside the tile have a residual, for light comes from there, but count in their own tile.
            let (start, end) =
                (counted.cols.start.max(inside.cols.start), counted.cols.end.max(inside.cols.start));
            for part in [inside.cols.start..start, start..end, end..inside.cols.end] {
                let cut = s![part.clone()];
                let (Some(image), Some(flags)) =
                    (image.slice_move(cut).to_slice(), flags.slice_move(cut).to_slice())
                else {
                    unreachable!("rows of a visit are contiguous");
                };
                let weight = weight.slice_move(cut);
                let (Some(weight), Some(template)) =
                    (weight.to_slice(), template.slice_mut(cut).into_slice())
                else {
                    unreachable!("rows of the solver's own planes are contiguous");
                };
                let row = Row { image, flags, weight, counted: self.counted_flags() };
                let parts = compare(&row, template);
                if part == (start..end) && counted.rows.contains(&i) {
                    add_sums(std::slice::from_mut(&mut sums), &[parts]);
                }
            }
        }
        Ok(Residual { residual: template, sums })
    }

    /// Weight of each pixel in the metric: its significance on detected sources, 0 elsewhere.
    fn metric_weight(&self, significance: &Array2<f32>) -> Array2<f32> {
        match self.config.reference_bookkeeping {
            true => significance.clone(),
            false => {
                Zip::from(significance).and(&self.detected).map_collect(|s, d| if *d { *s } else { 0.0 })
            }
        }
    }

    /// The reference takes each visit's own DETECTED pixels.
    fn counted_flags(&self) -> u8 {
        if self.config.reference_bookkeeping { DETECTED } else { 0 }
    }

    /// Where, in a part of the domain, the model's prediction can be believed: its light comes from inside the domain, and
    /// from no pixel that nothing constrains.
    pub(crate) fn trust(&self, shifts: &[SubfilterShift], local: &Region) -> Trust {
        if self.config.edge == Edge::Zero {
            return Trust { inside: Region::whole(local.shape()), leaked: None };
        }
        let support = forward_support(self.domain.shape(), shifts).intersection(local);
        if support.rows.is_empty() || support.cols.is_empty() {
            return Trust { inside: Region { rows: 0..0, cols: 0..0 }, leaked: None };
        }
        let inside = support.within(local);
        let Some(unconstrained) = self.unconstrained else { return Trust { inside, leaked: None } };
        let sources = local.grown(margin(shifts, Order::LINEAR), &Region::whole(self.domain.shape()));
        if sources.of(&unconstrained).iter().all(|u| *u == 0.0) {
            return Trust { inside, leaked: None };
        }
        let mut leaked = Array2::zeros(local.shape());
        for shift in shifts.iter().flat_map(SubfilterShift::forward_shifts) {
            shift_add(unconstrained, *shift, Order::LINEAR, 1.0, leaked.view_mut(), local);
        }
        Trust { inside, leaked: Some(leaked.mapv(|l| l > TRUST_LEAK)) }
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

    fn nothing_projected(&self) -> Projected {
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

fn add_sums(total: &mut [[f64; 2]], part: &[[f64; 2]]) {
    for (t, p) in total.iter_mut().zip(part) {
        t[0] += p[0];
        t[1] += p[1];
    }
}
