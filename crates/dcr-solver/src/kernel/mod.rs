//! The kernels: operations on planes that know nothing of visits, models or iterations.
//!
//! They take views, write where they are told, and neither log nor read settings nor start threads.

pub mod filter;
pub mod fourier;
pub mod morphology;
pub mod shift;
pub mod spline;

pub use filter::{Boundary, gaussian_filter};
pub use fourier::FourierPlan;
pub use morphology::{dilate_diamond, open_diamond};
pub use shift::{PixelShift, Region, shift_add, shift_scalar, support};
pub use spline::{Order, prefilter, prefilter_f32};
