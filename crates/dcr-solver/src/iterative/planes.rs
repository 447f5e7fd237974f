//! The model, prepared for displacement: planes of whole subfilters and of their halves.

use dcr_fft::num_complex::Complex64;
use ndarray::{Array2, Array3, ArrayView2, ArrayView3, ArrayViewMut2, Axis, Zip, s};
use rayon::prelude::*;

use crate::kernel::{Boundary, FourierPlan, Order, Region, gaussian_filter, prefilter_f32, shift_add};
use crate::observation::{ForwardShift, SubfilterShift};
use crate::spectrum::SpectralBasis;

/// Spline coefficients of the light in whole subfilters and, when the spectrum is not constant
/// inside them, in their halves. Made once for a model, they predict any part of any number of
/// exposures.
#[derive(Clone, Debug)]
pub struct ForwardPlanes {
    order: Order,
    wholes: Vec<Array2<f32>>,
    /// Empty if each half is half of the whole.
    halves: Vec<Array2<f32>>,
}

impl ForwardPlanes {
    /// Coefficients of a model, `(subfilters, rows, cols)`.
    ///
    /// # Panics
    ///
    /// If the number of planes is not that of the subfilters of `basis`.
    #[must_use]
    pub fn new(model_byx: ArrayView3<f32>, basis: &SpectralBasis, order: Order) -> Self {
        let coefficients = |planes: ArrayView3<f32>| -> Vec<Array2<f32>> {
            (0..planes.len_of(Axis(0)))
                .into_par_iter()
                .map(|i| prefilter_f32(planes.index_axis(Axis(0), i), order))
                .collect()
        };
        let halves = if *basis == SpectralBasis::constant(basis.subfilters()) {
            vec![]
        } else {
            coefficients(basis.halves(model_byx).view())
        };
        Self { order, wholes: coefficients(model_byx), halves }
    }

    /// Adds the displaced model, in the part `region` of the planes, to `template`.
    /// [`forward_support`] has the pixels with complete light.
    ///
    /// # Panics
    ///
    /// If `template` has not the shape of `region`, or there is not one shift for each subfilter.
    pub fn forward(&self, shifts: &[SubfilterShift], region: &Region, mut template: ArrayViewMut2<f32>) {
        let mut add = |plane: &Array2<f32>, shift, weight| {
            shift_add(plane.view(), shift, self.order, weight, template.view_mut(), region);
        };
        for (b, shift) in shifts.iter().enumerate() {
            match shift.forward {
                ForwardShift::Whole(shift) => add(&self.wholes[b], shift, 1.0),
                ForwardShift::Halves(pair) if self.halves.is_empty() => {
                    pair.into_iter().for_each(|shift| add(&self.wholes[b], shift, 0.5));
                }
                ForwardShift::Halves(pair) => {
                    pair.into_iter()
                        .enumerate()
                        .for_each(|(h, shift)| add(&self.halves[2 * b + h], shift, 1.0));
                }
            }
        }
    }
}

/// Prediction for an exposure: Σ over subfilters of the displaced planes (docs/algorithm.md §11).
///
/// `model_byx` has shape `(subfilters, rows, cols)`; the result has `(rows, cols)`. A pixel with
/// samples from outside the planes lacks that subfilter's light; [`forward_support`] has the
/// complete pixels.
///
/// # Panics
///
/// If there is not one shift and one plane for each subfilter of `basis`.
#[must_use]
pub fn predict(
    model_byx: ArrayView3<f32>,
    basis: &SpectralBasis,
    shifts: &[SubfilterShift],
    order: Order,
) -> Array2<f32> {
    assert_eq!(shifts.len(), basis.subfilters(), "one shift for each subfilter");
    let (_, rows, cols) = model_byx.dim();
    let mut template = Array2::zeros((rows, cols));
    ForwardPlanes::new(model_byx, basis, order).forward(
        shifts,
        &Region::whole((rows, cols)),
        template.view_mut(),
    );
    template
}

/// Transforms of the light in whole subfilters and in their halves.
pub(crate) struct FourierPlanes {
    pub(crate) plan: FourierPlan,
    wholes: Vec<Array2<Complex64>>,
    halves: Vec<Array2<Complex64>>,
}

impl FourierPlanes {
    pub(crate) fn new(model_byx: ArrayView3<f32>, basis: &SpectralBasis) -> Self {
        let (_, rows, cols) = model_byx.dim();
        let plan = FourierPlan::new((rows, cols));
        let transforms = |planes: ArrayView3<f32>| -> Vec<_> {
            let planes: Vec<_> = planes.axis_iter(Axis(0)).collect();
            planes.into_par_iter().map(|plane| plan.forward(plane)).collect()
        };
        let (wholes, halves) = (transforms(model_byx), transforms(basis.halves(model_byx).view()));
        Self { plan, wholes, halves }
    }

