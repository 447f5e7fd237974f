//! What can go wrong with a FITS file. Every variant names the file and what was expected.

use std::path::{Path, PathBuf};

use crate::{BBox, MaskError, WcsError};

/// A FITS file that cannot be read or written as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FitsError {
    /// The operating system refused.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was being done.
        action: &'static str,
        /// The reason.
        source: std::io::Error,
    },
    /// The file does not begin as FITS files do.
    #[error("{}: this is no FITS file: {found}", path.display())]
    NotFits {
        /// The file.
        path: PathBuf,
        /// How it begins, and should.
        found: String,
    },
    /// The file ends before its data do.
    #[error(
        "{}: the file is cut short: it has {got} bytes, and HDU {hdu} needs {expected}; copy it again", path.display()
    )]
    Truncated {
        /// The file.
        path: PathBuf,
        /// The HDU that is cut, 0 the primary.
        hdu: usize,
        /// Bytes that the file needs up to the end of that HDU.
        expected: u64,
        /// Bytes that it has.
        got: u64,
    },
    /// The structure of an HDU contradicts the FITS standard, itself, or the length of the file.
    #[error("{}: HDU {hdu} is damaged (byte {offset}): {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The HDU, 0 the primary.
        hdu: usize,
        /// The byte of the file at which the card or the HDU begins.
        offset: u64,
        /// The card or value found, and what was expected.
        reason: String,
    },
    /// The sum of an HDU is not the one that its header states.
    #[error(
        "{}: {hdu} has changed since it was written: its card {keyword} states {stated}, and its sum is {found}; \
         copy the file again or write it anew", path.display()
    )]
    Checksum {
        /// The file.
        path: PathBuf,
        /// The HDU.
        hdu: String,
        /// DATASUM, or CHECKSUM for the HDU as a whole.
        keyword: &'static str,
        /// The value of the card.
        stated: String,
        /// The sum of the bytes.
        found: u32,
    },
    /// A number does not fit the type it is read as, or cfitsio refused to compress an image.
    #[error("{}: cannot {action}: {reason} (status {status})", path.display())]
    Library {
        /// The file.
        path: PathBuf,
        /// What was being done, with the HDU.
        action: String,
        /// cfitsio's status.
        status: i32,
        /// Its text for that status.
        reason: String,
    },
    /// An HDU that is needed is not there.
    #[error("{}: found no {wanted}; the file has {found}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// What was looked for, and under which names.
        wanted: String,
        /// The HDUs that are there.
        found: String,
    },
    /// An image without any uncertainty, and nobody allowed to estimate one.
    #[error(
        "{}: found no variance, neither an HDU called VARIANCE nor a weight file beside it; the file has {found}", path.display()
    )]
    NoVariance {
        /// The file.
        path: PathBuf,
        /// The HDUs that are there.
        found: String,
    },
    /// An HDU is not a two-dimensional image with pixels.
    #[error("{}: {hdu} has the axes {axes:?}; an image of two axes, neither of length 0, is needed", path.display())]
    NotAnImage {
        /// The file.
        path: PathBuf,
        /// The HDU.
        hdu: String,
        /// Its axes, NAXIS1 first.
        axes: Vec<usize>,
    },
    /// Planes that belong together differ in size.
    #[error(
        "{}: {hdu} has {} × {} pixels (columns × rows), its image {} × {}", path.display(),
        got.1, got.0, expected.1, expected.0
    )]
    Shape {
        /// The file.
        path: PathBuf,
        /// The HDU.
        hdu: String,
        /// Its rows and columns.
        got: (usize, usize),
        /// Those of the image.
        expected: (usize, usize),
    },
    /// Pixels were asked for that the file does not have.
    #[error("{}: {wanted} reaches beyond the image, which covers {bbox}", path.display())]
    Outside {
        /// The file.
        path: PathBuf,
        /// The box asked for.
        wanted: BBox,
        /// The image's box.
        bbox: BBox,
    },
    /// The WCS of the image is missing or unusable.
    #[error("{}: {hdu}: {source}", path.display())]
    Wcs {
        /// The file.
        path: PathBuf,
        /// The HDU.
        hdu: String,
        /// The reason.
        source: WcsError,
    },
    /// The mask-plane cards contradict each other.
    #[error("{}: {hdu}: {source}", path.display())]
    Mask {
        /// The file.
        path: PathBuf,
        /// The HDU.
        hdu: String,
        /// The reason.
        source: MaskError,
    },
    /// The content of an HDU is not what its name promises.
    #[error("{}: {hdu}: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// The HDU.
        hdu: String,
        /// What is wrong and what was expected.
        reason: String,
    },
    /// The file to be written is there already.
    #[error("{}: the file exists; remove it, or allow it to be overwritten", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The folder for results has something in it.
    #[error("{}: the folder is not empty ({there} is there); name another, or allow overwriting", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
        /// A file in it.
        there: String,
    },
}

impl FitsError {
    /// The file at fault.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Io { path, .. }
            | Self::NotFits { path, .. }
            | Self::Truncated { path, .. }
            | Self::Damaged { path, .. }
            | Self::Checksum { path, .. }
            | Self::Library { path, .. }
            | Self::Missing { path, .. }
            | Self::NoVariance { path, .. }
            | Self::NotAnImage { path, .. }
            | Self::Shape { path, .. }
            | Self::Outside { path, .. }
            | Self::Wcs { path, .. }
            | Self::Mask { path, .. }
            | Self::Content { path, .. }
            | Self::Exists { path }
            | Self::NotEmpty { path, .. } => path,
        }
    }
}
