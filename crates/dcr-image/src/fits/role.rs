//! Roles of planes: mask, weights or PSF of an exposure.

use std::path::Path;

use super::layout::Hdu;
use super::placement::{distance_px, own_wcs, wcs};
use super::plane_names::{is_mask, is_uncertainty};

/// The file of an exposure and its image.
pub(super) struct Own<'a> {
    pub(super) path: &'a Path,
    pub(super) hdus: &'a [Hdu],
    pub(super) image: &'a Hdu,
    /// Rows and columns of the image.
    pub(super) shape: (usize, usize),
}

/// Role of a plane or file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Weights,
    Mask,
    Psf,
}

impl Role {
    /// Name of the role in messages.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Weights => "weights",
            Self::Mask => "mask",
            Self::Psf => "PSF",
        }
    }

    /// The setting that names files of this role.
    pub(super) const fn setting(self) -> &'static str {
        match self {
            Self::Weights => "input.weights",
            Self::Mask => "input.masks",
            Self::Psf => "input.psfs",
        }
    }

    /// HDU names of this role, in messages.
    pub(super) const fn hdu_names(self) -> &'static str {
        match self {
            Self::Weights => "WEIGHT, VARIANCE or similar",
            Self::Mask => "MASK, DQ or similar",
            Self::Psf => "PSF",
        }
    }

    /// Whether an HDU has this role by its name.
    pub(super) fn is_named(self, hdu: &Hdu) -> bool {
        match self {
            Self::Weights => is_uncertainty(hdu),
            Self::Mask => is_mask(hdu),
            Self::Psf => hdu.name.eq_ignore_ascii_case("PSF"),
        }
    }
}

/// Distance in px between the WCS of an HDU and of the image; `None` if one of them has none.
pub(super) fn distance(own: &Own<'_>, hdus: &[Hdu], hdu: &Hdu) -> Option<f64> {
    let (image, other) = (wcs(own.hdus, own.image)?, own_wcs(hdus, hdu)?);
    Some(distance_px(&image, &other, own.shape))
}
