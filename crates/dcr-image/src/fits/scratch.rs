//! Scratch file for pixels that exceed the memory limit.
//!
//! The file has no name after creation and disappears with the process, however it ends. It stores
//! the pixels of all exposures strip by strip, so that the same rows of all exposures are adjacent.

use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use ndarray::{Array2, ArrayView2, s};

use super::FitsError;

/// Rows per strip.
const STRIP: usize = 64;
/// Bytes per pixel: `f32` and one byte of flags.
const BYTES_PER_PIXEL: usize = 5;

/// Images and flags of exposures of one size, on disk.
#[derive(Debug)]
pub struct ScratchFile {
    file: File,
    folder: PathBuf,
    exposures: usize,
    shape: (usize, usize),
}

impl ScratchFile {
    /// Creates a file for `exposures` exposures of `(rows, cols)` pixels, in a folder on a disk
    /// with enough space.
    ///
    /// # Errors
    ///
    /// [`FitsError::Io`] if the file cannot be created.
    pub fn create(folder: &Path, exposures: usize, shape: (usize, usize)) -> Result<Self, FitsError> {
        let io = |source| FitsError::Io {
            path: folder.to_owned(),
            action: "create a scratch file in this folder for pixels that exceed the memory limit",
            source,
        };
        let path = folder.join(format!("pixels-{}", std::process::id()));
        let file = File::options().read(true).write(true).create_new(true).open(&path).map_err(io)?;
        fs::remove_file(&path).map_err(io)?;
        Ok(Self { file, folder: folder.to_owned(), exposures, shape })
    }

    /// Writes an exposure's pixels from row `first` on; `image` and `flags` have whole rows.
    ///
    /// # Errors
    ///
    /// [`FitsError::Io`], e.g. for a full disk.
    ///
    /// # Panics
    ///
    /// If the arrays have other sizes than declared.
    pub fn write(
        &self,
        exposure: usize,
        first: usize,
        image: ArrayView2<f32>,
        flags: ArrayView2<u8>,
    ) -> Result<(), FitsError> {
        assert!(image.ncols() == self.shape.1 && image.dim() == flags.dim(), "whole rows");
        let mut bytes = Vec::new();
        for (at, rows) in self.parts(exposure, first..first + image.nrows()) {
            let rows = s![rows.start - first..rows.end - first, ..];
            bytes.clear();
            bytes.extend(image.slice(rows).iter().flat_map(|value| value.to_ne_bytes()));
            self.file.write_all_at(&bytes, at.image).map_err(|source| self.error("write", source))?;
            bytes.clear();
            bytes.extend(flags.slice(rows));
            self.file.write_all_at(&bytes, at.flags).map_err(|source| self.error("write", source))?;
        }
        Ok(())
    }

    /// Reads a range of rows of an exposure.
    ///
    /// # Errors
    ///
    /// [`FitsError::Io`].
    pub fn read(&self, exposure: usize, rows: Range<usize>) -> Result<(Array2<f32>, Array2<u8>), FitsError> {
        let cols = self.shape.1;
        let mut image = Array2::zeros((rows.len(), cols));
        let mut flags = Array2::zeros((rows.len(), cols));
        let mut bytes = vec![0; STRIP.min(rows.len()) * cols * size_of::<f32>()];
        for (at, part) in self.parts(exposure, rows.clone()) {
            let here = s![part.start - rows.start..part.end - rows.start, ..];
            let bytes = &mut bytes[..part.len() * cols * size_of::<f32>()];
            self.file.read_exact_at(bytes, at.image).map_err(|source| self.error("read", source))?;
            let values = bytes.as_chunks().0.iter().map(|value| f32::from_ne_bytes(*value));
            image.slice_mut(here).iter_mut().zip(values).for_each(|(to, value)| *to = value);
            if let Some(flags) = flags.slice_mut(here).as_slice_mut() {
                self.file.read_exact_at(flags, at.flags).map_err(|source| self.error("read", source))?;
            }
        }
        Ok((image, flags))
    }

    /// Contiguous pieces of the rows of an exposure, each within one strip, with file offsets.
    fn parts(&self, exposure: usize, rows: Range<usize>) -> impl Iterator<Item = (Place, Range<usize>)> {
        let cols = self.shape.1;
        let block = STRIP * cols * BYTES_PER_PIXEL;
        let blocks = self.exposures;
        (rows.start / STRIP..rows.end.div_ceil(STRIP)).map(move |strip| {
            let part = rows.start.max(strip * STRIP)..rows.end.min((strip + 1) * STRIP);
            let (start, skipped) = ((strip * blocks + exposure) * block, (part.start - strip * STRIP) * cols);
            let image = (start + skipped * size_of::<f32>()) as u64;
            let flags = (start + STRIP * cols * size_of::<f32>() + skipped) as u64;
            (Place { image, flags }, part)
        })
    }

    fn error(&self, what: &str, source: io::Error) -> FitsError {
        let action = match what {
            "write" => "write pixels to the scratch file in this folder",
            _ => "read pixels from the scratch file in this folder",
        };
        FitsError::Io { path: self.folder.clone(), action, source }
    }
}

/// Offset in bytes from the beginning of the file.
struct Place {
    image: u64,
    flags: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scratch_file_gives_back_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let shape = (150, 7);
        let scratch = ScratchFile::create(folder.path(), 3, shape).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "it has no name");
        let image = |e: usize| Array2::from_shape_fn(shape, |(y, x)| (e * 10_000 + y * 10 + x) as f32);
        let flags = |e: usize| Array2::from_shape_fn(shape, |(y, x)| ((e + y + x) % 4) as u8);
        for e in [2, 0, 1] {
            for first in [0, 100] {
                let rows = s![first..(first + 100).min(150), ..];
                scratch.write(e, first, image(e).slice(rows), flags(e).slice(rows)).unwrap();
            }
        }
        for (e, rows) in [(0, 0..150), (1, 60..70), (2, 127..129), (2, 149..150), (1, 5..5)] {
            let (got_image, got_flags) = scratch.read(e, rows.clone()).unwrap();
            assert_eq!(got_image, image(e).slice(s![rows.clone(), ..]));
            assert_eq!(got_flags, flags(e).slice(s![rows, ..]));
        }
    }

    #[test]
    fn scratch_file_tells_of_a_folder_that_is_not_there() {
        let error = ScratchFile::create(Path::new("/nowhere/at/all"), 1, (1, 1)).unwrap_err();
        assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
    }
}
