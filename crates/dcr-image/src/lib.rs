//! Survey images: masked images, WCS, PSF, FITS files, instrument headers.
//!
//! Pixel coordinates are 0-based parent coordinates everywhere (see [`bbox`]). The module [`fits`]
//! is the only one that touches files, and the only one with `unsafe` code. A header keyword that
//! says something of a visit is named in [`header`] and nowhere else; [`fits`], [`wcs`] and [`psf`]
//! know those of the file format itself (NAXIS, EXTNAME, CRPIX, PSF_SAMP, …).

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
