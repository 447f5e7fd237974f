//! Conversion of numbers to colours.
//!
//! Fluxes cover orders of magnitude. With `m` the median and `σ` the scatter of the sky, brightness
//! is
//!
//! ```text
//! b(x) = (asinh((x − m) / 2σ) − asinh(−1)) / (asinh((x_max − m) / 2σ) − asinh(−1))
//! ```
//!
//! linear around the sky and logarithmic far above it; one pixel in a thousand exceeds `x_max`.
//! Differences are linear between −6 and 6 σ, so that noise looks like noise. A colour composite
//! has the brightness of the mean, and colours fade to grey at the level of the noise (R. Lupton et
//! al., 2004, PASP 116, 133, for colours independent of brightness).

use ndarray::{Array2, ArrayView2, ArrayView3, Axis, Zip};

use super::{Picture, Pixels, Ramp};
use crate::statistics::{median_and_scatter, quantile};

/// Pixels brighter than all but this share are white.
const BRIGHTEST: f64 = 0.999;
/// Sources are given at least this range, in scatters of the sky.
const LEAST_RANGE: f32 = 20.0;
/// Where differences are black and white, in scatters.
pub(crate) const DIFFERENCE_RANGE: f32 = 6.0;
/// Significance of the mean at which a composite has half of its colour.
const HALF_COLOURED: f32 = 4.0;

/// How fluxes become brightness.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Stretch {
    sky: f32,
    scatter: f32,
    brightest: f32,
}

impl Stretch {
    /// One that suits all of these values.
    pub(crate) fn of<'a>(values: impl IntoIterator<Item = &'a f32> + Clone) -> Self {
        let (sky, scatter) = median_and_scatter(values.clone().into_iter().copied()).unwrap_or((0.0, 1.0));
        let scatter = if scatter > 0.0 { scatter } else { 1.0 };
        let brightest = quantile(values.into_iter().copied(), BRIGHTEST).unwrap_or(sky);
        Self { sky, scatter, brightest: brightest.max(sky + LEAST_RANGE * scatter) }
    }

    /// Brightness from 0 to 1.
    fn brightness(&self, value: f32) -> f32 {
        let bend = |value: f32| ((value - self.sky) / (2.0 * self.scatter)).asinh();
        let dark = (-1.0_f32).asinh();
        ((bend(value) - dark) / (bend(self.brightest) - dark)).clamp(0.0, 1.0)
    }
}

/// Fluxes in grey.
pub(crate) fn flux(plane: ArrayView2<f32>, stretch: &Stretch) -> Picture {
    indexed(plane, Ramp::Grey, |value| stretch.brightness(value))
}

/// Differences with the standard coadd and with the matched template, in grey, symmetric about
/// zero. Both share one scale, or each has that of its noise.
pub(crate) fn differences(
    plain: Option<&Array2<f32>>,
    matched: &Array2<f32>,
    alike: bool,
) -> (Option<Picture>, Picture) {
    let common = white_of(plain.into_iter().chain([matched]));
    let grey = |plane: &Array2<f32>| {
        let white = if alike { common } else { white_of([plane].into_iter()) };
        indexed(plane.view(), Ramp::Grey, |value| (0.5 + 0.5 * value / white).clamp(0.0, 1.0))
    };
    (plain.map(grey), grey(matched))
}

/// White level of differences: a multiple of the scatter of the quieter one.
fn white_of<'a>(planes: impl Iterator<Item = &'a Array2<f32>>) -> f32 {
    let scatters = planes.filter_map(|plane| median_and_scatter(plane.iter().copied()));
    let least = scatters.map(|(_, scatter)| scatter).fold(f32::INFINITY, f32::min);
    DIFFERENCE_RANGE * if least.is_finite() && least > 0.0 { least } else { 1.0 }
}

/// Numbers from `least` to `most` in colours from blue to yellow.
pub(crate) fn counts(plane: ArrayView2<f32>, least: f32, most: f32) -> Picture {
    let range = if most > least { most - least } else { 1.0 };
    indexed(plane, Ramp::BlueToYellow, |value| ((value - least) / range).clamp(0.0, 1.0))
}

/// Composite of any number of subfilters, blue to red: each channel has its third of the band.
pub(crate) fn composite(planes_byx: ArrayView3<f32>, stretch: &Stretch) -> Picture {
    let n = planes_byx.len_of(Axis(0));
    let channels: Vec<Array2<f32>> = (0..3).map(|channel| mixed(planes_byx, shares(n, channel))).collect();
    let (rows, cols) = channels[0].dim();
    let mut data = Vec::with_capacity(4 * rows * cols);
    for row in (0..rows).rev() {
        for col in 0..cols {
            let [blue, green, red] = [0, 1, 2].map(|channel| channels[channel][[row, col]]);
            let mean = (blue + green + red) / 3.0;
            if !mean.is_finite() {
                data.extend([0; 4]);
                continue;
            }
            let above = mean - stretch.sky;
            let significance = (above / stretch.scatter).max(0.0);
            let colour = significance.powi(2) / (significance.powi(2) + HALF_COLOURED.powi(2));
            let brightness = stretch.brightness(mean);
            let light = |own: f32| {
                let excess = if above > 0.0 { (own - mean) / above } else { 0.0 };
                brightness * (1.0 + colour * excess).max(0.0)
            };
            let lights = [light(red), light(green), light(blue)];
            // A colour too bright for the screen keeps its hue.
            let largest = lights.iter().copied().fold(1.0, f32::max);
            data.extend(lights.map(|light| (255.0 * light / largest).round() as u8));
            data.push(255);
        }
    }
    Picture { width: cols, height: rows, pixels: Pixels::Rgba(data) }
}

