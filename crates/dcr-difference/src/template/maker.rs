//! The maker of templates: predictions of each patch, joined on the pixels of an exposure.

use crate::error::DifferenceError;
use dcr_coadd::InputError;
use std::path::{Path, PathBuf};

use dcr_coadd::config::TemplateConfig;
use dcr_coadd::model::{Model, ModelContent, VARIABLE};
use dcr_coadd::run::outputs::{OutputHdus, Planes, write_options};
use dcr_image::header::Card;
use dcr_image::{MaskPlanes, MaskedImage, Stamp};
use dcr_solver::SubfilterShift;
use dcr_solver::calibration::CalibrationReport;

use crate::model::patches::folder;
use crate::summary::{MatchedTemplate, PsfOf};
use crate::template::calibrated::{add_model_error, calibrate, calibration_cards};
use crate::template::joint_matcher::{JointMatcher, Registration};
use crate::template::matcher::Matcher;
use crate::template::mosaic::{PatchFootprint, Placement};
use crate::template::target::Target;

/// Makes the templates of exposures from patches.
pub(crate) struct TemplateMaker<'a> {
    models: &'a [Model],
    /// The dictionary of the masks made.
    planes: &'a MaskPlanes,
    config: &'a TemplateConfig,
    matchers: Vec<Matcher<'a>>,
    /// Predictors of the joint runs; `None` for iterative runs.
    joint: Vec<Option<JointMatcher<'a>>>,
    footprints: Vec<PatchFootprint<'a>>,
}

/// The matched template of an exposure, on the exposure's pixels.
pub struct Template {
    /// Image, mask and variance; NaN and NO_DATA where the models have no data.
    pub pixels: MaskedImage,
    /// The meaning of the mask bits.
    pub planes: MaskPlanes,
    /// The PSF in the middle of the exposure, if known.
    pub psf: Option<Stamp>,
    /// Mean displacement of each subfilter in the middle of the exposure, blue to red.
    pub shifts: Vec<SubfilterShift>,
    /// Airmass in the middle of the exposure.
    pub airmass: f64,
    /// Position angle of the zenith in the middle of the exposure, in degrees.
    pub parallactic_angle_deg: f64,
    placement: Placement,
    /// The fit to the exposure, for a model of the joint solver.
    registration: Option<Registration>,
    /// The calibration applied, if the template has the exposure's PSF.
    calibration: Option<CalibrationReport>,
    /// Error in proportion to flux that the variance contains.
    model_error: Option<f64>,
}

impl Template {
    /// Multiplies its pixels.
    pub(crate) fn scaled(mut self, factor: f64) -> Self {
        if factor != 1.0 {
            self.pixels.image *= factor as f32;
            self.pixels.variance *= (factor * factor) as f32;
        }
        self
    }

    /// Displacement `[dx, dy]` in px that fitted the template to the exposure, if it was fitted.
    #[must_use]
    pub fn offset_px(&self) -> Option<[f64; 2]> {
        self.registration.as_ref().and_then(|found| found.offset_px)
    }

    /// Flux of the exposure over the template as registered and before its calibration, minus 1.
    #[must_use]
    pub fn flux_excess(&self) -> Option<f64> {
        self.registration.as_ref().and_then(|found| found.flux_excess)
    }

    /// The calibration against the exposure that the template has, if it was fitted.
    #[must_use]
    pub fn calibration(&self) -> Option<&CalibrationReport> {
        self.calibration.as_ref()
    }

    /// Error of the template as a fraction of flux, which its variance contains, if three or more
    /// bright stars of the exposure show it.
    #[must_use]
    pub fn model_error(&self) -> Option<f64> {
        self.model_error
    }

    /// Whose PSF the template has, for a model of the joint solver.
    #[must_use]
    pub fn psf_of(&self) -> Option<PsfOf> {
        self.registration.as_ref().map(|registration| registration.psf_of)
    }
}

