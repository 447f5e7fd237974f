//! The files of matched templates: exposures are opened, templates made and written.

use crate::error::DifferenceError;
use dcr_coadd::{CoaddError, InputError};
use std::path::{Path, PathBuf};
use std::time::Instant;

use dcr_coadd::Monitor;
use dcr_coadd::config::TemplateConfig;
use dcr_coadd::run::run_log::RunLog;
use dcr_image::fits::{self, OutputFolder};
use dcr_image::{ExposureFile, FitsError};

use crate::model::patches::Patches;
use crate::summary::{PsfOf, TemplateSummary};
use crate::template::dropped::Dropped;
use crate::template::joint_matcher::PSF_OF;
use crate::template::maker::TemplateMaker;
use crate::template::target::Target;

/// Which templates to make, and where to write them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateRequest {
    /// The folders that [`dcr_coadd::assemble`] wrote, one for each patch of the sky.
    pub coadds: Vec<PathBuf>,
    /// Exposures on any pixel grid.
    pub exposures: Vec<PathBuf>,
    /// The folder for `template_<visit>.fits`; for one exposure also a file, ending in `.fits`.
    pub output: PathBuf,
    /// True if existing templates may be replaced.
    pub overwrite: bool,
}

/// Makes and writes the matched template of each exposure.
///
/// Band, refraction, subfilters and rule of displacement are read from the headers of the runs.
/// Displacements vary with position, cell by cell of each patch.
///
/// # Errors
///
/// [`DifferenceError`] if the runs' files are not of runs, or not of one kind; if an exposure
/// overlaps no patch, has another filter, or has no known zenith.
pub fn matched_templates(
    request: &TemplateRequest,
    config: &TemplateConfig,
    monitor: &dyn Monitor,
) -> Result<TemplateSummary, DifferenceError> {
    let started = Instant::now();
    let mut log = RunLog::new(monitor);
    if request.exposures.is_empty() {
        return Err(CoaddError::NoInputs.into());
    }
    log.stage("reading", request.exposures.len())?;
    let patches = Patches::open(&request.coadds)?;
    let mut dropped = Dropped::among(request.exposures.len());
    let mut exposures = Vec::with_capacity(request.exposures.len());
    for path in &request.exposures {
        let opened = Target::open(path, &patches.models[0], &config.input, false);
        let opened = opened.and_then(|(file, scale)| scale.check_unit(path).map(|()| file));
        exposures.extend(dropped.or_drop(path, opened, &mut log)?);
        monitor.step(&path.display().to_string());
    }
    dropped.check_any(exposures.len())?;
    let exposures = Target::join(exposures, &patches.models[0], &config.input)?;
    let (folder, names) = destination(request, &exposures)?;
    log.warn_of_assumptions(exposures.iter().map(|e| (e.visit(), e.sky.notes.as_slice())));

    log.stage("predicting", exposures.len())?;
    let maker = TemplateMaker::new(&patches.models, &patches.planes, config)?;
    let folder = OutputFolder::create_beside(&folder)?;
    let mut templates = Vec::with_capacity(exposures.len());
    for (exposure, name) in exposures.iter().zip(&names) {
        log.go_on()?;
        let path = exposure.file.path();
        let Some(template) = dropped.or_drop(path, maker.make(exposure), &mut log)? else { continue };
        let template = template.scaled(exposure.scale.factor);
        if let Some(text) = &exposure.scale.warning {
            log.warn(format!("visit {}", exposure.visit()), text);
        }
        maker.write(exposure, &template, &folder.staged(name))?;
        let done = maker.summary(exposure, &template, folder.path().join(name));
        if done.covered == 0.0 {
            log.warn(
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
    warn_of_coadds_psf(&of_coadd, templates.len(), &mut log);
    log.warn_of_findings(exposures.iter().map(|exposure| (exposure.visit(), exposure.file.findings())));
    log.go_on()?;
    patches.check_unchanged()?;
    folder.publish(None, |_| false)?;
    Ok(TemplateSummary {
        outcome: dropped.outcome(),
        dropped: dropped.exposures,
        runs: patches.models.iter().map(|model| model.metadata.run.clone()).collect(),
        band: patches.metadata().band.name().into(),
        templates,
        warnings: log.warnings.clone(),
        seconds: started.elapsed().as_secs_f64(),
    })
}

/// The folder and the names of the templates.
///
/// # Errors
///
/// [`DifferenceError`] if two have one name, or one is there and may not be replaced.
fn destination(
    request: &TemplateRequest,
    exposures: &[Target],
) -> Result<(PathBuf, Vec<String>), DifferenceError> {
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
            let name = |e: &Target| format!("template_{}.fits", e.sky.visit.visit);
            (request.output.clone(), exposures.iter().map(name).collect())
        }
    };
    for (i, name) in names.iter().enumerate() {
        if let Some(earlier) = names[..i].iter().position(|other| other == name) {
            return Err(InputError::SameVisit {
                visit: exposures[i].sky.visit.visit,
                first: exposures[earlier].file.path().to_owned(),
                second: exposures[i].file.path().to_owned(),
            }
            .into());
        }
        let path = folder.join(name);
        if !request.overwrite && fits::exists(&path)? {
            return Err(FitsError::Exists { path }.into());
        }
    }
    Ok((folder, names))
}

/// Origin of the PSF of an existing template, if it is of a joint run.
pub(crate) fn psf_of(template: &ExposureFile) -> Option<PsfOf> {
    let word = template.header().text(PSF_OF)?;
    [PsfOf::Exposure, PsfOf::Coadd].into_iter().find(|of| of.word() == word)
}

/// Warns of templates with the coadd's PSF, made for exposures without one: visits and FWHM.
pub(crate) fn warn_of_coadds_psf(templates: &[(u64, Option<f64>)], exposures: usize, log: &mut RunLog<'_>) {
    let [(first, fwhm_px), ..] = templates else { return };
    let width = fwhm_px.map_or_else(String::new, |fwhm| format!(", FWHM {fwhm:.2} px"));
    let subject = match templates {
        [_] => format!("visit {first}"),
        [.., (last, _)] => format!("{} of {exposures} visits, {first} to {last}", templates.len()),
        [] => return,
    };
    log.warn(
        subject,
        format!(
            "The exposure has no PSF: its template has the PSF of the coadd{width}, not its own. Stars leave residuals \
             where the two differ. Give the exposure's PSF (input.psfs), or match the two (subtract.match_psf)."
        ),
    );
}
