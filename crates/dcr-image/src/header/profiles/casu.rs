//! Images of the Cambridge survey unit: INT WFC, WFCAM, VISTA.
//!
//! The zero point refers to one second at airmass 1; EXTINCT is subtracted for higher airmass. The
//! card names are from the documentation; no real header was available.

use super::generic::GENERIC;
use super::profile::{Profile, ZeroPointCard};

pub(super) const CASU: Profile = Profile {
    name: "CASU",
    zero_point: &[ZeroPointCard::second("MAGZPT").with_extinction("EXTINCT", -1.0)],
    ..GENERIC
};
