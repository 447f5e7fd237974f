//! Headers, and what the headers of each instrument mean.

mod card;
mod cards;
mod format;
mod mask_coding;
mod visit;

pub use card::{Card, Value};
pub use cards::Header;
pub(crate) use format::format_card;
pub(crate) use mask_coding::MaskCoding;
pub use visit::VisitHeader;
