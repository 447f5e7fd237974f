use serde_json::Value as Json;

use super::*;
use crate::header::{Card, Header};

/// Agreement with astropy, which works in double precision as we do: 1e-6 px is a hundred times
/// what its own iteration leaves.
const PIXEL_TOLERANCE: f64 = 1e-6;
/// 0.01 mas, a tenth of the best reference catalogues.
const SKY_TOLERANCE_ARCSEC: f64 = 1e-5;
/// The zenith direction, from astropy's offsets of 1″ along great circles.
const DIRECTION_TOLERANCE_DEG: f64 = 1e-4;
/// The pixel scale along it.
const SCALE_TOLERANCE: f64 = 1e-6;

fn tan_header() -> Header {
    [
        Card::new("CTYPE1", "RA---TAN"),
        Card::new("CTYPE2", "DEC--TAN"),
        Card::new("CRVAL1", 53.0),
        Card::new("CRVAL2", -28.0),
        Card::new("CRPIX1", 50.5),
        Card::new("CRPIX2", 40.5),
        Card::new("CD1_1", -5e-5),
        Card::new("CD2_2", 5e-5),
    ]
    .into_iter()
    .collect()
}

fn number(json: &Json, key: &str) -> f64 {
    json[key].as_f64().unwrap_or_else(|| panic!("{key} is a number"))
}

pub(crate) fn check_against_astropy(name: &str, wcs: &Wcs, points: &[Json]) {
    for point in points {
        let (x, y) = (number(point, "x"), number(point, "y"));
        let expected = SkyPosition::from_degrees(number(point, "ra"), number(point, "dec"));
        let sky = wcs.pixel_to_sky(x, y).unwrap();
        let apart =
            (0..3).map(|i| (unit_vector(sky)[i] - unit_vector(expected)[i]).powi(2)).sum::<f64>().sqrt();
        assert!(
            Angle::from_radians(apart).arcsec() < SKY_TOLERANCE_ARCSEC,
            "{name} ({x}, {y}): {apart:e} rad"
        );

        let (back_x, back_y) = wcs.sky_to_pixel(expected).unwrap();
        assert!(
            (back_x - x).hypot(back_y - y) < PIXEL_TOLERANCE,
            "{name}: {back_x}, {back_y} is not {x}, {y}"
        );

        let zenith = wcs.zenith_direction(x, y, Angle::from_degrees(number(point, "q"))).unwrap();
        let (dx, dy) = (number(point, "dx"), number(point, "dy"));
        let turn = (zenith.dx * dy - zenith.dy * dx).atan2(zenith.dx * dx + zenith.dy * dy).to_degrees();
        assert!(turn.abs() < DIRECTION_TOLERANCE_DEG, "{name} ({x}, {y}): direction off by {turn:e}°");
        let scale = zenith.arcsec_per_px / number(point, "arcsec_per_px");
        assert!((scale - 1.0).abs() < SCALE_TOLERANCE, "{name} ({x}, {y}): scale off by {:e}", scale - 1.0);
    }
}

#[test]
fn wcs_agrees_with_astropy() {
    let values: Json = serde_json::from_str(include_str!("../../tests/data/wcs_values.json")).unwrap();
    let cases = values["invented"].as_array().unwrap();
    assert!(cases.len() > 15);
    for case in cases {
        let header: Header = case["cards"]
            .as_array()
            .unwrap()
            .iter()
            .map(|card| {
                let key = card[0].as_str().unwrap();
                match &card[1] {
                    Json::String(text) => Card::new(key, text.as_str()),
                    value => Card::new(key, value.as_f64().unwrap()),
                }
            })
            .collect();
        let name = case["name"].as_str().unwrap();
        let wcs = Wcs::from_header(&header, (0, 0)).unwrap_or_else(|error| panic!("{name}: {error}"));
        check_against_astropy(name, &wcs, case["points"].as_array().unwrap());

        // The same WCS written for an image elsewhere in the parent and read again.
        let moved: Header = wcs.to_cards((-37, 1024)).into_iter().chain(origin_cards((-37, 1024))).collect();
        let again = Wcs::from_header(&moved, image_origin(&moved)).unwrap();
        check_against_astropy(name, &again, case["points"].as_array().unwrap());
    }
}

#[test]
fn difference_is_the_shift_between_grids() {
    let header = tan_header();
    let wcs = Wcs::from_header(&header, (0, 0)).unwrap();
    let moved = Wcs::from_header(&header, (3, 4)).unwrap();
    let bbox = BBox::new(0, 0, 100, 80);
    assert!(wcs.difference_px(&wcs, &bbox).unwrap() < PIXEL_TOLERANCE);
    assert!((wcs.difference_px(&moved, &bbox).unwrap() - 5.0).abs() < PIXEL_TOLERANCE);
    assert!(!wcs.same_as(&moved, &bbox, 4.9) && wcs.same_as(&moved, &bbox, 5.1));
}

