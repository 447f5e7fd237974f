//! An exposure on disk: its description in memory, its pixels read by box.
//!
//! # What readers make of the pixels
//!
//! - Values stay in the unit of the file. Undefined pixels (BLANK, a NaN in any compression) are NaN.
//! - Masks are bits of [`ExposureFile::mask_planes`]; codes of an enumeration and bits known from an
//!   instrument's documentation become planes of [`MaskPlanes::canonical`], and a mask of which
//!   nothing is known makes every pixel that is not 0 BAD.
//! - Weights become variances. A weight that is zero, negative or not a number says that there are no
//!   data: the pixel gets NO_DATA and a variance of NaN. No variance is ever infinite.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use dcr_physics::VisitInfo;
use ndarray::Array2;

use super::cfitsio::{FitsReader, Pixel};
use super::chosen_image::choose_image;
use super::companions::CompanionFile;
use super::layout::{PlaneSource, UncertaintyKind, survey};
use super::open::{choose_planes, named_psf, open_file};
use super::role::Own;
use super::tree::observation_tree;
use super::{FitsError, noise};
use crate::header::{Header, MaskCoding, VisitHeader};
use crate::psf::Psf;
use crate::wcs::image_origin;
use crate::{BBox, MaskPlanes, MaskedImage, Wcs};

/// NUM_OVERFLOW, cfitsio's status for a number that does not fit the type asked for.
const OVERFLOW: i32 = 412;
/// The plane for pixels that have no data.
const NO_DATA: &str = "NO_DATA";

/// How to open an exposure whose file does not hold everything.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenOptions {
    /// The image's HDU by name, name and EXTVER (`SCI,2`) or number; `None`: IMAGE, SCI, or the first
    /// image.
    pub image_hdu: Option<String>,
    /// A file of uncertainties, used even if the image's own file has some.
    pub weights: Option<CompanionFile>,
    /// Kind of the uncertainties in `weights`, or in a weight file found beside the image; `None`: by
    /// UTYPE, the HDU's name or the file's name, or else inverse variances.
    pub weights_hold: Option<UncertaintyKind>,
    /// A file with the mask, used even if the image's own file has one.
    pub mask: Option<CompanionFile>,
    /// A file with the PSF (an image, or a PSFEx model), used even if the image's own file has one.
    pub psf: Option<CompanionFile>,
    /// Whether to use weight and mask files that lie beside an image without its own, by their names.
    pub find_companions: bool,
    /// What to do if there is no variance anywhere.
    pub missing_variance: MissingVariance,
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
        }
    }
}

/// An exposure on disk.
///
/// Opening reads headers (and the PSF) only. Each read opens the file anew, so that a value can be
/// shared between threads.
#[derive(Debug)]
pub struct ExposureFile {
    path: PathBuf,
    bbox: BBox,
    wcs: Wcs,
    header: Header,
    visit: VisitInfo,
    unit: Option<String>,
    planes: MaskPlanes,
    psf: Option<Psf>,
    image: PlaneSource,
    mask: Option<(PlaneSource, MaskCoding)>,
    variance: VarianceSource,
}

/// Origin of the variance.
#[derive(Debug)]
pub(super) enum VarianceSource {
    /// An image of uncertainties.
    Plane(PlaneSource, UncertaintyKind),
    /// The estimate, once it has been made.
    Estimate(OnceLock<f32>),
}

