//! Zero points of a second and of an exposure, FLXSCALE, units that are no flux, asinh.

use std::path::Path;

use dcr_image::BBox;
use dcr_image::fits::{WriteOptions, write_exposure};
use dcr_image::header::{Card, Given, Header, Value, VisitHeader, VisitSource, ZeroPointOf};
use dcr_physics::VisitInfo;

use crate::headers::{header, text, visit_of, warned};
use crate::support::{Small, open, same_bits};

fn of(header: &Header, zero_point_of: ZeroPointOf) -> VisitInfo {
    let given = Given { zero_point_of, ..Given::default() };
    let source = VisitSource { path: Path::new("x.fits"), tree: None, image_centre: None, given: &given };
    VisitHeader::read_with(header, &source).visit
}

fn zero_point(cards: &[(&str, Value)]) -> Option<f64> {
    visit_of(&header(cards)).zero_point_mag
}

fn close(got: Option<f64>, expected: f64) {
    assert!(got.is_some_and(|got| (got - expected).abs() < 1e-6), "{got:?} {expected}");
}

#[test]
fn zero_point_of_a_second_becomes_that_of_the_exposure() {
    let exposure = || ("EXPTIME", Value::Float(300.0));
    let of_300_s = 2.5 * 300_f64.log10();
    let megaprime = [
        ("INSTRUME", text("MegaPrime")),
        ("PHOT_C0", Value::Float(26.46)),
        ("PHOT_K", Value::Float(-0.15)),
        ("AIRMASS", Value::Float(1.4)),
        ("BUNIT", text("adu")),
        exposure(),
    ];
    close(zero_point(&megaprime), 26.46 + of_300_s - 0.15 * 0.4);
    let lco =
        [("ORIGIN", text("LCOGT")), ("L1ZP", Value::Float(23.0)), ("BUNIT", text("electron")), exposure()];
    close(zero_point(&lco), 23.0 + of_300_s);
    let pan_starrs =
        [("INSTRUME", text("gpc1")), ("FPA.ZP", Value::Float(25.0)), ("BUNIT", text("DN")), exposure()];
    close(zero_point(&pan_starrs), 25.0 + of_300_s);
    let wfc = [
        ("INSTRUME", text("WFC")),
        ("TELESCOP", text("INT")),
        ("MAGZPT", Value::Float(25.0)),
        ("EXTINCT", Value::Float(0.1)),
        ("AIRMASS", Value::Float(1.5)),
        exposure(),
    ];
    close(zero_point(&wfc), 25.0 + of_300_s - 0.05);
}

#[test]
fn zero_point_of_counts_per_second_stands() {
    for unit in ["adu/s", "electron s-1", "cps"] {
        let cards = [("INSTRUME", text("gpc1")), ("FPA.ZP", Value::Float(25.0)), ("BUNIT", text(unit))];
        let mut all = header(&cards);
        all.set("EXPTIME", 300.0);
        assert_eq!(visit_of(&all).zero_point_mag, Some(25.0), "{unit}");
        assert_eq!(of(&all, ZeroPointOf::Second).zero_point_mag, Some(25.0), "{unit}");
    }
}

#[test]
fn zero_point_of_the_exposure_stands_unless_comment_or_user_say_otherwise() {
    let cards = |comment: &str| -> Header {
        [
            Card::new("MAGZERO", 27.0).with_comment(comment),
            Card::new("EXPTIME", 100.0),
            Card::new("BUNIT", "adu"),
        ]
        .into_iter()
        .collect()
    };
    for comment in ["", "[mag] zero point", "mag/arcsec2 of one count"] {
        assert_eq!(visit_of(&cards(comment)).zero_point_mag, Some(27.0), "{comment}");
    }
    for comment in ["zero point for 1 sec", "ZP [mag] for 1 ADU/s", "mag = -2.5 log(N/EXPTIME) + MAGZERO"] {
        close(visit_of(&cards(comment)).zero_point_mag, 32.0);
        assert_eq!(of(&cards(comment), ZeroPointOf::Exposure).zero_point_mag, Some(27.0), "{comment}");
    }
    close(of(&cards(""), ZeroPointOf::Second).zero_point_mag, 32.0);
}

#[test]
fn zero_point_of_a_second_without_an_exposure_time_is_none() {
    let visit = visit_of(&header(&[("INSTRUME", text("gpc1")), ("FPA.ZP", Value::Float(25.0))]));
    assert_eq!(visit.zero_point_mag, None);
    assert!(warned(&visit, "zero point"));
    let extinction = visit_of(&header(&[
        ("INSTRUME", text("MegaPrime")),
        ("PHOT_C", Value::Float(26.0)),
        ("PHOT_K", Value::Float(-0.1)),
        ("EXPTIME", Value::Float(100.0)),
    ]));
    close(extinction.zero_point_mag, 31.0);
    assert!(warned(&extinction, "zero point"), "the airmass is not known");
}

#[test]
fn flxscale_is_read_and_doubted() {
    let flux_scale = |value: Value| visit_of(&header(&[("FLXSCALE", value)]));
    assert_eq!(flux_scale(Value::Float(0.25)).flux_scale, Some(0.25));
    assert_eq!(flux_scale(Value::Float(1.0)).flux_scale, None);
    for value in [Value::Float(0.0), Value::Float(-1.0), Value::Float(1e40)] {
        let visit = flux_scale(value.clone());
        assert!(visit.flux_scale.is_none() && warned(&visit, "flux scale"), "{value}");
    }
}

#[test]
fn units_that_are_no_flux_are_warned_of() {
    for unit in ["mag", "MAG/arcsec2", "log10(adu)"] {
        assert!(warned(&visit_of(&header(&[("BUNIT", text(unit))])), "unit"), "{unit}");
    }
    for unit in ["adu", "MJy/sr", "nanomaggy"] {
        assert!(!warned(&visit_of(&header(&[("BUNIT", text(unit))])), "unit"), "{unit}");
    }
}

#[test]
fn asinh_pixels_become_fluxes_and_half_an_asinh_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (soften, offset) = (38.4, 5.2);
    let mut small = Small::new(BBox::new(0, 0, 8, 6));
    let linear = small.image.clone();
    small.image.mapv_inplace(|flux| {
        let scaled = (f64::from(flux) - offset) / (2.0 * soften);
        (1.085_736_204_758_129_6 * scaled.asinh()) as f32
    });
    let write = |name: &str, cards: &[(&str, f64)]| {
        let path = folder.path().join(name);
        let mut exposure = small.to_write();
        exposure.primary.extend(cards.iter().map(|(keyword, value)| Card::new(keyword, *value)));
        write_exposure(&path, &exposure, WriteOptions::default()).unwrap();
        path
    };
    let path = write("both.fits", &[("BSOFTEN", soften), ("BOFFSET", offset)]);
    let file = open(&path).unwrap();
    let read = file.read(file.bbox()).unwrap();
    for (got, expected) in read.image.iter().zip(&linear) {
        assert!((got - expected).abs() < 1e-4 || (got.is_nan() && expected.is_nan()), "{got} {expected}");
    }
    assert!(same_bits(&read.variance, &small.variance), "variances are those of the flux");
    let path = write("half.fits", &[("BSOFTEN", soften)]);
    let error = open(&path).unwrap_err().to_string();
    assert!(error.contains("half.fits") && error.contains("BOFFSET"), "{error}");
}
