//! Models of the sky in subfilters, from displaced exposures.
//!
//! Arrays in, arrays out: the crate knows pixels, weights and displacements, but no sky
//! coordinates, headers, mask planes or visit names. [`kernel`] has the operations on planes,
//! [`iterative`] the iteration of DMTN-037, [`joint`] the joint least-squares solver, and
//! [`linalg`] dense linear algebra.

pub mod iterative;
pub mod joint;
pub mod kernel;
pub mod linalg;
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
