//! How to open an exposure.

use super::checksum::Checksums;
use super::companions::CompanionFile;
use super::layout::UncertaintyKind;
use crate::header::Given;
use crate::wcs::Distortions;

/// How to open an exposure whose file does not hold everything.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenOptions {
    /// The image's HDU by name, name and EXTVER (`SCI,2`) or number; `None`: IMAGE, SCI, or the
    /// first image.
    pub image_hdu: Option<String>,
    /// A file of uncertainties, used even if the image's own file has some.
    pub weights: Option<CompanionFile>,
    /// Kind of the uncertainties in `weights`, or in a weight file found beside the image; `None`:
    /// by UTYPE, the HDU's name or the file's name, or else inverse variances.
    pub weights_hold: Option<UncertaintyKind>,
    /// A file with the mask, used even if the image's own file has one.
    pub mask: Option<CompanionFile>,
    /// A file with the PSF (an image, or a PSFEx model), used even if the image's own file has one.
    pub psf: Option<CompanionFile>,
    /// Whether to use weight and mask files that lie beside an image without its own, by their
    /// names.
    pub find_companions: bool,
    /// What to do if there is no variance anywhere.
    pub missing_variance: MissingVariance,
    /// What to make of distortion polynomials in the WCS.
    pub distortions: Distortions,
    /// What is stated by hand and wins over the header.
    pub given: Given,
    /// Whether the sums of the files are compared with their cards.
    pub checksums: Checksums,
}

/// What to do about an image without variance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingVariance {
    /// Refuse it.
    Refuse,
    /// Take the variance of the noise in the image itself, one number for all pixels.
    Estimate,
}

impl Default for OpenOptions {
    /// Companions are looked for; a missing variance is refused; names tell the kind of weights.
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
    /// How to open a file of a run, which nobody edits: its sums must agree with its cards.
    #[must_use]
    pub fn of_run() -> Self {
        Self { checksums: Checksums::All, ..Self::default() }
    }
}
