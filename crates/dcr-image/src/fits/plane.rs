//! One plane of a file, by name: what is no exposure, but was written as images.

use std::path::Path;

use ndarray::Array2;

use super::{FitsError, FitsReader, inventory, survey};

/// Reads the whole of the two-dimensional image HDU called `name`, in any case.
///
/// # Errors
///
/// [`FitsError`] if there is none, or it cannot be read.
pub fn read_plane(path: &Path, name: &str) -> Result<Array2<f32>, FitsError> {
    let mut reader = FitsReader::open(path)?;
    let hdus = survey(&mut reader)?;
    let Some(hdu) = hdus.iter().find(|hdu| hdu.name.eq_ignore_ascii_case(name)) else {
        return Err(FitsError::Missing {
            path: path.to_owned(),
            wanted: name.to_owned(),
            found: inventory(&hdus),
        });
    };
    let source = hdu.source(path)?;
    reader.go_to(hdu.index)?;
    let pixels = reader.pixels::<f32>(0..source.shape.0, 0..source.shape.1, &source.label)?;
    Array2::from_shape_vec(source.shape, pixels).map_err(|error| FitsError::Content {
        path: path.to_owned(),
        hdu: hdu.label(),
        reason: error.to_string(),
    })
}
