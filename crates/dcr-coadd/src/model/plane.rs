//! A plane of a model, in memory or on disk.

use std::ops::Range;

use dcr_image::FitsError;
use dcr_image::fits::{Pixel, PlaneFile};
use ndarray::{Array2, s};

/// A two-dimensional image that is read by rows and columns.
#[derive(Debug)]
pub enum ModelPlane<T> {
    /// In memory.
    Memory(Array2<T>),
    /// An image of a FITS file.
    File(PlaneFile),
}

impl<T: Pixel> ModelPlane<T> {
    /// Rows and columns of the whole plane.
    #[must_use]
    pub fn shape(&self) -> (usize, usize) {
        match self {
            Self::Memory(plane) => plane.dim(),
            Self::File(plane) => plane.shape(),
        }
    }

    /// Reads a part.
    ///
    /// # Errors
    ///
    /// [`FitsError`] if the file cannot be read.
    ///
    /// # Panics
    ///
    /// If a plane in memory has no such rows and columns.
    pub fn read(&self, rows: Range<usize>, cols: Range<usize>) -> Result<Array2<T>, FitsError> {
        match self {
            Self::Memory(plane) => Ok(plane.slice(s![rows, cols]).to_owned()),
            Self::File(plane) => plane.read_as(rows, cols),
        }
    }
}
