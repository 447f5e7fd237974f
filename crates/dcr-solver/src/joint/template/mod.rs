//! Templates: the prediction of the model for another exposure.

pub(crate) mod blocks;
pub(crate) mod model;
pub(crate) mod predict;
