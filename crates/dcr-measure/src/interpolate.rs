//! Fills pixels without data from their neighbours, to keep NaN out of later steps.
//!
//! Each missing pixel becomes a Gaussian-weighted average of the known pixels around it; the
//! Gaussian is widened until it reaches some. Filled pixels stay flagged: they are no measurement.

use dcr_solver::kernel::{Boundary, gaussian_filter};
use ndarray::{Array2, ArrayView2, Zip};

/// Standard deviation in px of the first Gaussian; each further one is twice as wide.
const FIRST_WIDTH: f64 = 1.0;
/// The least weight of known pixels from which an average is taken.
const LEAST_WEIGHT: f32 = 1e-3;

/// Fills the pixels of `plane` that are `missing` or not finite. A plane without any known pixel
/// becomes 0.
pub fn fill_missing(plane: &mut Array2<f32>, missing: ArrayView2<bool>) {
    let mut known =
        Zip::from(&*plane).and(&missing).map_collect(|value, missing| value.is_finite() && !missing);
    let side = plane.nrows().max(plane.ncols()) as f64;
    let mut width = FIRST_WIDTH;
    while known.iter().any(|known| !known) {
        if width > 2.0 * side {
            plane.zip_mut_with(&known, |value, known| *value = if *known { *value } else { 0.0 });
            return;
        }
        let values = Zip::from(&*plane).and(&known).map_collect(|v, known| if *known { *v } else { 0.0 });
        let sum = gaussian_filter(values.view(), width, Boundary::Reflect);
        let indicator = known.mapv(|known| f32::from(u8::from(known)));
        let weight = gaussian_filter(indicator.view(), width, Boundary::Reflect);
        Zip::from(&mut *plane).and(&mut known).and(&sum).and(&weight).for_each(
            |value, known, sum, weight| {
                if !*known && *weight > LEAST_WEIGHT {
                    *value = sum / weight;
                    *known = true;
                }
            },
        );
        width *= 2.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fill_missing_continues_what_is_around() {
        let mut plane = Array2::from_elem((30, 40), 5.0_f32);
        let mut missing = Array2::from_elem((30, 40), false);
        for y in 8..20 {
            for x in 0..12 {
                plane[[y, x]] = if x % 2 == 0 { f32::NAN } else { 1e30 };
                missing[[y, x]] = x % 2 == 1;
            }
        }
        fill_missing(&mut plane, missing.view());
        assert!(plane.iter().all(|v| (v - 5.0).abs() < 1e-4));
    }

    #[test]
    fn fill_missing_leaves_known_pixels_and_empties_a_plane_of_none() {
        let mut plane = Array2::from_shape_fn((9, 9), |(y, x)| (y * x) as f32);
        let before = plane.clone();
        let none = Array2::from_elem((9, 9), false);
        fill_missing(&mut plane, none.view());
        assert_eq!(plane, before);
        let mut nothing = Array2::from_elem((3, 4), f32::NAN);
        fill_missing(&mut nothing, Array2::from_elem((3, 4), false).view());
        assert_eq!(nothing, Array2::<f32>::zeros((3, 4)));
    }
}
