//! The exposure as a trait, with implementations for files and for memory.

use std::error::Error;
use std::fmt::Debug;
use std::path::{Path, PathBuf};

use dcr_physics::VisitInfo;
use ndarray::Array2;

use crate::fits::{ExposureFile, Findings};
use crate::header::StatedBand;
use crate::{BBox, MaskPlanes, MaskedImage, Psf, Wcs};

/// Error of a pixel source, of any type.
pub type ReadError = Box<dyn Error + Send + Sync>;

/// One calibrated exposure: pixels by box, WCS, mask planes, PSF and metadata.
///
/// [`ExposureFile`] reads pixels from FITS files on request; [`ExposureInMemory`] holds them. Other
/// sources, such as handles of a data butler, can implement the trait.
pub trait Exposure: Debug + Send + Sync {
    /// File name, or another identifier of the exposure for messages.
    fn path(&self) -> &Path;

    /// Bounding box of the pixels, in parent coordinates.
    fn bbox(&self) -> BBox;

    /// WCS for parent pixel coordinates.
    fn wcs(&self) -> &Wcs;

    /// Metadata of the exposure, and the assumptions made in reading it.
    fn visit(&self) -> &VisitInfo;

    /// Unit of the pixel values, if known.
    fn unit(&self) -> Option<&str>;

    /// Mask planes of the masks that [`Exposure::read`] returns.
    fn mask_planes(&self) -> &MaskPlanes;

    /// PSF, if known.
    fn psf(&self) -> Option<&Psf>;

    /// Image, mask and variance in the box `part`, which lies inside [`Exposure::bbox`].
    ///
    /// Pixels without data are NaN, have a mask plane, or have no positive variance.
    ///
    /// # Errors
    ///
    /// Any error of the pixel source.
    fn read(&self, part: BBox) -> Result<MaskedImage, ReadError>;

    /// The mask of the box `part`.
    ///
    /// # Errors
    ///
    /// As [`Exposure::read`].
    fn read_mask(&self, part: BBox) -> Result<Array2<i32>, ReadError> {
        Ok(self.read(part)?.mask)
    }

    /// Band as described by the header; by default the filter name only.
    fn stated_band(&self) -> StatedBand {
        StatedBand { filter: self.visit().filter.clone(), ..StatedBand::default() }
    }

    /// All files of the exposure; empty if there are none.
    fn files(&self) -> Vec<PathBuf> {
        vec![]
    }

    /// Warnings about the pixels read so far; by default none.
    fn findings(&self) -> Findings {
        Findings::default()
    }
}

impl Exposure for ExposureFile {
    fn path(&self) -> &Path {
        self.path()
    }

    fn bbox(&self) -> BBox {
        self.bbox()
    }

    fn wcs(&self) -> &Wcs {
        self.wcs()
    }

    fn visit(&self) -> &VisitInfo {
        self.visit()
    }

    fn unit(&self) -> Option<&str> {
        self.unit()
    }

    fn mask_planes(&self) -> &MaskPlanes {
        self.mask_planes()
    }

    fn psf(&self) -> Option<&Psf> {
        self.psf()
    }

    fn read(&self, part: BBox) -> Result<MaskedImage, ReadError> {
        Ok(self.read(part)?)
    }

    fn read_mask(&self, part: BBox) -> Result<Array2<i32>, ReadError> {
        Ok(self.read_mask(part)?)
    }

    fn stated_band(&self) -> StatedBand {
        StatedBand::of(self.header(), self.visit())
    }

    fn files(&self) -> Vec<PathBuf> {
        self.parts().map(|part| part.path().to_owned()).collect()
    }

    fn findings(&self) -> Findings {
        self.findings()
    }
}

/// An exposure held in memory.
#[derive(Clone, Debug)]
pub struct ExposureInMemory {
    /// Identifier in messages, like the path of an [`ExposureFile`].
    pub name: PathBuf,
    /// Image, mask and variance over the box of the exposure.
    pub pixels: MaskedImage,
    /// WCS for parent pixel coordinates.
    pub wcs: Wcs,
    /// Metadata of the exposure.
    pub visit: VisitInfo,
    /// Unit of the pixel values, if known.
    pub unit: Option<String>,
    /// Mask planes.
    pub planes: MaskPlanes,
    /// PSF, if known.
    pub psf: Option<Psf>,
    /// Band, as far as it is known beyond the filter's name in `visit`.
    pub band: StatedBand,
}

impl ExposureInMemory {
    /// Reads all pixels of an exposure into memory.
    ///
    /// # Errors
    ///
    /// Those of [`Exposure::read`].
    pub fn of(exposure: &dyn Exposure) -> Result<Self, ReadError> {
        Ok(Self {
            name: exposure.path().to_owned(),
            pixels: exposure.read(exposure.bbox())?,
            wcs: exposure.wcs().clone(),
            visit: exposure.visit().clone(),
            unit: exposure.unit().map(str::to_owned),
            planes: exposure.mask_planes().clone(),
            psf: exposure.psf().cloned(),
            band: exposure.stated_band(),
        })
    }
}

impl Exposure for ExposureInMemory {
    fn path(&self) -> &Path {
        &self.name
    }

    fn bbox(&self) -> BBox {
        self.pixels.bbox
    }

    fn wcs(&self) -> &Wcs {
        &self.wcs
    }

    fn visit(&self) -> &VisitInfo {
        &self.visit
    }

    fn unit(&self) -> Option<&str> {
        self.unit.as_deref()
    }

    fn mask_planes(&self) -> &MaskPlanes {
        &self.planes
    }

    fn psf(&self) -> Option<&Psf> {
        self.psf.as_ref()
    }

    fn stated_band(&self) -> StatedBand {
        let filter = self.band.filter.clone().or_else(|| self.visit.filter.clone());
        StatedBand { filter, ..self.band.clone() }
    }

    fn read(&self, part: BBox) -> Result<MaskedImage, ReadError> {
        Ok(self.pixels.sub_image(part)?)
    }
}
