// Links of the README lead to docs.rs; in this documentation they lead to the items.
//! [`Exposure`]: crate::Exposure
//! [`ExposureFile`]: crate::ExposureFile
//! [`ExposureInMemory`]: crate::ExposureInMemory
//! [`MaskPlanes`]: crate::MaskPlanes
//! [`Psf`]: crate::Psf
//! [`VisitHeader`]: crate::header::VisitHeader
//! [`Wcs`]: crate::Wcs
//! [`fits`]: crate::fits
//! [`header`]: crate::header
//! [`resample`]: crate::resample
//! [`write_exposure`]: crate::fits::write_exposure
#![doc = include_str!("../README.md")]

pub mod bbox;
mod exposure;
pub mod fits;
pub mod header;
pub mod mask;
pub mod masked_image;
pub mod psf;
pub mod resample;
pub mod wcs;

pub use bbox::BBox;
pub use exposure::{Exposure, ExposureInMemory, ReadError};
pub use fits::{ExposureFile, FitsError, OpenOptions};
pub use mask::{MaskError, MaskPlanes, Translation, remap};
pub use masked_image::{MaskedImage, MaskedImageError};
pub use psf::{Psf, Stamp};
pub use wcs::{Jacobian, Wcs, WcsError, ZenithDirection};
