//! Prediction of a joint model for an exposure, on the patch's own pixels.
//!
//! The prediction has the PSF of the exposure if it is known, else that of the planes. On the
//! patch's own pixels it is registered: shifted by the offset that best fits the exposure's stars.
//! Its variance is noise alone; pixels whose light comes from unobserved parts of the model are
//! flagged NO_DATA.

use crate::error::DifferenceError;
use dcr_coadd::InputError;
use std::sync::{Arc, Mutex, PoisonError};

use dcr_image::header::Card;
use dcr_image::resample::WarpKernel;
use dcr_image::{BBox, MaskPlanes, MaskedImage, Stamp, remap};
use dcr_solver::calibration::CalibrationOrders;
use dcr_solver::joint::{
    JointNoise, JointVisits, NoiseMaps, Spectrum, TemplatePsf, TemplateWanted, joint_template, template_reach,
};
use dcr_solver::kernel::Region;
use dcr_solver::{PixelShift, SubfilterShift};
use ndarray::{Array2, Zip, s};

use super::joint_target::{OnPatch, RunScalePixels};
use crate::summary::PsfOf;
use crate::template::target::Target;
use dcr_coadd::config::MatchConfig;
use dcr_coadd::geometry::cells::region_in;
use dcr_coadd::geometry::prediction::{RESPONSE_REACH, predict_mask};
use dcr_coadd::geometry::shifts::{ShiftPlan, Split};
use dcr_coadd::joint::joint_spectrum;
use dcr_coadd::joint::visits::corners;
use dcr_coadd::model::{JointModel, JointModelPart, Model};

/// The card that states the origin of a template's PSF.
pub(crate) const PSF_OF: &str = "PSFOF";

/// Makes predictions of one joint run.
pub(crate) struct JointMatcher<'a> {
    model: &'a Model,
    joint: &'a JointModel,
    /// The dictionary of the masks made.
    planes: &'a MaskPlanes,
    config: &'a MatchConfig,
    plan: ShiftPlan,
    spectrum: Spectrum,
    /// The part read last: exposures often lie on the same pixels.
    planes_read: Mutex<Option<Arc<JointModelPart>>>,
}

/// How a prediction was fitted to its exposure.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Registration {
    /// Fitted offset `[dx, dy]` in px; `None` without registration.
    pub(crate) offset_px: Option<[f64; 2]>,
    /// Flux of the exposure over the prediction as registered, minus 1.
    pub(crate) flux_excess: Option<f64>,
    /// Whose PSF it has: the exposure's own, or that of the planes.
    pub(crate) psf_of: PsfOf,
}

impl Registration {
    /// The cards of the template's file.
    pub(crate) fn cards(&self) -> Vec<Card> {
        let mut cards =
            vec![Card::new(PSF_OF, self.psf_of.word()).with_comment("whose PSF the template has")];
        if let Some([dx, dy]) = self.offset_px {
            cards.push(Card::new("OFFSETX", dx).with_comment("[px] the exposure's offset, which this has"));
            cards.push(Card::new("OFFSETY", dy).with_comment("[px] the same along y"));
        }
        if let Some(excess) = self.flux_excess {
            cards.push(
                Card::new("FLUXEXC", excess).with_comment("exposure's flux over the prediction's, minus 1"),
            );
        }
        cards
    }
}

impl<'a> JointMatcher<'a> {
    /// # Errors
    ///
    /// [`DifferenceError`] if the run's file cannot be read, or the band cannot be divided.
    pub(crate) fn new(
        model: &'a Model,
        joint: &'a JointModel,
        planes: &'a MaskPlanes,
        config: &'a MatchConfig,
    ) -> Result<Self, DifferenceError> {
        let metadata = &model.metadata;
        let grid = metadata.band.wavelength_grid(metadata.subfilters)?;
        let spectrum = joint_spectrum(&metadata.band, &grid)?;
        let plan =
            ShiftPlan { grid, reference: metadata.reference, rule: metadata.rule, split: Split::Never };
        Ok(Self { model, joint, planes, config, plan, spectrum, planes_read: Mutex::new(None) })
    }

    /// Mask planes whose pixels the run left out.
    pub(crate) fn bad_planes(&self) -> impl Iterator<Item = &str> {
        self.joint.settings.bad.iter().map(String::as_str)
    }

    /// PSF of predictions for the exposure, in the exposure's pixels, if it is the exposure's own.
    ///
    /// # Errors
    ///
    /// [`DifferenceError`] if it makes no stamp.
    pub(crate) fn own_psf(exposure: &Target) -> Result<Option<Stamp>, DifferenceError> {
        let Some(psf) = exposure.file.psf() else { return Ok(None) };
        Ok(Some(dcr_coadd::joint::visits::atmospheric_stamp(psf, exposure.file.bbox().centre())?))
    }

    /// The exposure's pixels, if its registration or calibration needs them. With `warp` it is not
    /// registered.
    ///
    /// # Errors
    ///
    /// [`DifferenceError`] if they cannot be read.
    pub(crate) fn pixels(
        &self,
        exposure: &Target,
        warp: Option<WarpKernel>,
    ) -> Result<Option<RunScalePixels>, DifferenceError> {
        let calibrated =
            exposure.file.psf().is_some() && self.config.calibration() != CalibrationOrders::NONE;
        let wanted = calibrated || (warp.is_none() && self.config.register);
        wanted.then(|| RunScalePixels::read(exposure, &self.joint.settings)).transpose()
    }

