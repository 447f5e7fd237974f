//! The inner loops of a pass: one tile of the domain, all visits, all subfilters.
//!
//! The model around the tile is copied into small windows once, with its mirrored border. Then,
//! visit by visit, each row is predicted and turned into a residual, and the residuals are
//! displaced back, all while it is in the cache.

use std::ops::Range;

use ndarray::{Array3, ArrayView2, ArrayView3, Axis};

use super::leaks::Leaks;
use super::residual::{Row, compare, subtract};
use crate::kernel::{Order, Region, Stencil, Window, mirror};
use crate::observation::{ForwardShift, Pixels, SubfilterShift};
use crate::spectrum::SpectralBasis;

/// Stencils for the displacements of a visit in a cell.
pub(crate) struct VisitStencils {
    /// Planes of [`ModelPlanes`], each with its displacement.
    forward: Vec<(Plane, Stencil)>,
    /// One stencil per subfilter, with the visit's weight.
    back: Vec<Stencil>,
    /// Pixels whose predicted light comes from inside the domain.
    support: Region,
    /// Width of the residuals needed beyond a tile.
    margin: usize,
}

/// Light with one displacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Plane {
    Whole(usize),
    /// Half of a subfilter, for a spectrum that is not constant inside it.
    Half(usize),
}

/// Spline coefficients of the model, and spectra inside subfilters.
pub(crate) struct ModelPlanes<'a> {
    /// `(subfilters, domain)`.
    pub(crate) coefficients_byx: ArrayView3<'a, f32>,
    pub(crate) basis: &'a SpectralBasis,
    constant: bool,
}

/// Workspace of a tile, reused for the next.
#[derive(Default)]
pub(crate) struct TileWork {
    windows: Windows,
    residual: Window,
    blended: Vec<f32>,
    flags: Vec<u8>,
    /// Σ over visits of the back-projection to the tile, `(subfilters, tile)`.
    pub(crate) back_byx: Array3<f32>,
}

/// The model around a tile, plane by plane, in order.
#[derive(Default)]
struct Windows(Vec<(Plane, Window)>);

impl Windows {
    fn of(&self, plane: Plane) -> &Window {
        match self.0.iter().find(|(p, _)| *p == plane) {
            Some((_, window)) => window,
            None => unreachable!("windows are made for the planes of all visits"),
        }
    }
}

/// Inputs of the comparison with a visit, in the domain's indices.
pub(crate) struct Comparison<'a> {
    /// The visit's pixels over `region`.
    pub(crate) pixels: &'a Pixels<'a>,
    pub(crate) region: &'a Region,
    /// The domain's first pixel in the patch.
    pub(crate) origin: (usize, usize),
    /// Untrusted pixels, and the visit's number.
    pub(crate) leaks: Option<(&'a Leaks, usize)>,
    /// Weight in the metric, over the tile.
    pub(crate) weight: ArrayView2<'a, f32>,
    /// Flags of a pixel that counts in the metric.
    pub(crate) counted: u8,
}

impl VisitStencils {
    /// Stencils for planes of `shape`, of which `support` has light from inside them.
    pub(crate) fn new(
        shifts: &[SubfilterShift],
        model: &ModelPlanes,
        order: Order,
        weight: f64,
        support: Region,
        margin: usize,
    ) -> Self {
        let shape = (model.coefficients_byx.len_of(Axis(1)), model.coefficients_byx.len_of(Axis(2)));
        let mut forward = vec![];
        for (b, shift) in shifts.iter().enumerate() {
            match shift.forward {
                ForwardShift::Whole(shift) => {
                    forward.push((Plane::Whole(b), Stencil::new(order, shape, shift, 1.0)));
                }
                ForwardShift::Halves(pair) => {
                    forward.extend(pair.into_iter().enumerate().map(|(h, shift)| match model.constant {
                        true => (Plane::Whole(b), Stencil::new(order, shape, shift, 0.5)),
                        false => (Plane::Half(2 * b + h), Stencil::new(order, shape, shift, 1.0)),
                    }))
                }
            }
        }
        let back = |shift: &SubfilterShift| Stencil::new(order, shape, shift.mean.reversed(), weight as f32);
        Self { forward, back: shifts.iter().map(back).collect(), support, margin }
    }

