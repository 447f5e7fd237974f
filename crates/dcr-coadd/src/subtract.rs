//! `dcr subtract`: exposures minus their templates, what is left, and what would be left with the plain coadd.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use dcr_image::fits::{AtomicFile, OutputFolder};
use dcr_image::header::{Card, unit};
use dcr_image::{ExposureFile, FitsError, MaskPlanes, OpenOptions};
use ndarray::Zip;

use crate::config::{SubtractConfig, TableFormat};
use crate::difference::{Convolution, Difference, DifferenceError, Side, subtract as difference_of};
use crate::error::{CoaddError, GridDifference};
use crate::exposure::Exposure;
use crate::inputs::grid_difference;
use crate::journal::Journal;
use crate::mask_settings::check_subtracting;
use crate::mosaic::GRID_TOLERANCE_PX;
use crate::outputs::{Canvas, Planes, SUMMARY, Writer, write_options};
use crate::patches::Patches;
use crate::plain::PlainCoadds;
use crate::progress::Monitor;
use crate::residual_table::{ResidualTable, quoted};
use crate::residuals::{Found, ResidualCounts, Scene};
use crate::summary::{PsfOf, SubtractSummary, SubtractedVisit};
use crate::template::{TemplateMaker, psf_of, warn_of_coadds_psf};

/// What to subtract from what, and where to write it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubtractRequest {
    /// The folders that [`crate::assemble`] wrote, one for each patch: templates are made of them, unless `templates` are given, and
    /// their plain coadds are what these are compared with.
    pub coadds: Vec<PathBuf>,
    /// Templates made before, on the pixels of their exposures; they tell their visits.
    pub templates: Vec<PathBuf>,
    /// The exposures.
    pub exposures: Vec<PathBuf>,
    /// The folder for `difference_<visit>.fits`, the tables of residuals, and `summary.json`.
    pub output: PathBuf,
    /// Whether results that are there may be replaced.
    pub overwrite: bool,
}

