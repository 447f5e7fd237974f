//! Headers, and what the headers of each instrument mean.

mod card;
mod cards;

pub use card::{Card, Value};
pub use cards::Header;
