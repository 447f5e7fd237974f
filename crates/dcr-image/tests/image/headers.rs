//! Headers of each kind of instrument, made up here.

use std::path::Path;

use dcr_image::header::{Card, Header, Value, VisitHeader};
use dcr_physics::VisitInfo;

pub(crate) fn header(cards: &[(&str, Value)]) -> Header {
    cards.iter().map(|(keyword, value)| Card::new(keyword, value.clone())).collect()
}

pub(crate) fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

pub(crate) fn visit_of(header: &Header) -> VisitInfo {
    VisitHeader::read(header, Path::new("made_up.fits"), None).visit
}

pub(crate) fn degrees(angle: Option<dcr_physics::Angle>) -> f64 {
    angle.unwrap().degrees()
}

/// Modified Julian date TAI.
pub(crate) fn mjd(visit: &VisitInfo) -> f64 {
    let time = visit.mid_time.unwrap();
    time.jd1 - 2_400_000.5 + time.jd2
}

pub(crate) fn warned(visit: &VisitInfo, quantity: &str) -> bool {
    visit.assumptions.iter().any(|note| note.warning && note.quantity == quantity)
}

#[test]
fn afw_exposure_made_up() {
    let visit = visit_of(&header(&[
        ("IDNUM", Value::Int(1234)),
        ("EXPID", Value::Int(1_234_056)),
        ("DATE-AVG", text("2020-06-01T03:00:00.5")),
        ("TIMESYS", text("TAI")),
        ("EXPTIME", Value::Float(30.0)),
        ("AVG-ERA", Value::Float(419.0)),
        ("BORE-RA", Value::Float(10.0)),
        ("BORE-DEC", Value::Float(-30.0)),
        ("BORE-AZ", Value::Float(-5.9)),
        ("BORE-ALT", Value::Float(60.0)),
        ("BORE-AIRMASS", Value::Float(1.1547)),
        ("OBS-LONG", Value::Float(-70.75)),
        ("OBS-LAT", Value::Float(-30.24)),
        ("OBS-ELEV", Value::Float(2663.0)),
        ("AIRTEMP", Value::Float(f64::NAN)),
        ("AIRPRESS", Value::Float(74_000.0)),
        ("HUMIDITY", text("NaN")),
    ]));
    assert_eq!(visit.visit, 1234);
    assert!((mjd(&visit) - 59_001.125_005_787).abs() < 1e-8);
    assert!((degrees(visit.azimuth) - 354.1).abs() < 1e-9);
    assert!((degrees(visit.earth_rotation_angle) - 59.0).abs() < 1e-9);
    assert_eq!(visit.weather.pressure_pa, Some(74_000.0));
    assert_eq!((visit.weather.temperature_c, visit.weather.humidity_percent), (None, None));
    assert!(!warned(&visit, "airmass"));
}

#[test]
fn airmass_that_contradicts_the_altitude_is_said() {
    let visit = visit_of(&header(&[("BORE-ALT", Value::Float(60.0)), ("BORE-AIRMASS", Value::Float(1.3))]));
    assert!(warned(&visit, "airmass"));
}

#[test]
fn generic_header_lists_what_was_tried() {
    let visit = visit_of(&Header::new());
    let time = visit.assumptions.iter().find(|note| note.quantity == "time").unwrap();
    assert!(time.warning && time.text.contains("DATE-AVG") && time.text.contains("MJD-OBS"), "{}", time.text);
    assert!(warned(&visit, "pointing"));
    // A date alone is no time.
    assert!(visit_of(&header(&[("DATE-OBS", text("2018-08-09"))])).mid_time.is_none());
}

#[test]
fn generic_header_with_common_cards() {
    let visit = visit_of(&header(&[
        ("DATE-OBS", text("2018-08-09T00:26:30")),
        ("EXPTIME", Value::Float(60.0)),
        ("RA", text("16:17:32.2")),
        ("DEC", text("12:22:18.8")),
        ("AIRMASS", text("1.37")),
        ("LATITUDE", Value::Float(-30.166)),
        ("LONGITUD", Value::Float(70.815)),
        ("TELALT", Value::Float(46.7)),
        ("PRESSURE", Value::Float(586.0)),
        ("HEIGHT", Value::Float(2215.0)),
    ]));
    assert!((visit.boresight.unwrap().ra.degrees() - 244.384_166_7).abs() < 1e-6);
    // Nothing says so, but only west fits the altitude.
    assert!((visit.site.unwrap().longitude.degrees() + 70.815).abs() < 1e-9);
    assert!(warned(&visit, "longitude"));
    assert!((visit.weather.pressure_pa.unwrap() - 78_127.0).abs() < 1.0, "586 Torr");
}

