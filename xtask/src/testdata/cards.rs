//! Header cards of the test data, in the style of the Rubin pipelines.
//!
//! Angles are rounded to 1e-9°, because machines may differ beyond.

use dcr_image::MaskPlanes;
use dcr_physics::{Angle, Instant};
use dcr_sim::{Field, VisitPlan};

use super::fits::{Card, Value};

const ANGLE_DECIMALS: usize = 9;

/// The primary cards of a visit.
pub(super) fn visit(field: &Field, plan: &VisitPlan) -> Vec<Card> {
    let info = &plan.info;
    let mut cards = vec![Card("VISIT", Value::Int(info.visit as i64), "")];
    if let Some(place) = info.boresight {
        cards.push(angle("BORE-RA", Some(place.ra), "[deg] ICRS"));
        cards.push(angle("BORE-DEC", Some(place.dec), "[deg] ICRS"));
    }
    cards.extend([
        angle("BORE-AZ", info.azimuth, "[deg] North through East"),
        angle("BORE-ALT", info.altitude, "[deg] refracted"),
        Card("BORE-AIRMASS", number(info.airmass, 9), ""),
        angle("BORE-PARANG", info.parallactic_angle, "[deg]"),
        angle("BORE-ROTANG", info.rotator_angle, "[deg] position angle of +y"),
        angle("BORE-HA", info.hour_angle, "[deg]"),
        Card("ROTTYPE", Value::Text("SKY".to_owned()), ""),
    ]);
    if let Some(site) = info.site {
        cards.push(angle("OBS-LONG", Some(site.longitude), "[deg] East positive"));
        cards.push(angle("OBS-LAT", Some(site.latitude), "[deg]"));
        cards.push(Card("OBS-ELEV", Value::Fixed(site.elevation_m, 3), "[m]"));
    }
    cards.extend([
        Card("AIRTEMP", number(info.weather.temperature_c, 3), "[deg C]"),
        Card("AIRPRESS", number(info.weather.pressure_pa, 3), "[Pa]"),
        Card("HUMIDITY", number(info.weather.humidity_percent, 3), "[%]"),
        Card(
            "DATE-AVG",
            Value::Text(info.mid_time.map_or_else(String::new, calendar)),
            "middle of the exposure",
        ),
        Card("TIMESYS", Value::Text("TAI".to_owned()), ""),
        angle("ERA", info.earth_rotation_angle, "[deg] Earth rotation angle"),
        Card("PSF-FWHM", number(info.psf_fwhm_px, 6), "[px]"),
        Card("EXPTIME", number(info.exposure_s, 3), "[s]"),
    ]);
    cards.extend(band(field));
    cards.push(Card("ORIGIN", Value::Text("synthetic: dcr-sim".to_owned()), ""));
    cards
}

/// The primary cards of the truth.
pub(super) fn truth(field: &Field, fwhm_arcsec: f64) -> Vec<Card> {
    let mut cards = band(field);
    let fwhm = fwhm_arcsec / field.config().scale_arcsec;
    cards.push(Card("PSF-FWHM", Value::Fixed(fwhm, 6), "[px]"));
    cards
}

/// The band, and the reference wavelength of the WCS.
fn band(field: &Field) -> Vec<Card> {
    let config = field.config();
    vec![
        Card("FILTER", Value::Text(config.passband.name.clone()), ""),
        Card("EFFWAVE", Value::Fixed(config.passband.effective().nm(), 6), "[nm] middle of the band"),
        Card("BANDWID", Value::Fixed(config.passband.bandwidth_nm(), 6), "[nm] width of the band"),
        Card("REFWAVE", Value::Fixed(config.reference().nm(), 6), "[nm] wavelength without shift"),
    ]
}

