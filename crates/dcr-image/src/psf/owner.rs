//! The exposure that a PSF in a file belongs to.

use crate::BBox;
use crate::fits::{FitsError, FitsReader, Hdu};
use crate::header::{Chip, Header};

/// Identity of the exposure of a PSF: its pixels and its CCD.
#[derive(Clone, Debug)]
pub struct PsfOwner<'a> {
    pub(super) bbox: &'a BBox,
    pub(super) chip: Chip,
    /// Index of the exposure among the images of its file, from 0, and their number, if there are
    /// several.
    pub(super) image: Option<(usize, usize)>,
}

impl<'a> PsfOwner<'a> {
    /// An exposure of unknown identity with these pixels.
    #[must_use]
    pub fn of_box(bbox: &'a BBox) -> Self {
        Self { bbox, chip: Chip::default(), image: None }
    }

    /// An exposure with this header, in one of the HDUs of its file. `planes` lists HDUs that are
    /// its mask or variance, not images of other CCDs.
    pub(crate) fn of_image(
        bbox: &'a BBox,
        header: &Header,
        hdus: &[Hdu],
        image: usize,
        planes: bool,
    ) -> Self {
        let name = hdus.iter().find(|hdu| hdu.index == image).map(|hdu| hdu.name.as_str());
        let chip = Chip::of_header(header).with_extension(name.filter(|name| !name.is_empty()));
        let images: Vec<usize> =
            hdus.iter().filter(|hdu| hdu.plane_shape().is_some()).map(|hdu| hdu.index).collect();
        let rank = images.iter().position(|index| *index == image).filter(|_| !planes);
        Self { bbox, chip, image: rank.map(|rank| (rank, images.len())) }
    }
}

/// Error of an HDU whose content is not a PSF.
pub(super) fn content(reader: &FitsReader, hdu: &Hdu, reason: String) -> FitsError {
    FitsError::Content { path: reader.path().to_owned(), hdu: hdu.label(), reason }
}