    /// Predicts the exposure in the box `part` of the patch. `warp` is set if it lies on other
    /// pixels than the patch's; `pixels` is from [`Self::pixels`].
    ///
    /// # Errors
    ///
    /// [`DifferenceError`] if a file cannot be read, or the exposure's displacements are undefined.
    pub(crate) fn predict(
        &self,
        exposure: &Target,
        pixels: Option<&RunScalePixels>,
        part: BBox,
        warp: Option<WarpKernel>,
    ) -> Result<(MaskedImage, Registration), DifferenceError> {
        let (path, patch, wcs) = (exposure.file.path(), self.model.bbox, &self.model.wcs);
        for corner in corners(&patch) {
            self.plan.displacements(path, &exposure.sky, wcs, corner)?;
        }
        let seen = match warp {
            Some(_) => OnPatch::elsewhere(exposure, self.model, &self.plan, warp),
            None => {
                let registered = pixels.filter(|_| self.config.register);
                OnPatch::same_pixels(exposure, self.model, &self.plan, registered)
            }
        };
        let displacements = seen.displacements(0, &Region::whole(patch.shape()));
        let around = part.grown(template_reach(&self.joint.fiducial, &displacements)).clipped(&patch);
        let planes = self.planes_over(around)?;
        let solved = dcr_solver::joint::JointModel {
            patch: patch.shape(),
            held: region_in(&planes.held, &patch),
            planes_ayx: planes.planes_ayx.view(),
            border: self.joint.border,
            covered_yx: planes.covered_yx.view(),
            spectrum: &self.spectrum,
            fiducial: &self.joint.fiducial,
            noise: Some(JointNoise {
                covariance: &self.joint.covariance,
                maps: NoiseMaps {
                    coverage_yx: planes.coverage_yx.view(),
                    prior_scale_yx: planes.prior_scale_yx.view(),
                    source_noise_yx: planes.source_noise_yx.view(),
                },
            }),
        };
        let psf_of = if exposure.file.psf().is_some() { PsfOf::Exposure } else { PsfOf::Coadd };
        let wanted = TemplateWanted {
            region: region_in(&part, &patch),
            psf: match psf_of {
                PsfOf::Exposure => TemplatePsf::Exposure,
                PsfOf::Coadd => TemplatePsf::Fiducial,
            },
            register: seen.can_be_registered(),
        };
        let template = joint_template(&solved, &seen, 0, &wanted, &self.joint.settings.joint)?;
        let mut mask = self.mask(exposure, part)?;
        let no_data = self.planes.bits_of(["NO_DATA"]);
        let mut variance = template.variance.unwrap_or_else(|| Array2::from_elem(part.shape(), f32::NAN));
        Zip::from(&mut mask).and(&mut variance).and(&template.trusted_yx).for_each(
            |mask, variance, trusted| {
                if !variance.is_finite() {
                    *variance = f32::NAN;
                }
                if !trusted || variance.is_nan() {
                    *mask |= no_data;
                }
            },
        );
        let PixelShift { dy, dx } = template.offset;
        let registration = Registration {
            offset_px: wanted.register.then_some([dx, dy]),
            flux_excess: template.flux_excess,
            psf_of,
        };
        Ok((MaskedImage { bbox: part, image: template.image, mask, variance }, registration))
    }

    /// The model's planes over a box, or more.
    fn planes_over(&self, part: BBox) -> Result<Arc<JointModelPart>, DifferenceError> {
        // What another thread left half done was not kept.
        let mut last = self.planes_read.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some(planes) if planes.held.contains_box(&part) => Ok(planes.clone()),
            _ => Ok(last.insert(Arc::new(self.joint.part(part, &self.model.bbox)?)).clone()),
        }
    }

    /// The union of the model's mask over the pixels that light comes from.
    fn mask(&self, exposure: &Target, part: BBox) -> Result<Array2<i32>, DifferenceError> {
        let (model, patch) = (self.model, self.model.bbox);
        let shifts = self.plan.shifts(exposure.file.path(), &exposure.sky, &model.wcs, &patch, &patch)?;
        let reach = shifts.iter().map(SubfilterShift::reach).fold(0.0, f64::max);
        let around = part.grown(reach.ceil() as usize + RESPONSE_REACH).clipped(&patch);
        let mut mask = model.mask(around)?;
        remap(&mut mask, &model.planes, self.planes)
            .map_err(|source| InputError::Mask { path: model.path().to_owned(), source })?;
        // Unobserved pixels are covered by `trusted`, which reaches further.
        let no_data = self.planes.bits_of(["NO_DATA"]);
        mask.mapv_inplace(|bits| bits & !no_data);
        let mask = predict_mask(mask.view(), &shifts, self.config.order);
        let inside = region_in(&part, &around);
        Ok(mask.slice(s![inside.rows, inside.cols]).to_owned())
    }
}
