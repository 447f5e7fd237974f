//! Bytes of a FITS file, on disk or unpacked in memory.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::error::io_error;
use super::{FitsError, gunzip};

/// Number of bytes read to recognise a format.
const BEGINNING: usize = 80;
/// First bytes of unsupported formats, with the name and the command that unpacks them.
const OTHER_FORMATS: [(&[u8], &str, &str); 6] = [
    (b"BZh", "bzip2", "bunzip2"),
    (&[0x1f, 0x9d], "compress (.Z)", "uncompress"),
    (&[0x1f, 0xa0], "lzh", "gunzip"),
    (&[0xfd, b'7', b'z', b'X', b'Z'], "xz", "unxz"),
    (&[0x28, 0xb5, 0x2f, 0xfd], "zstd", "unzstd"),
    (b"PK\x03\x04", "zip", "unzip"),
];

/// The bytes of one file. Offsets beyond the end are errors.
#[derive(Debug)]
pub(super) enum Source {
    /// A file on disk and its length.
    Disk(File, u64),
    /// A gzipped file, unpacked.
    Memory(Vec<u8>),
}

impl Source {
    /// Opens a regular file under its literal name; unpacks a gzipped one into memory.
    ///
    /// # Errors
    ///
    /// [`FitsError::Io`] with the reason of the operating system, for a file that is not regular (a
    /// pipe would block), and for gzip data that are damaged or too large; [`FitsError::NotFits`]
    /// for other content.
    pub(super) fn open(path: &Path) -> Result<Self, FitsError> {
        let io = io_error(path, "open it for reading");
        let metadata = std::fs::metadata(path).map_err(&io)?;
        if metadata.is_dir() {
            return Err(io(io::Error::other("it is a directory")));
        }
        if !metadata.is_file() {
            return Err(io(io::Error::other("it is not a regular file; copy it to a regular file")));
        }
        let mut file = File::open(path).map_err(&io)?;
        let mut beginning = Vec::with_capacity(BEGINNING);
        file.by_ref().take(BEGINNING as u64).read_to_end(&mut beginning).map_err(&io)?;
        let not_fits = |found| FitsError::NotFits { path: path.to_owned(), found };
        if gunzip::is_gzip(&beginning) {
            file.rewind().map_err(&io)?;
            let bytes = gunzip::unpack(file, metadata.len()).map_err(io_error(path, "unpack it"))?;
            return match unknown_format(&bytes) {
                Some(found) => Err(not_fits(format!("unpacked, {found}"))),
                None => Ok(Self::Memory(bytes)),
            };
        }
        match unknown_format(&beginning) {
            Some(found) => Err(not_fits(found)),
            None => Ok(Self::Disk(file, metadata.len())),
        }
    }

    pub(super) fn length(&self) -> u64 {
        match self {
            Self::Disk(_, length) => *length,
            Self::Memory(bytes) => bytes.len() as u64,
        }
    }

    /// Fills `buffer` with the bytes from `offset`.
    pub(super) fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        match self {
            Self::Disk(file, _) => {
                file.seek(SeekFrom::Start(offset))?;
                file.read_exact(buffer)
            }
            Self::Memory(bytes) => {
                let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..));
                let part = rest.and_then(|rest| rest.get(..buffer.len()));
                buffer.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
                Ok(())
            }
        }
    }
}

/// Description of the first bytes of a file that is not FITS; `None` for FITS.
fn unknown_format(bytes: &[u8]) -> Option<String> {
    if bytes.starts_with(b"SIMPLE") {
        return None;
    }
    if bytes.is_empty() {
        return Some("it is empty".to_owned());
    }
    if let Some((_, format, command)) = OTHER_FORMATS.iter().find(|(magic, ..)| bytes.starts_with(magic)) {
        return Some(format!(
            "it is compressed with {format}, which is not supported; unpack it first ({command})"
        ));
    }
    let text: String = String::from_utf8_lossy(&bytes[..bytes.len().min(64)]).chars().take(12).collect();
    Some(format!("it begins with {text:?}; expected SIMPLE"))
}
