//! MicroObservatory, and cards of MaxIm DL and related software (SBFITSEXT).
//!
//! MicroObservatory: DATE-OBS is local time with an offset, LST-OBS is wrong, the hour angle is in
//! degrees, RA and Dec are of date although EQUINOX says 2000, and longitudes count west.

use super::angle::Unit;
use super::generic::{ELEVATIONS, LATITUDES, LONGITUDES};
use super::profile::{Altitude, HourAngle, LongitudeSign, Pointing, Profile, Time};

pub(super) const MICRO_OBSERVATORY: Profile = Profile {
    name: "MicroObservatory",
    instrument: &["TELESCOP", "INSTRUME"],
    time: &[Time::Begin("UT-OBS"), Time::BeginMjd("MJD-OBS"), Time::Begin("DATE-OBS")],
    pointing: &[Pointing::degrees("RA", "DEC")],
    altitude: &[Altitude::Altitude("TELALT")],
    azimuth: &["TELAZ"],
    hour_angle: &[HourAngle { card: "HA", number: Unit::Degrees, at_start: true }],
    latitude: &["LATITUDE"],
    longitude: &["LONGITUD"],
    longitude_sign: LongitudeSign::West,
    elevation: &["ELEVATIO"],
    temperature: &["TELTEMP"],
    humidity: &["TELHUM"],
    remark: Some(
        "RA and Dec of the header refer to the equinox of date, not 2000; the WCS gives better positions.",
    ),
    ..Profile::EMPTY
};

pub(super) const MAXIM_DL: Profile = Profile {
    name: "MaxIm DL",
    instrument: &["INSTRUME", "TELESCOP"],
    time: &[
        Time::Begin("DATE-OBS"),
        Time::BeginParts("DATE-OBS", "TIME-OBS"),
        Time::BeginParts("DATE-OBS", "UT"),
        Time::BeginMjd("MJD-OBS"),
        Time::BeginJd("JD"),
    ],
    exposure: &["EXPTIME", "EXPOSURE"],
    pointing: &[Pointing::degrees("OBJCTRA", "OBJCTDEC"), Pointing::degrees("RA", "DEC")],
    altitude: &[Altitude::Altitude("OBJCTALT"), Altitude::Altitude("CENTALT")],
    azimuth: &["OBJCTAZ", "CENTAZ"],
    hour_angle: &[HourAngle { card: "OBJCTHA", number: Unit::Hours, at_start: true }],
    latitude: LATITUDES,
    longitude: LONGITUDES,
    longitude_sign: LongitudeSign::Unsure,
    elevation: ELEVATIONS,
    temperature: &["AMBTEMP", "AOCAMBT", "AIRTEMP", "OUTTEMP"],
    pressure: &["AOCBAROM", "PRESSURE", "AIRPRESS"],
    humidity: &["AOCHUM", "HUMIDITY"],
    ..Profile::EMPTY
};
