//! Headers of instruments as they were dumped to text, from ../shared.

use dcr_image::header::{Card, Header, Value, VisitHeader};
use dcr_physics::{GeometrySource, VisitInfo, ZenithGeometry};

use crate::headers::{degrees, mjd, text, warned};
use crate::support::shared;

/// Altitudes of headers, of the start and some before the pointing was corrected, against those
/// from time, site and position. A wrong longitude, scale or unit is off by degrees.
const ALTITUDE_TOLERANCE_DEG: f64 = 0.4;

#[test]
#[ignore = "needs the header dumps of ../shared"]
fn decam_dumps_have_west_longitude_and_hpa() {
    for (name, expected, altitude) in [
        ("fitsheader-decam-instcal-c4d_190402_050618_ooi_VR_v1.yaml", 845_291, 65.16),
        ("fitsheader-decam-raw_dec050441_25.yaml", 177_764, 34.41),
    ] {
        let visit = dump(name);
        assert_eq!(visit.visit, expected);
        assert!((degrees(visit.altitude) - altitude).abs() < 1e-9);
        assert!((visit.site.unwrap().longitude.degrees() + 70.814_89).abs() < 1e-9);
        assert!((77_000.0..79_000.0).contains(&visit.weather.pressure_pa.unwrap()));
    }
}

#[test]
#[ignore = "needs the header dumps of ../shared"]
fn decam_time_is_the_middle_in_tai() {
    let visit = dump("fitsheader-decam-instcal-c4d_190402_050618_ooi_VR_v1.yaml");
    // DATE-OBS 05:06:18.382875 UTC, 120 s, 37 leap seconds.
    assert!((mjd(&visit) - (58_575.0 + (18_378.382_875 + 60.0 + 37.0) / 86_400.0)).abs() < 1e-9);
    assert_eq!((visit.psf_fwhm_px, visit.zero_point_mag), (Some(6.308_315), Some(31.227)));
}

#[test]
#[ignore = "needs the header dumps of ../shared"]
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
        let visit = dump(name);
        let geometry = ZenithGeometry::resolve(&visit, GeometrySource::Time).unwrap();
        let got = geometry.at(visit.boresight.unwrap()).altitude.degrees();
        let off = got - degrees(visit.altitude);
        assert!(off.abs() < ALTITUDE_TOLERANCE_DEG, "{name}: {got}° is off by {off}°");
        assert!(!warned(&visit, "longitude"), "{name}");
    }
}

#[test]
#[ignore = "needs the header dumps of ../shared"]
fn megaprime_dump() {
    let visit = dump("fitsheader-megaprime.yaml");
    assert_eq!((visit.visit, visit.weather.pressure_pa), (1_038_843, Some(61_765.0)));
    // 615 s: the middle is 1.3° higher than the start that the header has.
    let geometry = ZenithGeometry::resolve(&visit, GeometrySource::Time).unwrap();
    let risen = geometry.at(visit.boresight.unwrap()).altitude.degrees() - degrees(visit.altitude);
    assert!((0.5..1.5).contains(&risen), "{risen}");
}

#[test]
#[ignore = "needs the header dumps of ../shared"]
fn rubin_raw_that_did_not_track_has_no_position() {
    let visit = dump("fitsheader-lsstCam-MC_O_20260315_000051_R01_S01.yaml");
    assert_eq!((visit.boresight, visit.airmass), (None, None));
    assert!(warned(&visit, "pointing"));
    let empty = dump("fitsheader-lsstCam-MC_O_20251121_000156_R44_SW0.json");
    assert_eq!((empty.visit, empty.altitude), (2_025_112_100_156, None));
}

#[test]
#[ignore = "needs the header dumps of ../shared"]
fn subaru_corrector_is_warned_of() {
    for name in ["fitsheader-hsc.yaml", "fitsheader-suprimecam-CORR40535770.yaml"] {
        let visit = dump(name);
        assert_eq!(visit.dispersion_corrector.as_deref(), Some("ADC-TYPE = 'IN'"));
        assert!(warned(&visit, "dispersion corrector"));
        assert!((degrees(Some(visit.site.unwrap().longitude)) + 155.476_667).abs() < 1e-9);
    }
    let hsc = dump("fitsheader-hsc.yaml");
    // DATE-OBS is a date alone; UT-STR has the time. K and hPa.
    assert!((mjd(&hsc) - (56_598.261_063_75 + (15.0 + 35.0) / 86_400.0)).abs() < 1e-6);
    assert!((hsc.weather.temperature_c.unwrap() + 0.8).abs() < 1e-9);
}

/// A header dump of the shared folder, read as a visit.
fn dump(name: &str) -> VisitInfo {
    let path = shared(&format!("realdata/headers_amt/{name}"));
    let header = parse_dump(&std::fs::read_to_string(&path).unwrap());
    VisitHeader::read(&header, &path, None).visit
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