impl<'a> TemplateMaker<'a> {
    /// # Errors
    ///
    /// As [`Matcher::new`].
    pub(crate) fn new(
        models: &'a [Model],
        planes: &'a MaskPlanes,
        config: &'a TemplateConfig,
    ) -> Result<Self, DifferenceError> {
        let matchers = models.iter().map(|model| Matcher::new(model, planes, &config.template));
        let matchers = matchers.collect::<Result<_, DifferenceError>>()?;
        let joint = models.iter().map(|model| match &model.content {
            ModelContent::Joint(joint) => JointMatcher::new(model, joint, planes, &config.template).map(Some),
            ModelContent::Subfilters { .. } => Ok(None),
        });
        let joint = joint.collect::<Result<_, DifferenceError>>()?;
        let footprints =
            models.iter().map(|model| PatchFootprint { bbox: model.bbox, wcs: &model.wcs }).collect();
        Ok(Self { models, planes, config, matchers, joint, footprints })
    }

    /// The folders of the models, for messages.
    fn names(&self) -> String {
        let names: Vec<String> =
            self.models.iter().map(|model| folder(model).display().to_string()).collect();
        names.join(", ")
    }

    /// Keeps models in memory, for many exposures. Joint runs are cached as they are read.
    ///
    /// # Errors
    ///
    /// [`DifferenceError`] if a run cannot be read.
    pub(crate) fn keep_models(&mut self) -> Result<(), DifferenceError> {
        let matchers = self.matchers.iter_mut().zip(&self.joint);
        matchers.filter(|(_, joint)| joint.is_none()).try_for_each(|(matcher, _)| matcher.keep_model())
    }

    /// Predicts the exposure patch by patch, and brings the prediction to the exposure's pixels.
    ///
    /// # Errors
    ///
    /// [`DifferenceError`] if the exposure overlaps no patch, or a file cannot be read.
    pub(crate) fn make(&self, exposure: &Target) -> Result<Template, DifferenceError> {
        let (file, sky) = (&exposure.file, &exposure.sky);
        let (own, kernel) = (file.bbox(), self.config.template.warp);
        let placement = Placement::find(file.as_ref(), &self.footprints, kernel, || self.names())?;
        let warp = matches!(placement, Placement::Warped(_)).then_some(kernel);
        let joint = placement.patches().first().and_then(|patch| self.joint[*patch].as_ref());
        let seen = joint.map(|joint| joint.pixels(exposure, warp)).transpose()?.flatten();
        let mut registration = None;
        let mut pixels = placement.pixels(
            own,
            &self.footprints,
            kernel,
            self.planes.bits_of(["NO_DATA"]),
            |patch, part| {
                let Some(joint) = &self.joint[patch] else {
                    return self.matchers[patch].predict(file.path(), sky, part);
                };
                let (pixels, registered) = joint.predict(exposure, seen.as_ref(), part, warp)?;
                registration = Some(registered);
                Ok(pixels)
            },
        )?;
        let psf = match &registration {
            Some(Registration { psf_of: PsfOf::Exposure, .. }) => JointMatcher::own_psf(exposure)?,
            _ => placement.psf(&own, kernel, |patch, place| self.matchers[patch].psf_at(place))?,
        };
        let own_psf = registration.as_ref().is_some_and(|found| found.psf_of == PsfOf::Exposure);
        let fwhm_px = psf.as_ref().and_then(|psf| psf.fwhm_px().ok()).filter(|_| own_psf);
        let calibration = joint.zip(seen.as_ref()).zip(fwhm_px).and_then(|((joint, seen), fwhm_px)| {
            let bad = joint.bad_planes().chain(["NO_DATA", VARIABLE]);
            calibrate(
                &mut pixels,
                seen,
                self.planes.bits_of(bad),
                fwhm_px,
                &self.config.template.calibration(),
            )
        });
        let model_error = joint.zip(seen.as_ref()).zip(fwhm_px).and_then(|((joint, seen), fwhm_px)| {
            let bad = self.planes.bits_of(joint.bad_planes().chain(["NO_DATA", VARIABLE]));
            add_model_error(&mut pixels, seen, bad, fwhm_px)
        });
        let (x, y) = own.centre();
        let wcs_error = |source| InputError::Wcs { path: file.path().to_owned(), source };
        let local = sky.at(file.wcs().pixel_to_sky(x, y).map_err(wcs_error)?);
        Ok(Template {
            pixels,
            planes: self.planes.clone(),
            psf,
            placement,
            registration,
            calibration,
            model_error,
            shifts: self.matchers[0].shifts(file.path(), sky, file.wcs(), &own)?,
            airmass: local.airmass,
            parallactic_angle_deg: local.parallactic_angle.degrees(),
        })
    }

