//! Variances of planes and templates, and the Fisher information of the visits on colours.

pub(crate) mod coarse;
pub(crate) mod covariance;
pub(crate) mod identifiability;
pub(crate) mod kernels;
pub(crate) mod starlight;
pub(crate) mod stars;
