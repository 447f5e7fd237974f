//! FITS files: exposures read by box, results written completely or not at all.
//!
//! Reading is safe Rust, because files can be damaged or hostile. cfitsio only compresses tiles for
//! writing. Plain files are written without it, so that disk errors are those of the operating
//! system and the bytes are reproducible.

mod atomic;
mod checksum;
mod chosen_image;
mod cleanup;
mod companions;
mod compress;
mod constant;
mod edited_headers;
mod error;
mod exposure;
mod findings;
mod folder;
mod guess;
mod gunzip;
mod joined;
mod layout;
mod lock;
mod memory;
mod no_data;
mod noise;
mod open;
mod options;
mod pixels;
mod placement;
mod plan;
mod plane;
mod plane_names;
mod presence;
mod reader;
mod reading;
mod role;
mod samples;
mod scratch;
mod seal;
mod source;
mod structure;
mod table;
mod tiles;
mod tree;
mod write;

pub use atomic::AtomicFile;
pub use checksum::Checksums;
pub use cleanup::remove_unfinished;
pub use companions::{CompanionFile, CompanionKind, companion_by_name, is_fits_name, refuse_dangling};
pub use error::FitsError;
pub use exposure::ExposureFile;
pub use findings::{Finding, Findings};
pub use folder::{FolderInUse, OutputFolder};
pub use joined::JoinError;
pub(crate) use layout::{Hdu, inventory, survey};
pub use layout::{UncertaintyKind, hdu_labels};
pub use memory::{free_memory, peak_memory};
pub use options::{MissingVariance, OpenOptions};
pub use pixels::Pixels;
pub use plane::PlaneFile;
pub use presence::{exists, is_dir, is_file};
pub use reader::verify_checksums;
pub(crate) use reader::{FitsReader, HduKind};
pub use samples::Pixel;
pub use scratch::ScratchFile;
pub use seal::Seal;
pub use write::{Column, ColumnValues, ExposureToWrite, ImageHdu, TableHdu, WriteOptions, write_exposure};
