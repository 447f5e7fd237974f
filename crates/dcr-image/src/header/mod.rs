//! Headers, and what the headers of each instrument mean.
//!
//! A [`Header`] is the cards of a file. [`VisitHeader`] is what they say of a visit, read by the
//! profile of the instrument: one module of `profiles` for each, as data, interpreted in one place.

mod angle;
mod card;
mod cards;
mod detector;
mod format;
mod interpret;
mod lsst_images;
mod mask_coding;
mod profile;
mod profiles;
mod site;
mod time;
mod visit;
mod weather;

pub use card::{Card, Value};
pub use cards::Header;
pub(crate) use detector::detector;
pub(crate) use format::format_card;
pub(crate) use mask_coding::{MaskCoding, UnknownValues};
pub use visit::VisitHeader;