/// The shares of `n` subfilters in a third of the band, which add up to 1.
fn shares(n: usize, third: usize) -> Vec<f32> {
    let (from, to) = (third as f64 / 3.0, (third + 1) as f64 / 3.0);
    (0..n)
        .map(|a| {
            let (lo, hi) = (a as f64 / n as f64, (a + 1) as f64 / n as f64);
            (3.0 * (hi.min(to) - lo.max(from)).max(0.0)) as f32
        })
        .collect()
}

fn mixed(planes_byx: ArrayView3<f32>, shares: Vec<f32>) -> Array2<f32> {
    let (_, rows, cols) = planes_byx.dim();
    let mut out = Array2::zeros((rows, cols));
    for (plane, share) in planes_byx.axis_iter(Axis(0)).zip(shares) {
        // NaN in any subfilter is no colour.
        Zip::from(&mut out).and(&plane).for_each(|out, value| *out += share * value);
    }
    out
}

/// A picture with the first row at the bottom.
fn indexed(plane: ArrayView2<f32>, ramp: Ramp, fraction: impl Fn(f32) -> f32) -> Picture {
    let (height, width) = plane.dim();
    let mut data = Vec::with_capacity(width * height);
    for row in plane.rows().into_iter().rev() {
        data.extend(
            row.iter().map(
                |value| {
                    if value.is_finite() { 1 + (254.0 * fraction(*value)).round() as u8 } else { 0 }
                },
            ),
        );
    }
    Picture { width, height, pixels: Pixels::Indexed(data, ramp) }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, array};

    use super::*;

    fn indices(picture: Picture) -> Vec<u8> {
        match picture.pixels {
            Pixels::Indexed(data, _) => data,
            Pixels::Rgba(data) => data,
        }
    }

    #[test]
    fn stretch_rises_from_sky_to_the_brightest() {
        let values: Vec<f32> = (0..1000).map(|i| ((i * 37) % 101) as f32 - 50.0).chain([5000.0; 3]).collect();
        let stretch = Stretch::of(&values);
        let brightness: Vec<f32> =
            [-1e9, 0.0, 100.0, 1000.0, 1e9].map(|value| stretch.brightness(value)).to_vec();
        assert!(brightness.is_sorted_by(|a, b| a < b), "{brightness:?}");
        assert_eq!((brightness[0], brightness[4]), (0.0, 1.0));
        assert!(brightness[1] > 0.1 && brightness[1] < 0.4, "{brightness:?}");
    }

    #[test]
    fn stretch_of_nothing_or_of_one_value_is_finite() {
        for values in [vec![], vec![f32::NAN; 5], vec![3.0; 5]] {
            let stretch = Stretch::of(&values);
            assert!(stretch.brightness(3.0).is_finite());
            assert!(stretch.brightest > stretch.sky);
        }
    }

    #[test]
    fn pictures_have_their_first_row_at_the_bottom_and_no_data_is_transparent() {
        let plane = array![[-100.0, f32::NAN, 0.0], [0.0, 100.0, 0.0]];
        let (none, picture) = differences(None, &plane, true);
        assert_eq!(indices(picture), [128, 255, 128, 1, 0, 128]);
        assert_eq!(none, None);
    }

    #[test]
    fn differences_share_the_scale_of_the_quieter() {
        let quiet = Array2::from_shape_fn((20, 20), |(y, x)| ((y * 20 + x) % 5) as f32 - 2.0);
        let white = white_of([&(quiet.clone() * 5.0), &quiet].into_iter());
        assert!((white - 6.0 * 1.482_602_2).abs() < 1e-3, "{white}");
        assert_eq!(white_of([&Array2::from_elem((2, 2), f32::NAN)].into_iter()), 6.0);
    }

    #[test]
    fn shares_of_any_number_of_subfilters_add_up() {
        assert_eq!(shares(3, 0), [1.0, 0.0, 0.0]);
        assert_eq!(shares(2, 1), [0.5, 0.5]);
        for n in 1..8 {
            for third in 0..3 {
                assert!((shares(n, third).iter().sum::<f32>() - 1.0).abs() < 1e-6, "{n} {third}");
            }
        }
    }

    #[test]
    fn composite_of_a_red_source_is_red_and_of_no_data_transparent() {
        let mut planes =
            Array3::from_shape_fn((3, 10, 10), |(_, y, x)| if (y + x) % 2 == 0 { 1.0 } else { -1.0 });
        planes[[0, 5, 5]] = 50.0;
        planes[[1, 5, 5]] = 100.0;
        planes[[2, 5, 5]] = 200.0;
        planes[[1, 0, 0]] = f32::NAN;
        let stretch = Stretch::of(&planes);
        let data = indices(composite(planes.view(), &stretch));
        let pixel = |row: usize, col: usize| &data[4 * ((9 - row) * 10 + col)..][..4];
        let [red, green, blue, opacity] = pixel(5, 5) else { unreachable!() };
        assert!(red > green && green > blue && *opacity == 255);
        assert_eq!(pixel(0, 0), [0; 4]);
        assert_eq!(composite(Array3::zeros((1, 4, 6)).view(), &stretch).width, 6);
    }
}