    pub(crate) fn summary(&self, exposure: &Target, template: &Template, file: PathBuf) -> MatchedTemplate {
        let covered = template.pixels.image.iter().filter(|value| value.is_finite()).count();
        let folder = |patch: usize| folder(&self.models[patch]).to_owned();
        MatchedTemplate {
            visit: exposure.visit(),
            exposure: exposure.file.path().to_owned(),
            file,
            airmass: template.airmass,
            parallactic_angle_deg: template.parallactic_angle_deg,
            shifts_px: template.shifts.iter().map(|shift| [shift.mean.dx, shift.mean.dy]).collect(),
            covered: covered as f64 / exposure.file.bbox().area().max(1) as f64,
            patches: template.placement.patches().into_iter().map(folder).collect(),
            warped: matches!(template.placement, Placement::Warped(_)),
            scale: exposure.scale.factor,
            offset_px: template.offset_px(),
            flux_excess: template.flux_excess(),
            calibration: template.calibration.clone(),
            model_error: template.model_error,
            psf_of: template.psf_of(),
            psf_fwhm_px: template.psf.as_ref().and_then(|psf| psf.fwhm_px().ok()),
        }
    }

    pub(crate) fn write(
        &self,
        exposure: &Target,
        template: &Template,
        path: &Path,
    ) -> Result<(), DifferenceError> {
        let used = template.placement.patches();
        let mut metadata = self.models[used[0]].metadata.clone();
        metadata.psf_fwhm_px = template.psf.as_ref().and_then(|psf| psf.fwhm_px().ok());
        if matches!(template.placement, Placement::Warped(_)) {
            let runs: Vec<&str> =
                used.iter().map(|patch| self.models[*patch].metadata.run.as_str()).collect();
            metadata.run = runs.join(" ");
        }
        let mut unit = self.models[0].unit.as_str();
        if let Some(zero_point) = exposure.scale.zero_point_mag {
            metadata.zero_point_mag = Some(zero_point);
            unit = exposure.file.unit().unwrap_or(unit);
        }
        let hdus = OutputHdus {
            bbox: exposure.file.bbox(),
            wcs: exposure.file.wcs(),
            unit,
            planes: self.planes,
            psf: template.psf.as_ref(),
            psf_cards: vec![],
            cards: metadata.cards(),
            options: write_options(&self.config.output, true),
        };
        let planes = Planes {
            image: template.pixels.image.view(),
            mask: template.pixels.mask.view(),
            variance: template.pixels.variance.view(),
            n_image: None,
        };
        let exposure_name = exposure.file.path().file_name().unwrap_or_default().to_string_lossy();
        let mut cards = vec![
            Card::new("VISIT", exposure.visit() as i64).with_comment("visit that this is the template of"),
            Card::new("MATCHES", exposure_name.as_ref()).with_comment("its file"),
            Card::new("AIRMASS", template.airmass).with_comment("in the middle of the exposure"),
        ];
        if exposure.scale.factor != 1.0 {
            let about = "exposure's scale over the run's, applied";
            cards.push(Card::new("TMPLSCAL", exposure.scale.factor).with_comment(about));
        }
        if let Some(registration) = &template.registration {
            cards.extend(registration.cards());
        }
        cards.extend(template.calibration.iter().flat_map(calibration_cards));
        cards.extend(template.model_error.map(|fraction| {
            Card::new("MODELERR", fraction).with_comment("error as a fraction of flux, in VARIANCE")
        }));
        Ok(hdus.write(path, &planes, cards, vec![])?)
    }
}
