//! Profiles of instruments, and the choice of the profile for a header.

mod amateur;
mod casu;
mod cfht;
mod community_pipeline;
mod generic;
mod lcogt;
mod rubin;
mod subaru;
mod surveys;

use super::Header;
use super::angle;
use super::profile;
use super::time;
use profile::Profile;

pub(super) use generic::{GENERIC, LATITUDES, LONGITUDES};

/// The profile for a header.
pub(super) fn of(header: &Header) -> &'static Profile {
    let has = |keyword: &str| header.get(keyword).is_some();
    let upper = |keyword: &str| header.text(keyword).unwrap_or("").to_ascii_uppercase();
    let (instrument, telescope) = (upper("INSTRUME"), upper("TELESCOP"));
    // Headers processed by afw: its own cards are better than those of the instrument beside them.
    if has("BORE-RA") || has("BORE-ALT") || has("BORE-AIRMASS") {
        return &rubin::AFW;
    }
    if has("AMSTART") || has("ELSTART") || instrument.starts_with("LSSTC") || instrument == "COMCAM" {
        return &rubin::RAW;
    }
    match instrument.as_str() {
        "DECAM" => return &community_pipeline::DECAM,
        "90PRIME" => return &community_pipeline::BOK,
        "MEGAPRIME" => return &cfht::MEGAPRIME,
        "HYPER SUPRIME-CAM" | "HSC" | "SUPRIMECAM" | "SUPRIME-CAM" => return &subaru::SUBARU,
        _ => {}
    }
    if instrument.starts_with("MOSAIC") && telescope.starts_with("KPNO") {
        return &community_pipeline::MOSAIC;
    }
    if telescope == "SUBARU" {
        return &subaru::SUBARU;
    }
    if instrument.starts_with("ZTF") || (has("OBSMJD") && telescope.contains("P48")) {
        return &surveys::ZTF;
    }
    if instrument.starts_with("GPC1") || has("FPA.AIRMASS") {
        return &surveys::PAN_STARRS;
    }
    if has("TAIHMS") || (has("SPA") && has("IPA")) || telescope.starts_with("2.5M SDSS") {
        return &surveys::SDSS;
    }
    if has("LONGITUD") && upper("CREATOR").starts_with("MICROOBSERVATORY") {
        return &amateur::MICRO_OBSERVATORY;
    }
    if has("WMSTEMP") || upper("ORIGIN") == "LCOGT" {
        return &lcogt::LCOGT;
    }
    if has("CASUVERS") || has("CIRDR_VER") || (instrument == "WFC" && telescope.starts_with("INT")) {
        return &casu::CASU;
    }
    if has("SITELAT") || has("OBJCTALT") || upper("SWCREATE").contains("MAXIM") {
        return &amateur::MAXIM_DL;
    }
    &GENERIC
}
