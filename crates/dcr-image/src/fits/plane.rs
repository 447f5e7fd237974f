//! Image planes of a file by name, for files that are not exposures.

use std::ops::Range;
use std::path::Path;

use ndarray::Array2;

use super::layout::PlaneSource;
use super::samples::Pixel;
use super::{FitsError, FitsReader, inventory, survey};

/// A two-dimensional image HDU on disk. Each read opens the file anew, so that threads can share a
/// value.
#[derive(Debug)]
pub struct PlaneFile(PlaneSource);

impl PlaneFile {
    /// Finds the image `name`, in any case.
    ///
    /// # Errors
    ///
    /// [`FitsError`] if the image does not exist, or the file cannot be read.
    pub fn open(path: &Path, name: &str) -> Result<Self, FitsError> {
        let mut reader = FitsReader::open(path)?;
        let hdus = survey(&mut reader)?;
        let Some(hdu) = hdus.iter().find(|hdu| hdu.name.eq_ignore_ascii_case(name)) else {
            return Err(FitsError::Missing {
                path: path.to_owned(),
                wanted: name.to_owned(),
                found: inventory(&hdus),
            });
        };
        hdu.source(path).map(Self)
    }

    /// Number of rows and columns.
    #[must_use]
    pub const fn shape(&self) -> (usize, usize) {
        self.0.shape
    }

    /// Reads a range of rows and columns, counted from 0.
    ///
    /// # Errors
    ///
    /// [`FitsError`] if the range exceeds the image, or the file cannot be read.
    pub fn read(&self, rows: Range<usize>, columns: Range<usize>) -> Result<Array2<f32>, FitsError> {
        self.read_as(rows, columns)
    }

    /// Reads a range of rows and columns, counted from 0, as numbers of type `T`.
    ///
    /// # Errors
    ///
    /// As [`PlaneFile::read`], and for a number outside the range of `T`.
    pub fn read_as<T: Pixel>(
        &self,
        rows: Range<usize>,
        columns: Range<usize>,
    ) -> Result<Array2<T>, FitsError> {
        let PlaneSource { path, index, label, shape, .. } = &self.0;
        let content = |reason| FitsError::Content { path: path.clone(), hdu: label.clone(), reason };
        if rows.end > shape.0 || columns.end > shape.1 {
            return Err(content(format!("rows {rows:?} and columns {columns:?} are not in {shape:?}")));
        }
        let mut reader = FitsReader::open(path)?;
        reader.go_to(*index)?;
        let size = (rows.len(), columns.len());
        let pixels = reader.pixels::<T>(rows, columns, label)?;
        Array2::from_shape_vec(size, pixels).map_err(|error| content(error.to_string()))
    }

    /// Reads the whole image.
    ///
    /// # Errors
    ///
    /// [`FitsError`] if the file cannot be read.
    pub fn read_all(&self) -> Result<Array2<f32>, FitsError> {
        let (rows, columns) = self.shape();
        self.read(0..rows, 0..columns)
    }
}
