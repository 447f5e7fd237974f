//! Hyper Suprime-Cam and Suprime-Cam. Both carry a dispersion corrector; no site is in the headers.

use super::profile::{Altitude, Corrector, FixedSite, Pointing, Profile, Time};

pub(super) const CORRECTOR: Corrector =
    Corrector { card: "ADC-TYPE", absent: &["NONE", "OUT", "##NODATA##", "NULL"] };

pub(super) const SUBARU: Profile = Profile {
    name: "Subaru",
    filter: &["FILTER01", "FILTER"],
    visit: &["EXP-ID", "FRAMEID"],
    time: &[Time::BeginParts("DATE-OBS", "UT-STR"), Time::BeginMjd("MJD-STR"), Time::BeginMjd("MJD")],
    pointing: &[Pointing::degrees("RA2000", "DEC2000"), Pointing::degrees("RA", "DEC")],
    altitude: &[Altitude::Altitude("ALTITUDE"), Altitude::ZenithDistance("ZD-STR")],
    azimuth: &["AZIMUTH"],
    airmass: &["AIRMASS", "SECZ-STR"],
    site: Some(FixedSite { latitude: 19.825_556, longitude: -155.476_667, elevation: 4139.0 }),
    temperature: &["OUT-TMP"],
    pressure: &["OUT-PRS"],
    humidity: &["OUT-HUM"],
    corrector: &[CORRECTOR],
    ..Profile::EMPTY
};
