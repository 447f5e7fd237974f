use ndarray::{Array2, s};
use proptest::prelude::*;

use super::*;
use crate::Wcs;
use crate::header::Header;
use crate::psf::{Psf, Stamp};

/// Flux of a star of FWHM 3 px in the coarser grid, relative: what is promised. Measured: 9e-4
/// where the scales differ by 3 %, so that the whole star is interpolated at nearly one phase; 4e-5
/// on pixels of one size.
const FLUX: f64 = 1e-3;
/// A Gaussian of FWHM 4 px moved by a fraction of a pixel, of its peak: the ripple of each kernel.
/// Measured: 5.1e-3, 3.7e-3, 2.2e-3.
const GAUSSIAN: [(WarpKernel, f64); 3] =
    [(WarpKernel::Lanczos3, 6e-3), (WarpKernel::Lanczos4, 4.5e-3), (WarpKernel::Lanczos5, 3e-3)];
/// A Gaussian of FWHM 5 px through another grid and back by Lanczos-5, of its peak. Measured:
/// 3.9e-3.
const THERE_AND_BACK: f64 = 5e-3;
/// Positions against the exact transformations: what is promised. Measured: 5.2e-5 px.
const POSITION_PX: f64 = 1e-3;
/// Sums in `f32`.
const ROUNDING: f32 = 3e-6;

/// Flags of the tests.
const NO_DATA: i32 = 256;
const SAT: i32 = 2;

/// TAN with its reference pixel and place, the scale in arcsec and the angle in degrees of +y from
/// North towards East.
fn wcs(crpix: (f64, f64), crval: (f64, f64), scale: f64, angle: f64) -> Wcs {
    let mut header = header(crpix, crval, scale, angle);
    header.set("CTYPE1", "RA---TAN");
    header.set("CTYPE2", "DEC--TAN");
    Wcs::from_header(&header, (0, 0)).unwrap()
}

fn header(crpix: (f64, f64), crval: (f64, f64), scale: f64, angle: f64) -> Header {
    let (sin, cos) = angle.to_radians().sin_cos();
    let degrees = scale / 3600.0;
    let mut header = Header::new();
    for (keyword, value) in [
        ("CRPIX1", crpix.0 + 1.0),
        ("CRPIX2", crpix.1 + 1.0),
        ("CRVAL1", crval.0),
        ("CRVAL2", crval.1),
        ("CD1_1", -degrees * cos),
        ("CD1_2", degrees * sin),
        ("CD2_1", degrees * sin),
        ("CD2_2", degrees * cos),
    ] {
        header.set(keyword, value);
    }
    header
}

fn source_wcs() -> Wcs {
    wcs((40.0, 35.0), (53.0, -27.0), 0.2, 0.0)
}

fn image_of(bbox: BBox, value: impl Fn(f64, f64) -> f64) -> MaskedImage {
    let image = Array2::from_shape_fn(bbox.shape(), |(row, col)| {
        value((bbox.x0 + col as i64) as f64, (bbox.y0 + row as i64) as f64) as f32
    });
    MaskedImage::new(bbox, image, Array2::zeros(bbox.shape()), Array2::ones(bbox.shape())).unwrap()
}

fn gaussian(fwhm: f64, (cx, cy): (f64, f64)) -> impl Fn(f64, f64) -> f64 {
    let sigma = fwhm / 2.354_82;
    move |x, y| (-0.5 * ((x - cx).powi(2) + (y - cy).powi(2)) / (sigma * sigma)).exp()
}

fn warp(pixels: MaskedImage, kernel: WarpKernel, output: &Wcs, bbox: BBox) -> MaskedImage {
    let map = PositionMap::new(output, bbox, &source_wcs(), &pixels.bbox);
    let (x, y) = bbox.centre();
    let area = map.at(x as i64, y as i64).area;
    Resampler::new(pixels, NO_DATA, kernel, area).resample(&map, bbox)
}

