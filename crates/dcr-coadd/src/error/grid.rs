//! How the pixel grids of two images differ.

use dcr_image::{BBox, WcsError};

/// How two pixel grids differ.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum GridDifference {
    /// In the pixels that they cover.
    Box {
        /// The box that the file covers.
        got: BBox,
        /// The box that it should cover, or lie in.
        expected: BBox,
    },
    /// In the places of the pixels on the sky.
    Place {
        /// The largest distance in px.
        px: f64,
        /// The largest allowed.
        allowed_px: f64,
    },
    /// So much that pixels of one have no place in the other.
    Apart(WcsError),
}

impl std::fmt::Display for GridDifference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Box { got, expected } => {
                write!(
                    f,
                    "it covers the pixels {got} ({} × {}), not {expected} ({} × {})",
                    got.width, got.height, expected.width, expected.height
                )
            }
            Self::Place { px, allowed_px } => {
                write!(f, "its pixels lie up to {px:.3} px away on the sky, more than {allowed_px} px")
            }
            Self::Apart(error) => write!(f, "it lies elsewhere on the sky ({error})"),
        }
    }
}
