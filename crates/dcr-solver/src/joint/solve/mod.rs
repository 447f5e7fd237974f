//! The two MAP solves of a tile: a uniform prior first, a prior that follows the light last.

pub(crate) mod first;
pub(crate) mod krylov;
pub(crate) mod last;