#[test]
fn difference_to_the_other_side_of_the_sky_is_not_the_same() {
    let wcs = Wcs::from_header(&tan_header(), (0, 0)).unwrap();
    let mut header = tan_header();
    header.set("CRVAL1", 233.0);
    header.set("CRVAL2", 28.0);
    let other = Wcs::from_header(&header, (0, 0)).unwrap();
    assert!(matches!(wcs.difference_px(&other, &BBox::new(0, 0, 10, 10)), Err(WcsError::SkyUnmapped { .. })));
    assert!(!wcs.same_as(&other, &BBox::new(0, 0, 10, 10), f64::INFINITY));
}

#[test]
fn frame_missing_is_icrs_and_another_is_refused() {
    assert!(
        Wcs::from_header(&tan_header(), (0, 0))
            .unwrap()
            .to_cards((0, 0))
            .contains(&Card::new("RADESYS", "ICRS"))
    );
    for (keyword, value) in
        [("RADESYS", "FK4"), ("RADESYS", "GALACTIC"), ("CTYPE1", "GLON-TAN"), ("EQUINOX", "1950")]
    {
        let mut header = tan_header();
        header.set(keyword, value);
        assert!(
            matches!(Wcs::from_header(&header, (0, 0)), Err(WcsError::Unsupported { .. })),
            "{keyword}={value}"
        );
    }
    let mut header = tan_header();
    header.set("EQUINOX", "J2000");
    assert!(Wcs::from_header(&header, (0, 0)).is_ok());
}

#[test]
fn header_without_a_usable_wcs_is_refused() {
    let missing = |keyword: &str| WcsError::Missing { keyword: keyword.to_owned() };
    assert_eq!(Wcs::from_header(&Header::new(), (0, 0)).unwrap_err(), missing("CRPIX1"));
    for keyword in ["CTYPE2", "CRVAL1", "CRPIX2"] {
        let header = tan_header().iter().filter(|card| card.keyword != keyword).cloned().collect();
        assert_eq!(Wcs::from_header(&header, (0, 0)).unwrap_err(), missing(keyword));
        let mut header = tan_header();
        header.set(keyword, f64::NAN);
        assert_eq!(Wcs::from_header(&header, (0, 0)).unwrap_err(), missing(keyword));
    }
    let mut flat = tan_header();
    flat.set("CD1_1", 0.0);
    assert!(matches!(
        Wcs::from_header(&flat, (0, 0)),
        Err(WcsError::Invalid { .. } | WcsError::Singular { .. })
    ));
    let mut unknown = tan_header();
    unknown.set("CTYPE1", "RA---XYZ");
    unknown.set("CTYPE2", "DEC--XYZ");
    assert!(Wcs::from_header(&unknown, (0, 0)).is_err());
}

#[test]
fn jacobian_has_the_signs_of_the_image() {
    let jacobian = Wcs::from_header(&tan_header(), (0, 0)).unwrap().jacobian(49.5, 39.5).unwrap();
    assert!((jacobian.east_x + 0.18).abs() < 1e-9 && (jacobian.north_y - 0.18).abs() < 1e-9);
    assert!(jacobian.determinant() < 0.0);
    let (dx, dy) = jacobian.pixels_for(0.18, 0.36).unwrap();
    assert!((dx + 1.0).abs() < 1e-6 && (dy - 2.0).abs() < 1e-6);
}

#[test]
fn origin_moves_pixels_not_the_sky() {
    let header = tan_header();
    let at_zero = Wcs::from_header(&header, (0, 0)).unwrap();
    let in_parent = Wcs::from_header(&header, (1000, -200)).unwrap();
    assert_eq!(at_zero.pixel_to_sky(3.0, 4.0), in_parent.pixel_to_sky(1003.0, -196.0));
    assert_eq!(in_parent.to_cards((1000, -200))[1], Card::new("CRPIX1", 50.5));
}

#[test]
fn pixel_that_is_not_a_number_is_refused() {
    let wcs = Wcs::from_header(&tan_header(), (0, 0)).unwrap();
    assert!(wcs.pixel_to_sky(f64::NAN, 0.0).is_err());
    assert!(wcs.sky_to_pixel(SkyPosition::from_degrees(f64::NAN, 0.0)).is_err());
}

#[test]
fn wcs_can_be_shared_between_threads() {
    const fn shareable<T: Send + Sync + Clone>() {}
    shareable::<Wcs>();
}

#[test]
fn zenith_to_the_north_is_up_and_to_the_east_is_left() {
    let wcs = Wcs::from_header(&tan_header(), (0, 0)).unwrap();
    let up = wcs.zenith_direction(49.5, 39.5, Angle::from_degrees(0.0)).unwrap();
    assert!(up.dx.abs() < 1e-9 && (up.dy - 1.0).abs() < 1e-9);
    let left = wcs.zenith_direction(49.5, 39.5, Angle::from_degrees(90.0)).unwrap();
    assert!((left.dx + 1.0).abs() < 1e-9 && left.dy.abs() < 1e-6);
    let (dx, dy) = left.pixels(Angle::from_arcsec(0.36));
    assert!((dx + 2.0).abs() < 1e-6 && dy.abs() < 1e-6);
}
