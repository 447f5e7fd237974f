//! FITS files: exposures read by box, results written whole or not at all.
//!
//! cfitsio is behind [`ExposureFile`] for reading and for tile compression; plain files are written
//! without it, so that errors of the disk are those of the operating system and the bytes are the
//! same each time.

mod atomic;
mod cfitsio;
mod checksum;
mod chosen_image;
mod companions;
mod compress;
mod error;
mod exposure;
mod folder;
mod guess;
mod layout;
mod memory;
mod noise;
mod open;
mod placement;
mod plane;
mod plane_names;
mod role;
mod scratch;
mod tree;
mod write;

pub use atomic::{AtomicFile, remove_temporaries};
pub(crate) use cfitsio::{FitsReader, HduKind};
pub use companions::{CompanionFile, CompanionKind, companion_by_name, refuse_dangling};
pub use error::FitsError;
pub use exposure::{ExposureFile, MissingVariance, OpenOptions};
pub use folder::OutputFolder;
pub use layout::UncertaintyKind;
pub(crate) use layout::{Hdu, inventory, survey};
pub use memory::{free_memory, peak_memory};
pub use plane::PlaneFile;
pub use scratch::ScratchFile;
pub use write::{
    Column, ColumnValues, ExposureToWrite, ImageHdu, Pixels, TableHdu, WriteOptions, write_exposure,
};
