//! State of a header interpretation: profile, user values and notes.

use dcr_physics::{Assumption, SkyPosition};

use super::Header;
use super::given::Given;
use super::profile::Profile;

/// Header of a visit, and the notes made in reading it.
pub(super) struct Reading<'a> {
    pub(super) header: &'a Header,
    pub(super) profile: &'a Profile,
    /// User values, which take precedence.
    pub(super) given: Given,
    /// Centre of the image, for headers without a pointing.
    pub(super) image_centre: Option<SkyPosition>,
    pub(super) notes: Vec<Assumption>,
}

impl<'a> Reading<'a> {
    /// A reading by a profile, without user values.
    pub(super) fn new(header: &'a Header, profile: &'a Profile) -> Self {
        Self { header, profile, given: Given::default(), image_centre: None, notes: Vec::new() }
    }
}