    /// Width of the residuals needed beyond a tile.
    pub(crate) fn margin(&self) -> usize {
        self.margin
    }
}

impl<'a> ModelPlanes<'a> {
    pub(crate) fn new(coefficients_byx: ArrayView3<'a, f32>, basis: &'a SpectralBasis) -> Self {
        let constant = *basis == SpectralBasis::constant(basis.subfilters());
        Self { coefficients_byx, basis, constant }
    }

    /// Adds row `y` of a plane, from column `x` on, either of which may lie beyond the edge.
    fn add_row(&self, plane: Plane, (y, x): (isize, isize), out: &mut [f32]) {
        let y = mirror(y, self.coefficients_byx.len_of(Axis(1)));
        for (b, coefficients) in self.coefficients_byx.axis_iter(Axis(0)).enumerate() {
            let share = match plane {
                Plane::Whole(whole) => f32::from(u8::from(whole == b)),
                Plane::Half(half) => self.basis.shares()[[b, half]] as f32,
            };
            let row = coefficients.row(y);
            let Some(row) = row.to_slice() else { unreachable!("rows of the model are contiguous") };
            if share != 0.0 {
                add_mirrored(share, row, x, out);
            }
        }
    }
}

/// `out[i] += share × row[x + i]`, mirrored beyond the ends of the row.
fn add_mirrored(share: f32, row: &[f32], x: isize, out: &mut [f32]) {
    let (n, length) = (row.len() as isize, out.len() as isize);
    let inside = (-x).clamp(0, length)..(n - x).clamp(0, length);
    for i in (0..inside.start).chain(inside.end..length) {
        out[i as usize] += share * row[mirror(x + i, row.len())];
    }
    if !inside.is_empty() {
        let source = &row[(x + inside.start) as usize..(x + inside.end) as usize];
        out[inside.start as usize..inside.end as usize]
            .iter_mut()
            .zip(source)
            .for_each(|(o, v)| *o += share * v);
    }
}

impl TileWork {
    /// Copies the inputs of the visits' predictions around `tile`, and clears the sums.
    pub(crate) fn begin(&mut self, tile: &Region, model: &ModelPlanes, visits: &[VisitStencils]) {
        // Residuals are needed within the margin, and draw on as much again; mirrored edges need no
        // special case.
        let margin = visits.iter().map(VisitStencils::margin).max().unwrap_or(0);
        let reach = 2 * margin;
        let mut planes: Vec<Plane> = visits.iter().flat_map(|v| v.forward.iter().map(|(p, _)| *p)).collect();
        planes.sort_unstable();
        planes.dedup();
        self.windows.0.resize_with(planes.len(), || (Plane::Whole(0), Window::default()));
        for ((plane, window), wanted) in self.windows.0.iter_mut().zip(planes) {
            *plane = wanted;
            window.cover_around(tile, reach);
            window.fill(|y, x, row| model.add_row(wanted, (y, x), row));
        }
        self.blended.resize(tile.cols.len() + 2 * reach + Stencil::SCRATCH, 0.0);
        self.back_byx = Array3::zeros((model.basis.subfilters(), tile.rows.len(), tile.cols.len()));
    }

