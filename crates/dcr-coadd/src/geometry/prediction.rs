//! Prediction of an exposure from a model: image, variance and mask (docs/algorithm.md §11).
//!
//! ```text
//! image = Σ_a shift(y_a)        variance(p) = Σ_a Σ_m L_a(m)² var_a(p − m)
//! ```
//!
//! where `L_a(m)` is the weight of pixel `p − m` of plane `a` in pixel `p`: the response of the
//! interpolation, summed over the halves of the plane. The planes' noise is treated as independent;
//! it is anticorrelated, and the scatter of templates is 0.6 of this variance on sources
//! (`variance_meets_the_scatter_of_noise`). The mask is the union of the model's over all pixels
//! that an interpolation reaches.

use std::ops::RangeInclusive;

use dcr_solver::iterative::{Interpolation, forward_support, predict, predict_fourier};
use dcr_solver::kernel::{Order, Region, prefilter, shift_scalar};
use dcr_solver::{ForwardShift, PixelShift, SpectralBasis, SubfilterShift};
use ndarray::{Array1, Array2, Array3, ArrayView2, ArrayView3, Axis};

use dcr_measure::convolve::{correlate, turned};

/// Radius in px beyond which a spline's response is below 1e-7 of its peak.
pub const RESPONSE_REACH: usize = 12;
/// Relative squared weight below which pixels are dropped from the variance; together a
/// ten-thousandth of it.
const NEGLIGIBLE: f64 = 1e-5;

/// The predicted image; [`support`] gives the pixels where it is complete.
pub fn predict_image(
    model_byx: ArrayView3<f32>,
    basis: &SpectralBasis,
    shifts: &[SubfilterShift],
    interpolation: Interpolation,
) -> Array2<f32> {
    match interpolation {
        Interpolation::Spline(order) => predict(model_byx, basis, shifts, order),
        Interpolation::Fourier => predict_fourier(model_byx, basis, shifts),
    }
}

/// The pixels that all light comes to from inside the planes.
pub fn support(shape: (usize, usize), shifts: &[SubfilterShift]) -> Region {
    forward_support(shape, shifts)
}

/// The variance of the prediction. Pixels beyond the planes count as 0.
pub fn predict_variance(
    variance_byx: ArrayView3<f32>,
    basis: &SpectralBasis,
    shifts: &[SubfilterShift],
    interpolation: Interpolation,
) -> Array2<f32> {
    let (_, rows, cols) = variance_byx.dim();
    let mut out = Array2::zeros((rows, cols));
    for (plane, response) in variance_byx.axis_iter(Axis(0)).zip(responses(basis, shifts, interpolation)) {
        let squares = response.mapv(|weight| weight * weight);
        let least = NEGLIGIBLE * squares.iter().copied().fold(0.0, f64::max);
        let telling = squares.mapv(|square| if square > least { square } else { 0.0 });
        out += &correlate(plane, turned(telling.view()).view());
    }
    out
}

/// Each plane's response `L_a(m)`, odd-sided and centred on `m = 0`.
fn responses(
    basis: &SpectralBasis,
    shifts: &[SubfilterShift],
    interpolation: Interpolation,
) -> Vec<Array2<f64>> {
    // Fourier shifts have no finite response; the highest spline order is the nearest to it.
    let order = match interpolation {
        Interpolation::Spline(order) => order,
        Interpolation::Fourier => Order::QUINTIC,
    };
    let largest = shifts.iter().map(SubfilterShift::reach).fold(0.0, f64::max);
    let reach = largest.ceil() as usize + RESPONSE_REACH;
    let kernel = |shift: PixelShift| {
        let (y, x) = (response_along(order, shift.dy, reach), response_along(order, shift.dx, reach));
        y.insert_axis(Axis(1)).dot(&x.insert_axis(Axis(0)))
    };
    let mut out: Array3<f64> = Array3::zeros((shifts.len(), 2 * reach + 1, 2 * reach + 1));
    for (c, shift) in shifts.iter().enumerate() {
        match shift.forward {
            ForwardShift::Whole(shift) => {
                let mut plane = out.index_axis_mut(Axis(0), c);
                plane += &kernel(shift);
            }
            ForwardShift::Halves(pair) => {
                for (h, shift) in pair.into_iter().enumerate() {
                    let kernel = kernel(shift);
                    for (b, mut plane) in out.axis_iter_mut(Axis(0)).enumerate() {
                        plane.scaled_add(basis.shares()[[b, 2 * c + h]], &kernel);
                    }
                }
            }
        }
    }
    out.axis_iter(Axis(0)).map(|plane| plane.to_owned()).collect()
}

/// The response of one axis to a point, `reach` px to either side.
fn response_along(order: Order, shift: f64, reach: usize) -> Array1<f64> {
    let mut point = Array2::zeros((1, 2 * reach + 1));
    point[[0, reach]] = 1.0;
    let coefficients = prefilter(point.view(), order);
    shift_scalar(coefficients.view(), PixelShift { dy: 0.0, dx: shift }, order).row(0).to_owned()
}

/// The planes of all model pixels that the interpolation to a pixel reaches.
pub fn predict_mask(
    mask: ArrayView2<i32>,
    shifts: &[SubfilterShift],
    interpolation: Interpolation,
) -> Array2<i32> {
    let order = match interpolation {
        Interpolation::Spline(order) => order,
        Interpolation::Fourier => Order::CUBIC,
    };
    // Most halves of a subfilter reach the same pixels.
    let mut windows: Vec<[RangeInclusive<isize>; 2]> = Vec::new();
    for shift in shifts.iter().flat_map(SubfilterShift::forward_shifts) {
        let window = [taps(order, shift.dy), taps(order, shift.dx)];
        if !windows.contains(&window) {
            windows.push(window);
        }
    }
    let mut out = Array2::zeros(mask.dim());
    for [along_y, along_x] in windows {
        let rows_done = joined(mask, Axis(0), along_y);
        let both_done = joined(rows_done.view(), Axis(1), along_x);
        out.zip_mut_with(&both_done, |out, bits| *out |= bits);
    }
    out
}

