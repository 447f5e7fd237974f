//! Headers, and their interpretation for each instrument.
//!
//! A [`Header`] holds the cards of a file. [`VisitHeader`] is the visit that they describe, by the
//! profile of the instrument. Each module of `profiles` is one profile, as data; `interpret`
//! applies it.

mod angle;
mod card;
mod cards;
mod chip;
mod coordinate;
mod elevation;
mod format;
mod geocentric;
mod given;
mod interpret;
mod lsst_images;
mod mask_coding;
mod mid_time;
mod profile;
mod profiles;
mod reading;
mod scale;
mod site;
mod stated_band;
mod time;
pub mod unit;
mod visit;
mod wcs_keywords;
mod weather;

pub use card::{Card, Value};
pub use cards::Header;
pub(crate) use chip::{Chip, detector};
pub(crate) use format::format_card;
pub use given::{Given, ZeroPointOf};
pub(crate) use mask_coding::{MaskCoding, UnknownValues};
pub(crate) use scale::AsinhScaling;
pub use stated_band::StatedBand;
pub use visit::{VisitHeader, VisitSource};
pub(crate) use wcs_keywords::{is_digits, is_sip};
