//! Options for opening an exposure.

use super::checksum::Checksums;
use super::companions::CompanionFile;
use super::layout::UncertaintyKind;
use crate::header::Given;
use crate::wcs::Distortions;

/// Options for opening an exposure, in particular one split over several files.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenOptions {
    /// HDU of the image by name, name and EXTVER (`SCI,2`) or number; `None`: IMAGE, SCI, or the
    /// first image.
    pub image_hdu: Option<String>,
    /// File of uncertainties; takes precedence over those in the image file.
    pub weights: Option<CompanionFile>,
    /// Kind of the uncertainties in `weights`, or in a weight file found beside the image; `None`:
    /// by UTYPE, HDU name or file name, else inverse variances.
    pub weights_hold: Option<UncertaintyKind>,
    /// Mask file; takes precedence over a mask in the image file.
    pub mask: Option<CompanionFile>,
    /// PSF file (an image, or a PSFEx model); takes precedence over a PSF in the image file.
    pub psf: Option<CompanionFile>,
    /// Whether companions beside the image are used where the file has no such planes.
    pub find_companions: bool,
    /// Treatment of a missing variance.
    pub missing_variance: MissingVariance,
    /// Treatment of distortion polynomials in the WCS.
    pub distortions: Distortions,
    /// Values from the user, which take precedence over the header.
    pub given: Given,
    /// Verification of the checksums.
    pub checksums: Checksums,
}

/// Treatment of an image without variance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingVariance {
    /// An error.
    Refuse,
    /// Estimate one variance for all pixels from the noise of the image.
    Estimate,
}

impl Default for OpenOptions {
    /// Companions are used; a missing variance is an error; names state the kind of weights.
    fn default() -> Self {
        Self {
            image_hdu: None,
            weights: None,
            weights_hold: None,
            mask: None,
            psf: None,
            find_companions: true,
            missing_variance: MissingVariance::Refuse,
            distortions: Distortions::Header,
            given: Given::default(),
            checksums: Checksums::Ignore,
        }
    }
}

impl OpenOptions {
    /// Options for files of a run, which no tool edits: their sums must be correct.
    #[must_use]
    pub fn of_run() -> Self {
        Self { checksums: Checksums::All, ..Self::default() }
    }
}