/// The input indices, relative to the output's, that a shift along an axis reads.
fn taps(order: Order, shift: f64) -> RangeInclusive<isize> {
    let first = (-shift).floor() as isize - (isize::from(order.get() as i8) - 1) / 2;
    first..=first + isize::from(order.get() as i8)
}

/// The union over an axis of the lines at these relative indices.
fn joined(mask: ArrayView2<i32>, axis: Axis, taps: RangeInclusive<isize>) -> Array2<i32> {
    let mut out = Array2::zeros(mask.dim());
    let n = mask.len_of(axis) as isize;
    for tap in taps {
        // out[i] |= mask[i + tap]
        let to = (-tap).max(0)..(n - tap.max(0)).max(0);
        if to.start < to.end {
            let from = to.start + tap..to.end + tap;
            let mut target = out.slice_axis_mut(axis, to.into());
            target.zip_mut_with(&mask.slice_axis(axis, from.into()), |out, bits| *out |= bits);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use ndarray::s;

    use super::*;

    /// Sums of interpolation weights: rounding of `f32`.
    const ROUNDING: f32 = 1e-5;

    fn halves(a: (f64, f64), b: (f64, f64)) -> SubfilterShift {
        let shift = |(dy, dx)| PixelShift { dy, dx };
        let mean = shift((f64::midpoint(a.0, b.0), f64::midpoint(a.1, b.1)));
        SubfilterShift { forward: ForwardShift::Halves([shift(a), shift(b)]), mean }
    }

    /// The variance equals the squared response to one pixel of unit flux, pixel by pixel.
    #[test]
    fn variance_is_the_square_of_the_response_to_a_pixel() {
        let shifts = [halves((1.3, -2.2), (0.7, -1.4)), halves((-0.4, 0.6), (-0.9, 1.0))];
        let basis = SpectralBasis::smooth(&[1.0, 2.0, 3.0, 4.0], &[0.25; 4], &[0, 0, 1, 1], 2);
        for interpolation in [Interpolation::Spline(Order::CUBIC), Interpolation::Spline(Order::LINEAR)] {
            for plane in 0..2 {
                let mut point = Array3::zeros((2, 41, 41));
                point[[plane, 20, 20]] = 1.0;
                let image = predict_image(point.view(), &basis, &shifts, interpolation);
                let variance = predict_variance(point.view(), &basis, &shifts, interpolation);
                for (v, i) in variance.iter().zip(&image) {
                    assert!((v - i * i).abs() < ROUNDING, "{v} {i}");
                }
            }
        }
    }

    #[test]
    fn variance_of_whole_pixel_shifts_is_moved_unchanged() {
        let shifts = [SubfilterShift::whole(PixelShift { dy: 2.0, dx: -1.0 })];
        let variance = Array3::from_shape_fn((1, 20, 20), |(_, y, x)| (y * 20 + x) as f32);
        let basis = SpectralBasis::constant(1);
        let moved = predict_variance(variance.view(), &basis, &shifts, Interpolation::Spline(Order::CUBIC));
        assert!((moved[[10, 10]] - variance[[0, 8, 11]]).abs() < 1e-3);
    }

    #[test]
    fn mask_marks_every_pixel_that_a_flagged_one_enters() {
        let mut mask = Array2::zeros((31, 31));
        mask[[15, 15]] = 8;
        let mut model = Array3::zeros((1, 31, 31));
        model[[0, 15, 15]] = 1.0;
        let shifts = [halves((0.3, 1.6), (-0.2, 2.7))];
        for order in [Order::LINEAR, Order::CUBIC] {
            let marked = predict_mask(mask.view(), &shifts, Interpolation::Spline(order));
            // Of the spline, the taps; its prefilter reaches further with ever smaller weights.
            let image = predict_image(
                model.view(),
                &SpectralBasis::constant(1),
                &shifts,
                Interpolation::Spline(Order::LINEAR),
            );
            for (bits, value) in marked.iter().zip(&image) {
                assert!(*value == 0.0 || *bits == 8);
            }
            assert!(marked.iter().filter(|bits| **bits != 0).count() <= 2 * 16);
        }
    }

    #[test]
    fn fourier_meets_a_high_spline_on_a_smooth_model() {
        let model = Array3::from_shape_fn((2, 48, 50), |(b, y, x)| {
            let r2 = (y as f32 - 24.0).powi(2) + (x as f32 - 25.0).powi(2);
            (1.0 + b as f32) * (-r2 / 18.0).exp()
        });
        let shifts =
            [halves((1.3, -2.2), (0.7, -1.4)), SubfilterShift::whole(PixelShift { dy: 0.4, dx: 0.6 })];
        let basis = SpectralBasis::constant(2);
        let fourier = predict_image(model.view(), &basis, &shifts, Interpolation::Fourier);
        let spline = predict_image(model.view(), &basis, &shifts, Interpolation::Spline(Order::QUINTIC));
        for (a, b) in fourier.slice(s![8..40, 8..42]).iter().zip(spline.slice(s![8..40, 8..42])) {
            assert!((a - b).abs() < 3e-4, "{a} {b}");
        }
    }
}
