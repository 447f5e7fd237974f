//! Headers of each kind of instrument: made up here, and real dumps of the shared folder.

use std::path::Path;

use dcr_image::header::{Card, Header, Value, VisitHeader};
use dcr_physics::{GeometrySource, VisitInfo, ZenithGeometry};

use crate::support::shared;

/// Altitudes of headers, of the start and some before the pointing was corrected, against those from
/// time, site and position. A wrong longitude, scale or unit is off by degrees.
const ALTITUDE_TOLERANCE_DEG: f64 = 0.4;

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
fn decam_dumps_have_west_longitude_and_hpa() {
    for (name, expected, altitude) in [
        ("fitsheader-decam-instcal-c4d_190402_050618_ooi_VR_v1.yaml", 845_291, 65.16),
        ("fitsheader-decam-raw_dec050441_25.yaml", 177_764, 34.41),
    ] {
        let Some(visit) = dump(name) else { return };
        assert_eq!(visit.visit, expected);
        assert!((degrees(visit.altitude) - altitude).abs() < 1e-9);
        assert!((visit.site.unwrap().longitude.degrees() + 70.814_89).abs() < 1e-9);
        assert!((77_000.0..79_000.0).contains(&visit.weather.pressure_pa.unwrap()));
    }
}

#[test]
fn decam_time_is_the_middle_in_tai() {
    let Some(visit) = dump("fitsheader-decam-instcal-c4d_190402_050618_ooi_VR_v1.yaml") else { return };
    // DATE-OBS 05:06:18.382875 UTC, 120 s, 37 leap seconds.
    assert!((mjd(&visit) - (58_575.0 + (18_378.382_875 + 60.0 + 37.0) / 86_400.0)).abs() < 1e-9);
    assert_eq!((visit.psf_fwhm_px, visit.zero_point_mag), (Some(6.308_315), Some(31.227)));
}

#[test]
fn dumps_agree_with_their_own_altitude() {
    for name in [
        "fitsheader-comCam-CC_O_20241108_000266_R22_S00.yaml",
        "fitsheader-lsstCam-MC_O_20250415_000060_R01_S01.yaml",
        "fitsheader-lsstCam-MC_O_20250415_000228_R10_S20.yaml",
        "fitsheader-lsstCam-MC_O_20250422_000250_R01_S01.yaml",
        "fitsheader-lsstCam-MC_O_20250609_000578_R01_S01.yaml",
        "fitsheader-hsc.yaml",
        "fitsheader-sdss-fpC-006377-g4-0399.yaml",
        "fitsheader-megaprime-calexp-849375-14.yaml",
    ] {
        let Some(visit) = dump(name) else { return };
        let geometry = ZenithGeometry::resolve(&visit, GeometrySource::Time).unwrap();
        let got = geometry.at(visit.boresight.unwrap()).altitude.degrees();
        let off = got - degrees(visit.altitude);
        assert!(off.abs() < ALTITUDE_TOLERANCE_DEG, "{name}: {got}° is off by {off}°");
        assert!(!warned(&visit, "longitude"), "{name}");
    }
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
fn megaprime_dump() {
    let Some(visit) = dump("fitsheader-megaprime.yaml") else { return };
    assert_eq!((visit.visit, visit.weather.pressure_pa), (1_038_843, Some(61_765.0)));
    // 615 s: the middle is 1.3° higher than the start that the header has.
    let geometry = ZenithGeometry::resolve(&visit, GeometrySource::Time).unwrap();
    let risen = geometry.at(visit.boresight.unwrap()).altitude.degrees() - degrees(visit.altitude);
    assert!((0.5..1.5).contains(&risen), "{risen}");
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
fn rubin_raw_that_did_not_track_has_no_position() {
    let Some(visit) = dump("fitsheader-lsstCam-MC_O_20260315_000051_R01_S01.yaml") else { return };
    assert_eq!((visit.boresight, visit.airmass), (None, None));
    assert!(warned(&visit, "pointing"));
    let Some(empty) = dump("fitsheader-lsstCam-MC_O_20251121_000156_R44_SW0.json") else { return };
    assert_eq!((empty.visit, empty.altitude), (2_025_112_100_156, None));
}

#[test]
fn subaru_corrector_is_warned_of() {
    for name in ["fitsheader-hsc.yaml", "fitsheader-suprimecam-CORR40535770.yaml"] {
        let Some(visit) = dump(name) else { return };
        assert_eq!(visit.dispersion_corrector.as_deref(), Some("ADC-TYPE = 'IN'"));
        assert!(warned(&visit, "dispersion corrector"));
        assert!((degrees(Some(visit.site.unwrap().longitude)) + 155.476_667).abs() < 1e-9);
    }
    let Some(hsc) = dump("fitsheader-hsc.yaml") else { return };
    // DATE-OBS is a date alone; UT-STR has the time. K and hPa.
    assert!((mjd(&hsc) - (56_598.261_063_75 + (15.0 + 35.0) / 86_400.0)).abs() < 1e-6);
    assert!((hsc.weather.temperature_c.unwrap() + 0.8).abs() < 1e-9);
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

/// A header dump of the shared folder, read as a visit.
fn dump(name: &str) -> Option<VisitInfo> {
    let path = shared(&format!("realdata/headers_amt/{name}"))?;
    let header = parse_dump(&std::fs::read_to_string(&path).unwrap());
    Some(VisitHeader::read(&header, &path, None).visit)
}

/// The cards of a header dump: YAML lists `[KEY, Type, value, comment]` on one line or with an item
/// on each, or a mapping `KEY: value` as in YAML or JSON, one card to a line.
fn parse_dump(text: &str) -> Header {
    let mut header = Header::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(list) = line.strip_prefix("- [") {
            let mut parts = list.splitn(3, ", ");
            if let (Some(key), Some(_), Some(rest)) = (parts.next(), parts.next(), parts.next()) {
                let value = match rest.strip_prefix('\'') {
                    Some(quoted) => quoted.split_once('\'').map_or("", |(value, _)| value),
                    None => rest.split_once(", ").map_or(rest, |(value, _)| value),
                };
                header.push(Card::new(key, scalar(value, rest.starts_with('\''))));
            }
        } else if let Some(key) = line.strip_prefix("- - ") {
            let mut item = || lines.next().and_then(|line| line.strip_prefix("  - ")).unwrap_or("");
            let (_, value) = (item(), item());
            header.push(Card::new(key, scalar(value.trim_matches('\''), value.starts_with('\''))));
        } else if let Some((key, value)) = line.split_once(':') {
            let key = key.trim().trim_matches(['"', ' ']);
            let value = value.trim().trim_end_matches(',');
            if !key.is_empty() && !key.starts_with(['#', '!']) {
                let quoted = value.starts_with(['"', '\'']);
                header.push(Card::new(key, scalar(value.trim_matches(['"', '\'']), quoted)));
            }
        }
    }
    header
}

fn scalar(value: &str, quoted: bool) -> Value {
    if quoted {
        return text(value);
    }
    match value {
        "null" | "" => Value::Undefined,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => value
            .parse()
            .map(Value::Int)
            .or_else(|_| value.parse().map(Value::Float))
            .unwrap_or_else(|_| text(value)),
    }
}