    /// Compares a visit with its prediction and adds the back-projection; returns the metric's two
    /// sums.
    pub(crate) fn add_visit(&mut self, tile: &Region, visit: &VisitStencils, with: &Comparison) -> [f64; 2] {
        let sums = self.predict_and_compare(tile, visit, with);
        self.residual.mirror_beyond(with.region);
        for (b, stencil) in visit.back.iter().enumerate() {
            let support = stencil.support();
            let (rows, cols) = (overlap(&tile.rows, &support.rows), overlap(&tile.cols, &support.cols));
            let mut plane = self.back_byx.index_axis_mut(Axis(0), b);
            for y in rows {
                let mut row = plane.row_mut(y - tile.rows.start);
                let Some(row) = row.as_slice_mut() else { unreachable!("rows of a tile are contiguous") };
                let out = &mut row[cols.start - tile.cols.start..cols.end - tile.cols.start];
                Stencil::add_rows([(stencil, &self.residual)], (y, cols.start), &mut self.blended, out);
            }
        }
        sums
    }

    /// Fills the residual's window: visit less prediction, 0 where there is none.
    fn predict_and_compare(&mut self, tile: &Region, visit: &VisitStencils, with: &Comparison) -> [f64; 2] {
        self.residual.cover_around(tile, visit.margin);
        let inside = visit.support.intersection(with.region);
        let mut sums = [0.0_f64; 2];
        if inside.cols.is_empty() {
            return sums;
        }
        for y in inside.rows.clone() {
            let out = self.residual.row_mut(y as isize, inside.cols.start as isize, inside.cols.len());
            let displaced = visit.forward.iter().map(|(plane, stencil)| (stencil, self.windows.of(*plane)));
            Stencil::add_rows(displaced, (y, inside.cols.start), &mut self.blended, out);
            let parts = with.row(tile, (y, &inside.cols), &mut self.flags, out);
            sums[0] += parts[0];
            sums[1] += parts[1];
        }
        sums
    }
}

impl Comparison<'_> {
    /// Turns a row of the prediction into the residual; returns the metric's sums inside the tile.
    fn row(
        &self,
        tile: &Region,
        (y, cols): (usize, &Range<usize>),
        flags: &mut Vec<u8>,
        out: &mut [f32],
    ) -> [f64; 2] {
        let local = y - self.region.rows.start;
        let (image, all_flags) = (self.pixels.image.row(local), self.pixels.flags.row(local));
        let (Some(image), Some(all_flags)) = (image.to_slice(), all_flags.to_slice()) else {
            unreachable!("rows of a visit are contiguous");
        };
        let offset = self.region.cols.start;
        let in_patch = y + self.origin.0;
        let all_flags = match self.leaks.filter(|(leaks, visit)| leaks.has_row(*visit, in_patch)) {
            None => all_flags,
            Some((leaks, visit)) => {
                flags.clear();
                flags.extend_from_slice(all_flags);
                let first = offset + self.origin.1;
                leaks.clear(visit, (in_patch, &(first..first + flags.len())), flags, 0);
                flags
            }
        };
        // Pixels beside the tile have a residual, because light comes from there, but count in
        // their own tile.
        let counted = if tile.rows.contains(&y) { overlap(cols, &tile.cols) } else { cols.end..cols.end };
        let mut sums = [0.0; 2];
        for part in [cols.start..counted.start, counted.clone(), counted.end..cols.end] {
            let (image, flags) = (
                &image[part.start - offset..part.end - offset],
                &all_flags[part.start - offset..part.end - offset],
            );
            let out = &mut out[part.start - cols.start..part.end - cols.start];
            if part == counted && !part.is_empty() {
                let weight = self.weight.row(y - tile.rows.start);
                let Some(weight) = weight.to_slice() else { unreachable!("rows of a tile are contiguous") };
                let weight = &weight[part.start - tile.cols.start..part.end - tile.cols.start];
                sums = compare(&Row { image, flags, weight, counted: self.counted }, out);
            } else {
                subtract(image, flags, out);
            }
        }
        sums
    }
}

/// Intersection of two ranges; an empty one is at the end of the first.
fn overlap(range: &Range<usize>, other: &Range<usize>) -> Range<usize> {
    let (start, end) = (range.start.max(other.start), range.end.min(other.end));
    if start < end { start..end } else { range.end..range.end }
}
