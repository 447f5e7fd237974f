//! The geometry of a patch: cells, displacements by refraction, and predictions by displaced
//! planes.

pub mod basis;
pub mod cells;
pub(crate) mod division;
pub mod prediction;
pub mod shifts;