#[test]
fn maxim_dl_site_strings_and_unsure_longitude() {
    let cards = [
        ("SITELAT", text("-31 35 48")),
        ("SITELONG", text("115 45 00")),
        ("DATE-OBS", text("2021-03-04T12:00:00.00")),
        ("EXPTIME", Value::Float(30.0)),
        ("SWCREATE", text("MaxIm DL Version 6")),
    ];
    let visit = visit_of(&header(&cards));
    assert!((visit.site.unwrap().latitude.degrees() + 31.596_667).abs() < 1e-6);
    assert!((visit.site.unwrap().longitude.degrees() - 115.75).abs() < 1e-9);
    assert!(warned(&visit, "longitude") && warned(&visit, "elevation"));
}

#[test]
fn micro_observatory_uses_ut_obs_and_west_longitude() {
    let visit = visit_of(&header(&[
        ("CREATOR", text("MicroObservatory2014-05-23")),
        ("DATE-OBS", text("2017-12-19T22:03:12.346-0700")),
        ("UT-OBS", text("2017-12-20T05:03:12.346-0000")),
        ("EXPTIME", Value::Float(60.0)),
        ("RA", Value::Float(31.312_099)),
        ("DEC", Value::Float(46.769_087)),
        ("HA", Value::Float(22.577_959)),
        ("TELALT", Value::Float(67.051)),
        ("TELAZ", Value::Float(317.59)),
        ("TELTEMP", Value::Float(286.0)),
        ("TELHUM", Value::Int(-1)),
        ("LATITUDE", Value::Float(31.68)),
        ("LONGITUD", Value::Float(110.88)),
    ]));
    assert!((mjd(&visit) - (58_107.0 + (18_192.346 + 30.0 + 37.0) / 86_400.0)).abs() < 1e-9);
    assert!((visit.site.unwrap().longitude.degrees() + 110.88).abs() < 1e-9);
    assert!((visit.weather.temperature_c.unwrap() - 12.85).abs() < 1e-9);
    assert_eq!(visit.weather.humidity_percent, None);
    assert!((degrees(visit.hour_angle) - 22.703).abs() < 1e-2);
}

#[test]
fn mosaic_corrector_off_is_noted_and_on_is_warned_of() {
    let with = |status: &str| {
        visit_of(&header(&[
            ("INSTRUME", text("Mosaic3")),
            ("TELESCOP", text("KPNO 4.0 meter telescope")),
            ("ADCSTAT", text(status)),
        ]))
    };
    assert_eq!(with("off").dispersion_corrector, None);
    assert!(!warned(&with("off"), "dispersion corrector"));
    assert!(with("on").dispersion_corrector.is_some() && warned(&with("on"), "dispersion corrector"));
}

#[test]
fn pan_starrs_hierarch_cards() {
    let visit = visit_of(&header(&[
        ("FPA.AIRMASS", Value::Float(1.21)),
        ("FPA.FILTER", text("g.00000")),
        ("MJD-OBS", Value::Float(55_500.25)),
        ("EXPTIME", Value::Float(43.0)),
    ]));
    assert_eq!((visit.airmass, visit.filter.as_deref()), (Some(1.21), Some("g.00000")));
    // The scale is TAI: no leap seconds.
    assert!((mjd(&visit) - (55_500.25 + 21.5 / 86_400.0)).abs() < 1e-9);
}

#[test]
fn ztf_times_are_mid_exposure_julian_dates() {
    let visit = visit_of(&header(&[
        ("INSTRUME", text("ZTF/MOSAIC")),
        ("OBSJD", Value::Float(2_458_340.75)),
        ("EXPTIME", Value::Float(30.0)),
        ("AIRMASS", Value::Float(1.1)),
        ("MAGZP", Value::Float(26.3)),
    ]));
    assert!((mjd(&visit) - (58_340.25 + 37.0 / 86_400.0)).abs() < 1e-9);
    assert!((visit.site.unwrap().latitude.degrees() - 33.3558).abs() < 1e-9);
    assert_eq!(visit.zero_point_mag, Some(26.3));
}