fn close(a: f32, b: f32, tolerance: f32) -> bool {
    (a - b).abs() <= tolerance || (a.is_nan() && b.is_nan())
}

#[test]
fn whole_pixels_are_moved_unchanged() {
    let bbox = BBox::new(-7, 11, 60, 50);
    let pixels = image_of(bbox, |x, y| (x * 1.7 + y * y * 0.3).sin() * 100.0);
    let moved = wcs((43.0, 33.0), (53.0, -27.0), 0.2, 0.0);
    for kernel in [WarpKernel::Bilinear, WarpKernel::Lanczos3, WarpKernel::Lanczos5] {
        let out = warp(pixels.clone(), kernel, &moved, BBox::new(0, 20, 30, 20));
        for ((row, col), value) in out.image.indexed_iter() {
            // Pixel (x, y) of the output is (x − 3, y + 2) of the source.
            let (x, y) = (col as i64 - 3, row as i64 + 20 + 2);
            let expected = pixels.image[[(y - 11) as usize, (x + 7) as usize]];
            assert!(close(*value, expected, 100.0 * ROUNDING), "{kernel:?} {value} {expected}");
        }
        assert!(out.variance.iter().all(|v| (v - 1.0).abs() < 10.0 * ROUNDING));
        assert!(out.mask.iter().all(|mask| *mask == 0));
    }
}

#[test]
fn fraction_of_a_pixel_moves_a_gaussian() {
    let bbox = BBox::new(0, 0, 80, 70);
    let pixels = image_of(bbox, gaussian(4.0, (40.0, 35.0)));
    for (kernel, tolerance) in GAUSSIAN {
        for (dx, dy) in [(0.5, 0.5), (0.3, -0.2), (-0.45, 0.1)] {
            let moved = wcs((40.0 + dx, 35.0 + dy), (53.0, -27.0), 0.2, 0.0);
            let out = warp(pixels.clone(), kernel, &moved, BBox::new(20, 15, 40, 40));
            let expected = image_of(out.bbox, gaussian(4.0, (40.0 + dx, 35.0 + dy)));
            let largest =
                out.image.iter().zip(&expected.image).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(f64::from(largest) < tolerance, "{kernel:?} {largest}");
        }
    }
}

#[test]
fn quarter_turn_is_a_permutation() {
    let bbox = BBox::new(0, 0, 81, 71);
    let pixels = image_of(bbox, |x, y| (x * 0.9).sin() + (y * 0.4).cos());
    let turned = wcs((35.0, 40.0), (53.0, -27.0), 0.2, 90.0);
    let out = warp(pixels.clone(), WarpKernel::Lanczos3, &turned, BBox::new(5, 5, 60, 70));
    for ((row, col), value) in out.image.indexed_iter() {
        let (u, v) = (col as f64 + 5.0 - 35.0, row as f64 + 5.0 - 40.0);
        // +y is East, which is −x in the source; +x is North, +y in the source.
        let (x, y) = (40.0 - v, 35.0 + u);
        let expected = pixels.image[[y as usize, x as usize]];
        assert!(close(*value, expected, 30.0 * ROUNDING), "({u}, {v}): {value} {expected}");
    }
}

#[test]
fn flux_is_conserved_at_any_scale_and_angle() {
    for kernel in [WarpKernel::Lanczos3, WarpKernel::Lanczos4, WarpKernel::Lanczos5] {
        for (scale, fwhm) in [(0.5, 3.0), (1.0, 3.0), (1.03, 3.1), (1.3, 3.9), (2.0, 6.0)] {
            for angle in [0.0, 17.0, 90.0, 133.0, 180.0] {
                let source = image_of(BBox::new(0, 0, 81, 71), gaussian(fwhm, (40.3, 34.8)));
                let expected: f64 = source.image.iter().map(|v| f64::from(*v)).sum();
                let output = wcs((60.2, 60.7), (53.0, -27.0), 0.2 * scale, angle);
                let out = warp(source, kernel, &output, BBox::new(0, 0, 121, 121));
                let got: f64 = out.image.iter().filter(|v| v.is_finite()).map(|v| f64::from(*v)).sum();
                assert!(
                    (got / expected - 1.0).abs() < FLUX,
                    "{kernel:?} {scale} {angle}: {}",
                    got / expected
                );
            }
        }
    }
}

