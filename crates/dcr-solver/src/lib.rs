//! Subfilter models of the sky from shifted exposures.
//!
//! Arrays in, arrays out: this crate knows pixels, weights and shifts, and nothing of sky coordinates, headers, mask
//! planes or visits' names. [`kernel`] holds the operations on planes.

pub mod kernel;
