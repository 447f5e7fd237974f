//! Matched templates: what runs' models predict for other exposures, on the exposures' own pixels (docs/algorithm.md §11).

use std::path::{Path, PathBuf};
use std::time::Instant;

use dcr_image::fits::{self, OutputFolder};
use dcr_image::header::Card;
use dcr_image::{ExposureFile, FitsError, MaskedImage, Stamp};
use dcr_solver::SubfilterShift;

use crate::config::{Method, TemplateConfig};
use crate::dropped::Dropped;
use crate::error::CoaddError;
use crate::exposure::Exposure;
use crate::joint::{JointMatcher, PSF_OF, Registration};
use crate::journal::Journal;
use crate::matcher::Matcher;
use crate::mosaic::{Placement, Sheet};
use crate::outputs::{Canvas, Planes, write_options};
use crate::patches::Patches;
use crate::progress::Monitor;
use crate::summary::{MatchedTemplate, PsfOf, TemplateSummary};

/// Which templates to make, and where to write them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateRequest {
    /// The folders that [`crate::assemble`] wrote, one for each patch of the sky.
    pub coadds: Vec<PathBuf>,
    /// Exposures on any pixel grid.
    pub exposures: Vec<PathBuf>,
    /// The folder for `template_<visit>.fits`; for one exposure also a file, ending in `.fits`.
    pub output: PathBuf,
    /// Whether templates that are there may be replaced.
    pub overwrite: bool,
}

/// Makes and writes the template that matches each exposure.
///
/// Band, refraction, subfilters and rule of displacement are those of the runs, from their headers. The displacements are those of each
/// place, cell by cell of each patch.
///
/// # Errors
///
/// [`CoaddError`] if the runs' files are not of runs, or not of one kind; if no patch lies under an exposure; if an exposure was
/// taken through another filter, or if its zenith cannot be told.
pub fn matched_templates(
    request: &TemplateRequest,
    config: &TemplateConfig,
    monitor: &dyn Monitor,
) -> Result<TemplateSummary, CoaddError> {
    let started = Instant::now();
    let mut journal = Journal::new(monitor);
    if request.exposures.is_empty() {
        return Err(CoaddError::NoInputs);
    }
    journal.stage("reading", request.exposures.len())?;
    let patches = Patches::open(&request.coadds)?;
    let mut dropped = Dropped::among(request.exposures.len());
    let mut exposures = Vec::with_capacity(request.exposures.len());
    for path in &request.exposures {
        let exposure = Exposure::open(path, &patches, &config.input, false);
        let exposure = exposure.and_then(|e| e.scale.check_unit(path).map(|()| e));
        exposures.extend(dropped.or_drop(path, exposure, &mut journal)?);
        monitor.step(&path.display().to_string());
    }
    dropped.check_any(exposures.len())?;
    let exposures = Exposure::join(exposures, &config.input)?;
    let (folder, names) = target(request, &exposures)?;
    journal.warn_of_assumptions(exposures.iter().map(|e| (e.visit(), e.sky.notes.as_slice())));

    journal.stage("predicting", exposures.len())?;
    let maker = TemplateMaker::new(&patches, config)?;
    let folder = OutputFolder::create_beside(&folder)?;
    let mut templates = Vec::with_capacity(exposures.len());
    for (exposure, name) in exposures.iter().zip(&names) {
        journal.go_on()?;
        let path = exposure.file.path();
        let Some(template) = dropped.or_drop(path, maker.make(exposure), &mut journal)? else { continue };
        let template = template.scaled(exposure.scale.factor);
        if let Some(text) = &exposure.scale.warning {
            journal.warn(format!("visit {}", exposure.visit()), text);
        }
        maker.write(exposure, &template, &folder.staged(name))?;
        let done = maker.summary(exposure, &template, folder.path().join(name));
        if done.covered == 0.0 {
            journal.warn(
                format!("visit {}", done.visit),
                "The patches have no data under it: its template is empty.",
            );
        }
        templates.push(done);
        monitor.step(name);
    }
    dropped.check_any(templates.len())?;
    let of_coadd = templates.iter().filter(|done| done.psf_of == Some(PsfOf::Coadd));
    let of_coadd: Vec<_> = of_coadd.map(|done| (done.visit, done.psf_fwhm_px)).collect();
    warn_of_coadds_psf(&of_coadd, templates.len(), &mut journal);
    journal.warn_of_findings(exposures.iter().map(|exposure| (exposure.visit(), exposure.file.findings())));
    journal.go_on()?;
    patches.check_unchanged()?;
    folder.publish(None, |_| false)?;
    Ok(TemplateSummary {
        outcome: dropped.outcome(),
        dropped: dropped.exposures,
        runs: patches.runs.iter().map(|run| run.metadata.run.clone()).collect(),
        band: patches.metadata().band.name().into(),
        templates,
        warnings: journal.warnings.clone(),
        seconds: started.elapsed().as_secs_f64(),
    })
}

