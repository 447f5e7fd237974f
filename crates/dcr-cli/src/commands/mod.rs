//! The commands, one module each.

pub(crate) mod assemble;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod inspect;
pub(crate) mod man;
pub(crate) mod report;
pub(crate) mod subtract;
pub(crate) mod template;