    /// The displaced model, all planes summed.
    pub(crate) fn forward(&self, shifts: &[SubfilterShift]) -> Array2<f32> {
        let mut spectrum = self.plan.zeros();
        let mut add = |plane, shift| self.plan.shift_add(plane, shift, 1.0, &mut spectrum);
        for (b, shift) in shifts.iter().enumerate() {
            match shift.forward {
                ForwardShift::Whole(shift) => add(&self.wholes[b], shift),
                ForwardShift::Halves([blue, red]) => {
                    add(&self.halves[2 * b], blue);
                    add(&self.halves[2 * b + 1], red);
                }
            }
        }
        let mut template = Array2::zeros(self.plan.shape());
        self.plan.inverse_add(spectrum, template.view_mut());
        template
    }
}

/// [`predict`] with exact, band-limited shifts.
///
/// # Panics
///
/// As [`predict`].
#[must_use]
pub fn predict_fourier(
    model_byx: ArrayView3<f32>,
    basis: &SpectralBasis,
    shifts: &[SubfilterShift],
) -> Array2<f32> {
    assert_eq!(shifts.len(), basis.subfilters(), "one shift for each subfilter");
    FourierPlanes::new(model_byx, basis).forward(shifts)
}

/// Pixels of a plane to which the light of every subfilter comes from inside it.
#[must_use]
pub fn forward_support(shape: (usize, usize), shifts: &[SubfilterShift]) -> Region {
    shifts.iter().flat_map(SubfilterShift::forward_shifts).fold(Region::whole(shape), |region, shift| {
        region.intersection(&Region {
            rows: crate::kernel::support(shape.0, shift.dy),
            cols: crate::kernel::support(shape.1, shift.dx),
        })
    })
}

/// The model with the contrast between its planes amplified `factor` times about their mean
/// (docs/algorithm.md §6).
pub(crate) fn amplified(model_byx: ArrayView3<f32>, factor: f64) -> Array3<f32> {
    let mut out = model_byx.to_owned();
    if factor <= 1.0 {
        return out;
    }
    let factor = factor as f32;
    if let Some(mean) = model_byx.mean_axis(Axis(0)) {
        for mut plane in out.axis_iter_mut(Axis(0)) {
            plane.zip_mut_with(&mean, |y, m| *y = m + factor * (*y - m));
        }
    }
    out
}

/// Gaussian σ in px of the continuation of a hole's surroundings into it.
const FILL_WIDTH: f64 = 2.0;

/// Blocks, rows and columns, in the search for marked pixels.
const FILL_BLOCK: usize = 64;

/// Replaces marked pixels by a continuation of those around them, fading to 0 deep inside.
///
/// A saturated core is a cliff, and the spline through a cliff rings for many pixels around.
/// Untrusted pixels must not enter the spline.
pub(crate) fn fill_from_neighbours(model_byx: &mut Array3<f32>, marked: ArrayView2<bool>) {
    let whole = Region::whole(marked.dim());
    // Reach of the Gaussian.
    let reach = (4.0 * FILL_WIDTH + 0.5) as usize;
    let starts = |n: usize| (0..n).step_by(FILL_BLOCK);
    let blocks: Vec<Region> = starts(whole.rows.end)
        .flat_map(|y| starts(whole.cols.end).map(move |x| (y, x)))
        .map(|(y, x)| Region { rows: y..y + FILL_BLOCK, cols: x..x + FILL_BLOCK }.intersection(&whole))
        .filter(|block| block.of(&marked).rows().into_iter().any(|row| row.iter().any(|m| *m)))
        .collect();
    let model = model_byx.view();
    let filled: Vec<Array3<f32>> = blocks
        .par_iter()
        .map(|block| {
            let around = block.grown(reach, &whole);
            let part = model.slice(s![.., around.rows.clone(), around.cols.clone()]);
            continued(part, around.of(&marked), &block.within(&around))
        })
        .collect();
    for (block, filled) in blocks.into_iter().zip(filled) {
        model_byx.slice_mut(s![.., block.rows, block.cols]).assign(&filled);
    }
}

/// Planes of a block, with marked pixels replaced; `around` is the block with its surroundings.
fn continued(around_byx: ArrayView3<f32>, marked: ArrayView2<bool>, block: &Region) -> Array3<f32> {
    let known = marked.mapv(|m| if m { 0.0 } else { 1.0 });
    let weight = gaussian_filter(known.view(), FILL_WIDTH, Boundary::Reflect);
    let mut out = around_byx.slice(s![.., block.rows.clone(), block.cols.clone()]).to_owned();
    for (mut out, plane) in out.axis_iter_mut(Axis(0)).zip(around_byx.axis_iter(Axis(0))) {
        let kept = Zip::from(&plane).and(&known).map_collect(|y, k| if *k > 0.0 { *y } else { 0.0 });
        let smooth = gaussian_filter(kept.view(), FILL_WIDTH, Boundary::Reflect);
        let (known, smooth, weight) =
            (block.of(&known.view()), block.of(&smooth.view()), block.of(&weight.view()));
        Zip::from(&mut out).and(known).and(smooth).and(weight).for_each(|y, k, c, w| {
            if *k == 0.0 {
                *y = if *w > 0.0 { c / w.max(1e-3) } else { 0.0 };
            }
        });
    }
    out
}
