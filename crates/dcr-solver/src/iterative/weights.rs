//! Where the model is free, and how noisy its planes are.

use ndarray::{Array2, ArrayView2, Zip, s};

use crate::kernel::{Boundary, gaussian_filter};

/// Weight of the model against the template (ALGORITHM §5.5): 1 on sources, tapering to 0 away from them.
///
/// DETECTED pixels, blurred with a Gaussian of `width` px, over the maximum. Nothing detected: all zero.
#[must_use]
pub fn model_weights(detected: ArrayView2<bool>, width: f64) -> Array2<f32> {
    let indicator = detected.mapv(|d| f32::from(u8::from(d)));
    let blurred = gaussian_filter(indicator.view(), width, Boundary::Reflect);
    let peak = blurred.iter().copied().fold(0.0_f32, f32::max);
    if peak > 0.0 { blurred / peak } else { blurred }
}

/// Standard deviation over background pixels at least `margin` px inside the plane; 0 where there are none.
///
/// Non-finite pixels are left out.
#[must_use]
pub fn background_noise(plane: ArrayView2<f32>, background: ArrayView2<bool>, margin: usize) -> f64 {
    let (rows, cols) = plane.dim();
    if rows <= 2 * margin || cols <= 2 * margin {
        return 0.0;
    }
    let inside = s![margin..rows - margin, margin..cols - margin];
    let (plane, background) = (plane.slice(inside), background.slice(inside));
    let (mut count, mut sum) = (0_usize, 0.0_f64);
    Zip::from(&plane).and(&background).for_each(|v, b| {
        if *b && v.is_finite() {
            count += 1;
            sum += f64::from(*v);
        }
    });
    if count == 0 {
        return 0.0;
    }
    let mean = sum / count as f64;
    let mut squares = 0.0;
    Zip::from(&plane).and(&background).for_each(|v, b| {
        if *b && v.is_finite() {
            squares += (f64::from(*v) - mean).powi(2);
        }
    });
    (squares / count as f64).sqrt()
}

/// Weight of each pixel in the convergence metric (ALGORITHM §7.1): |mean plane| + 3 × noise; all zero becomes 1.
#[must_use]
pub fn significance(mean: ArrayView2<f32>, noise: f64) -> Array2<f32> {
    let floor = 3.0 * noise as f32;
    let out = mean.mapv(|v| if v.is_finite() { v.abs() + floor } else { floor });
    if out.iter().all(|v| *v == 0.0) { Array2::ones(out.dim()) } else { out }
}
