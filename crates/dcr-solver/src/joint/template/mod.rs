//! Templates: the model as another exposure would see it.

pub(crate) mod blocks;
pub(crate) mod model;
pub(crate) mod predict;
