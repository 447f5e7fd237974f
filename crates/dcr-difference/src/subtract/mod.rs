//! `dcr subtract`: exposures minus their templates, with residuals, and the same for the standard
//! coadd.

pub(crate) mod difference;
pub(crate) mod plain;
pub(crate) mod residual_table;
mod source;

use crate::error::DifferenceError;
use dcr_coadd::{CoaddError, InputError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use dcr_image::fits::{AtomicFile, OutputFolder};
use dcr_image::header::Card;
use dcr_image::{Exposure, FitsError};
use ndarray::Zip;

use self::source::{ScienceExposure, TemplateOf, TemplateSource, check_visits, given_templates};
use crate::model::patches::Patches;
use crate::subtract::difference::{
    Convolution, Difference, PairError, PairMember, subtract as difference_of,
};
use crate::subtract::plain::PlainCoadds;
use crate::subtract::residual_table::{ResidualTable, quoted};
use crate::summary::{PsfOf, SubtractSummary, SubtractedVisit};
use crate::template::dropped::Dropped;
use crate::template::files::warn_of_coadds_psf;
use crate::template::maker::TemplateMaker;
use crate::template::scales::Scale;
use dcr_coadd::Monitor;
use dcr_coadd::config::{SubtractConfig, TableFormat};
use dcr_coadd::inputs::mask_settings::check_subtracting;
use dcr_coadd::run::outputs::{OutputHdus, Planes, SUMMARY, Writer, write_options};
use dcr_coadd::run::run_log::RunLog;
use dcr_measure::glitches::{GlitchCount, largest};
use dcr_measure::residuals::{Detections, ResidualCounts};

/// Noise in a difference, over that of its variances, that is reported. Resampling leaves up to
/// 1.5: neighbouring pixels share noise.
const NOISY: f64 = 1.6;
/// Slopes of the background that are reported, in σ of a pixel from side to side.
const SLOPING: f64 = 0.5;
/// A smaller fraction of searched pixels is reported.
const MOSTLY: f64 = 0.9;

/// Exposures, templates and output folder of a subtraction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubtractRequest {
    /// Folders that [`dcr_coadd::assemble`] wrote, one per patch. Templates are made from them
    /// unless `templates` are given; their standard coadds are subtracted for comparison.
    pub coadds: Vec<PathBuf>,
    /// Existing templates on the pixels of their exposures; their headers state the visit.
    pub templates: Vec<PathBuf>,
    /// The exposures.
    pub exposures: Vec<PathBuf>,
    /// The folder for `difference_<visit>.fits`, the tables of residuals, and `summary.json`.
    pub output: PathBuf,
    /// True if existing results may be replaced.
    pub overwrite: bool,
}