impl Template {
    /// Multiplies its pixels.
    fn scaled(mut self, factor: f64) -> Self {
        if factor != 1.0 {
            self.pixels.image *= factor as f32;
            self.pixels.variance *= (factor * factor) as f32;
        }
        self
    }
}

/// The folder and the names of the templates.
///
/// # Errors
///
/// [`CoaddError`] if two have one name, or one is there and may not be replaced.
fn target(request: &TemplateRequest, exposures: &[Exposure]) -> Result<(PathBuf, Vec<String>), CoaddError> {
    let is_file = request.output.extension().is_some_and(|extension| extension == "fits")
        && exposures.len() == 1
        && !fits::is_dir(&request.output)?;
    let (folder, names) = match request.output.file_name() {
        Some(name) if is_file => {
            let parent = request.output.parent().filter(|parent| !parent.as_os_str().is_empty());
            let folder = parent.unwrap_or(Path::new(".")).to_owned();
            (folder, vec![name.to_string_lossy().into_owned()])
        }
        _ => {
            let name = |e: &Exposure| format!("template_{}.fits", e.sky.visit.visit);
            (request.output.clone(), exposures.iter().map(name).collect())
        }
    };
    for (i, name) in names.iter().enumerate() {
        if let Some(earlier) = names[..i].iter().position(|other| other == name) {
            return Err(CoaddError::SameVisit {
                visit: exposures[i].sky.visit.visit,
                first: exposures[earlier].file.path().to_owned(),
                second: exposures[i].file.path().to_owned(),
            });
        }
        let path = folder.join(name);
        if !request.overwrite && fits::exists(&path)? {
            return Err(FitsError::Exists { path }.into());
        }
    }
    Ok((folder, names))
}

/// Whose PSF a template has that was written before, if it is of a joint run.
pub(crate) fn psf_of(template: &ExposureFile) -> Option<PsfOf> {
    let word = template.header().text(PSF_OF)?;
    [PsfOf::Exposure, PsfOf::Coadd].into_iter().find(|of| of.word() == word)
}

/// Warns of templates that have the coadd's PSF, for their exposures have none: given are visits and FWHM.
pub(crate) fn warn_of_coadds_psf(
    templates: &[(u64, Option<f64>)],
    exposures: usize,
    journal: &mut Journal<'_>,
) {
    let [(first, fwhm_px), ..] = templates else { return };
    let width = fwhm_px.map_or_else(String::new, |fwhm| format!(", FWHM {fwhm:.2} px"));
    let subject = match templates {
        [_] => format!("visit {first}"),
        [.., (last, _)] => format!("{} of {exposures} visits, {first} to {last}", templates.len()),
        [] => return,
    };
    journal.warn(
        subject,
        format!(
            "The exposure has no PSF: its template has the PSF of the coadd{width}, not its own. Stars leave residuals \
             where the two differ. Give the exposure's PSF (input.psfs), or match the two (subtract.match_psf, dcr \
             subtract --match)."
        ),
    );
}

/// Makes the templates of exposures from patches.
pub(crate) struct TemplateMaker<'a> {
    patches: &'a Patches,
    config: &'a TemplateConfig,
    matchers: Vec<Matcher<'a>>,
    /// Of the runs that are joint ones.
    joint: Vec<Option<JointMatcher<'a>>>,
    sheets: Vec<Sheet<'a>>,
}

/// A template on its exposure's pixels, before it is written.
pub(crate) struct Template {
    /// The mask is in the patches' dictionary.
    pub(crate) pixels: MaskedImage,
    pub(crate) psf: Option<Stamp>,
    pub(crate) placement: Placement,
    /// If it is of a joint run.
    registration: Option<Registration>,
    /// In the middle of the exposure, as the next two.
    shifts: Vec<SubfilterShift>,
    pub(crate) airmass: f64,
    pub(crate) parallactic_angle_deg: f64,
}

impl Template {
    /// Whose PSF it has, if it is of a joint run.
    pub(crate) fn psf_of(&self) -> Option<PsfOf> {
        self.registration.as_ref().map(|registration| registration.psf_of)
    }
}

