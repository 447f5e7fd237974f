//! The kernels: operations on planes without visits, models or iterations.
//!
//! They take views, write to given memory, and neither log nor read settings nor start threads.

pub mod filter;
pub mod fourier;
pub mod morphology;
pub mod region;
pub mod shift;
pub mod spline;
mod stencil;
mod window;

pub use filter::{Boundary, gaussian_filter};
pub(crate) use filter::{
    FWHM_PER_SIGMA, Smoother, copy_folded, filter_in_blocks, filter_row, gaussian_half_kernel,
};
pub use fourier::FourierPlan;
pub(crate) use fourier::odd_fast_length;
pub(crate) use morphology::open_diamond_rows;
pub use morphology::{dilate_diamond, open_diamond};
pub(crate) use region::mirror;
pub use region::{PixelShift, Region};
pub use shift::{shift_add, shift_scalar, support};
pub(crate) use spline::prefilter_in_place;
pub use spline::{Order, prefilter, prefilter_f32};
pub(crate) use stencil::Stencil;
pub(crate) use window::Window;