/// Subtracts its template from each exposure, finds the residuals, and writes both.
///
/// # Errors
///
/// [`DifferenceError`] for the first thing that is wrong with settings, runs or templates, or if no
/// exposure can be used; nothing is written then. An exposure that cannot be used is left out, with
/// a warning, if there are others.
pub fn subtract(
    request: &SubtractRequest,
    config: &SubtractConfig,
    monitor: &dyn Monitor,
) -> Result<SubtractSummary, DifferenceError> {
    let started = Instant::now();
    let mut log = RunLog::new(monitor);
    if request.exposures.is_empty() {
        return Err(CoaddError::NoInputs.into());
    }
    if request.coadds.is_empty() && request.templates.is_empty() {
        return Err(DifferenceError::NothingToSubtract);
    }
    Writer::Subtract.check_folder(&request.output)?;
    let folder = OutputFolder::create(&request.output, request.overwrite)?;
    log.stage("reading", request.exposures.len())?;
    let patches = if request.coadds.is_empty() { None } else { Some(Patches::open(&request.coadds)?) };
    let plain = match &patches {
        Some(patches) => PlainCoadds::open(patches)?,
        None => None,
    };
    let source = match &patches {
        Some(patches) if request.templates.is_empty() => TemplateSource::Made(
            TemplateMaker::new(&patches.models, &patches.planes, &config.template)?,
            patches,
        ),
        _ => TemplateSource::Given(given_templates(&request.templates)?),
    };
    let mut dropped = Dropped::among(request.exposures.len());
    let subjects = source.open_exposures(&request.exposures, config, &mut dropped, &mut log)?;
    check_visits(&subjects)?;
    let planes = subjects.iter().map(|subject| subject.file().mask_planes()).chain(source.mask_planes());
    check_subtracting(&config.subtract, planes, &mut log)?;
    let notes = |subject: &'_ ScienceExposure| match subject {
        ScienceExposure::WithSky(exposure) => (exposure.visit(), exposure.sky.notes.clone()),
        ScienceExposure::Alone(file) => (file.visit().visit, vec![]),
    };
    let notes: Vec<_> = subjects.iter().map(notes).collect();
    log.warn_of_assumptions(notes.iter().map(|(visit, notes)| (*visit, notes.as_slice())));

    log.stage("subtracting", subjects.len())?;
    let job = Job { config, source, plain, patches: patches.as_ref() };
    let mut visits = Vec::with_capacity(subjects.len());
    let mut glitches = GlitchCount::default();
    for subject in &subjects {
        log.go_on()?;
        let path = subject.file().path();
        if let Some(done) = dropped.or_drop(path, job.visit(subject), &mut log)? {
            done.warn(&mut log);
            glitches.add(&path.display().to_string(), done.glitches, done.largest_glitch);
            visits.push(job.write(done, &folder)?);
        }
        monitor.step(&path.display().to_string());
    }
    dropped.check_any(visits.len())?;
    if let Some(text) = glitches.warning() {
        log.warn("glitches", text);
    }
    if !config.subtract.match_psf {
        let of_coadd = visits.iter().filter(|done| done.template_psf_of == Some(PsfOf::Coadd));
        let of_coadd: Vec<_> = of_coadd.map(|done| (done.visit, Some(done.psf_fwhm_px))).collect();
        warn_of_coadds_psf(&of_coadd, visits.len(), &mut log);
    }
    let findings = |subject: &ScienceExposure| (subject.file().visit().visit, subject.file().findings());
    log.warn_of_findings(subjects.iter().map(findings));
    let total = |of: &dyn Fn(&SubtractedVisit) -> Option<ResidualCounts>| {
        visits.iter().filter_map(of).fold(ResidualCounts::default(), |mut sum, counts| {
            sum += counts;
            sum
        })
    };
    let summary = SubtractSummary {
        version: env!("CARGO_PKG_VERSION").into(),
        runs: patches.iter().flat_map(|p| &p.models).map(|model| model.metadata.run.clone()).collect(),
        outcome: dropped.outcome(),
        threshold: config.subtract.threshold,
        matched: total(&|visit| Some(visit.matched)),
        plain: job.plain.is_some().then(|| total(&|visit| visit.plain)),
        plain_coadd: job.plain.as_ref().map(|plain| plain.name.into()),
        visits,
        dropped: dropped.exposures,
        warnings: log.warnings.clone(),
        folder: request.output.clone(),
        seconds: started.elapsed().as_secs_f64(),
    };
    let mut json = serde_json::to_string_pretty(&summary).unwrap_or_default();
    json.push('\n');
    write_text(&folder.staged(SUMMARY), &json)?;
    log.go_on()?;
    patches.iter().try_for_each(Patches::check_unchanged)?;
    folder
        .publish(Some(SUMMARY), |name| name.starts_with("difference_") || name.starts_with("residuals_"))?;
    Ok(summary)
}

/// All that is needed to do one visit after the other.
struct Job<'a> {
    config: &'a SubtractConfig,
    source: TemplateSource<'a>,
    plain: Option<PlainCoadds>,
    patches: Option<&'a Patches>,
}

/// An exposure's difference and residuals, before they are written.
struct Subtracted<'a> {
    file: &'a dyn Exposure,
    difference: Difference,
    found: Detections,
    /// Residuals of the standard coadd.
    plain: Option<ResidualCounts>,
    airmass: Option<f64>,
    scale: Scale,
    /// Origin of the template's PSF, for a joint run.
    psf_of: Option<PsfOf>,
    glitches: usize,
    /// Deviation in σ, and parent pixel coordinates.
    largest_glitch: Option<(f64, (i64, i64))>,
}