/// Subtracts its template from each exposure, finds the residuals, and writes both.
///
/// # Errors
///
/// [`CoaddError`] for the first thing that is wrong with settings or files; nothing is written then.
pub fn subtract(
    request: &SubtractRequest,
    config: &SubtractConfig,
    monitor: &dyn Monitor,
) -> Result<SubtractSummary, CoaddError> {
    let started = Instant::now();
    let mut journal = Journal::new(monitor);
    if request.exposures.is_empty() {
        return Err(CoaddError::NoInputs);
    }
    if request.coadds.is_empty() && request.templates.is_empty() {
        return Err(CoaddError::NothingToSubtract);
    }
    Writer::Subtract.check_folder(&request.output)?;
    let folder = OutputFolder::create(&request.output, request.overwrite)?;
    journal.stage("reading", request.exposures.len())?;
    let patches = if request.coadds.is_empty() { None } else { Some(Patches::open(&request.coadds)?) };
    let plain = match &patches {
        Some(patches) => PlainCoadds::open(patches)?,
        None => None,
    };
    let source = match &patches {
        Some(patches) if request.templates.is_empty() => {
            TemplateSource::Made(TemplateMaker::new(patches, &config.template)?, patches)
        }
        _ => TemplateSource::Given(given_templates(&request.templates)?),
    };
    let subjects = source.open_exposures(&request.exposures, config, monitor)?;
    check_visits(&subjects)?;
    let planes = subjects.iter().map(|subject| subject.file().mask_planes()).chain(source.mask_planes());
    check_subtracting(&config.subtract, planes, &mut journal)?;
    let notes = |subject: &'_ Subject| match subject {
        Subject::WithSky(exposure) => (exposure.visit(), exposure.sky.notes.clone()),
        Subject::Alone(file) => (file.visit().visit, vec![]),
    };
    let notes: Vec<_> = subjects.iter().map(notes).collect();
    journal.warn_of_assumptions(notes.iter().map(|(visit, notes)| (*visit, notes.as_slice())));

    journal.stage("subtracting", subjects.len())?;
    let job = Job { config, source, plain, patches: patches.as_ref() };
    let mut visits = Vec::with_capacity(subjects.len());
    for subject in &subjects {
        journal.go_on()?;
        visits.push(job.visit(subject, &folder)?);
        monitor.step(&subject.file().path().display().to_string());
    }
    if !config.subtract.match_psf {
        let of_coadd = visits.iter().filter(|done| done.template_psf_of == Some(PsfOf::Coadd));
        let of_coadd: Vec<_> = of_coadd.map(|done| (done.visit, Some(done.psf_fwhm_px))).collect();
        warn_of_coadds_psf(&of_coadd, visits.len(), &mut journal);
    }
    let findings = |subject: &Subject| (subject.file().visit().visit, subject.file().findings());
    journal.warn_of_findings(subjects.iter().map(findings));
    let total = |of: &dyn Fn(&SubtractedVisit) -> Option<ResidualCounts>| {
        visits.iter().filter_map(of).fold(ResidualCounts::default(), |mut sum, counts| {
            sum += counts;
            sum
        })
    };
    let summary = SubtractSummary {
        version: env!("CARGO_PKG_VERSION").into(),
        runs: patches.iter().flat_map(|p| &p.runs).map(|run| run.metadata.run.clone()).collect(),
        threshold: config.subtract.threshold,
        matched: total(&|visit| Some(visit.matched)),
        plain: job.plain.is_some().then(|| total(&|visit| visit.plain)),
        plain_coadd: job.plain.as_ref().map(|plain| plain.name.into()),
        visits,
        warnings: journal.warnings.clone(),
        folder: request.output.clone(),
        seconds: started.elapsed().as_secs_f64(),
    };
    let mut json = serde_json::to_string_pretty(&summary).unwrap_or_default();
    json.push('\n');
    write_text(&folder.staged(SUMMARY), &json)?;
    journal.go_on()?;
    patches.iter().try_for_each(Patches::check_unchanged)?;
    folder.publish(Some(SUMMARY), |name| {
        name.starts_with("difference_") || name.starts_with("residuals_")
    })?;
    Ok(summary)
}

/// Where templates come from.
enum TemplateSource<'a> {
    /// They are made of patches.
    Made(TemplateMaker<'a>, &'a Patches),
    /// They are read, by visit.
    Given(BTreeMap<u64, ExposureFile>),
}

/// An exposure to subtract from.
enum Subject {
    /// Its sky is known, as a template must be made for it.
    WithSky(Box<Exposure>),
    Alone(Box<ExposureFile>),
}

impl Subject {
    fn file(&self) -> &ExposureFile {
        match self {
            Self::WithSky(exposure) => &exposure.file,
            Self::Alone(file) => file,
        }
    }
}

impl TemplateSource<'_> {
    /// The dictionaries of the templates' masks.
    fn mask_planes(&self) -> Vec<&MaskPlanes> {
        match self {
            Self::Made(_, patches) => vec![&patches.planes],
            Self::Given(templates) => templates.values().map(ExposureFile::mask_planes).collect(),
        }
    }

    fn open_exposures(
        &self,
        paths: &[PathBuf],
        config: &SubtractConfig,
        monitor: &dyn Monitor,
    ) -> Result<Vec<Subject>, CoaddError> {
        let input = &config.template.input;
        let opened = |path: &Path| monitor.step(&path.display().to_string());
        match self {
            Self::Made(_, patches) => {
                let exposures = Exposure::open_all(paths, patches, input, true, opened)?;
                Ok(exposures.into_iter().map(|exposure| Subject::WithSky(Box::new(exposure))).collect())
            }
            Self::Given(_) => paths
                .iter()
                .map(|path| {
                    let file = ExposureFile::open(path, &input.open_options(path))?;
                    opened(path);
                    Ok(Subject::Alone(Box::new(file)))
                })
                .collect(),
        }
    }

    /// The template of an exposure, its unit if it is known, the exposure's airmass likewise, and whose PSF the template has if
    /// it is of a joint run.
    fn template(&self, subject: &Subject) -> Result<TemplateOf, CoaddError> {
        let file = subject.file();
        match (self, subject) {
            (Self::Made(maker, patches), Subject::WithSky(exposure)) => {
                let template = maker.make(exposure)?;
                let unit = Some(patches.unit().to_owned()).filter(|unit| !unit.is_empty());
                let (airmass, psf_of) = (Some(template.airmass), template.psf_of());
                let side = Side::made(template.pixels, patches.planes.clone(), template.psf);
                Ok(TemplateOf { side, unit, airmass, psf_of })
            }
            (Self::Given(templates), _) => {
                let visit = file.visit().visit;
                let template = templates.get(&visit).ok_or_else(|| CoaddError::NoTemplate {
                    path: file.path().to_owned(),
                    visit,
                    there: templates.keys().map(u64::to_string).collect::<Vec<_>>().join(", "),
                })?;
                check_same_pixels(template, file)?;
                Ok(TemplateOf {
                    side: Side::of(template)?,
                    unit: template.unit().map(str::to_owned),
                    airmass: file.visit().airmass,
                    psf_of: psf_of(template),
                })
            }
            (Self::Made(..), Subject::Alone(_)) => {
                unreachable!("templates are made for exposures with their sky")
            }
        }
    }
}

