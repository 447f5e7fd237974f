//! Matched templates: what models predict for exposures, on the exposures' own pixels.
//!
//! [`template`] makes one in memory; [`matched_templates`] reads and writes files.

pub(crate) mod calibrated;
pub(crate) mod dropped;
pub(crate) mod files;
pub(crate) mod joint_matcher;
pub(crate) mod joint_target;
pub(crate) mod maker;
pub(crate) mod matcher;
pub(crate) mod mosaic;
pub(crate) mod scales;
pub(crate) mod target;

use crate::error::DifferenceError;
use std::sync::Arc;

use dcr_coadd::config::TemplateConfig;
use dcr_coadd::model::Model;
use dcr_image::Exposure;

pub use self::files::{TemplateRequest, matched_templates};
pub use self::maker::Template;

use self::maker::TemplateMaker;
use self::target::Target;

/// Predicts what an exposure sees of a model's patch: its matched template.
///
/// The exposure may lie on any pixel grid. The template lies on its pixels, in its flux scale as
/// far as both scales are known, and with its PSF if model and exposure tell it.
///
/// # Errors
///
/// [`DifferenceError`] if the patch does not lie under the exposure, the exposure was taken through
/// another filter or is in another unit, or its zenith is unknown.
///
/// # Example
///
/// ```no_run
/// use std::sync::Arc;
///
/// use dcr_coadd::config::TemplateConfig;
/// use dcr_coadd::model::Model;
/// use dcr_difference::template;
/// use dcr_image::{Exposure, ExposureFile};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// let model = Model::open("coadds/model.fits".as_ref())?;
/// let file = ExposureFile::open("new.fits".as_ref(), &Default::default())?;
/// let exposure: Arc<dyn Exposure> = Arc::new(file);
/// let template = template(&model, &exposure, &TemplateConfig::default())?;
/// let difference = exposure.read(exposure.bbox())?.image - template.pixels.image;
/// # Ok(())
/// # }
/// ```
pub fn template(
    model: &Model,
    exposure: &Arc<dyn Exposure>,
    config: &TemplateConfig,
) -> Result<Template, DifferenceError> {
    let target = Target::new(Arc::clone(exposure), model, &config.input)?;
    target.scale.check_unit(exposure.path())?;
    let maker = TemplateMaker::new(std::slice::from_ref(model), &model.planes, config)?;
    Ok(maker.make(&target)?.scaled(target.scale.factor))
}
