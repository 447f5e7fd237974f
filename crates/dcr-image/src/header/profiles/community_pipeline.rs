//! NOIRLab's Community Pipeline: DECam, Mosaic-3 and Bok 90Prime.
//!
//! Longitudes count west, contrary to DECam's comment; PRESSURE is in hPa, contrary to DECam's
//! "Torr". Times are UTC of the start; HA, ZD and AZ also refer to the start.

use super::angle::Unit;
use super::profile::{
    Altitude, Corrector, FixedSite, HourAngle, LongitudeSign, Pointing, Profile, Time, ZeroPointCard,
};

const START_HA: HourAngle = HourAngle { card: "HA", number: Unit::Hours, at_start: true };
const POINTING: &[Pointing] = &[Pointing::degrees("TELRA", "TELDEC"), Pointing::degrees("RA", "DEC")];
const KITT_PEAK: FixedSite = FixedSite { latitude: 31.958, longitude: -111.6, elevation: 2120.0 };
const TIMES: &[Time] = &[Time::Begin("DATE-OBS"), Time::BeginMjd("MJD-OBS")];
const ZERO_POINTS: &[ZeroPointCard] =
    &[ZeroPointCard::exposure("MAGZERO"), ZeroPointCard::exposure("MAGZPT")];

pub(super) const DECAM: Profile = Profile {
    name: "DECam",
    visit: &["EXPNUM"],
    time: TIMES,
    pointing: POINTING,
    altitude: &[Altitude::ZenithDistance("ZD")],
    azimuth: &["AZ"],
    hour_angle: &[START_HA],
    latitude: &["OBS-LAT"],
    longitude: &["OBS-LONG"],
    longitude_sign: LongitudeSign::West,
    elevation: &["OBS-ELEV"],
    site: Some(FixedSite { latitude: -30.166_06, longitude: -70.814_89, elevation: 2215.0 }),
    temperature: &["OUTTEMP"],
    pressure: &["PRESSURE"],
    humidity: &["HUMIDITY"],
    fwhm_px: &["FWHM"],
    zero_point: ZERO_POINTS,
    ..Profile::EMPTY
};

pub(super) const MOSAIC: Profile = Profile {
    name: "Mosaic-3 at Kitt Peak",
    visit: &["EXPNUM", "EXPID"],
    time: TIMES,
    pointing: POINTING,
    altitude: &[Altitude::ZenithDistance("ZD")],
    azimuth: &["AZ"],
    hour_angle: &[START_HA],
    latitude: &["OBS-LAT"],
    longitude: &["OBS-LONG"],
    longitude_sign: LongitudeSign::West,
    elevation: &["OBS-ELEV"],
    site: Some(KITT_PEAK),
    corrector: &[Corrector { card: "ADCSTAT", absent: &["OFF", "OUT", "NONE", "PARKED"] }],
    fwhm_px: &["SEEINGP", "SEEINGP1"],
    zero_point: ZERO_POINTS,
    ..Profile::EMPTY
};

pub(super) const BOK: Profile = Profile {
    name: "90Prime on the Bok telescope",
    visit: &["EXPNUM", "EXPID"],
    time: &[Time::Begin("DATE-OBS"), Time::BeginParts("DATE-OBS", "UTC-OBS"), Time::BeginMjd("MJD-OBS")],
    pointing: POINTING,
    altitude: &[Altitude::Altitude("ELEVAT")],
    azimuth: &["AZIMUTH"],
    hour_angle: &[START_HA],
    latitude: &["OBS-LAT", "SITELAT"],
    longitude: &["OBS-LONG", "SITELONG"],
    longitude_sign: LongitudeSign::West,
    elevation: &["OBS-ELEV", "SITEELEV"],
    site: Some(KITT_PEAK),
    fwhm_px: &["SEEINGP", "SEEINGP1"],
    zero_point: ZERO_POINTS,
    ..Profile::EMPTY
};
