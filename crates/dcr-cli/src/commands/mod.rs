//! The commands, each a file.

pub(crate) mod config;
pub(crate) mod inspect;
