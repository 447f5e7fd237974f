//! Subfilter models of the sky from shifted exposures.
//!
//! Arrays in, arrays out: this crate knows pixels, weights and displacements, and nothing of sky coordinates, headers, mask
//! planes or visits' names. [`kernel`] holds the operations on planes, [`iterative`] the established method, [`joint`]
//! the joint least-squares solver.

pub mod iterative;
pub mod joint;
pub mod kernel;
mod observation;
mod outliers;
mod rarity;
mod spectrum;

pub use kernel::PixelShift;
pub use observation::{
    AtHand, DETECTED, ForwardShift, GOOD, InMemory, Observations, Pixels, Rows, SourceError, SubfilterShift,
    Visit,
};
pub use outliers::OutlierTest;
pub use rarity::{PixelList, Rarity, groups};
pub use spectrum::{SmoothSpectrum, SpectralBasis};
