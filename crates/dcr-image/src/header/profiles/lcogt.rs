//! Las Cumbres Observatory (BANZAI), with card names from its documentation. L1ZP is fitted to
//! magnitudes of the flux per second.

use super::profile::{Altitude, Pointing, Profile, Time, ZeroPointCard};

pub(super) const LCOGT: Profile = Profile {
    name: "Las Cumbres Observatory",
    visit: &["REQNUM", "FRAMENUM"],
    time: &[Time::Begin("DATE-OBS"), Time::BeginMjd("MJD-OBS")],
    pointing: &[Pointing::degrees("RA", "DEC")],
    altitude: &[Altitude::Altitude("ALTITUDE")],
    azimuth: &["AZIMUTH"],
    latitude: &["LATITUDE"],
    longitude: &["LONGITUD"],
    elevation: &["HEIGHT"],
    temperature: &["WMSTEMP"],
    pressure: &["WMSPRES"],
    humidity: &["WMSHUMID"],
    zero_point: &[ZeroPointCard::second("L1ZP")],
    ..Profile::EMPTY
};