#[test]
fn coarse_pixels_average_noise() {
    let source = image_of(BBox::new(0, 0, 81, 71), |_, _| 3.0);
    let output = wcs((20.0, 17.0), (53.0, -27.0), 0.4, 0.0);
    let out = warp(source, WarpKernel::Lanczos3, &output, BBox::new(15, 12, 10, 10));
    for (value, variance) in out.image.iter().zip(&out.variance) {
        // Four pixels of 3 with a variance of 1 each, averaged with neighbours.
        assert!((value - 12.0).abs() < 1e-4, "{value}");
        assert!((3.0..4.0).contains(variance), "{variance}");
    }
}

#[test]
fn edges_have_no_data_beyond_the_kernel() {
    let pixels = image_of(BBox::new(0, 0, 40, 40), |_, _| 5.0);
    let moved = wcs((40.5, 35.0), (53.0, -27.0), 0.2, 0.0);
    for (kernel, lost) in [(WarpKernel::Bilinear, 0), (WarpKernel::Lanczos3, 1), (WarpKernel::Lanczos5, 2)] {
        let out = warp(pixels.clone(), kernel, &moved, BBox::new(-10, -10, 60, 60));
        for ((row, col), value) in out.image.indexed_iter() {
            let (x, y) = (col as i64 - 10, row as i64 - 10);
            let inside = (1 + lost..=39 - lost).contains(&x) && (0..40).contains(&y);
            let (mask, variance) = (out.mask[[row, col]], out.variance[[row, col]]);
            assert_eq!(value.is_finite(), inside, "{kernel:?} ({x}, {y})");
            assert_eq!((mask == NO_DATA, variance.is_nan()), (!inside, !inside), "{kernel:?} ({x}, {y})");
            assert!(!inside || (value - 5.0).abs() < 1e-5);
        }
    }
}

/// A hole in a flat image stays a hole; around it the kernel is made whole, and the image stays
/// flat.
#[test]
fn holes_are_left_out_and_do_not_spread() {
    let mut pixels = image_of(BBox::new(0, 0, 60, 60), |_, _| 7.0);
    pixels.image.slice_mut(s![30..36, 28..31]).fill(f32::NAN);
    pixels.variance[[10, 10]] = f32::INFINITY;
    pixels.mask[[50, 50]] = NO_DATA;
    pixels.image[[50, 50]] = 1e9;
    let moved = wcs((40.4, 35.3), (53.0, -27.0), 0.2, 0.0);
    let out = warp(pixels, WarpKernel::Lanczos3, &moved, BBox::new(5, 5, 50, 50));
    for ((row, col), value) in out.image.indexed_iter() {
        let (x, y) = (col as f64 + 5.0 - 0.4, row as f64 + 5.0 - 0.3);
        let from = |x0: f64, x1: f64, y0: f64, y1: f64| (x0 - x).max(x - x1).max(y0 - y).max(y - y1);
        let distance =
            from(28.0, 30.0, 30.0, 35.0).min(from(10.0, 10.0, 10.0, 10.0)).min(from(50.0, 50.0, 50.0, 50.0));
        if distance <= 0.5 {
            assert!(value.is_nan() && out.mask[[row, col]] == NO_DATA, "({x}, {y}) {value}");
        }
        if distance > 2.0 {
            assert!(value.is_finite() && out.mask[[row, col]] == 0, "({x}, {y})");
        }
        assert!(value.is_nan() || (value - 7.0).abs() < 1e-5, "({x}, {y}) {value}");
    }
}

