//! Images of the Cambridge survey unit: INT WFC, WFCAM, VISTA.
//!
//! The zero point is of one second at airmass 1, and EXTINCT is to be taken off beyond. Of these,
//! the names of the cards are from the documentation, and no real header was seen.

use super::generic::GENERIC;
use super::profile::{Profile, ZeroPointCard};

pub(super) const CASU: Profile = Profile {
    name: "CASU",
    zero_point: &[ZeroPointCard::second("MAGZPT").with_extinction("EXTINCT", -1.0)],
    ..GENERIC
};
