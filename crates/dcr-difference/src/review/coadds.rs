//! The coadds of a finished run in memory.

use ndarray::{Array2, Array3};

/// The coadds of a run. Pixels without data are NaN.
#[derive(Clone, Debug)]
pub struct CoaddPlanes {
    /// `(subfilters, rows, cols)`, blue to red.
    pub image_byx: Array3<f32>,
    /// Variances, `(subfilters, rows, cols)`.
    pub variance_byx: Array3<f32>,
    /// Their sum.
    pub sum: Array2<f32>,
    /// Number of visits in each pixel, the mean over subfilters; `None` if the files do not state
    /// it.
    pub n_image: Option<Array2<f32>>,
    /// Pixels of sources.
    pub sources: Array2<bool>,
}
