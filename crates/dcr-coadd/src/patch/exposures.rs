//! The exposures that a coadd is made from.

use std::path::PathBuf;
use std::sync::Arc;

use dcr_image::Exposure;

/// The exposures of a patch, with the optional inputs of a coadd.
#[derive(Clone, Debug, Default)]
pub struct Exposures {
    /// Exposures of one band on one pixel grid, one per visit.
    pub visits: Vec<Arc<dyn Exposure>>,
    /// PSF-matched warps of the same visits, for the search for artefacts. Without any, the
    /// exposures are convolved where needed.
    pub matched: Vec<Arc<dyn Exposure>>,
    /// A coadd to start from; without one, the clipped mean of the exposures.
    pub starting: Option<Arc<dyn Exposure>>,
    /// A folder on a disk with room for pixels that do not fit into memory; by default that of the
    /// operating system for temporary files.
    pub scratch: Option<PathBuf>,
}

impl From<Vec<Arc<dyn Exposure>>> for Exposures {
    fn from(visits: Vec<Arc<dyn Exposure>>) -> Self {
        Self { visits, ..Self::default() }
    }
}
