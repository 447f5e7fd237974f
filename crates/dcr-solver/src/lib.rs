// Links of the README lead to docs.rs; in this documentation they lead to the items.
//! [`iterative`]: crate::iterative
//! [`joint`]: crate::joint
//! [`joint_template`]: crate::joint::joint_template
//! [`kernel`]: crate::kernel
//! [`linalg`]: crate::linalg
//! [`shift_add`]: crate::kernel::shift_add
//! [`solve`]: crate::iterative::solve()
//! [`solve_joint`]: crate::joint::solve_joint
#![doc = include_str!("../README.md")]

pub mod calibration;
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
