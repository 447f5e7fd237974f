//! MegaPrime at CFHT: altitude, azimuth and hour angle at the start, pressure in mbar.
//!
//! Zero points refer to one second at airmass 1; PHOT_K is negative.

use super::angle::Unit;
use super::profile::{Altitude, FixedSite, HourAngle, Pointing, Profile, Time, ZeroPointCard};

pub(super) const MEGAPRIME: Profile = Profile {
    name: "MegaPrime at CFHT",
    visit: &["EXPNUM", "OBSID"],
    time: &[Time::BeginParts("DATE-OBS", "UTC-OBS"), Time::BeginMjd("MJD-OBS"), Time::Begin("DATE-OBS")],
    pointing: &[Pointing::degrees("RA_DEG", "DEC_DEG"), Pointing::degrees("RA", "DEC")],
    altitude: &[Altitude::Altitude("TELALT")],
    azimuth: &["TELAZ"],
    hour_angle: &[HourAngle { card: "HA", number: Unit::Hours, at_start: true }],
    latitude: &["LATITUDE"],
    longitude: &["LONGITUD"],
    site: Some(FixedSite { latitude: 19.825_252, longitude: -155.468_876, elevation: 4204.0 }),
    temperature: &["TEMPERAT"],
    pressure: &["PRESSURE"],
    humidity: &["RELHUMID"],
    zero_point: &[
        ZeroPointCard::second("PHOT_C0").with_extinction("PHOT_K", 1.0),
        ZeroPointCard::second("PHOT_C").with_extinction("PHOT_K", 1.0),
    ],
    ..Profile::EMPTY
};
