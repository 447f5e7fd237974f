//! Errors of FITS files. Every variant names the file, the finding and the expectation.

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
        /// The action that failed.
        action: &'static str,
        /// Reason of the operating system.
        source: std::io::Error,
    },
    /// The file does not begin as FITS files do.
    #[error("{}: not a FITS file: {found}", path.display())]
    NotFits {
        /// The file.
        path: PathBuf,
        /// First bytes found, and those expected.
        found: String,
    },
    /// The file ends before its data.
    #[error(
        "{}: the file is truncated: it has {got} bytes, but HDU {hdu} needs {expected}; copy it again", path.display()
    )]
    Truncated {
        /// The file.
        path: PathBuf,
        /// The truncated HDU, 0 being the primary.
        hdu: usize,
        /// Size in bytes required up to the end of that HDU.
        expected: u64,
        /// Size of the file in bytes.
        got: u64,
    },
    /// The structure of an HDU contradicts the FITS standard, itself, or the length of the file.
    #[error("{}: HDU {hdu} is damaged (byte {offset}): {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The HDU, 0 the primary.
        hdu: usize,
        /// Offset in bytes of the card or HDU.
        offset: u64,
        /// Card or value found, and the value expected.
        reason: String,
    },
    /// Checksum mismatch of an HDU.
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
        /// The computed sum.
        found: u32,
    },
    /// A value is out of range for the requested type.
    #[error("{}: cannot {action}: a value is out of range for the requested number type", path.display())]
    OutOfRange {
        /// The file.
        path: PathBuf,
        /// The action that failed, with the HDU.
        action: String,
    },
    /// cfitsio refused to compress an image.
    #[error("{}: cannot {action}: {reason} (cfitsio status {status})", path.display())]
    Library {
        /// The file.
        path: PathBuf,
        /// The action that failed, with the HDU.
        action: String,
        /// Status code of cfitsio.
        status: i32,
        /// Text of cfitsio for that status.
        reason: String,
    },
    /// Cards of a nonlinear scale contradict each other.
    #[error("{}, {hdu}: {reason}; restore the cards, or convert the pixels to flux and remove both", path.display())]
    Scaling {
        /// The file.
        path: PathBuf,
        /// The HDU.
        hdu: String,
        /// The contradiction.
        reason: String,
    },
    /// A required HDU is missing.
    #[error("{}: found no {wanted}; the file has {found}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The item searched for, with its possible names.
        wanted: String,
        /// HDUs of the file.
        found: String,
    },
    /// A name matches several HDUs.
    #[error(
        "{}: {wanted} names several HDUs; add EXTVER, e.g. {wanted},2, or give the HDU number; the file has {found}",
        path.display()
    )]
    Ambiguous {
        /// The file.
        path: PathBuf,
        /// The name given.
        wanted: String,
        /// HDUs of the file.
        found: String,
    },
    /// Several images with different WCS, and no choice among them.
    #[error("{}: found several images, each with its own WCS: {found}", path.display())]
    SeveralImages {
        /// The file.
        path: PathBuf,
        /// The images among its HDUs.
        found: String,
    },
    /// The weights, mask or PSF named for an exposure are its own image.
    #[error(
        "{}: {setting} names the image itself, which cannot be its own {role}; name another file, or another HDU \
         in brackets, e.g. {{dir}}/{{stem}}.fits[2]; the file has {found}",
        path.display()
    )]
    ItsOwnImage {
        /// The file.
        path: PathBuf,
        /// The plane to be read: weights, mask or PSF.
        role: &'static str,
        /// The setting that names the file.
        setting: &'static str,
        /// HDUs of the file.
        found: String,
    },
    /// A companion file has several candidate planes.
    #[error(
        "{}: found several images, none of them named {names}; select one in brackets, e.g. {setting} = \
         \"{{dir}}/{{stem}}.fits[1]\"; the file has {found}",
        path.display()
    )]
    SeveralPlanes {
        /// The file.
        path: PathBuf,
        /// Names that would decide.
        names: &'static str,
        /// The setting that names the file.
        setting: &'static str,
        /// HDUs of the file.
        found: String,
    },
    /// A mask or weight image has another WCS than its science image.
    #[error(
        "{}: {hdu} belongs to another image: its WCS is {} from that of {}",
        path.display(), pixels(*distance_px), image.display()
    )]
    Elsewhere {
        /// The file.
        path: PathBuf,
        /// The HDU.
        hdu: String,
        /// The exposure's file.
        image: PathBuf,
        /// Distance in pixels of the image; infinite if unknown.
        distance_px: f64,
    },
    /// A dangling symbolic link.
    #[error("{}: this link points to {}, which does not exist", path.display(), target.display())]
    DanglingLink {
        /// The link.
        path: PathBuf,
        /// Target as written in the link.
        target: PathBuf,
    },
    /// An image without uncertainties, where estimating them is not allowed.
    #[error(
        "{}: found no variance, neither an HDU called VARIANCE nor a weight file beside it{}; the file has {found}",
        path.display(), because(rejected)
    )]
    NoVariance {
        /// The file.
        path: PathBuf,
        /// HDUs of the file.
        found: String,
        /// Unnamed HDUs that were rejected as variance, with the reasons.
        rejected: Vec<String>,
    },
    /// An HDU is not a two-dimensional image with pixels.
    #[error("{}: {hdu} has the axes {axes:?}; expected an image with two axes of nonzero length", path.display())]
    NotAnImage {
        /// The file.
        path: PathBuf,
        /// The HDU.
        hdu: String,
        /// Its axes, NAXIS1 first.
        axes: Vec<usize>,
    },
    /// Planes of one exposure differ in size.
    #[error(
        "{}: {hdu} has {} × {} pixels (columns × rows), its image {} × {}", path.display(),
        got.1, got.0, expected.1, expected.0
    )]
    Shape {
        /// The file.
        path: PathBuf,
        /// The HDU.
        hdu: String,
        /// Rows and columns of the HDU.
        got: (usize, usize),
        /// Rows and columns of the image.
        expected: (usize, usize),
    },
    /// The requested pixels exceed the image.
    #[error("{}: {wanted} reaches beyond the image, which covers {bbox}", path.display())]
    Outside {
        /// The file.
        path: PathBuf,
        /// The box asked for.
        wanted: BBox,
        /// Box of the image.
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
    /// The content of an HDU contradicts its name.
    #[error("{}: {hdu}: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// The HDU.
        hdu: String,
        /// The problem, and the content expected.
        reason: String,
    },
    /// The output file exists.
    #[error("{}: the file exists; remove it, or allow it to be overwritten", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The output folder is not empty.
    #[error("{}: the folder is not empty (it contains {there}); choose another, or allow overwriting", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
        /// A file in it.
        there: String,
    },
    /// Another process is writing to the folder.
    #[error(
        "{}: another run of dcr is writing to this folder ({}); wait until it ends, or choose another folder",
        path.display(), if owner.is_empty() { "process unknown" } else { owner }
    )]
    Busy {
        /// The folder.
        path: PathBuf,
        /// Process id and host of the owner, or empty.
        owner: String,
    },
    /// A file was replaced during reading.
    #[error(
        "{}: the run was replaced while its files were being read; start again", path.display()
    )]
    Replaced {
        /// The file that seals the run.
        path: PathBuf,
    },
}

