//! `[output]`: how results are written.

use serde::{Deserialize, Serialize};

use super::table::table;

table! {
    /// How files are written.
    pub struct OutputConfig = "output" {
        /// Compression of images: "none", or "gzip" (tiles, without loss; read by cfitsio, astropy
        /// and ds9). Take "gzip" to save disk space at the cost of writing time.
        compression: Compression = Compression::None,
        /// Write input_map.fits, which has the visits with good data in every pixel. Turn it on for
        /// pipelines that need it.
        input_map: bool = false,
    }
}

/// How images are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Not at all.
    None,
    /// Row by row with gzip, without loss.
    Gzip,
}