impl<'a> TemplateMaker<'a> {
    /// # Errors
    ///
    /// As [`Matcher::new`].
    pub(crate) fn new(patches: &'a Patches, config: &'a TemplateConfig) -> Result<Self, CoaddError> {
        let matchers = patches.runs.iter().map(|run| Matcher::new(run, &patches.planes, &config.template));
        let matchers = matchers.collect::<Result<_, CoaddError>>()?;
        let joint = patches.runs.iter().map(|run| match run.metadata.method {
            Method::Joint => JointMatcher::new(run, &patches.planes, &config.template).map(Some),
            Method::Auto | Method::Iterative => Ok(None),
        });
        let joint = joint.collect::<Result<_, CoaddError>>()?;
        let sheets =
            patches.runs.iter().map(|run| Sheet { bbox: run.bbox(), wcs: run.files[0].wcs() }).collect();
        Ok(Self { patches, config, matchers, joint, sheets })
    }

    /// Keeps in memory what the templates of many exposures are made from. What a joint run's are made from is kept as it is.
    ///
    /// # Errors
    ///
    /// [`CoaddError`] if a run cannot be read.
    pub(crate) fn keep_models(&mut self) -> Result<(), CoaddError> {
        let matchers = self.matchers.iter_mut().zip(&self.joint);
        matchers.filter(|(_, joint)| joint.is_none()).try_for_each(|(matcher, _)| matcher.keep_model())
    }

    /// Predicts what the exposure sees, patch by patch, and brings it to the exposure's pixels.
    ///
    /// # Errors
    ///
    /// [`CoaddError`] if no patch lies under the exposure, or a file cannot be read.
    pub(crate) fn make(&self, exposure: &Exposure) -> Result<Template, CoaddError> {
        let (file, sky) = (&exposure.file, &exposure.sky);
        let (own, kernel) = (file.bbox(), self.config.template.warp);
        let placement = Placement::find(file, &self.sheets, kernel, || self.patches.names())?;
        let mut registration = None;
        let pixels = placement.pixels(own, &self.sheets, kernel, self.patches.no_data(), |patch, part| {
            let Some(joint) = &self.joint[patch] else {
                return self.matchers[patch].predict(file.path(), sky, part);
            };
            let warp = matches!(placement, Placement::Warped(_)).then_some(kernel);
            let (pixels, registered) = joint.predict(exposure, part, warp)?;
            registration = Some(registered);
            Ok(pixels)
        })?;
        let psf = match &registration {
            Some(Registration { psf_of: PsfOf::Exposure, .. }) => JointMatcher::own_psf(exposure)?,
            _ => placement.psf(&own, kernel, |patch, place| self.matchers[patch].psf_at(place))?,
        };
        let (x, y) = own.centre();
        let wcs_error = |source| CoaddError::Wcs { path: file.path().to_owned(), source };
        let local = sky.at(file.wcs().pixel_to_sky(x, y).map_err(wcs_error)?);
        Ok(Template {
            pixels,
            psf,
            placement,
            registration,
            shifts: self.matchers[0].shifts(file.path(), sky, file.wcs(), &own)?,
            airmass: local.airmass,
            parallactic_angle_deg: local.parallactic_angle.degrees(),
        })
    }

    fn summary(&self, exposure: &Exposure, template: &Template, file: PathBuf) -> MatchedTemplate {
        let covered = template.pixels.image.iter().filter(|value| value.is_finite()).count();
        let folder = |patch: usize| self.patches.runs[patch].folder().to_owned();
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
            offset_px: template.registration.as_ref().and_then(|found| found.offset_px),
            flux_excess: template.registration.as_ref().and_then(|found| found.flux_excess),
            psf_of: template.psf_of(),
            psf_fwhm_px: template.psf.as_ref().and_then(|psf| psf.fwhm_px().ok()),
        }
    }

    fn write(&self, exposure: &Exposure, template: &Template, path: &Path) -> Result<(), CoaddError> {
        let used = template.placement.patches();
        let mut metadata = self.patches.runs[used[0]].metadata.clone();
        metadata.psf_fwhm_px = template.psf.as_ref().and_then(|psf| psf.fwhm_px().ok());
        if matches!(template.placement, Placement::Warped(_)) {
            let runs: Vec<&str> =
                used.iter().map(|patch| self.patches.runs[*patch].metadata.run.as_str()).collect();
            metadata.run = runs.join(" ");
        }
        let mut unit = self.patches.unit();
        if let Some(zero_point) = exposure.scale.zero_point_mag {
            metadata.zero_point_mag = Some(zero_point);
            unit = exposure.file.unit().unwrap_or(unit);
        }
        let canvas = Canvas {
            bbox: exposure.file.bbox(),
            wcs: exposure.file.wcs(),
            unit,
            planes: &self.patches.planes,
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
        Ok(canvas.write(path, &planes, cards, vec![])?)
    }
}
