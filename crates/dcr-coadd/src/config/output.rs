//! `[output]`: how results are written.

use serde::{Deserialize, Serialize};

use super::table::table;

table! {
    /// How files are written.
    pub struct OutputConfig = "output" {
        /// Compression of images: "none", or "gzip" (tiles, without loss; read by cfitsio, astropy and ds9). Take "gzip" to
        /// save disk for writing time.
        compression: Compression = Compression::None,
        /// Whether input_map.fits is written, which tells for every pixel the visits that are good there. Turn it on for
        /// pipelines that need to know.
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
