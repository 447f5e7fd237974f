//! A patch: its tiles, the work on each, and the planes put together from them.

pub(crate) mod assembly;
pub(crate) mod division;
pub(crate) mod run;
pub(crate) mod session;
