// Links of the README lead to docs.rs; in this documentation they lead to the items.
//! [`Scene`]: crate::residuals::Scene
//! [`convolve`]: crate::convolve
//! [`detection`]: crate::detection
//! [`fit`]: crate::matching_kernel::fit()
//! [`glitches`]: crate::glitches
//! [`interpolate`]: crate::interpolate
//! [`matching_kernel`]: crate::matching_kernel
//! [`measure_psf`]: crate::psf_measurement::measure_psf
//! [`noise_correlation`]: crate::noise_correlation
//! [`psf_kernel`]: crate::psf_kernel
//! [`residuals`]: crate::residuals
//! [`statistics`]: crate::statistics
//! [`streaks`]: crate::streaks
#![doc = include_str!("../README.md")]
//!
//! # Two more examples
//!
//! The PSF of the stars of an image:
//!
//! ```
//! use dcr_image::BBox;
//! use dcr_measure::psf_measurement::{StarField, StarSelection, measure_psf};
//! use ndarray::Array2;
//!
//! // 25 Gaussian stars with a FWHM of 4 px, at different places inside their pixels, and noise.
//! let image = Array2::from_shape_fn((200, 200), |(y, x)| {
//!     let offset = 0.1 * (y / 40) as f64 - 0.15 * (x / 40) as f64;
//!     let (dy, dx) = ((y % 40) as f64 - 20.0 - offset, (x % 40) as f64 - 20.0 + offset);
//!     let noise = ((31 * x * x + 17 * y * y + 101 * x * y + 7 * x) % 1009) as f64 / 291.3 - 1.73;
//!     (noise + 1e4 * (-0.5 * (dy * dy + dx * dx) / 1.6986_f64.powi(2)).exp()) as f32
//! });
//! let (variance, bad) = (Array2::ones((200, 200)), Array2::from_elem((200, 200), false));
//! let field = StarField {
//!     image: image.view(),
//!     variance: variance.view(),
//!     bad: bad.view(),
//!     fwhm_px: 4.2,
//!     bbox: BBox::new(0, 0, 200, 200),
//!     cells: &[],
//! };
//! let selection = StarSelection { threshold: 50.0, min_pixels: 5, min_stars: 5 };
//! let measured = measure_psf(&field, &selection)?;
//! assert!((measured.stamp.fwhm_px()? / 4.0 - 1.0).abs() < 0.01);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The residuals of a difference image:
//!
//! ```
//! use dcr_image::header::Header;
//! use dcr_image::{BBox, Psf, Wcs};
//! use dcr_measure::residuals::{Background, Scene};
//! use ndarray::Array2;
//!
//! let mut header = Header::new();
//! header.set("CTYPE1", "RA---TAN");
//! header.set("CTYPE2", "DEC--TAN");
//! for (card, value) in [("CRPIX1", 40.0), ("CRPIX2", 40.0), ("CRVAL1", 53.0), ("CRVAL2", -25.0)] {
//!     header.set(card, value);
//! }
//! header.set("CD1_1", -0.2 / 3600.0);
//! header.set("CD2_2", 0.2 / 3600.0);
//! let wcs = Wcs::from_header(&header, (0, 0))?;
//!
//! // A new source at (50, 30), in noise.
//! let psf = Psf::Gaussian { fwhm_px: 4.0 }.stamp_at(0.0, 0.0)?;
//! let image = Array2::from_shape_fn((80, 80), |(y, x)| {
//!     let r2 = (y as f32 - 30.0).powi(2) + (x as f32 - 50.0).powi(2);
//!     let noise = ((31 * x * x + 17 * y * y + 101 * x * y + 7 * x) % 1009) as f32 / 291.3 - 1.73;
//!     noise + 20.0 * (-0.5 * r2 / 1.7_f32.powi(2)).exp()
//! });
//! let (variance, flags) = (Array2::ones((80, 80)), Array2::from_elem((80, 80), false));
//! let scene = Scene {
//!     bbox: BBox::new(0, 0, 80, 80),
//!     wcs: &wcs,
//!     image: image.view(),
//!     variance: variance.view(),
//!     bad: flags.view(),
//!     sources: flags.view(),
//!     psf: &psf,
//!     fwhm_px: 4.0,
//!     background: Background::Constant,
//! };
//! let residuals = scene.search(5.0).residuals;
//! assert_eq!((residuals.len(), residuals[0].positive), (1, true));
//! assert!((residuals[0].x - 50.0).hypot(residuals[0].y - 30.0) < 1.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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
