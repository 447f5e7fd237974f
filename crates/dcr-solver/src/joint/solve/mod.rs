//! The two MAP solves of a tile, with a uniform prior first and a prior that follows the light
//! last, and their iteration.

pub(crate) mod krylov;
pub(crate) mod map_final;
pub(crate) mod map_first;
