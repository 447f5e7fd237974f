use dcr_image::header::Header;

use super::*;

/// North up, East left (or right), 1″ pixels, (53°, −27°) in the middle of pixel (50, 40).
fn wcs(east_left: bool) -> Wcs {
    let mut header = Header::new();
    for (keyword, value) in [("CTYPE1", "RA---TAN"), ("CTYPE2", "DEC--TAN"), ("RADESYS", "ICRS")] {
        header.set(keyword, value);
    }
    let step = 1.0 / 3600.0;
    for (keyword, value) in [
        ("CRVAL1", 53.0),
        ("CRVAL2", -27.0),
        ("CRPIX1", 51.0),
        ("CRPIX2", 41.0),
        ("CD1_1", if east_left { -step } else { step }),
        ("CD1_2", 0.0),
        ("CD2_1", 0.0),
        ("CD2_2", step),
    ] {
        header.set(keyword, value);
    }
    Wcs::from_header(&header, (0, 0)).unwrap()
}

fn pixels(text: &str) -> Array2<bool> {
    covered_by(&parse_regions(text).unwrap(), BBox::new(0, 0, 101, 81), &wcs(true))
}

fn count(covered: &Array2<bool>) -> usize {
    covered.iter().filter(|covered| **covered).count()
}

#[test]
fn circle_is_the_same_in_all_coordinates_and_units() {
    // A radius of a whole number of pixels would leave some exactly on the circle, to rounding.
    let expected = pixels("image; circle(51, 41, 10.2) # color=red");
    assert!(expected[[40, 50]] && expected[[40, 60]] && !expected[[40, 61]]);
    assert_eq!(count(&expected), 333);
    for text in [
        "fk5; circle(53, -27, 10.2\")",
        "# Region file format: DS9 version 4.1\nglobal color=green dashlist=8 3\nicrs\ncircle(53.0,-27.0,0.17')",
        "fk5\ncircle(3:32:00.000,-27:00:00.00,10.2\") # text={a star}",
        "fk5;circle 3h32m00s -27d00m00s 10.2\"",
        "fk5;circle(53d, -27d, 0.0028333333d)",
        "FK5;CIRCLE(53, -27, 0.0028333333)",
        "fk5; circle(53, -27, 10.2p)",
        "physical; +circle(51, 41, 10.2)",
        "image; ellipse(51, 41, 10.2, 10.2, 77)",
        "image; circle(51, 41, 10.2); circle(900, 900, 5); point(3, 3)",
    ] {
        assert_eq!(pixels(text), expected, "{text}");
    }
}

#[test]
fn box_has_its_sides_along_the_axes_and_turns_from_west_to_north() {
    let flat = pixels("fk5; box(53, -27, 20.5\", 10.5\", 0)");
    assert_eq!(count(&flat), 21 * 11);
    assert!(flat[[40, 60]] && flat[[45, 50]] && !flat[[46, 50]] && !flat[[40, 61]]);
    assert_eq!(flat, pixels("image; box(51, 41, 20.5, 10.5)"));
    // 45° from West (+x here) to North (+y).
    let turned = pixels("fk5; box(53, -27, 20.5\", 2\", 45)");
    assert!(turned[[46, 56]] && !turned[[34, 56]]);
    assert_eq!(turned, pixels("image; box(51, 41, 20.5, 2, 45)"));
    let mirrored = covered_by(
        &parse_regions("fk5; box(53, -27, 20.5\", 2\", 45)").unwrap(),
        BBox::new(0, 0, 101, 81),
        &wcs(false),
    );
    assert!(!mirrored[[46, 56]] && mirrored[[34, 56]]);
}

#[test]
fn ellipse_polygon_and_exclusion_cover_what_they_say() {
    let ellipse = pixels("image; ellipse(51, 41, 20.3, 5.3, 90)");
    assert!(ellipse[[60, 50]] && !ellipse[[40, 60]]);
    let area = std::f64::consts::PI * 20.3 * 5.3;
    assert!((count(&ellipse) as f64 / area - 1.0).abs() < 0.03);
    let triangle = pixels("image; polygon(11, 11, 31.5, 11, 11, 31.5)");
    assert!(triangle[[15, 15]] && !triangle[[25, 25]]);
    assert!((count(&triangle) as f64 / 210.0 - 1.0).abs() < 0.12, "{}", count(&triangle));
    let ring = pixels("image; circle(51, 41, 10.2); -circle(51, 41, 5.2)");
    assert!(!ring[[40, 50]] && ring[[40, 58]]);
    assert_eq!(count(&pixels("")), 0);
}

#[test]
fn regions_of_a_patch_with_an_origin_are_in_its_pixels() {
    let bbox = BBox::new(1000, 2000, 20, 20);
    let at = |text: &str| covered_by(&parse_regions(text).unwrap(), bbox, &wcs(true));
    assert!(at("image; circle(1, 1, 0.5)")[[0, 0]]);
    assert!(at("physical; circle(1001, 2001, 0.5)")[[0, 0]]);
    assert_eq!(count(&at("physical; circle(1, 1, 3)")), 0);
}

#[test]
fn regions_that_are_not_known_are_refused_by_line() {
    let error = |text: &str| parse_regions(text).unwrap_err().to_string();
    assert!(error("fk5\nannulus(53, -27, 1\", 2\")").starts_with("line 2: this shape is not known"));
    assert!(error("galactic; circle(1, 2, 3)").contains("galactic are not known; save them as fk5"));
    assert!(error("circle(1, 2)").contains("a circle has [3] numbers, this one 2"));
    assert!(error("circle(1, 2, -3)").contains("must be above 0"));
    assert!(error("circle(1, x, 3)").contains("x is no number"));
    assert!(error("circle(1, nan, 3)").contains("nan is no number"));
    assert!(error("fk5; circle(1:2:3:4, 5, 3)").contains("is no angle"));
    assert!(error("polygon(1, 2, 3, 4)").contains("this one 4"));
    assert!(error("box(1, 2, 3, 4, 5, 6)").contains("this one 6"));
}
