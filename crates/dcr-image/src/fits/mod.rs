//! FITS files: exposures read by box, results written whole or not at all.
//!
//! Reading is safe Rust: files may be damaged or hostile. cfitsio compresses tiles for writing and
//! does nothing else; plain files are written without it, so that errors of the disk are those of
//! the operating system and the bytes are the same each time.

mod atomic;
mod checksum;
mod companions;
mod compress;
mod error;
mod exposure;
mod folder;
mod gunzip;
mod layout;
mod memory;
mod noise;
mod plane;
mod reader;
mod samples;
mod scratch;
mod source;
mod structure;
mod table;
mod tiles;
mod tree;
mod write;

pub use atomic::{AtomicFile, remove_temporaries};
pub use checksum::Checksums;
pub use error::FitsError;
pub use exposure::{ExposureFile, MissingVariance, OpenOptions};
pub use folder::OutputFolder;
pub use layout::UncertaintyKind;
pub(crate) use layout::{Hdu, inventory, survey};
pub use memory::{free_memory, peak_memory};
pub use plane::PlaneFile;
pub(crate) use reader::{FitsReader, HduKind};
pub use reader::{hdu_labels, verify_checksums};
pub use scratch::ScratchFile;
pub use write::{
    Column, ColumnValues, ExposureToWrite, ImageHdu, Pixels, TableHdu, WriteOptions, write_exposure,
};
