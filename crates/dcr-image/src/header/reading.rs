//! A header that is being interpreted: its profile, what is given by hand, and the notes so far.

use dcr_physics::{Assumption, SkyPosition};

use super::Header;
use super::given::Given;
use super::profile::Profile;

/// What a header says of a visit, and the notes made on the way.
pub(super) struct Reading<'a> {
    pub(super) header: &'a Header,
    pub(super) profile: &'a Profile,
    /// What the user states, and wins.
    pub(super) given: Given,
    /// Middle of the image, for headers without a pointing.
    pub(super) image_centre: Option<SkyPosition>,
    pub(super) notes: Vec<Assumption>,
}

impl<'a> Reading<'a> {
    /// Of a header by a profile, with nothing given by hand.
    pub(super) fn new(header: &'a Header, profile: &'a Profile) -> Self {
        Self { header, profile, given: Given::default(), image_centre: None, notes: Vec::new() }
    }
}