/// An exposure's template.
struct TemplateOf {
    side: Side,
    unit: Option<String>,
    /// The exposure's.
    airmass: Option<f64>,
    psf_of: Option<PsfOf>,
}

/// Templates by the visits that they are of.
fn given_templates(paths: &[PathBuf]) -> Result<BTreeMap<u64, ExposureFile>, CoaddError> {
    let mut templates: BTreeMap<u64, ExposureFile> = BTreeMap::new();
    for path in paths {
        let file = ExposureFile::open(path, &OpenOptions::default())?;
        let visit = file.visit().visit;
        if let Some(earlier) = templates.get(&visit) {
            return Err(CoaddError::SameVisit {
                visit,
                first: earlier.path().to_owned(),
                second: path.clone(),
            });
        }
        templates.insert(visit, file);
    }
    Ok(templates)
}

/// Refuses two exposures of one visit, whose results would have one name.
fn check_visits(subjects: &[Subject]) -> Result<(), CoaddError> {
    let mut files: BTreeMap<u64, &Path> = BTreeMap::new();
    for file in subjects.iter().map(Subject::file) {
        let visit = file.visit().visit;
        if let Some(earlier) = files.insert(visit, file.path()) {
            return Err(CoaddError::SameVisit {
                visit,
                first: earlier.to_owned(),
                second: file.path().to_owned(),
            });
        }
    }
    Ok(())
}

/// Refuses a template that is not on the exposure's pixels.
fn check_same_pixels(template: &ExposureFile, exposure: &ExposureFile) -> Result<(), CoaddError> {
    let (got, expected) = (template.bbox(), exposure.bbox());
    let difference = if got == expected {
        grid_difference(exposure.wcs(), template.wcs(), &expected, GRID_TOLERANCE_PX)
    } else {
        Some(GridDifference::Box { got, expected })
    };
    match difference {
        None => Ok(()),
        Some(difference) => Err(CoaddError::OtherGrid {
            path: template.path().to_owned(),
            exposure: exposure.path().to_owned(),
            difference: Box::new(difference),
        }),
    }
}

/// All that is needed to do one visit after the other.
struct Job<'a> {
    config: &'a SubtractConfig,
    source: TemplateSource<'a>,
    plain: Option<PlainCoadds>,
    patches: Option<&'a Patches>,
}