#[test]
fn mask_reaches_as_far_as_significant_weight() {
    let mut pixels = image_of(BBox::new(0, 0, 60, 60), |_, _| 0.0);
    pixels.mask[[30, 30]] = SAT;
    let mut point = pixels.clone();
    point.image[[30, 30]] = 1.0;
    let moved = wcs((40.4, 35.3), (53.0, -27.0), 0.2, 0.0);
    let out = warp(point, WarpKernel::Lanczos3, &moved, BBox::new(5, 5, 50, 50));
    for (mask, weight) in out.mask.iter().zip(&out.image) {
        assert_eq!(*mask, if weight.abs() >= SIGNIFICANT_WEIGHT { SAT } else { 0 });
    }
    assert!(out.mask.iter().any(|mask| *mask == SAT));
}

#[test]
fn variance_is_the_square_of_the_response_to_a_pixel() {
    let mut pixels = image_of(BBox::new(0, 0, 60, 60), |_, _| 0.0);
    pixels.image[[30, 30]] = 1.0;
    pixels.variance.fill(0.0);
    pixels.variance[[30, 30]] = 1.0;
    for (scale, angle) in [(0.2, 0.0), (0.2, 30.0), (0.31, 200.0), (0.1, 10.0)] {
        let output = wcs((40.4, 35.3), (53.0, -27.0), scale, angle);
        let out = warp(pixels.clone(), WarpKernel::Lanczos3, &output, BBox::new(5, 5, 60, 60));
        for (variance, value) in out.variance.iter().zip(&out.image) {
            assert!(close(*variance, value * value, ROUNDING * 4.0), "{variance} {value}");
        }
    }
}

#[test]
fn parts_are_the_same_as_the_whole() {
    let pixels = image_of(BBox::new(0, 0, 80, 70), |x, y| (x * 0.7 + y * 0.2).sin());
    let output = wcs((35.0, 30.0), (53.001, -27.0), 0.21, 31.0);
    let bbox = BBox::new(-3, 4, 77, 61);
    let map = PositionMap::new(&output, bbox, &source_wcs(), &pixels.bbox);
    let source = Resampler::new(pixels, NO_DATA, WarpKernel::Lanczos4, 1.0);
    let whole = source.resample(&map, bbox);
    for part in bbox.tiles((20, 13)) {
        let (part, expected) = (source.resample(&map, part), whole.sub_image(part).unwrap());
        assert_eq!(part.mask, expected.mask);
        assert!(part.image.iter().zip(&expected.image).all(|(a, b)| a.to_bits() == b.to_bits()));
    }
}

#[test]
fn image_of_one_pixel_or_elsewhere_has_no_data() {
    let one = image_of(BBox::new(40, 35, 1, 1), |_, _| 1.0);
    let out = warp(one, WarpKernel::Bilinear, &source_wcs(), BBox::new(38, 33, 5, 5));
    // On its own grid a pixel is itself; the kernel's other taps weigh nothing.
    assert_eq!(out.image.iter().filter(|v| v.is_finite()).count(), 1);
    let far = wcs((40.0, 35.0), (233.0, 27.0), 0.2, 0.0);
    let bbox = BBox::new(0, 0, 30, 20);
    let map = PositionMap::new(&far, bbox, &source_wcs(), &bbox);
    assert_eq!(map.source_box(&bbox, 3), None);
    let source = Resampler::new(image_of(bbox, |_, _| 1.0), NO_DATA, WarpKernel::Lanczos3, f64::NAN);
    assert!(source.resample(&map, bbox).mask.iter().all(|mask| *mask == NO_DATA));
}

#[test]
fn source_box_holds_all_that_is_needed_and_no_more() {
    let limits = BBox::new(0, 0, 300, 300);
    let output = wcs((40.0, 35.0), (53.0, -27.0), 0.2, 45.0);
    let bbox = BBox::new(100, 0, 50, 60);
    let map = PositionMap::new(&output, bbox, &source_wcs(), &limits);
    let needed = map.source_box(&limits, 3).unwrap();
    for y in bbox.y0..bbox.y1() {
        for x in bbox.x0..bbox.x1() {
            let place = map.at(x, y);
            let (x, y) = (place.x.floor() as i64, place.y.floor() as i64);
            assert!(!limits.contains(x, y) || needed.contains(x, y));
        }
    }
    assert!(needed.width < 100 && needed.height < 100, "{needed}");
    // Beyond a corner of a rotated box nothing is needed although the hull is touched.
    let place = map.at(bbox.x0, bbox.y0);
    let beyond = BBox::new(place.x as i64 - 60, place.y as i64 - 1, 30, 3);
    assert_eq!(map.source_box(&beyond, 0), None);
}

