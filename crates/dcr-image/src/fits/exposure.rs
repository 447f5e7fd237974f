//! An exposure on disk: metadata in memory, pixels read by box.
//!
//! # Conventions of the pixels
//!
//! - Values keep the unit of the file; asinh-compressed values (BSOFTEN, BOFFSET) become fluxes.
//!   Undefined pixels (BLANK, NaN in any compression) are NaN.
//! - Masks are bits of [`ExposureFile::mask_planes`]. Codes of an enumeration and bits known from
//!   the documentation of an instrument become planes of [`MaskPlanes::canonical`]. A mask of
//!   unknown meaning makes every nonzero pixel BAD. Values are decoded in the type of the file,
//!   including bits above 31 and fractions. Bits without a name and unknown codes are BAD.
//! - Weights and standard deviations become variances. An uncertainty that is zero, negative, not a
//!   number or at least 1e15 (for weights: the inverse) means missing data: the pixel gets NO_DATA
//!   and a variance of NaN. No variance is ever infinite. Units in which all uncertainties are
//!   large are recognised.
//! - A pixel value that is not finite, or at least 1e30, becomes NaN and gets NO_DATA. In images
//!   without weights, so do regions of one constant value that fill a border.
//! - [`ExposureFile::findings`] reports questionable values.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use dcr_physics::{Assumption, VisitInfo};

use super::FitsError;
use super::chosen_image::choose_image;
use super::companions::CompanionFile;
use super::constant::Constant;
use super::edited_headers::edited_headers;
use super::findings::SharedFindings;
use super::layout::{PlaneSource, survey};
use super::open::{VarianceSource, choose_planes, named_psf, open_file};
use super::options::OpenOptions;
use super::role::Own;
use super::tree::observation_tree;
use crate::header::{AsinhScaling, Header, MaskCoding, VisitHeader, VisitSource, detector};
use crate::mask::Translation;
use crate::psf::{Psf, PsfOwner};
use crate::wcs::image_origin;
use crate::{BBox, MaskPlanes, Wcs};

/// Mask plane of pixels without data.
pub(super) const NO_DATA: &str = "NO_DATA";

/// An exposure on disk.
///
/// Opening reads headers (and the PSF) only. Each read opens the file anew, so that threads can
/// share a value.
#[derive(Debug)]
pub struct ExposureFile {
    path: PathBuf,
    pub(super) bbox: BBox,
    wcs: Wcs,
    header: Header,
    pub(super) visit: VisitInfo,
    unit: Option<String>,
    pub(super) planes: MaskPlanes,
    pub(super) psf: Option<Psf>,
    pub(super) image: PlaneSource,
    pub(super) mask: Option<(PlaneSource, MaskCoding)>,
    pub(super) variance: VarianceSource,
    /// Nonlinear scaling of the pixel values, undone on reading.
    pub(super) asinh: Option<AsinhScaling>,
    /// Constant values that fill borders, once determined.
    pub(super) constant: OnceLock<Constant>,
    /// Threshold at which uncertainties count as infinite, once determined.
    pub(super) uncertainty_limit: OnceLock<f64>,
    /// Findings in the pixels read so far.
    pub(super) seen: SharedFindings,
    /// Further parts of the exposure.
    pub(super) others: Vec<Part>,
}

/// A further part of an exposure.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) file: ExposureFile,
    /// The box that holds all its data; only this box is read.
    pub(super) extent: BBox,
    /// Factor on its pixel values.
    pub(super) scale: f32,
    /// Translation of its mask planes to those of the exposure.
    pub(super) planes: Translation,
}

