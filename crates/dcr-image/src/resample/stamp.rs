//! Resampling of a PSF to another pixel grid.

use ndarray::Array2;

use super::SAME_SIZE;
use super::kernel::{Taps, WarpKernel, WeightTable};
use crate::psf::{Stamp, StampError};

/// Maximum side of a stamp; larger requests indicate an invalid map.
const LARGEST_SIDE: usize = 1001;

/// The stamp in a grid whose step `(1, 0)` is the step `(matrix[0][0], matrix[1][0])` in the
/// stamp's own grid, and whose `(0, 1)` is `(matrix[0][1], matrix[1][1])`.
///
/// # Errors
///
/// [`StampError`] for a singular map, or an empty result.
pub fn warp_stamp(stamp: &Stamp, matrix: [[f64; 2]; 2], kernel: WarpKernel) -> Result<Stamp, StampError> {
    let pixels = stamp.pixels();
    let [[xx, xy], [yx, yy]] = matrix;
    let area = (xx * yy - xy * yx).abs();
    let invalid = StampError::Profile { quantity: "area of a pixel", got: area, allowed: "above 0" };
    if !(area > 0.0 && area.is_finite()) {
        return Err(invalid);
    }
    let (rows, cols) = pixels.dim();
    let (half_y, half_x) = ((rows / 2) as f64, (cols / 2) as f64);
    // Corners of the stamp in the new grid.
    let half = |along_x: f64, along_y: f64| {
        ((along_x.abs() * half_x + along_y.abs() * half_y) / area).ceil() as usize
    };
    let (new_half_x, new_half_y) = (half(yy, xy), half(yx, xx));
    if 2 * new_half_x.max(new_half_y) + 1 > LARGEST_SIDE {
        return Err(invalid);
    }
    let scale = area.sqrt();
    let table = WeightTable::new(kernel, if scale > SAME_SIZE { scale } else { 1.0 });
    let (mut along_x, mut along_y) = (Taps::new(&table), Taps::new(&table));
    let shape = (2 * new_half_y + 1, 2 * new_half_x + 1);
    let warped = Array2::from_shape_fn(shape, |(row, col)| {
        let (u, v) = (col as f64 - new_half_x as f64, row as f64 - new_half_y as f64);
        let x = along_x.centre_on(half_x + xx * u + xy * v);
        let y = along_y.centre_on(half_y + yx * u + yy * v);
        let mut sum = 0.0;
        for (i, wy) in (y.first..).zip(&along_y.weights) {
            for (j, wx) in (x.first..).zip(&along_x.weights) {
                let pixel =
                    usize::try_from(i).ok().zip(usize::try_from(j).ok()).and_then(|at| pixels.get(at));
                sum += pixel.map_or(0.0, |value| value * f64::from(*wy) * f64::from(*wx));
            }
        }
        sum
    });
    Stamp::new(warped)
}
