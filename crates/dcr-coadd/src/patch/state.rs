//! The state of a patch between survey and solution: exposures, geometry, initial coadds.

use dcr_image::MaskPlanes;
use dcr_solver::PixelList;
use ndarray::{Array2, Zip};

use crate::coadd::mean::{Ingredients, MeanCoadd, mean_coadd};
use crate::coadd::psf_selection::{CoaddPsf, PsfCells, PsfSource, coadd_psf};
use crate::coadd::solver_choice::Solver;
use crate::coadd::template_coadd::{StartingCoadd, UNKNOWN_FWHM_PX, given_coadd, made_coadd};
use crate::config::AssembleConfig;
use crate::error::{CoaddError, InputError};
use crate::geometry::division::Division;
use crate::inputs::pixels::PixelReader;
use crate::model::VARIABLE;
use crate::patch::survey::{BRIGHT_OBJECT, Survey};
use crate::run::run_log::RunLog;

/// The mask plane of pixels whose stated variance is approximate.
pub(crate) const LOW_COVERAGE: &str = "LOW_COVERAGE";

/// A patch that was surveyed, with its standard coadd, starting coadd, sources and PSF.
pub(crate) struct PatchState {
    /// The settings; `solver.method` is that of `solver`.
    pub(crate) config: AssembleConfig,
    pub(crate) solver: Solver,
    pub(crate) survey: Survey,
    pub(crate) division: Division,
    /// The mask planes of everything that is made.
    pub(crate) planes: MaskPlanes,
    /// The standard coadd, without the artefacts known so far.
    pub(crate) plain: MeanCoadd,
    /// The coadd that the solve starts from.
    pub(crate) template: StartingCoadd,
    /// Pixels of sources.
    pub(crate) sources: Array2<bool>,
    /// The PSF of the mean of the exposures.
    pub(crate) psf: CoaddPsf,
    /// Pixels of each visit that were left out of `plain` since it was first made.
    left_out: Vec<PixelList>,
}

impl PatchState {
    /// Makes the initial coadds of visits with these weights.
    ///
    /// # Errors
    ///
    /// [`CoaddError`] if pixels cannot be read, mask planes do not fit into one dictionary, or the
    /// monitor asks to stop.
    pub(crate) fn new(
        survey: Survey,
        division: Division,
        config: AssembleConfig,
        solver: Solver,
        weights: &[f64],
        log: &mut RunLog<'_>,
    ) -> Result<Self, CoaddError> {
        log.stage("coadding", 1)?;
        let planes = planes_of(&survey, solver)?;
        let monitor = log.monitor;
        let reader = PixelReader::new(&config.coadd);
        let ingredients = ingredients(&survey, weights, &reader, &planes, &config);
        let mut plain = mean_coadd(&ingredients, || !monitor.cancelled())?;
        let (template, sources) = survey.starting_coadd(&mut plain, &planes, &config)?;
        let sources_of_psf: Vec<PsfSource<'_>> = survey
            .inputs
            .visits
            .iter()
            .zip(weights)
            .zip(&survey.coverage)
            .map(|((visit, weight), coverage)| PsfSource { psf: visit.file.psf(), weight: *weight, coverage })
            .collect();
        let cells = PsfCells { patch: survey.inputs.bbox, cells: &survey.psf_cells };
        let psf = coadd_psf(&sources_of_psf, &cells, template.psf.as_ref(), config.coadd.select_psfs)?;
        if psf.stamp.is_none() {
            log.warn("PSF", "No visit has a PSF of known width, so the coadds have none.");
        }
        let left_out = vec![vec![]; survey.inputs.visits.len()];
        let state =
            Self { config, solver, survey, division, planes, plain, template, sources, psf, left_out };
        state.warn_without_sources(log);
        log.monitor.step("template");
        Ok(state)
    }

