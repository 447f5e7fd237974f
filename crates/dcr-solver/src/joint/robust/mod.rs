//! Robustness against artefacts, variable sources, saturated stars and misplaced visits.

pub(crate) mod calibration;
pub(crate) mod changing;
pub(crate) mod clip;
pub(crate) mod offsets;
pub(crate) mod saturated;
pub(crate) mod variables;