/// The greatest distance of positions from the exact ones, on a grid of places that are no nodes.
fn position_error(output: &Wcs, bbox: BBox, source: &Wcs) -> f64 {
    let map = PositionMap::new(output, bbox, source, &BBox::new(-20_000, -20_000, 40_000, 40_000));
    let mut largest = 0.0_f64;
    for y in (bbox.y0..bbox.y1()).step_by(37) {
        for x in (bbox.x0..bbox.x1()).step_by(41) {
            let exact = source.sky_to_pixel(output.pixel_to_sky(x as f64, y as f64).unwrap()).unwrap();
            let place = map.at(x, y);
            largest = largest.max((place.x - exact.0).hypot(place.y - exact.1));
        }
    }
    largest
}

#[test]
fn positions_between_nodes_meet_the_exact_ones() {
    let source = source_wcs();
    let mut distorted = header((1000.0, 2000.0), (53.05, -27.02), 0.26, 91.0);
    distorted.set("CTYPE1", "RA---TAN-SIP");
    distorted.set("CTYPE2", "DEC--TAN-SIP");
    for (keyword, value) in [("A_ORDER", 3_i64), ("B_ORDER", 3)] {
        distorted.set(keyword, value);
    }
    // Some px of distortion at the edge of a chip, as wide-field cameras have it.
    for (keyword, value) in
        [("A_2_0", 1.5e-6), ("A_1_1", -7e-7), ("A_3_0", 4e-10), ("B_0_2", 1e-6), ("B_1_2", -5e-10)]
    {
        distorted.set(keyword, value);
    }
    let distorted = Wcs::from_header(&distorted, (0, 0)).unwrap();
    let cases = [
        (wcs((1000.0, 2000.0), (53.0, -27.0), 0.2, 25.0), "rotated"),
        (wcs((1000.0, 2000.0), (54.2, -26.3), 0.27, 170.0), "another projection centre"),
        (wcs((-30_000.0, 2000.0), (52.1, -27.0), 0.2, 0.0), "far from its reference pixel"),
        (distorted, "distorted"),
    ];
    for (output, name) in &cases {
        let error = position_error(output, BBox::new(0, 0, 2048, 4096), &source);
        assert!(error < POSITION_PX, "{name}: {error:e}");
    }
}

#[test]
fn area_is_that_of_the_jacobian() {
    let output = wcs((1000.0, 900.0), (53.4, -26.8), 0.25, 40.0);
    let bbox = BBox::new(0, 0, 1000, 700);
    let map = PositionMap::new(&output, bbox, &source_wcs(), &BBox::new(-9000, -9000, 18_000, 18_000));
    for (x, y) in [(0, 0), (999, 699), (500, 300), (31, 32)] {
        let place = map.at(x, y);
        let of = |wcs: &Wcs, x: f64, y: f64| wcs.jacobian(x, y).unwrap().determinant();
        let exact = of(&output, x as f64, y as f64) / of(&source_wcs(), place.x, place.y);
        assert!((place.area / exact - 1.0).abs() < 1e-4, "{} {exact}", place.area);
    }
}

#[test]
fn boxes_of_a_row_or_a_pixel_have_places() {
    let source = source_wcs();
    for bbox in [BBox::new(40, 35, 1, 1), BBox::new(10, 35, 60, 1), BBox::new(40, 0, 1, 50)] {
        let map = PositionMap::new(&source, bbox, &source, &bbox);
        let place = map.at(bbox.x1() - 1, bbox.y1() - 1);
        assert!(
            (place.x - (bbox.x1() as f64 - 1.0)).abs() < 1e-6 && (place.area - 1.0).abs() < 1e-6,
            "{place:?}"
        );
    }
}

