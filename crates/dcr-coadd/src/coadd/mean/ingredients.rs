//! The visits and settings of a standard coadd, and its planes.

use dcr_image::{BBox, MaskPlanes, remap};
use ndarray::Array2;
use rayon::prelude::*;

use crate::config::CoaddConfig;
use crate::error::{CoaddError, InputError};
use crate::inputs::Input;
use crate::inputs::pixels::{PixelReader, VisitPixels};

/// Bytes of a pixel of a visit, as read.
const BYTES_PER_PIXEL: usize = 13;

/// A coadd of a patch. Pixels that no visit has are NaN, also in the variance.
pub(crate) struct MeanCoadd {
    pub(crate) image: Array2<f32>,
    pub(crate) variance: Array2<f32>,
    /// The mask, in the given dictionary; NO_DATA in empty pixels.
    pub(crate) mask: Array2<i32>,
    /// The visits with a good pixel, rejected by the mean or not.
    pub(crate) n_image: Array2<u16>,
}

impl MeanCoadd {
    pub(crate) fn zeros(shape: (usize, usize)) -> Self {
        Self {
            image: Array2::zeros(shape),
            variance: Array2::zeros(shape),
            mask: Array2::zeros(shape),
            n_image: Array2::zeros(shape),
        }
    }
}

/// Visits, weights and settings of a standard coadd.
#[derive(Clone, Copy)]
pub(crate) struct Ingredients<'a> {
    pub(crate) visits: &'a [Input],
    pub(crate) reader: &'a PixelReader<'a>,
    pub(crate) weights: &'a [f64],
    pub(crate) planes: &'a MaskPlanes,
    /// Bytes for the pixels of all visits that are combined at a time.
    pub(crate) strip_bytes: usize,
    pub(crate) config: &'a CoaddConfig,
}

impl<'a> Ingredients<'a> {
    /// The patch; `None` without visits.
    pub(super) fn bbox(&self) -> Option<BBox> {
        self.visits.first().map(|visit| visit.file.bbox())
    }

    /// Number of rows per strip such that all visits, `cols` wide, fit in `strip_bytes`.
    pub(super) fn strip_rows(&self, cols: usize) -> usize {
        let row_bytes = (self.visits.len() * cols * BYTES_PER_PIXEL).max(1);
        (self.strip_bytes / row_bytes).max(1)
    }

    /// A part of all visits.
    pub(super) fn read(&self, part: BBox) -> Result<Vec<VisitPixels>, CoaddError> {
        let read: Vec<Result<VisitPixels, CoaddError>> = self
            .visits
            .par_iter()
            .map(|visit| read_remapped(visit, self.reader, part, self.planes))
            .collect();
        read.into_iter().collect()
    }
}

/// A part of a visit, its mask in the dictionary given.
pub(super) fn read_remapped(
    visit: &Input,
    reader: &PixelReader<'_>,
    part: BBox,
    planes: &MaskPlanes,
) -> Result<VisitPixels, CoaddError> {
    let mut pixels = reader.read(visit, part).map_err(CoaddError::from)?;
    remap(&mut pixels.masked.mask, visit.file.mask_planes(), planes)
        .map_err(|source| InputError::Mask { path: visit.file.path().to_owned(), source })?;
    Ok(pixels)
}
