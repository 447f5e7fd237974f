//! A patch: its division into tiles, the state of an open tile, the order of the solves, and the
//! assembly.

pub(crate) mod assembly;
pub(crate) mod division;
pub(crate) mod run;
pub(crate) mod session;
