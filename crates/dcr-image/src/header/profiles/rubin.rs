//! Rubin: exposures written by afw, and raw headers.
//!
//! afw writes BORE-AZ and BORE-ALT for the start of the exposure, contrary to their comments, times
//! in TAI, and pressure in Pa. The simulated fields use the same cards. Raw headers have altitude,
//! azimuth and hour angle at the start; AMSTART is 0 if the telescope did not track.

use super::angle::Unit;
use super::profile::{Altitude, HourAngle, Pointing, Profile, Time, ZeroPointCard};
use super::time::Scale;

pub(super) const AFW: Profile = Profile {
    name: "an afw exposure",
    instrument: &["INSTRUMENT", "INSTRUME"],
    filter: &["FILTER", "FILTER01"],
    // EXPID numbers exposures and detectors together.
    visit: &["VISIT", "IDNUM", "EXPNUM", "EXPID"],
    time: &[
        Time::Mid("DATE-AVG"),
        Time::Mid("TIME-MID"),
        Time::BeginParts("DATE-OBS", "UT-STR"),
        Time::Begin("DATE-OBS"),
    ],
    scale: Scale::Tai,
    pointing: &[Pointing::degrees("BORE-RA", "BORE-DEC")],
    altitude: &[Altitude::Altitude("BORE-ALT")],
    azimuth: &["BORE-AZ"],
    airmass: &["BORE-AIRMASS"],
    hour_angle: &[HourAngle { card: "BORE-HA", number: Unit::Degrees, at_start: false }],
    earth_rotation_angle: &["AVG-ERA", "ERA"],
    parallactic_angle: &["BORE-PARANG"],
    rotator_angle: &["BORE-ROTANG"],
    latitude: &["OBS-LAT"],
    longitude: &["OBS-LONG"],
    elevation: &["OBS-ELEV"],
    temperature: &["AIRTEMP"],
    pressure: &["AIRPRESS"],
    humidity: &["HUMIDITY"],
    corrector: &[super::subaru::CORRECTOR],
    fwhm_px: &["PSF-FWHM"],
    zero_point: &[ZeroPointCard::exposure("PHOTZP"), ZeroPointCard::exposure("MAGZERO")],
    ..Profile::EMPTY
};

pub(super) const RAW: Profile = Profile {
    name: "Rubin",
    visit: &["VISIT", "OBSID"],
    time: &[
        Time::BeginEnd("DATE-BEG", "DATE-END"),
        Time::Begin("DATE-BEG"),
        Time::BeginMjd("MJD-BEG"),
        Time::Begin("DATE-OBS"),
    ],
    scale: Scale::Tai,
    exposure: &["SHUTTIME", "EXPTIME"],
    pointing: &[Pointing::degrees("RA", "DEC"), Pointing::degrees("RASTART", "DECSTART")],
    altitude: &[Altitude::Altitude("ELSTART")],
    azimuth: &["AZSTART"],
    airmass: &["AMSTART"],
    hour_angle: &[HourAngle { card: "HASTART", number: Unit::Hours, at_start: true }],
    rotator_angle: &["ROTPA"],
    latitude: &["OBS-LAT"],
    longitude: &["OBS-LONG"],
    elevation: &["OBS-ELEV"],
    temperature: &["AIRTEMP"],
    pressure: &["PRESSURE"],
    humidity: &["HUMIDITY"],
    ..Profile::EMPTY
};