impl Job<'_> {
    /// Makes and writes the difference and the residuals of one exposure.
    fn visit(&self, subject: &Subject, folder: &OutputFolder) -> Result<SubtractedVisit, CoaddError> {
        let file = subject.file();
        let exposure = Side::of(file)?;
        let TemplateOf { side: template, unit, airmass, psf_of } = self.source.template(subject)?;
        self.check_unit(file, unit.as_deref())?;
        let (mut difference, found) = self.difference(file, &exposure, &template)?;
        drop(template);
        let plain = match &self.plain {
            None => None,
            Some(plain) => {
                let names = || self.patches.map_or_else(String::new, Patches::names);
                let side = plain.on(file, self.config.template.template.warp, names)?;
                Some(self.difference(file, &exposure, &side)?.1.counts())
            }
        };
        mark(&mut difference, &found);
        let visit = file.visit().visit;
        let unit = file.unit().map(str::to_owned).or(unit).unwrap_or_default();
        let table = ResidualTable::new(&found.residuals, &unit);
        let image_name = format!("difference_{visit}.fits");
        let format = self.config.subtract.table;
        let table_name = format!("residuals_{visit}.{}", format.extension());
        self.write(&folder.staged(&image_name), file, &difference, &unit, airmass, &table)?;
        write_text(&folder.staged(&table_name), &self.table_text(file, &found, &table, format))?;
        Ok(SubtractedVisit {
            visit,
            exposure: file.path().to_owned(),
            difference: folder.path().join(image_name),
            residuals: folder.path().join(table_name),
            airmass,
            matched: found.counts(),
            plain,
            noise_factor: found.noise_factor,
            psf_fwhm_px: difference.fwhm_px,
            template_psf_of: psf_of,
            matching: difference.matching,
        })
    }

    /// Refuses a template in another unit, unless the matching kernel brings it to the exposure's.
    fn check_unit(&self, file: &ExposureFile, unit: Option<&str>) -> Result<(), CoaddError> {
        match (file.unit(), unit) {
            (Some(own), Some(unit)) if !unit::same(own, unit) && !self.config.subtract.match_psf => {
                Err(CoaddError::OtherUnit {
                    path: file.path().to_owned(),
                    unit: own.into(),
                    expected: unit.into(),
                })
            }
            _ => Ok(()),
        }
    }

    fn difference(
        &self,
        file: &ExposureFile,
        exposure: &Side,
        template: &Side,
    ) -> Result<(Difference, Found), CoaddError> {
        let path = || file.path().to_owned();
        let difference =
            difference_of(exposure, template, &self.config.subtract).map_err(|error| match error {
                DifferenceError::NoPsf => CoaddError::NoPsf { path: path() },
                DifferenceError::Match(source) => CoaddError::Match { path: path(), source },
                DifferenceError::Mask(source) => CoaddError::Mask { path: path(), source },
            })?;
        let found = Scene::of(&difference, file.wcs()).search(self.config.subtract.threshold);
        Ok((difference, found))
    }

    fn write(
        &self,
        path: &Path,
        file: &ExposureFile,
        difference: &Difference,
        unit: &str,
        airmass: Option<f64>,
        table: &ResidualTable,
    ) -> Result<(), FitsError> {
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
        ];
        if let Some(matching) = &difference.matching {
            cards.push(Card::new("KERNSUM", matching.scale).with_comment("ratio of fluxes"));
        }
        if let Some(airmass) = airmass {
            cards.push(Card::new("AIRMASS", airmass));
        }
        let canvas = Canvas {
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
        canvas.write(path, &planes, vec![], vec![table.hdu()])
    }

    fn table_text(
        &self,
        file: &ExposureFile,
        found: &Found,
        table: &ResidualTable,
        format: TableFormat,
    ) -> String {
        let name = file.path().file_name().unwrap_or_default().to_string_lossy();
        let counts = found.counts();
        let facts = [
            ("visit", file.visit().visit.to_string()),
            ("exposure", quoted(&name)),
            ("threshold", self.config.subtract.threshold.to_string()),
            ("noise_factor", format!("{:.4}", found.noise_factor)),
            ("positive", counts.positive.to_string()),
            ("negative", counts.negative.to_string()),
            ("dipoles", counts.dipoles.to_string()),
            ("detections", counts.detections.to_string()),
        ];
        table.text(format, &facts)
    }
}

/// Flags the residuals' pixels DETECTED or DETECTED_NEGATIVE.
fn mark(difference: &mut Difference, found: &Found) {
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
