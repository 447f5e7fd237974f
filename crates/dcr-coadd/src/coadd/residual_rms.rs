//! Residual of the solved model in each visit, as one number.
//!
//! In the middle cell of the patch, the rms of visit minus prediction over the good pixels, in
//! standard deviations of the visit's sky. It is 1 for pure noise, and larger for bright stars,
//! displaced visits, or features of one visit that the model lacks.

use dcr_solver::kernel::Region;
use dcr_solver::{GOOD, Observations, SubfilterShift};
use ndarray::{Array3, Axis, s};

use crate::coadd::solved_planes::SolvedPlanes;
use crate::config::AssembleConfig;
use crate::error::CoaddError;
use crate::geometry::division::Division;
use crate::geometry::prediction::{RESPONSE_REACH, predict_image, support};
use crate::inputs::store::Store;

/// The rms of each visit; `None` for one without a good pixel there.
///
/// # Errors
///
/// [`CoaddError`] if pixels cannot be read.
pub(crate) fn residual_rms(
    coadds: &SolvedPlanes,
    division: &Division,
    store: &Store,
    variances: &[f64],
    config: &AssembleConfig,
) -> Result<Vec<Option<f64>>, CoaddError> {
    let cell = division.central_cell();
    let own = &division.cell_regions[cell];
    let whole = Region::whole(coadds.mask.dim());
    (0..store.visits())
        .map(|visit| {
            let shifts = store.shifts(visit, cell);
            let reach = shifts.iter().map(SubfilterShift::reach).fold(0.0, f64::max);
            let around = own.grown(reach.ceil() as usize + RESPONSE_REACH, &whole);
            let (rows, cols) = around.shape();
            let mut model = Array3::zeros((coadds.subfilters.len(), rows, cols));
            for (mut plane, coadd) in model.axis_iter_mut(Axis(0)).zip(&coadds.subfilters) {
                let values = around.of(&coadd.image.view());
                plane.zip_mut_with(&values, |to, from| *to = if from.is_finite() { *from } else { 0.0 });
            }
            let predicted = predict_image(model.view(), &division.basis, shifts, config.template.order);
            // Where light comes from beyond the patch nothing is predicted.
            let inside = support((rows, cols), shifts).intersection(&own.within(&around));
            if inside.rows.is_empty() || inside.cols.is_empty() {
                return Ok(None);
            }
            let (top, left) = (around.rows.start, around.cols.start);
            let here = Region {
                rows: inside.rows.start + top..inside.rows.end + top,
                cols: inside.cols.start + left..inside.cols.end + left,
            };
            let pixels = store.pixels(visit, &here)?;
            let predicted = predicted.slice(s![inside.rows, inside.cols]);
            let (mut count, mut sum) = (0_usize, 0.0);
            for ((value, flags), predicted) in pixels.image.iter().zip(pixels.flags.iter()).zip(predicted) {
                if flags & GOOD != 0 {
                    count += 1;
                    sum += f64::from(value - predicted).powi(2);
                }
            }
            Ok((count > 0).then(|| (sum / count as f64 / variances[visit]).sqrt()))
        })
        .collect()
}
