//! SDSS, ZTF and Pan-STARRS.
//!
//! SDSS drift-scans the sky, so that the rows of a frame have different times; its azimuth is 180°
//! minus the card, and its time scale is TAI. The card names of ZTF and Pan-STARRS are from their
//! documentation; no real header was available.

use super::angle::Unit;
use super::profile::{Altitude, AzimuthZero, FixedSite, HourAngle, Pointing, Profile, Time, ZeroPointCard};
use super::time::Scale;

pub(super) const SDSS: Profile = Profile {
    name: "SDSS",
    instrument: &["INSTRUME", "ORIGIN"],
    visit: &["EXPID"],
    time: &[Time::BeginTaiSeconds("TAI"), Time::BeginParts("DATE-OBS", "TAIHMS")],
    scale: Scale::Tai,
    pointing: &[Pointing::degrees("RA", "DEC")],
    altitude: &[Altitude::Altitude("ALT")],
    azimuth: &["AZ"],
    azimuth_zero: AzimuthZero::SdssSouth,
    site: Some(FixedSite { latitude: 32.780_361, longitude: -105.820_417, elevation: 2788.0 }),
    remark: Some(
        "This is a drift scan: the rows of the frame have different times, and one time is used for all.",
    ),
    ..Profile::EMPTY
};

pub(super) const ZTF: Profile = Profile {
    name: "ZTF",
    filter: &["FILTER", "FILTERID"],
    visit: &["EXPID"],
    time: &[Time::MidJd("OBSJD"), Time::MidMjd("OBSMJD"), Time::Begin("SHUTOPEN"), Time::Begin("DATE-OBS")],
    exposure: &["EXPTIME", "EXPOSURE"],
    pointing: &[Pointing::degrees("TELRAD", "TELDECD"), Pointing::degrees("RA", "DEC")],
    altitude: &[
        Altitude::Altitude("ELVATION"),
        Altitude::Altitude("ELEVATION"),
        Altitude::Altitude("ALTITUDE"),
    ],
    azimuth: &["AZIMUTH"],
    hour_angle: &[HourAngle { card: "HOURANG", number: Unit::Hours, at_start: true }],
    site: Some(FixedSite { latitude: 33.3558, longitude: -116.8648, elevation: 1707.0 }),
    temperature: &["OUTTEMP", "TEMPTURE"],
    pressure: &["BAROMETR", "PRESSURE"],
    humidity: &["OUTRELHU", "HUMIDITY"],
    fwhm_px: &["SEEING"],
    zero_point: &[ZeroPointCard::exposure("MAGZP")],
    ..Profile::EMPTY
};

pub(super) const PAN_STARRS: Profile = Profile {
    name: "Pan-STARRS",
    instrument: &["INSTRUME", "FPA.INSTRUMENT"],
    filter: &["FPA.FILTER", "FPA.FILTERID", "FILTER"],
    visit: &["EXPNUM", "FPA.OBS"],
    time: &[Time::BeginMjd("MJD-OBS"), Time::BeginMjd("FPA.MJD")],
    scale: Scale::Tai,
    pointing: &[Pointing::degrees("FPA.RA", "FPA.DEC"), Pointing::degrees("RA", "DEC")],
    altitude: &[Altitude::Altitude("FPA.ALT")],
    azimuth: &["FPA.AZ"],
    airmass: &["FPA.AIRMASS", "AIRMASS"],
    site: Some(FixedSite { latitude: 20.7071, longitude: -156.2559, elevation: 3055.0 }),
    temperature: &["FPA.TEMP"],
    // Zero points refer to one second, in warps and stacks alike.
    zero_point: &[ZeroPointCard::second("FPA.ZP")],
    ..Profile::EMPTY
};
