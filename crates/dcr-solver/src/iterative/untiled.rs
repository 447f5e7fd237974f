//! Passes over the domain in one piece: with exact shifts, which need whole planes, and with the
//! reference's zeros beyond the edge.

use ndarray::{Array2, ArrayView3, Axis, s};

use super::planes::{ForwardPlanes, FourierPlanes};
use super::project::{Pass, Projected, add_sums};
use super::residual::{Row, compare};
use super::weights::Significance;
use crate::kernel::{Order, Region, prefilter_f32, shift_add};
use crate::observation::{SourceError, SubfilterShift};

/// Comparison of a visit in a region: the residual, with zeros where there is none, and the
/// metric's sums.
struct Residual {
    residual: Array2<f32>,
    sums: [f64; 2],
}

impl Pass<'_> {
    /// The reference's pass: every residual is interpolated as if there were zeros around it.
    pub(crate) fn run_in_one_piece(
        &self,
        model_byx: ArrayView3<f32>,
        significance: &Significance,
        order: Order,
        out: &mut Projected,
    ) -> Result<(), SourceError> {
        let whole = Region::whole(self.domain.shape());
        let weight = self.metric_weight(significance, &whole);
        let planes = ForwardPlanes::new(model_byx, self.basis, order);
        out.back_byx.fill(0.0);
        let cell = self.tiles().first().map_or(0, |tile| tile.cell);
        for (visit, visit_sums) in out.metric_sums.iter_mut().enumerate() {
            let shifts = self.observations.shifts(visit, cell);
            let mut template = Array2::zeros(self.domain.shape());
            planes.forward(shifts, &whole, template.view_mut());
            let Residual { residual, sums } =
                self.residual(visit, shifts, self.domain, self.domain, template, &weight)?;
            *visit_sums = sums;
            let residual = prefilter_f32(residual.view(), order);
            let visit_weight = self.observations.weight(visit) as f32;
            for (shift, plane) in shifts.iter().zip(out.back_byx.axis_iter_mut(Axis(0))) {
                shift_add(residual.view(), shift.mean.reversed(), order, visit_weight, plane, &whole);
            }
        }
        Ok(())
    }

    /// The pass with exact shifts.
    pub(crate) fn run_fourier(
        &self,
        model_byx: ArrayView3<f32>,
        significance: &Significance,
        out: &mut Projected,
    ) -> Result<(), SourceError> {
        let weight = self.metric_weight(significance, &Region::whole(self.domain.shape()));
        let planes = FourierPlanes::new(model_byx, self.basis);
        let plan = &planes.plan;
        out.back_byx.fill(0.0);
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
                    self.residual(visit, shifts, self.domain, &area, template, &weight)?;
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
        Ok(())
    }

    /// `s − t` where it is trusted, and the metric's sums over `counted` (both regions in patch
    /// coordinates).
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
        let inside = self.support(shifts, &local);
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
            let mut believed = flags.to_owned();
            if let (Some(leaks), Some(flags)) = (self.leaks, believed.as_slice_mut()) {
                leaks.clear(visit, (region.rows.start + i, &region.cols), flags, 0);
            }
            let flags = believed.view();
            let weight = weight.slice(s![local.rows.start + i, local.cols.clone()]);
            // Pixels beside the tile have a residual, because light comes from there, but count in
            // their own tile.
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
}
