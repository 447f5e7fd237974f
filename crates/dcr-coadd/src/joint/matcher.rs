//! What a joint run's model predicts for an exposure, on the patch's own pixels.
//!
//! The prediction has the exposure's own PSF if it has one, else that of the planes. On the patch's own pixels it is registered: displaced
//! by the offset of the exposure that fits its stars best. Its variance is noise alone; pixels whose light comes from where the model rests
//! on no data are flagged NO_DATA.

use std::sync::{Arc, Mutex, PoisonError};

use dcr_image::header::Card;
use dcr_image::resample::WarpKernel;
use dcr_image::{BBox, MaskPlanes, MaskedImage, Stamp, remap};
use dcr_solver::joint::{
    JointModel, JointNoise, JointVisits, NoiseMaps, Spectrum, TemplatePsf, TemplateWanted, joint_template,
    template_reach,
};
use dcr_solver::kernel::Region;
use dcr_solver::{PixelShift, SubfilterShift};
use ndarray::{Array2, Zip, s};

use super::exposure::OnPatch;
use super::file::{JointPlanes, JointRun};
use super::joint_spectrum;
use super::visits::corners;
use crate::cells::region_in;
use crate::config::MatchConfig;
use crate::error::CoaddError;
use crate::exposure::Exposure;
use crate::finished_run::FinishedRun;
use crate::prediction::{RESPONSE_REACH, predict_mask};
use crate::shifts::{ShiftPlan, Split};
use crate::summary::PsfOf;

/// The card that tells whose PSF a template has.
pub(crate) const PSF_OF: &str = "PSFOF";

/// Makes predictions of one joint run.
pub(crate) struct JointMatcher<'a> {
    run: &'a FinishedRun,
    /// The dictionary of the masks made.
    planes: &'a MaskPlanes,
    config: &'a MatchConfig,
    plan: ShiftPlan,
    spectrum: Spectrum,
    model: JointRun,
    /// What was read last: exposures often lie on the same pixels.
    planes_read: Mutex<Option<Arc<JointPlanes>>>,
}

/// How a prediction was fitted to its exposure.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Registration {
    /// Whether it was, and by how much it was displaced, `[dx, dy]` in px.
    pub(crate) offset_px: Option<[f64; 2]>,
    /// The exposure's flux over the prediction's, minus 1: told, not applied.
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
            cards.push(Card::new("FLUXEXC", excess).with_comment("the exposure's flux over this, minus 1"));
        }
        cards
    }
}

impl<'a> JointMatcher<'a> {
    /// # Errors
    ///
    /// [`CoaddError`] if the run's file cannot be read, or the band cannot be divided.
    pub(crate) fn new(
        run: &'a FinishedRun,
        planes: &'a MaskPlanes,
        config: &'a MatchConfig,
    ) -> Result<Self, CoaddError> {
        let metadata = &run.metadata;
        let grid = metadata.band.wavelength_grid(metadata.subfilters)?;
        let spectrum = joint_spectrum(&metadata.band, &grid)?;
        let plan =
            ShiftPlan { grid, reference: metadata.reference, rule: metadata.rule, split: Split::Never };
        let (model, planes_read) = (JointRun::open(run)?, Mutex::new(None));
        Ok(Self { run, planes, config, plan, spectrum, model, planes_read })
    }

    /// The PSF that predictions for the exposure have, in the exposure's pixels, if that is its own.
    ///
    /// # Errors
    ///
    /// [`CoaddError`] if it makes no stamp.
    pub(crate) fn own_psf(exposure: &Exposure) -> Result<Option<Stamp>, CoaddError> {
        let Some(psf) = exposure.file.psf() else { return Ok(None) };
        super::visits::atmospheric_stamp(psf, exposure.file.bbox().centre()).map(Some)
    }

    /// What the exposure sees in the box `part` of the patch. `warp` is set if it lies on other pixels than the patch's.
    ///
    /// # Errors
    ///
    /// [`CoaddError`] if a file cannot be read, or the exposure's displacements cannot be told.
    pub(crate) fn predict(
        &self,
        exposure: &Exposure,
        part: BBox,
        warp: Option<WarpKernel>,
    ) -> Result<(MaskedImage, Registration), CoaddError> {
        let (path, patch, wcs) = (exposure.file.path(), self.run.bbox(), self.run.files[0].wcs());
        for corner in corners(&patch) {
            self.plan.displacements(path, &exposure.sky, wcs, corner)?;
        }
        let seen = match warp {
            Some(_) => OnPatch::elsewhere(exposure, self.run, &self.plan, warp),
            None => {
                let settings = &self.model.settings;
                OnPatch::same_pixels(exposure, self.run, &self.plan, settings, self.config.register)?
            }
        };
        let displacements = seen.displacements(0, &Region::whole(patch.shape()));
        let around = part.grown(template_reach(&self.model.fiducial, &displacements)).clipped(&patch);
        let planes = self.planes_over(around)?;
        let model = JointModel {
            patch: patch.shape(),
            held: region_in(&planes.held, &patch),
            planes_ayx: planes.planes_ayx.view(),
            border: self.model.border,
            covered_yx: planes.covered_yx.view(),
            spectrum: &self.spectrum,
            fiducial: &self.model.fiducial,
            noise: Some(JointNoise {
                covariance: &self.model.covariance,
                maps: NoiseMaps {
                    coverage_yx: planes.coverage_yx.view(),
                    prior_scale_yx: planes.freedom_yx.view(),
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
        let template = joint_template(&model, &seen, 0, &wanted, &self.model.settings.joint)?;
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
    fn planes_over(&self, part: BBox) -> Result<Arc<JointPlanes>, CoaddError> {
        // What another thread left half done was not kept.
        let mut last = self.planes_read.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some(planes) if planes.held.contains_box(&part) => Ok(planes.clone()),
            _ => Ok(last.insert(Arc::new(self.model.read(part)?)).clone()),
        }
    }

    /// The union of the model's mask over the pixels that light comes from.
    fn mask(&self, exposure: &Exposure, part: BBox) -> Result<Array2<i32>, CoaddError> {
        let (file, patch) = (&self.run.files[0], self.run.bbox());
        let shifts = self.plan.shifts(exposure.file.path(), &exposure.sky, file.wcs(), &patch, &patch)?;
        let reach = shifts.iter().map(SubfilterShift::reach).fold(0.0, f64::max);
        let around = part.grown(reach.ceil() as usize + RESPONSE_REACH).clipped(&patch);
        let mut mask = file.read_mask(around)?;
        remap(&mut mask, file.mask_planes(), self.planes)
            .map_err(|source| CoaddError::Mask { path: file.path().to_owned(), source })?;
        // What no visit saw is told by `trusted`, which reaches further.
        let no_data = self.planes.bits_of(["NO_DATA"]);
        mask.mapv_inplace(|bits| bits & !no_data);
        let mask = predict_mask(mask.view(), &shifts, self.config.order);
        let inside = region_in(&part, &around);
        Ok(mask.slice(s![inside.rows, inside.cols]).to_owned())
    }
}
