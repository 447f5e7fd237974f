//! The exposure that a PSF in a file belongs to.

use crate::BBox;
use crate::fits::{FitsError, FitsReader, Hdu};
use crate::header::{Chip, Header};

/// The exposure that a PSF belongs to: where its pixels lie, and what tells its CCD from others.
#[derive(Clone, Debug)]
pub struct PsfOwner<'a> {
    pub(super) bbox: &'a BBox,
    pub(super) chip: Chip,
    /// Which of how many images of its file the exposure is, from 0, if it is one of several.
    pub(super) image: Option<(usize, usize)>,
}

impl<'a> PsfOwner<'a> {
    /// An exposure of which nothing is known but where its pixels lie.
    #[must_use]
    pub fn of_box(bbox: &'a BBox) -> Self {
        Self { bbox, chip: Chip::default(), image: None }
    }

    /// An exposure with this header, in one of the HDUs of its file. `planes`: some of the others
    /// are its own mask or variance, not images of other CCDs.
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

/// The error of an HDU whose content makes no PSF.
pub(super) fn content(reader: &FitsReader, hdu: &Hdu, reason: String) -> FitsError {
    FitsError::Content { path: reader.path().to_owned(), hdu: hdu.label(), reason }
}