#[test]
fn stamp_on_its_own_grid_is_itself() {
    let stamp = Psf::Moffat { fwhm_px: 4.0, beta: 3.0 }.stamp_at(0.0, 0.0).unwrap();
    let same = warp_stamp(&stamp, [[1.0, 0.0], [0.0, 1.0]], WarpKernel::Lanczos3).unwrap();
    assert!(stamp.pixels().iter().zip(same.pixels()).all(|(a, b)| (a - b).abs() < 1e-7));
}

#[test]
fn stamp_turns_and_scales_with_the_grid() {
    let side = 41;
    let long = Stamp::new(Array2::from_shape_fn((side, side), |(row, col)| {
        let (x, y) = (col as f64 - 20.0, row as f64 - 20.0);
        (-0.5 * (x * x / 16.0 + y * y / 4.0)).exp()
    }))
    .unwrap();
    let expected = long.fwhm_px().unwrap();
    for (scale, angle) in [(1.0, 90.0_f64), (1.0, 30.0), (0.5, 0.0), (1.5, 77.0)] {
        let (sin, cos) = angle.to_radians().sin_cos();
        let matrix = [[scale * cos, -scale * sin], [scale * sin, scale * cos]];
        let turned = warp_stamp(&long, matrix, WarpKernel::Lanczos3).unwrap();
        let got = turned.fwhm_px().unwrap() * scale;
        assert!((got / expected - 1.0).abs() < 0.01, "{scale} {angle}: {got} {expected}");
    }
    let turned = warp_stamp(&long, [[0.0, -1.0], [1.0, 0.0]], WarpKernel::Lanczos3).unwrap();
    assert!((turned.pixels()[[20 + 4, 20]] - long.pixels()[[20, 20 + 4]]).abs() < 1e-7);
    assert!(warp_stamp(&long, [[1.0, 1.0], [1.0, 1.0]], WarpKernel::Lanczos3).is_err());
    assert!(warp_stamp(&long, [[f64::NAN, 0.0], [0.0, 1.0]], WarpKernel::Lanczos3).is_err());
    assert!(warp_stamp(&long, [[1e-6, 0.0], [0.0, 1e-6]], WarpKernel::Lanczos3).is_err());
}

proptest! {
    /// There and back: a star keeps place, flux and form, whatever the other grid's angle, scale
    /// and centre.
    #[test]
    fn star_there_and_back_is_itself(
        angle in 0.0_f64..360.0, scale in 0.8_f64..1.04, dx in -2.0_f64..2.0, dy in -2.0_f64..2.0,
        ra in -0.001_f64..0.001, dec in -0.001_f64..0.001,
    ) {
        let bbox = BBox::new(0, 0, 80, 70);
        let star = image_of(bbox, gaussian(5.0, (40.0 + dx, 35.0 + dy)));
        let there = wcs((100.0, 100.0), (53.0 + ra, -27.0 + dec), 0.2 * scale, angle);
        let outer = BBox::new(0, 0, 201, 201);
        let moved = warp(star.clone(), WarpKernel::Lanczos5, &there, outer);
        let map = PositionMap::new(&source_wcs(), bbox, &there, &outer);
        let back = Resampler::new(moved, NO_DATA, WarpKernel::Lanczos5, 1.0).resample(&map, bbox);
        let inner = s![18..52, 23..57];
        let off = |(a, b): (&f32, &f32)| f64::from((a - b).abs());
        let largest = back.image.slice(inner).iter().zip(star.image.slice(inner)).map(off).fold(0.0, f64::max);

        prop_assert!(back.image.slice(inner).iter().all(|v| v.is_finite()));
        prop_assert!(largest < THERE_AND_BACK, "{}", largest);
    }
}
