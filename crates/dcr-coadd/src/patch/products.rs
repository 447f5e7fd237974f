//! The results of a patch, in memory.

use std::sync::Arc;

use dcr_image::{BBox, MaskPlanes, Wcs};
use dcr_measure::noise_correlation::NoiseCorrelation;
use dcr_physics::SubfilterRange;
use dcr_solver::PixelList;
use dcr_solver::joint::Identifiability;
use ndarray::Array2;

use crate::coadd::psf_selection::CoaddPsf;
use crate::model::Model;
use crate::run::metadata::RunMetadata;
use crate::run::summary::Summary;

/// One coadd of a patch.
#[derive(Clone, Debug)]
pub struct Coadd {
    /// The flux in each pixel; NaN where there is none.
    pub image: Array2<f32>,
    /// The variance of each pixel; NaN where it is unknown.
    pub variance: Array2<f32>,
    /// Mask bits with the meaning of [`Coadds::planes`].
    pub mask: Arc<Array2<i32>>,
    /// Number of visits in each pixel; in the sum, of visits and subfilters.
    pub n_image: Array2<u16>,
    /// The PSF, with the visits it is from.
    pub psf: CoaddPsf,
    /// Correlation of the noise of neighbouring pixels, away from sources; `None` if there are too
    /// few pixels.
    pub noise: Option<NoiseCorrelation>,
    /// The wavelengths of the coadd.
    pub range: SubfilterRange,
}

/// The coadds of a patch, as [`crate::coadd()`] returns them.
#[derive(Debug)]
pub struct Coadds {
    /// Identity of the run, band, subfilters and settings.
    pub metadata: RunMetadata,
    /// The pixels of the patch.
    pub bbox: BBox,
    /// The WCS of the patch.
    pub wcs: Wcs,
    /// The unit of the pixel values.
    pub unit: String,
    /// The meaning of the mask bits.
    pub planes: MaskPlanes,
    /// The coadd of each subfilter, blue to red.
    pub subfilters: Vec<Coadd>,
    /// The sum of the subfilters.
    pub sum: Coadd,
    /// The standard coadd, without a model of refraction.
    pub plain: Coadd,
    /// For each visit, in the order of [`Summary::visits`], the good pixels that were left out as
    /// artefacts: `row × cols + col` in the patch, ascending.
    pub artefacts: Vec<PixelList>,
    /// The visits that are good in each pixel, 32 in a plane (`output.input_map`).
    pub input_map: Option<Vec<Array2<i32>>>,
    /// Everything that a matched template is made from.
    pub model: Model,
    /// Identifiability of colours in a joint solution.
    pub identifiability: Option<Identifiability>,
    /// Outcome, visits, warnings and settings. No files are named.
    pub summary: Summary,
}