impl ExposureFile {
    /// Opens an exposure: reads the headers, selects the planes, and checks their consistency.
    ///
    /// ```no_run
    /// use dcr_image::fits::MissingVariance;
    /// use dcr_image::{ExposureFile, OpenOptions};
    ///
    /// // A weight map beside the image is found by its name; without one, noise is estimated.
    /// let options =
    ///     OpenOptions { missing_variance: MissingVariance::Estimate, ..OpenOptions::default() };
    /// let exposure = ExposureFile::open("coadd.fits".as_ref(), &options)?;
    /// for assumption in &exposure.visit().assumptions {
    ///     println!("{}: {}", assumption.quantity, assumption.text);
    /// }
    /// let corner = exposure.bbox().tiles((100, 100)).next().ok_or("an empty image")?;
    /// println!("{:?}", exposure.read(corner)?.image.mean());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`FitsError`] for an unreadable file, no image or several, an unusable WCS, planes of
    /// different size or position, a companion that is the image itself, and a missing variance
    /// that may not be estimated.
    pub fn open(path: &Path, options: &OpenOptions) -> Result<Self, FitsError> {
        let mut reader = open_file(path)?;
        let hdus = survey(&mut reader)?;
        let image_hdu = choose_image(path, &hdus, options.image_hdu.as_deref())?;
        let header = Header::merged(&hdus[0].header, &image_hdu.header);
        let image = image_hdu.source(path)?;
        let bbox = BBox::of_shape(image_origin(&header), image.shape);
        let read = Wcs::read(&header, (bbox.x0, bbox.y0), options.distortions);
        let wcs = read.map_err(|source| FitsError::Wcs {
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
        let asinh = AsinhScaling::of(&header).map_err(|reason| FitsError::Scaling {
            path: path.to_owned(),
            hdu: image.label.clone(),
            reason,
        })?;
        let tree = observation_tree(&mut reader, &hdus)?;
        let (x, y) = bbox.centre();
        let source = VisitSource {
            path,
            tree: tree.as_ref(),
            image_centre: wcs.pixel_to_sky(x, y).ok(),
            given: &options.given,
        };
        let VisitHeader { mut visit, unit } = VisitHeader::read_with(&header, &source);
        notes.extend(asinh.map(AsinhScaling::note));
        notes.extend(wcs.notes().iter().map(|text| Assumption {
            quantity: "WCS".to_owned(),
            text: text.clone(),
            warning: true,
        }));
        let has_planes = mask.as_ref().is_some_and(|(plane, _)| plane.path == path)
            || matches!(&variance, VarianceSource::Plane(plane, _) if plane.path == path);
        let owner = PsfOwner::of_image(&bbox, &header, &hdus, image_hdu.index, has_planes);
        let psf = match &options.psf {
            Some(file) => Some(named_psf(file, &own, &owner, &mut notes)?),
            None => Psf::in_file(&mut reader, &hdus, &owner, visit.psf_fwhm_px, &mut notes)?,
        };
        let plane = |variance: &VarianceSource| match variance {
            VarianceSource::Plane(source, _) => Some(source.path.clone()),
            VarianceSource::Estimate(_) => None,
        };
        let files = [
            Some(path.to_owned()),
            mask.as_ref().map(|(source, _)| source.path.clone()),
            plane(&variance),
            options.psf.as_ref().map(CompanionFile::resolved).transpose()?.map(|file| file.path),
        ];
        notes.extend(edited_headers(files.into_iter().flatten(), options.checksums)?);
        visit.assumptions.append(&mut notes);
        Ok(Self {
            path: path.to_owned(),
            bbox,
            wcs,
            header,
            visit,
            unit,
            planes,
            psf,
            image,
            mask,
            variance,
            asinh,
            constant: OnceLock::new(),
            uncertainty_limit: OnceLock::new(),
            seen: SharedFindings::default(),
            others: Vec::new(),
        })
    }

    /// Adds an assumption about the exposure, unless it is already listed.
    pub fn add_assumption(&mut self, assumption: Assumption) {
        if !self.visit.assumptions.contains(&assumption) {
            self.visit.assumptions.push(assumption);
        }
    }

    /// Path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bounding box in parent coordinates.
    #[must_use]
    pub const fn bbox(&self) -> BBox {
        self.bbox
    }

    /// The WCS.
    #[must_use]
    pub const fn wcs(&self) -> &Wcs {
        &self.wcs
    }

    /// Metadata of the exposure, and the assumptions made in reading it.
    #[must_use]
    pub const fn visit(&self) -> &VisitInfo {
        &self.visit
    }

    /// The cards of the image and, merged in, those of the primary HDU.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Detector cards by number or name; `None` if there are none.
    #[must_use]
    pub fn detector(&self) -> Option<String> {
        detector(&self.header)
    }

    /// The unit of the pixel values.
    #[must_use]
    pub fn unit(&self) -> Option<&str> {
        self.unit.as_deref()
    }

    /// Mask planes of the masks that are read; NO_DATA is always among them.
    #[must_use]
    pub const fn mask_planes(&self) -> &MaskPlanes {
        &self.planes
    }

    /// The PSF, if the file or its header has one.
    #[must_use]
    pub const fn psf(&self) -> Option<&Psf> {
        self.psf.as_ref()
    }
}
