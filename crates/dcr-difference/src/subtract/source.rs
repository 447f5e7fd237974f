//! Exposures to subtract from, and the source of their templates.

use crate::error::DifferenceError;
use dcr_coadd::InputError;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dcr_image::{Exposure, ExposureFile, MaskPlanes, OpenOptions};

use crate::model::patches::Patches;
use crate::subtract::difference::PairMember;
use crate::summary::PsfOf;
use crate::template::dropped::Dropped;
use crate::template::files::psf_of;
use crate::template::maker::TemplateMaker;
use crate::template::mosaic::GRID_TOLERANCE_PX;
use crate::template::scales::{Calibration, Scale};
use crate::template::target::Target;
use dcr_coadd::GridDifference;
use dcr_coadd::config::SubtractConfig;
use dcr_coadd::inputs::grid_difference;
use dcr_coadd::run::run_log::RunLog;

/// Where templates come from.
pub(super) enum TemplateSource<'a> {
    /// They are made of patches.
    Made(TemplateMaker<'a>, &'a Patches),
    /// They are read, by visit.
    Given(BTreeMap<u64, ExposureFile>),
}

/// An exposure to subtract from.
pub(super) enum ScienceExposure {
    /// Its sky is known, as a template must be made for it.
    WithSky(Box<Target>),
    Alone(Box<ExposureFile>),
}

impl ScienceExposure {
    pub(super) fn file(&self) -> &dyn Exposure {
        match self {
            Self::WithSky(target) => target.file.as_ref(),
            Self::Alone(file) => file.as_ref(),
        }
    }
}

impl TemplateSource<'_> {
    /// The dictionaries of the templates' masks.
    pub(super) fn mask_planes(&self) -> Vec<&MaskPlanes> {
        match self {
            Self::Made(_, patches) => vec![&patches.planes],
            Self::Given(templates) => templates.values().map(ExposureFile::mask_planes).collect(),
        }
    }

    /// Opens exposures; those that cannot be used are dropped, and CCDs of one visit are joined.
    pub(super) fn open_exposures(
        &self,
        paths: &[PathBuf],
        config: &SubtractConfig,
        dropped: &mut Dropped,
        log: &mut RunLog<'_>,
    ) -> Result<Vec<ScienceExposure>, DifferenceError> {
        let input = &config.template.input;
        let mut with_sky = vec![];
        let mut alone = vec![];
        for path in paths {
            match self {
                Self::Made(_, patches) => {
                    let opened = Target::open(path, &patches.models[0], input, true);
                    with_sky.extend(dropped.or_drop(path, opened, log)?.map(|(file, _)| file));
                }
                Self::Given(_) => {
                    let file =
                        ExposureFile::open(path, &input.open_options(path)).map_err(DifferenceError::from);
                    alone.extend(dropped.or_drop(path, file, log)?);
                }
            }
            log.monitor.step(&path.display().to_string());
        }
        dropped.check_any(with_sky.len() + alone.len())?;
        let joined = match self {
            Self::Made(_, patches) => Target::join(with_sky, &patches.models[0], input)?,
            Self::Given(_) => vec![],
        };
        let joined = joined.into_iter().map(|target| ScienceExposure::WithSky(Box::new(target)));
        Ok(joined.chain(alone.into_iter().map(|file| ScienceExposure::Alone(Box::new(file)))).collect())
    }

    /// The template of an exposure in the run's scale, with its scale relative to the exposure, the
    /// exposure's airmass if known, and the origin of the template's PSF for a joint run.
    pub(super) fn template(&self, subject: &ScienceExposure) -> Result<TemplateOf, DifferenceError> {
        let file = subject.file();
        match (self, subject) {
            (Self::Made(maker, patches), ScienceExposure::WithSky(exposure)) => {
                let template = maker.make(exposure)?;
                let (airmass, psf_of) = (Some(template.airmass), template.psf_of());
                let side = PairMember::made(template.pixels, patches.planes.clone(), template.psf);
                Ok(TemplateOf { side, scale: exposure.scale.clone(), airmass, psf_of })
            }
            (Self::Given(templates), _) => {
                let visit = file.visit().visit;
                let template = templates.get(&visit).ok_or_else(|| DifferenceError::NoTemplate {
                    path: file.path().to_owned(),
                    visit,
                    there: templates.keys().map(u64::to_string).collect::<Vec<_>>().join(", "),
                })?;
                check_same_pixels(template, file)?;
                Ok(TemplateOf {
                    side: PairMember::of(template)?,
                    scale: Scale::between(&Calibration::of(file), &Calibration::of(template)),
                    airmass: file.visit().airmass,
                    psf_of: psf_of(template),
                })
            }
            (Self::Made(..), ScienceExposure::Alone(_)) => {
                unreachable!("templates are made for exposures with their sky")
            }
        }
    }
}

/// An exposure's template.
pub(super) struct TemplateOf {
    pub(super) side: PairMember,
    /// Its scale against the exposure's.
    pub(super) scale: Scale,
    /// The exposure's.
    pub(super) airmass: Option<f64>,
    /// Origin of its PSF, for a joint run.
    pub(super) psf_of: Option<PsfOf>,
}

/// Templates by the visits that they are of.
pub(super) fn given_templates(paths: &[PathBuf]) -> Result<BTreeMap<u64, ExposureFile>, DifferenceError> {
    let mut templates: BTreeMap<u64, ExposureFile> = BTreeMap::new();
    for path in paths {
        let file = ExposureFile::open(path, &OpenOptions::default())?;
        let visit = file.visit().visit;
        if let Some(earlier) = templates.get(&visit) {
            return Err(InputError::SameVisit {
                visit,
                first: earlier.path().to_owned(),
                second: path.clone(),
            }
            .into());
        }
        templates.insert(visit, file);
    }
    Ok(templates)
}

/// Refuses two exposures of one visit, whose results would have one name.
pub(super) fn check_visits(subjects: &[ScienceExposure]) -> Result<(), DifferenceError> {
    let mut files: BTreeMap<u64, &Path> = BTreeMap::new();
    for file in subjects.iter().map(ScienceExposure::file) {
        let visit = file.visit().visit;
        if let Some(earlier) = files.insert(visit, file.path()) {
            return Err(InputError::SameVisit {
                visit,
                first: earlier.to_owned(),
                second: file.path().to_owned(),
            }
            .into());
        }
    }
    Ok(())
}

/// Refuses a template that is not on the exposure's pixels.
fn check_same_pixels(template: &dyn Exposure, exposure: &dyn Exposure) -> Result<(), DifferenceError> {
    let (got, expected) = (template.bbox(), exposure.bbox());
    let difference = if got == expected {
        grid_difference(exposure.wcs(), template.wcs(), &expected, GRID_TOLERANCE_PX)
    } else {
        Some(GridDifference::Box { got, expected })
    };
    match difference {
        None => Ok(()),
        Some(difference) => Err(DifferenceError::OtherGrid {
            path: template.path().to_owned(),
            exposure: exposure.path().to_owned(),
            difference: Box::new(difference),
        }),
    }
}