impl ExposureFile {
    /// Opens an exposure: reads the headers, finds the planes, and checks that they fit together.
    ///
    /// # Errors
    ///
    /// [`FitsError`] if the file cannot be read, has no image, several or no usable WCS, if planes
    /// differ in size or place, if a file named for weights, mask or PSF is the image itself, or if
    /// there is no variance and none may be estimated.
    pub fn open(path: &Path, options: &OpenOptions) -> Result<Self, FitsError> {
        let mut reader = open_file(path)?;
        let hdus = survey(&mut reader)?;
        let image_hdu = choose_image(path, &hdus, options.image_hdu.as_deref())?;
        let header = Header::merged(&hdus[0].header, &image_hdu.header);
        let image = image_hdu.source(path)?;
        let bbox = BBox::of_shape(image_origin(&header), image.shape);
        let wcs = Wcs::from_header(&header, (bbox.x0, bbox.y0)).map_err(|source| FitsError::Wcs {
            path: path.to_owned(),
            hdu: image.label.clone(),
            source,
        })?;

        let mut notes = Vec::new();
        let own = Own { path, hdus: &hdus, image: image_hdu, shape: image.shape };
        let (mask, variance) = choose_planes(&mut reader, &own, options, &mut notes)?;

        let mut planes = mask.as_ref().map_or_else(MaskPlanes::canonical, |(_, coding)| coding.planes());
        planes.insert(NO_DATA).map_err(|source| FitsError::Mask {
            path: path.to_owned(),
            hdu: image.label.clone(),
            source,
        })?;
        let VisitHeader { mut visit, unit } =
            VisitHeader::read(&header, path, observation_tree(&mut reader, &hdus)?.as_ref());
        let psf = match &options.psf {
            Some(file) => Some(named_psf(file, &own, &bbox)?),
            None => Psf::in_file(&mut reader, &hdus, &bbox, visit.psf_fwhm_px, &mut notes)?,
        };
        visit.assumptions.append(&mut notes);
        Ok(Self { path: path.to_owned(), bbox, wcs, header, visit, unit, planes, psf, image, mask, variance })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the pixels lie, in parent coordinates.
    #[must_use]
    pub const fn bbox(&self) -> BBox {
        self.bbox
    }

    /// The WCS.
    #[must_use]
    pub const fn wcs(&self) -> &Wcs {
        &self.wcs
    }

    /// The circumstances of the exposure, and what was assumed to know them.
    #[must_use]
    pub const fn visit(&self) -> &VisitInfo {
        &self.visit
    }

    /// The cards of the image and, merged in, those of the primary HDU.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The unit of the pixel values.
    #[must_use]
    pub fn unit(&self) -> Option<&str> {
        self.unit.as_deref()
    }

    /// The meaning of the mask bits that the readers return; NO_DATA is always there.
    #[must_use]
    pub const fn mask_planes(&self) -> &MaskPlanes {
        &self.planes
    }

    /// The PSF, if the file or its header has one.
    #[must_use]
    pub const fn psf(&self) -> Option<&Psf> {
        self.psf.as_ref()
    }

    /// Reads the pixels of a box with mask and variance.
    ///
    /// # Errors
    ///
    /// [`FitsError::Outside`] if the box reaches beyond the image, or if the file cannot be read.
    pub fn read(&self, part: BBox) -> Result<MaskedImage, FitsError> {
        let image = self.read_image(part)?;
        let weights = self.read_uncertainty(part)?;
        let mask = self.mask_of(part, weights.as_ref())?;
        let variance = self.variance_of(part, weights)?;
        Ok(MaskedImage { bbox: part, image, mask, variance })
    }

    /// Reads the pixel values of a box.
    ///
    /// # Errors
    ///
    /// As [`ExposureFile::read`].
    pub fn read_image(&self, part: BBox) -> Result<Array2<f32>, FitsError> {
        self.read_plane(&self.image, part)
    }

    /// Reads the mask of a box.
    ///
    /// # Errors
    ///
    /// As [`ExposureFile::read`].
    pub fn read_mask(&self, part: BBox) -> Result<Array2<i32>, FitsError> {
        let weights = match &self.variance {
            VarianceSource::Plane(_, UncertaintyKind::InverseVariance) => self.read_uncertainty(part)?,
            _ => None,
        };
        self.mask_of(part, weights.as_ref())
    }

    /// Reads the variance of a box.
    ///
    /// # Errors
    ///
    /// As [`ExposureFile::read`].
    pub fn read_variance(&self, part: BBox) -> Result<Array2<f32>, FitsError> {
        let weights = self.read_uncertainty(part)?;
        self.variance_of(part, weights)
    }

    /// The plane of uncertainties as it stands in the file, if there is one.
    fn read_uncertainty(&self, part: BBox) -> Result<Option<Array2<f32>>, FitsError> {
        match &self.variance {
            VarianceSource::Plane(source, _) => self.read_plane(source, part).map(Some),
            VarianceSource::Estimate(_) => Ok(None),
        }
    }

    fn mask_of(&self, part: BBox, weights: Option<&Array2<f32>>) -> Result<Array2<i32>, FitsError> {
        let mut mask = match &self.mask {
            None => Array2::zeros(self.checked(part)?.shape()),
            Some((source, coding)) => {
                let mut mask = match self.read_plane::<i32>(source, part) {
                    // Unsigned masks use the bit that is the sign here.
                    Err(FitsError::Library { status: OVERFLOW, .. }) => {
                        self.read_plane::<i64>(source, part)?.mapv(|value| value as u32 as i32)
                    }
                    other => other?,
                };
                coding.decode(&mut mask);
                mask
            }
        };
        if let (Some(weights), VarianceSource::Plane(_, UncertaintyKind::InverseVariance)) =
            (weights, &self.variance)
        {
            let no_data = self.planes.bits_of([NO_DATA]);
            ndarray::Zip::from(&mut mask).and(weights).for_each(|mask, &weight| {
                if !is_weight(weight) {
                    *mask |= no_data;
                }
            });
        }
        Ok(mask)
    }

    fn variance_of(&self, part: BBox, plane: Option<Array2<f32>>) -> Result<Array2<f32>, FitsError> {
        match (&self.variance, plane) {
            (VarianceSource::Plane(_, kind), Some(mut plane)) => {
                match kind {
                    UncertaintyKind::Variance => {
                        plane.mapv_inplace(|v| if v.is_finite() { v } else { f32::NAN })
                    }
                    UncertaintyKind::InverseVariance => {
                        plane
                            .mapv_inplace(|weight| if is_weight(weight) { weight.recip() } else { f32::NAN });
                    }
                    UncertaintyKind::StandardDeviation => plane.mapv_inplace(|sigma| sigma * sigma),
                }
                Ok(plane)
            }
            (VarianceSource::Estimate(known), _) => {
                let variance = match known.get() {
                    Some(&variance) => variance,
                    None => {
                        let variance =
                            noise::background_variance(&self.read_image(noise::sample(&self.bbox))?);
                        *known.get_or_init(|| variance)
                    }
                };
                Ok(Array2::from_elem(self.checked(part)?.shape(), variance))
            }
            (VarianceSource::Plane(source, _), None) => self.read_plane(source, part),
        }
    }

    fn checked(&self, part: BBox) -> Result<BBox, FitsError> {
        if self.bbox.contains_box(&part) {
            Ok(part)
        } else {
            Err(FitsError::Outside { path: self.path.clone(), wanted: part, bbox: self.bbox })
        }
    }

    fn read_plane<T: Pixel>(&self, source: &PlaneSource, part: BBox) -> Result<Array2<T>, FitsError> {
        let outside = || FitsError::Outside { path: source.path.clone(), wanted: part, bbox: self.bbox };
        let (rows, columns) = part.slice_in(&self.bbox).ok_or_else(outside)?;
        let mut reader = FitsReader::open(&source.path)?;
        reader.go_to(source.index)?;
        let pixels = reader.pixels(rows, columns, &source.label)?;
        Array2::from_shape_vec(part.shape(), pixels).map_err(|_| outside())
    }
}

/// The variance 1/w must be a number, too.
fn is_weight(weight: f32) -> bool {
    weight > 0.0 && weight.is_finite() && weight.recip().is_finite()
}
