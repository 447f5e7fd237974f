//! The forward model and its adjoint on a tile: transfer functions, prediction, back-projection.

pub(crate) mod elimination;
pub(crate) mod predictions;
pub(crate) mod tile;
pub(crate) mod transfer;
pub(crate) mod unknowns;
