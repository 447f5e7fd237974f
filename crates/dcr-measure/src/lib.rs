//! Measurements on images of the sky: arrays in, arrays and numbers out.
//!
//! The crate knows pixels, variances, masks as flags, PSF stamps and a WCS. It knows no file, no
//! setting and no run: callers pass thresholds as numbers. [`detection`] finds sources,
//! [`psf_measurement`] fits the PSF to the stars among them, [`matching_kernel`] fits the kernel
//! between two images (Alard & Lupton 1998), [`residuals`] finds the residuals of a difference and
//! pairs dipoles, [`glitches`] finds pixels that are too sharp for the PSF, and [`streaks`] finds
//! light along straight lines.

pub mod convolve;
pub mod detection;
pub mod glitches;
pub mod interpolate;
pub mod matching_kernel;
pub mod noise_correlation;
pub mod psf_kernel;
pub mod psf_measurement;
pub mod residuals;
pub mod sky_plane;
pub mod statistics;
pub mod streaks;
