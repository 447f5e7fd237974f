//! Exposures as the rest of the program asks for them, in files or in memory.

use std::error::Error;
use std::fmt::Debug;
use std::path::{Path, PathBuf};

use dcr_physics::VisitInfo;
use ndarray::Array2;

use crate::fits::{ExposureFile, Findings};
use crate::header::StatedBand;
use crate::{BBox, MaskPlanes, MaskedImage, Psf, Wcs};

/// An error of reading pixels, of whatever kind the source of the pixels has.
pub type ReadError = Box<dyn Error + Send + Sync>;

/// One calibrated exposure: pixels by box, WCS, mask planes, PSF and circumstances.
///
/// [`ExposureFile`] reads the pixels from FITS files when they are asked for, [`ExposureInMemory`]
/// holds them. Implement the trait for other sources, such as handles of a data butler.
pub trait Exposure: Debug + Send + Sync {
    /// The file, or another name that identifies the exposure in messages.
    fn path(&self) -> &Path;

    /// The pixels that the exposure covers, in parent coordinates.
    fn bbox(&self) -> BBox;

    /// The WCS, for parent pixel coordinates.
    fn wcs(&self) -> &Wcs;

    /// The circumstances of the exposure, and the assumptions made about them.
    fn visit(&self) -> &VisitInfo;

    /// The unit of the pixel values, if it is known.
    fn unit(&self) -> Option<&str>;

    /// The meaning of the mask bits of [`Exposure::read`].
    fn mask_planes(&self) -> &MaskPlanes;

    /// The PSF, if it is known.
    fn psf(&self) -> Option<&Psf>;

    /// Image, mask and variance of the box `part`, which lies inside [`Exposure::bbox`].
    ///
    /// Pixels without data are NaN, or carry a mask plane, or have no positive variance.
    ///
    /// # Errors
    ///
    /// Whatever keeps the source from reading them.
    fn read(&self, part: BBox) -> Result<MaskedImage, ReadError>;

    /// The mask of the box `part`.
    ///
    /// # Errors
    ///
    /// As [`Exposure::read`].
    fn read_mask(&self, part: BBox) -> Result<Array2<i32>, ReadError> {
        Ok(self.read(part)?.mask)
    }

    /// The band as the header describes it; by default only the filter's name.
    fn stated_band(&self) -> StatedBand {
        StatedBand { filter: self.visit().filter.clone(), ..StatedBand::default() }
    }

    /// All files that the exposure is read from; empty if there are none.
    fn files(&self) -> Vec<PathBuf> {
        vec![]
    }

    /// Doubts about the pixel values that were read so far; by default none.
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

/// An exposure whose pixels are in memory.
#[derive(Clone, Debug)]
pub struct ExposureInMemory {
    /// Identifies the exposure in messages, as a file's path does for [`ExposureFile`].
    pub name: PathBuf,
    /// Image, mask and variance on the box that the exposure covers.
    pub pixels: MaskedImage,
    /// The WCS, for parent pixel coordinates.
    pub wcs: Wcs,
    /// The circumstances of the exposure.
    pub visit: VisitInfo,
    /// The unit of the pixel values, if it is known.
    pub unit: Option<String>,
    /// The meaning of the mask bits.
    pub planes: MaskPlanes,
    /// The PSF, if it is known.
    pub psf: Option<Psf>,
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

    fn read(&self, part: BBox) -> Result<MaskedImage, ReadError> {
        Ok(self.pixels.sub_image(part)?)
    }
}
