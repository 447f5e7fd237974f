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
    /// A number does not fit the type that it is read as.
    #[error("{}: cannot {action}: a value does not fit the numbers that it is read as", path.display())]
    OutOfRange {
        /// The file.
        path: PathBuf,
        /// What was being done, with the HDU.
        action: String,
    },
    /// cfitsio refused to compress an image.
    #[error("{}: cannot {action}: {reason} (cfitsio status {status})", path.display())]
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
    /// Cards of a scale that is not linear contradict each other.
    #[error("{}, {hdu}: {reason}; restore the cards, or convert the pixels to flux and remove both", path.display())]
    Scaling {
        /// The file.
        path: PathBuf,
        /// The HDU.
        hdu: String,
        /// What is wrong.
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
    /// A name stands for several HDUs.
    #[error(
        "{}: {wanted} names several HDUs; add EXTVER, as {wanted},2, or give the HDU's number; the file has {found}",
        path.display()
    )]
    Ambiguous {
        /// The file.
        path: PathBuf,
        /// The name given.
        wanted: String,
        /// The HDUs that are there.
        found: String,
    },
    /// Several images at different places of the sky, and none of them chosen.
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
         in brackets as in {{dir}}/{{stem}}.fits[2]; the file has {found}",
        path.display()
    )]
    ItsOwnImage {
        /// The file.
        path: PathBuf,
        /// What was to be read: weights, mask or PSF.
        role: &'static str,
        /// The setting that names the file.
        setting: &'static str,
        /// The HDUs that are there.
        found: String,
    },
    /// A companion file has several planes that may be meant.
    #[error(
        "{}: found several images and none called {names}; name one in brackets, as in {setting} = \
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
        /// The HDUs that are there.
        found: String,
    },
    /// A mask, or an image of weights, lies on another place of the sky than its image.
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
        /// Distance in pixels of the image, infinite if unknown.
        distance_px: f64,
    },
    /// A symbolic link to a file that is not there.
    #[error("{}: this link leads to {}, which is not there", path.display(), target.display())]
    DanglingLink {
        /// The link.
        path: PathBuf,
        /// Its target as written in the link.
        target: PathBuf,
    },
    /// An image without any uncertainty, and nobody allowed to estimate one.
    #[error(
        "{}: found no variance, neither an HDU called VARIANCE nor a weight file beside it{}; the file has {found}",
        path.display(), because(rejected)
    )]
    NoVariance {
        /// The file.
        path: PathBuf,
        /// The HDUs that are there.
        found: String,
        /// HDUs without a name that might have been the variance, and why they are not.
        rejected: Vec<String>,
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
    /// Another process writes results into the folder.
    #[error(
        "{}: another run of dcr writes into this folder ({}); wait for its end, or name another folder",
        path.display(), if owner.is_empty() { "its process is not known" } else { owner }
    )]
    Busy {
        /// The folder.
        path: PathBuf,
        /// The process and its machine, or nothing.
        owner: String,
    },
    /// A file that was being read was replaced.
    #[error(
        "{}: the run was replaced while its files were being read; start again", path.display()
    )]
    Replaced {
        /// The file that seals the run.
        path: PathBuf,
    },
}

/// Makes an error of the operating system one of a file, with what was being done.
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

/// HDUs that were not taken, with the reasons, as the end of a clause.
fn because(rejected: &[String]) -> String {
    if rejected.is_empty() { String::new() } else { format!(" ({})", rejected.join("; ")) }
}

/// A distance for a person.
fn pixels(distance_px: f64) -> String {
    if distance_px.is_finite() { format!("{distance_px:.0} px") } else { "far".to_owned() }
}