    /// Remakes the initial coadds without these pixels of each visit, as if the masks had them. The
    /// pixels must contain those of earlier calls.
    ///
    /// # Errors
    ///
    /// [`CoaddError`] if pixels cannot be read, or the monitor asks to stop.
    pub(crate) fn leave_out(
        &mut self,
        artefacts: &[PixelList],
        weights: &[f64],
        log: &mut RunLog<'_>,
    ) -> Result<(), CoaddError> {
        if artefacts == self.left_out {
            return Ok(());
        }
        let monitor = log.monitor;
        let reader = PixelReader::new(&self.config.coadd);
        let ingredients = ingredients(&self.survey, weights, &reader, &self.planes, &self.config);
        self.plain.leave_out(artefacts, &self.left_out, &ingredients, || !monitor.cancelled())?;
        self.left_out = artefacts.to_vec();
        let had_sources = self.any_source();
        (self.template, self.sources) =
            self.survey.starting_coadd(&mut self.plain, &self.planes, &self.config)?;
        if had_sources {
            self.warn_without_sources(log);
        }
        Ok(())
    }

    /// The reader of the visits' pixels.
    pub(crate) fn reader(&self) -> PixelReader<'_> {
        PixelReader::new(&self.config.coadd)
    }

    /// Pixels where the starting coadd has no light or is bad.
    pub(crate) fn open(&self) -> Array2<bool> {
        let bad = self.bad_bits();
        Zip::from(&self.template.image)
            .and(&self.template.mask)
            .map_collect(|value, mask| !value.is_finite() || mask & bad != 0)
    }

    /// The mask bits of pixels that carry no data.
    pub(crate) fn bad_bits(&self) -> i32 {
        self.planes.bits_of(&self.config.coadd.bad_mask_planes)
    }

    /// FWHM in px of a visit's PSF in the middle of the patch, with a default where unknown.
    pub(crate) fn fwhm_px(&self, visit: usize) -> f64 {
        let inputs = &self.survey.inputs;
        inputs.visits[visit].fwhm_px(inputs.bbox.centre()).unwrap_or(UNKNOWN_FWHM_PX)
    }

    fn any_source(&self) -> bool {
        self.sources.iter().any(|source| *source)
    }

    fn warn_without_sources(&self, log: &mut RunLog<'_>) {
        if self.any_source() {
            return;
        }
        let text = match self.solver {
            Solver::Joint => "No source is detected in the coadd: colours and offsets are unconstrained.",
            Solver::Iterative => {
                "No source is detected in the starting coadd: every subfilter is its share of it."
            }
        };
        log.warn("sources", text);
    }
}

/// The mask planes of the exposures, the given coadd and this program.
fn planes_of(survey: &Survey, solver: Solver) -> Result<MaskPlanes, CoaddError> {
    let mut planes = survey.inputs.planes(survey.starting.as_deref())?;
    if survey.bright.iter().any(|bright| *bright) {
        planes.insert(BRIGHT_OBJECT).map_err(|source| InputError::Mask {
            path: survey.inputs.visits[0].file.path().to_owned(),
            source,
        })?;
    }
    if solver == Solver::Joint {
        // Without a free bit a plane is left out.
        planes.insert(LOW_COVERAGE).ok();
        planes.insert(VARIABLE).ok();
    }
    Ok(planes)
}

/// The visits as the mean of exposures takes them.
fn ingredients<'a>(
    survey: &'a Survey,
    weights: &'a [f64],
    reader: &'a PixelReader<'a>,
    planes: &'a MaskPlanes,
    config: &'a AssembleConfig,
) -> Ingredients<'a> {
    let (visits, strip_bytes) = (&survey.inputs.visits[..], survey.memory.strip_bytes);
    Ingredients { visits, reader, weights, planes, strip_bytes, config: &config.coadd }
}

impl Survey {
    /// The given coadd, or else the mean of the exposures, as the start of the solve, and its
    /// sources. Pixels of bright objects are marked in both.
    fn starting_coadd(
        &self,
        plain: &mut MeanCoadd,
        planes: &MaskPlanes,
        config: &AssembleConfig,
    ) -> Result<(StartingCoadd, Array2<bool>), CoaddError> {
        let mut template = match self.starting.as_deref() {
            Some(given) => given_coadd(given, plain, planes)?,
            None => made_coadd(plain, planes),
        };
        let bright = planes.bits_of([BRIGHT_OBJECT]);
        for mask in [&mut plain.mask, &mut template.mask] {
            Zip::from(mask).and(&self.bright).for_each(|mask, is_bright| {
                if *is_bright {
                    *mask |= bright;
                }
            });
        }
        let sources = template.sources(&self.inputs.visits, planes, config);
        Ok((template, sources))
    }
}