/// Wraps an error of the operating system with the file and the failed action.
pub(super) fn io_error(path: &Path, action: &'static str) -> impl Fn(std::io::Error) -> FitsError {
    let path = path.to_owned();
    move |source| FitsError::Io { path: path.clone(), action, source }
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
            | Self::OutOfRange { path, .. }
            | Self::Missing { path, .. }
            | Self::Ambiguous { path, .. }
            | Self::SeveralImages { path, .. }
            | Self::ItsOwnImage { path, .. }
            | Self::SeveralPlanes { path, .. }
            | Self::Elsewhere { path, .. }
            | Self::DanglingLink { path, .. }
            | Self::NoVariance { path, .. }
            | Self::NotAnImage { path, .. }
            | Self::Shape { path, .. }
            | Self::Outside { path, .. }
            | Self::Wcs { path, .. }
            | Self::Mask { path, .. }
            | Self::Content { path, .. }
            | Self::Exists { path }
            | Self::NotEmpty { path, .. }
            | Self::Scaling { path, .. }
            | Self::Busy { path, .. }
            | Self::Replaced { path } => path,
        }
    }
}

/// The rejected HDUs with reasons, as the end of a clause.
fn because(rejected: &[String]) -> String {
    if rejected.is_empty() { String::new() } else { format!(" ({})", rejected.join("; ")) }
}

/// A distance as text.
fn pixels(distance_px: f64) -> String {
    if distance_px.is_finite() { format!("{distance_px:.0} px") } else { "far".to_owned() }
}