impl Subtracted<'_> {
    /// Warns of conditions that make the residuals doubtful.
    fn warn(&self, log: &mut RunLog<'_>) {
        let visit = format!("visit {}", self.file.visit().visit);
        if let Some(text) = &self.scale.warning {
            log.warn(visit.clone(), text.clone());
        }
        if let Some(slope) = self.found.background_slope.filter(|slope| *slope > SLOPING) {
            let text = format!(
                "The background of its difference slopes by {slope:.1} σ of a pixel from side to side; the slope was taken out before the \
                 search for residuals (subtract.background), and remains in the image."
            );
            log.warn(visit.clone(), text);
        }
        let factor = self.found.noise_factor;
        if factor > NOISY {
            let text = format!(
                "The noise of its difference is {factor:.2} times the stated noise. Significances use the noise found: faint \
                 ones are missed. Its background, its variances or the PSFs may be wrong."
            );
            log.warn(visit.clone(), text);
        }
        if self.difference.searched() < MOSTLY {
            let text = format!(
                "Only {:.1} % of its good pixels have a template and were searched.",
                100.0 * self.difference.searched()
            );
            log.warn(visit, text);
        }
    }
}

impl Job<'_> {
    /// Makes the difference and finds the residuals of one exposure.
    fn visit<'b>(&self, subject: &'b ScienceExposure) -> Result<Subtracted<'b>, DifferenceError> {
        let file = subject.file();
        let mut exposure = PairMember::of(file)?;
        let fwhm_px = match subject {
            ScienceExposure::WithSky(exposure) => exposure.sky.visit.psf_fwhm_px,
            ScienceExposure::Alone(file) => file.visit().psf_fwhm_px,
        };
        let glitches = exposure.leave_out_glitches(file.psf(), fwhm_px);
        let bbox = exposure.pixels.bbox;
        let TemplateOf { side: template, scale, airmass, psf_of } = self.source.template(subject)?;
        // The matching kernel brings a template in another unit to the exposure's.
        if !self.config.subtract.match_psf {
            scale.check_unit(file.path())?;
        }
        let (mut difference, found) = self.difference(file, &exposure, &template.scaled(scale.factor))?;
        let plain = match &self.plain {
            None => None,
            Some(plain) => {
                let names = || self.patches.map_or_else(String::new, Patches::names);
                let side = plain.on(file, self.config.template.template.warp, names)?.scaled(scale.factor);
                Some(self.difference(file, &exposure, &side)?.1.counts())
            }
        };
        mark(&mut difference, &found);
        let largest_glitch = largest(&glitches)
            .map(|glitch| (glitch.sigmas, (bbox.x0 + glitch.at.1 as i64, bbox.y0 + glitch.at.0 as i64)));
        Ok(Subtracted {
            file,
            difference,
            found,
            plain,
            airmass,
            scale,
            psf_of,
            glitches: glitches.len(),
            largest_glitch,
        })
    }

    /// Writes the difference and the residuals of one exposure.
    fn write(&self, done: Subtracted<'_>, folder: &OutputFolder) -> Result<SubtractedVisit, DifferenceError> {
        let visit = done.file.visit().visit;
        let unit = done.file.unit().or(self.patches.map(Patches::unit)).unwrap_or_default();
        let table = ResidualTable::new(&done.found.residuals, unit);
        let image_name = format!("difference_{visit}.fits");
        let format = self.config.subtract.table;
        let table_name = format!("residuals_{visit}.{}", format.extension());
        self.write_image(&folder.staged(&image_name), &done, unit, &table)?;
        write_text(&folder.staged(&table_name), &self.table_text(&done, &table, format))?;
        Ok(SubtractedVisit {
            visit,
            exposure: done.file.path().to_owned(),
            difference: folder.path().join(image_name),
            residuals: folder.path().join(table_name),
            airmass: done.airmass,
            matched: done.found.counts(),
            plain: done.plain,
            searched: done.difference.searched(),
            scale: done.scale.factor,
            noise_factor: done.found.noise_factor,
            background_slope: done.found.background_slope,
            psf_fwhm_px: done.difference.fwhm_px,
            template_psf_of: done.psf_of,
            matching: done.difference.matching,
        })
    }

    fn difference(
        &self,
        file: &dyn Exposure,
        exposure: &PairMember,
        template: &PairMember,
    ) -> Result<(Difference, Detections), DifferenceError> {
        let path = || file.path().to_owned();
        let difference =
            difference_of(exposure, template, &self.config.subtract).map_err(|error| match error {
                PairError::NoPsf => DifferenceError::NoPsf { path: path() },
                PairError::Match(source) => DifferenceError::Match { path: path(), source },
                PairError::Mask(source) => InputError::Mask { path: path(), source }.into(),
            })?;
        let subtract = &self.config.subtract;
        let found = difference.scene(file.wcs(), subtract.background).search(subtract.threshold);
        Ok((difference, found))
    }

    fn write_image(
        &self,
        path: &Path,
        done: &Subtracted<'_>,
        unit: &str,
        table: &ResidualTable,
    ) -> Result<(), FitsError> {
        let Subtracted { file, difference, .. } = done;
        let name = file.path().file_name().unwrap_or_default().to_string_lossy();
        let convolved = match difference.matching.as_ref().map(|matching| matching.convolved) {
            None => "none",
            Some(Convolution::Template) => "template",
            Some(Convolution::Exposure) => "exposure",
        };
        let mut cards = vec![
            Card::new("DCRVERS", env!("CARGO_PKG_VERSION")).with_comment("version of dcr"),
            Card::new("VISIT", file.visit().visit as i64)
                .with_comment("visit that this is the difference of"),
            Card::new("MATCHES", name.as_ref()).with_comment("its file"),
            Card::new("CONVOLVD", convolved).with_comment("image convolved to match PSFs"),
            Card::new("PSF-FWHM", difference.fwhm_px).with_comment("[px]"),
            Card::new("SEARCHED", difference.searched()).with_comment("fraction of the good pixels searched"),
        ];
        if done.scale.factor != 1.0 {
            let about = "the template was multiplied by this";
            cards.push(Card::new("TMPLSCAL", done.scale.factor).with_comment(about));
        }
        if let Some(zero_point) = done.scale.zero_point_mag {
            cards.push(Card::new("MAGZERO", zero_point).with_comment("[mag] of one unit of the pixels"));
        }
        if let Some(matching) = &difference.matching {
            cards.push(Card::new("KERNSUM", matching.scale).with_comment("ratio of fluxes"));
        }
        if let Some(airmass) = done.airmass {
            cards.push(Card::new("AIRMASS", airmass));
        }
        let hdus = OutputHdus {
            bbox: difference.pixels.bbox,
            wcs: file.wcs(),
            unit,
            planes: &difference.planes,
            psf: Some(&difference.psf),
            psf_cards: vec![],
            cards,
            options: write_options(&self.config.template.output, true),
        };
        let planes = Planes {
            image: difference.pixels.image.view(),
            mask: difference.pixels.mask.view(),
            variance: difference.pixels.variance.view(),
            n_image: None,
        };
        hdus.write(path, &planes, vec![], vec![table.hdu()])
    }

    fn table_text(&self, done: &Subtracted<'_>, table: &ResidualTable, format: TableFormat) -> String {
        let Subtracted { file, found, .. } = done;
        let name = file.path().file_name().unwrap_or_default().to_string_lossy();
        let counts = found.counts();
        let facts = [
            ("visit", file.visit().visit.to_string()),
            ("exposure", quoted(&name)),
            ("threshold", self.config.subtract.threshold.to_string()),
            ("noise_factor", format!("{:.4}", found.noise_factor)),
            ("searched", format!("{:.5}", done.difference.searched())),
            ("template_scale", format!("{:.6}", done.scale.factor)),
            ("positive", counts.positive.to_string()),
            ("negative", counts.negative.to_string()),
            ("dipoles", counts.dipoles.to_string()),
            ("detections", counts.detections.to_string()),
        ];
        table.text(format, &facts)
    }
}

/// Flags the residuals' pixels DETECTED or DETECTED_NEGATIVE.
fn mark(difference: &mut Difference, found: &Detections) {
    let positive = difference.planes.bits_of(["DETECTED"]);
    let negative = difference.planes.bits_of(["DETECTED_NEGATIVE"]);
    Zip::from(&mut difference.pixels.mask).and(&found.footprints).for_each(|mask, sign| match sign {
        1 => *mask |= positive,
        -1 => *mask |= negative,
        _ => {}
    });
}

fn write_text(path: &Path, text: &str) -> Result<(), FitsError> {
    let io = |source| FitsError::Io { path: path.to_owned(), action: "write it", source };
    let mut file = AtomicFile::create(path).map_err(io)?;
    file.write_all(text.as_bytes()).map_err(io)?;
    file.commit().map_err(io)
}