/// The gnomonic projection about the image centre.
pub(super) fn wcs(field: &Field) -> Vec<Card> {
    let (config, cd) = (field.config(), field.cd_degrees());
    let text = |text: &str| Value::Text(text.to_owned());
    vec![
        Card("CTYPE1", text("RA---TAN"), ""),
        Card("CTYPE2", text("DEC--TAN"), ""),
        Card("CUNIT1", text("deg"), ""),
        Card("CUNIT2", text("deg"), ""),
        Card("CRVAL1", Value::Fixed(config.ra_deg, ANGLE_DECIMALS), ""),
        Card("CRVAL2", Value::Fixed(config.dec_deg, ANGLE_DECIMALS), ""),
        Card("CRPIX1", Value::Fixed(0.5 * (config.width as f64 + 1.0), 1), ""),
        Card("CRPIX2", Value::Fixed(0.5 * (config.height as f64 + 1.0), 1), ""),
        Card("CD1_1", Value::Float(cd[0][0]), ""),
        Card("CD1_2", Value::Float(cd[0][1]), ""),
        Card("CD2_1", Value::Float(cd[1][0]), ""),
        Card("CD2_2", Value::Float(cd[1][1]), ""),
        Card("RADESYS", text("ICRS"), ""),
        Card("EQUINOX", Value::Fixed(2000.0, 1), ""),
    ]
}

/// The unit of the pixels.
pub(super) fn unit() -> Vec<Card> {
    vec![Card("BUNIT", Value::Text("electron".to_owned()), "")]
}

/// The meaning of each bit of a mask.
pub(super) fn mask_planes(planes: &MaskPlanes) -> Vec<Card> {
    const KEYWORDS: [&str; 13] = [
        "MP_BAD",
        "MP_SAT",
        "MP_INTRP",
        "MP_CR",
        "MP_EDGE",
        "MP_DETECTED",
        "MP_DETECTED_NEGATIVE",
        "MP_SUSPECT",
        "MP_NO_DATA",
        "MP_CLIPPED",
        "MP_REJECTED",
        "MP_SENSOR_EDGE",
        "MP_INEXACT_PSF",
    ];
    let bit = |keyword: &'static str| {
        planes.bit(&keyword[3..]).map(|bit| Card(keyword, Value::Int(bit.into()), ""))
    };
    KEYWORDS.into_iter().filter_map(bit).collect()
}

fn angle(keyword: &'static str, angle: Option<Angle>, comment: &'static str) -> Card {
    Card(keyword, number(angle.map(Angle::degrees), ANGLE_DECIMALS), comment)
}

/// A number that every planned visit has.
fn number(value: Option<f64>, decimals: usize) -> Value {
    assert!(value.is_some(), "dcr-sim fills in all circumstances of a visit");
    Value::Fixed(value.unwrap_or_default(), decimals)
}

/// Calendar date and time of day to the millisecond, after Fliegel & Van Flandern 1968.
fn calendar(instant: Instant) -> String {
    // The planner rounds to milliseconds from midnight (jd1 ends in .5).
    let milliseconds = (instant.jd2 * 86_400_000.0).round() as i64;
    let day = (instant.jd1 + 0.5) as i64 + milliseconds.div_euclid(86_400_000);
    let milliseconds = milliseconds.rem_euclid(86_400_000);
    let l = day + 68_569;
    let n = 4 * l / 146_097;
    let l = l - (146_097 * n + 3) / 4;
    let i = 4000 * (l + 1) / 1_461_001;
    let l = l - 1461 * i / 4 + 31;
    let j = 80 * l / 2447;
    let (day, l) = (l - 2447 * j / 80, j / 11);
    let (month, year) = (j + 2 - 12 * l, 100 * (n - 49) + i + l);
    let (seconds, milliseconds) = (milliseconds / 1000, milliseconds % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calendar_meets_known_dates() {
        // J2000.0; the instant of the DECam example, MJD 58426.31 (2018-11-04); a second before a midnight.
        assert_eq!(calendar(Instant { jd1: 2_451_544.5, jd2: 0.5 }), "2000-01-01T12:00:00.000");
        assert_eq!(calendar(Instant { jd1: 2_458_426.5, jd2: 0.25 }), "2018-11-04T06:00:00.000");
        let before_midnight = Instant { jd1: 2_451_603.5, jd2: 86_399.0 / 86_400.0 };
        assert_eq!(calendar(before_midnight), "2000-02-29T23:59:59.000");
        assert_eq!(calendar(Instant { jd1: 2_451_603.5, jd2: 1.0 }), "2000-03-01T00:00:00.000");
    }
}
