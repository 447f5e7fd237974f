//! Uses of planes: mask, weights or PSF of an exposure.

use std::path::Path;

use super::layout::Hdu;
use super::placement::{distance_px, own_wcs, wcs};
use super::plane_names::{is_mask, is_uncertainty};

/// An exposure's own file and its image.
pub(super) struct Own<'a> {
    pub(super) path: &'a Path,
    pub(super) hdus: &'a [Hdu],
    pub(super) image: &'a Hdu,
    /// Rows and columns of the image.
    pub(super) shape: (usize, usize),
}

/// Use of a plane or file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Weights,
    Mask,
    Psf,
}

impl Role {
    /// The use in messages.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Weights => "weights",
            Self::Mask => "mask",
            Self::Psf => "PSF",
        }
    }

    /// The setting that names files of this use.
    pub(super) const fn setting(self) -> &'static str {
        match self {
            Self::Weights => "input.weights",
            Self::Mask => "input.masks",
            Self::Psf => "input.psfs",
        }
    }

    /// Names of HDUs of this use, in messages.
    pub(super) const fn hdu_names(self) -> &'static str {
        match self {
            Self::Weights => "WEIGHT, VARIANCE or likewise",
            Self::Mask => "MASK, DQ or likewise",
            Self::Psf => "PSF",
        }
    }

    /// Whether an HDU has this use by its name.
    pub(super) fn is_named(self, hdu: &Hdu) -> bool {
        match self {
            Self::Weights => is_uncertainty(hdu),
            Self::Mask => is_mask(hdu),
            Self::Psf => hdu.name.eq_ignore_ascii_case("PSF"),
        }
    }
}

/// Distance in px between the WCS of an HDU and that of the image; `None` if one of them has none.
pub(super) fn distance(own: &Own<'_>, hdus: &[Hdu], hdu: &Hdu) -> Option<f64> {
    let (image, other) = (wcs(own.hdus, own.image)?, own_wcs(hdus, hdu)?);
    Some(distance_px(&image, &other, own.shape))
}
