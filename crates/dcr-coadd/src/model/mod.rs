//! The model of a patch: everything that a matched template is made from.
//!
//! A run writes it as `model.fits`, one file per patch for both solvers, and [`Model::open`] reads
//! it back without any file beside it. [`crate::coadd()`] returns it in memory.

mod file;
mod joint;
mod plane;

use std::path::{Path, PathBuf};

use dcr_image::{BBox, MaskPlanes, Psf, Wcs};
use ndarray::{Array2, Array3, Axis};

pub(crate) use self::file::Diagnostics;
pub use self::file::MODEL_FILE;
pub use self::joint::{JointModel, JointModelPart, JointSettings};
pub use self::plane::ModelPlane;

use crate::error::CoaddError;
use crate::geometry::cells::region_in;
use crate::run::metadata::RunMetadata;

/// The mask plane of sources whose flux differs between visits.
pub const VARIABLE: &str = "VARIABLE";

/// The model of a patch, its planes in memory or on disk.
#[derive(Debug)]
pub struct Model {
    /// Identity of the run, band, refraction, subfilters and settings.
    pub metadata: RunMetadata,
    /// The pixels of the patch.
    pub bbox: BBox,
    /// The WCS of the patch.
    pub wcs: Wcs,
    /// The unit of the pixel values.
    pub unit: String,
    /// The meaning of the mask bits.
    pub planes: MaskPlanes,
    /// The PSF of the coadd, if known.
    pub psf: Option<Psf>,
    /// The mask of the coadd.
    pub(crate) mask: ModelPlane<i32>,
    /// The planes of the solver.
    pub content: ModelContent,
    /// The file, or another name for messages.
    pub(crate) path: PathBuf,
}

/// The planes that a solver predicts from.
#[derive(Debug)]
pub enum ModelContent {
    /// The iterative solver: flux and variance of each subfilter, blue to red.
    Subfilters {
        /// The flux in each pixel.
        image: Vec<ModelPlane<f32>>,
        /// The variance of each pixel.
        variance: Vec<ModelPlane<f32>>,
    },
    /// The joint solver.
    Joint(Box<JointModel>),
}

/// The subfilters of an iterative model in a box.
#[derive(Clone, Debug)]
pub struct SubfilterPart {
    /// `(subfilters, rows, cols)`; pixels without data are 0, and flagged NO_DATA.
    pub image_byx: Array3<f32>,
    /// Variances, `(subfilters, rows, cols)`; 0 where unknown.
    pub variance_byx: Array3<f32>,
    /// The mask, in the dictionary of the model.
    pub mask: Array2<i32>,
}

impl Model {
    /// The file of the model, or its name in messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The mask in a box of the patch.
    ///
    /// # Errors
    ///
    /// [`CoaddError`] if the file cannot be read.
    pub fn mask(&self, part: BBox) -> Result<Array2<i32>, CoaddError> {
        let region = region_in(&part, &self.bbox);
        Ok(self.mask.read(region.rows, region.cols)?)
    }

    /// The subfilters in a box of the patch; `None` for a model of the joint solver.
    ///
    /// # Errors
    ///
    /// [`CoaddError`] if the file cannot be read.
    pub fn subfilters(&self, part: BBox) -> Result<Option<SubfilterPart>, CoaddError> {
        let ModelContent::Subfilters { image, variance } = &self.content else { return Ok(None) };
        let no_data = self.planes.bits_of(["NO_DATA"]);
        let region = region_in(&part, &self.bbox);
        let shape = (image.len(), part.height, part.width);
        let mut out = SubfilterPart {
            image_byx: Array3::zeros(shape),
            variance_byx: Array3::zeros(shape),
            mask: self.mask(part)?,
        };
        let finite = |value: f32| if value.is_finite() { value } else { 0.0 };
        for (a, (image, variance)) in image.iter().zip(variance).enumerate() {
            let image = image.read(region.rows.clone(), region.cols.clone())?;
            let variance = variance.read(region.rows.clone(), region.cols.clone())?;
            out.mask.zip_mut_with(&image, |mask, value| {
                if !value.is_finite() {
                    *mask |= no_data;
                }
            });
            out.image_byx.index_axis_mut(Axis(0), a).assign(&image.mapv(finite));
            out.variance_byx.index_axis_mut(Axis(0), a).assign(&variance.mapv(finite));
        }
        Ok(Some(out))
    }
}
