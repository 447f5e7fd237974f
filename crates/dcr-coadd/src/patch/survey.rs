//! The survey of a patch: every exposure is read once, and statistics of its pixels are kept.

use std::sync::Arc;

use dcr_image::fits::ScratchFile;
use dcr_image::mask::same_plane;
use dcr_image::{BBox, Exposure};
use dcr_solver::joint::Noise;
use ndarray::Array2;

use super::exposures::Exposures;
use crate::artefacts::given_warps::{GivenWarp, check_given_warps};
use crate::coadd::solver_choice::Solver;
use crate::coadd::template_coadd::check_template;
use crate::config::{AssembleConfig, FindArtefacts};
use crate::error::{CoaddError, InputError};
use crate::geometry::cells::cells;
use crate::geometry::division::Division;
use crate::inputs::background::{SkyTreatment, VisitSky, warn_of_skies};
use crate::inputs::losses::warn_of_masks;
use crate::inputs::mask_settings::check_assembling;
use crate::inputs::pixels::PixelReader;
use crate::inputs::store::{StoredPixels, Stream};
use crate::inputs::weights::{Keep, NOISE_OF_EVERY, VisitSurvey, of_mean_one, survey, visit_weights};
use crate::inputs::{Input, Inputs};
use crate::regions::covered_by;
use crate::run::memory::MemoryPlan;
use crate::run::metadata::run_name;
use crate::run::run_log::RunLog;
use crate::run::summary::Warning;
use dcr_measure::glitches::GlitchCount;

/// The mask plane of the regions of `coadd.bright_objects`.
pub(crate) const BRIGHT_OBJECT: &str = "BRIGHT_OBJECT";

/// The usable exposures and the statistics of their pixels.
pub(crate) struct Survey {
    pub(crate) inputs: Inputs,
    /// The pixels of bright objects.
    pub(crate) bright: Array2<bool>,
    /// The coadd to start from, if one is given.
    pub(crate) starting: Option<Arc<dyn Exposure>>,
    /// The visits' PSF-matched warps, if any are given.
    pub(crate) given: Vec<GivenWarp>,
    /// Clipped mean of each visit's variance.
    pub(crate) variances: Vec<f64>,
    /// How each visit's noise follows signal, for the joint method and to find artefacts.
    pub(crate) noise: Vec<Noise>,
    /// Share of each visit's pixels that are good.
    pub(crate) usable: Vec<f64>,
    /// Pixels of each visit with data, masked or not.
    pub(crate) with_data: Vec<usize>,
    /// The cells of the grid of PSFs, and the share of each visit's pixels there that are good.
    pub(crate) psf_cells: Vec<BBox>,
    pub(crate) coverage: Vec<Vec<f64>>,
    /// Images and flags, if they are kept in memory.
    pub(crate) pixels: Vec<(Array2<f32>, Array2<u8>)>,
    /// The file in which they are else, and each visit's number there.
    pub(crate) on_disk: Option<(Arc<ScratchFile>, Vec<usize>)>,
    pub(crate) memory: MemoryPlan,
    pub(crate) dropped: Vec<Warning>,
}

impl Survey {
    /// Reads every exposure once. Exposures without a usable pixel are dropped, with a warning.
    ///
    /// # Errors
    ///
    /// [`CoaddError`] if none is left, one cannot be read, or the patch does not fit into memory.
    pub(crate) fn take(
        exposures: &Exposures,
        mut inputs: Inputs,
        config: &AssembleConfig,
        solver: Solver,
        log: &mut RunLog<'_>,
    ) -> Result<Self, CoaddError> {
        let bright = covered_by(&config.bright_objects, inputs.bbox, &inputs.wcs);
        if config.coadd.bad_mask_planes.iter().any(|plane| same_plane(plane, BRIGHT_OBJECT)) {
            inputs.exclude(bright.clone());
        }
        let starting = exposures.starting.clone();
        if let Some(starting) = &starting {
            check_template(starting.as_ref(), inputs.visits[0].file.as_ref(), config)?;
        }
        let given_warps = check_given_warps(&exposures.matched, &inputs, config)?;
        let files = inputs.visits.iter().map(|visit| &visit.file);
        let files = files.chain(&starting).chain(given_warps.iter().map(|given| &given.file));
        check_assembling(config, files.map(|file| file.mask_planes()), log)?;
        let memory = MemoryPlan::new(&inputs, solver, config)?;
        let file = match memory.in_memory {
            true => None,
            false => {
                let folder = exposures.scratch.clone().unwrap_or_else(std::env::temp_dir);
                Some(ScratchFile::create(&folder, inputs.visits.len(), inputs.bbox.shape())?)
            }
        };
        let keep = file.as_ref().map_or(Keep::InMemory, Keep::OnDisk);
        let monitor = log.monitor;
        let noise = match (solver, config.artefacts.find) {
            (Solver::Joint, _) => Some(1),
            (Solver::Iterative, FindArtefacts::Off) => None,
            (Solver::Iterative, _) => Some(NOISE_OF_EVERY),
        };
        let reader = PixelReader::new(&config.coadd);
        let psf_cells = cells(&inputs.bbox, [config.psf.grid_spacing; 2]);
        let surveys =
            survey(&inputs.visits, &reader, keep, noise, &psf_cells, &|visit| monitor.step(&visit.name()))?;
        let all = std::mem::take(&mut inputs.visits);
        log.warn_of_findings(all.iter().map(|visit| (visit.number(), visit.file.findings())));
        let count = all.len();
        let mut out = Self {
            inputs,
            bright,
            starting,
            given: vec![],
            variances: vec![],
            noise: vec![],
            usable: vec![],
            with_data: vec![],
            psf_cells,
            coverage: vec![],
            pixels: vec![],
            on_disk: file.map(|file| (Arc::new(file), vec![])),
            memory,
            dropped: vec![],
        };
        let (mut skies, mut losses, mut glitches) = (vec![], vec![], GlitchCount::default());
        let mut given_warps = given_warps.into_iter();
        for (slot, (input, mut survey)) in all.into_iter().zip(surveys).enumerate() {
            let given = given_warps.next();
            let name = input.name();
            glitches.add(&name, survey.glitches.len(), survey.largest_glitch);
            losses.push((name.clone(), std::mem::take(&mut survey.losses)));
            if let Some(variance) = survey.variance {
                let sky = std::mem::take(&mut survey.sky);
                skies.push(VisitSky { visit: name, sky, sigma: variance.sqrt() });
            }
            out.with_data.extend(survey.variance.and(losses.last()).map(|(_, losses)| losses.with_data));
            if out.keep_if_usable(slot, input, survey, log) {
                out.given.extend(given);
            }
        }
        if out.inputs.visits.is_empty() {
            return Err(CoaddError::NothingUsable { count, planes: config.coadd.bad_mask_planes.join(", ") });
        }
        let is_joint = solver == Solver::Joint;
        let calibrates = is_joint && config.joint.calibrates_background();
        warn_of_skies(&skies, SkyTreatment { one_variance: is_joint, calibrates }, log);
        warn_of_masks(&losses, log);
        if let Some(text) = glitches.warning() {
            log.warn("glitches", text);
        }
        log.warn_of_assumptions(
            out.inputs.visits.iter().map(|visit| (visit.number(), visit.sky.notes.as_slice())),
        );
        Ok(out)
    }

    /// Keeps a visit with usable pixels and drops any other; true if kept.
    fn keep_if_usable(
        &mut self,
        slot: usize,
        mut input: Input,
        survey: VisitSurvey,
        log: &mut RunLog<'_>,
    ) -> bool {
        let Some(variance) = survey.variance else {
            let text =
                "It has no usable pixel (all are NaN, masked, or of variance 0 or less), and was dropped.";
            log.warn(input.name(), text);
            self.dropped.push(Warning { subject: input.name(), text: text.into() });
            return false;
        };
        input.glitches = survey.glitches;
        self.inputs.visits.push(input);
        self.variances.push(variance);
        self.noise.extend(survey.noise);
        self.usable.push(survey.usable);
        self.coverage.push(survey.coverage);
        self.pixels.extend(survey.planes);
        if let Some((_, slots)) = &mut self.on_disk {
            slots.push(slot);
        }
        true
    }

    /// Number of good pixels of each visit, before anything was clipped.
    pub(crate) fn good_pixels(&self) -> Vec<usize> {
        let area = self.inputs.bbox.area() as f64;
        self.usable.iter().map(|share| (share * area).round() as usize).collect()
    }

    /// The visits' pixels, for the solver.
    pub(crate) fn take_pixels(&mut self) -> StoredPixels {
        match self.on_disk.take() {
            None => {
                let visits = std::mem::take(&mut self.pixels);
                StoredPixels::InMemory { left_out: vec![vec![]; visits.len()], visits }
            }
            Some((file, slots)) => StoredPixels::OnDisk(Stream::new(file, slots, self.memory.rows_at_a_time)),
        }
    }

    /// The visits' weights, of mean 1.
    ///
    /// # Errors
    ///
    /// [`InputError::NoWeight`] if weights are given, but none for a visit.
    pub(crate) fn weights(
        &self,
        division: &Division,
        config: &AssembleConfig,
    ) -> Result<Vec<f64>, CoaddError> {
        if let Some(given) = &config.visit_weights {
            let weight = |input: &Input| {
                let weight = given.get(&input.number()).copied().filter(|w| *w > 0.0 && w.is_finite());
                let none =
                    || InputError::NoWeight { path: input.file.path().to_owned(), visit: input.number() };
                weight.ok_or_else(none)
            };
            let weights = self.inputs.visits.iter().map(weight).collect::<Result<Vec<_>, _>>()?;
            return Ok(of_mean_one(weights));
        }
        let visits = self.inputs.visits.iter().zip(&self.variances);
        let noise: Vec<(f64, f64)> =
            visits.map(|(input, variance)| (*variance, division.airmass(input))).collect();
        Ok(visit_weights(&noise, &config.coadd))
    }

    /// A hash of settings, visits and coadd that identifies the run.
    pub(crate) fn run_name(&self, weights: &[f64], coadd: &Array2<f32>, config: &AssembleConfig) -> String {
        let settings = serde_json::to_vec(config).unwrap_or_default();
        let mut parts: Vec<Vec<u8>> = vec![env!("CARGO_PKG_VERSION").into(), settings];
        for (visit, weight) in self.inputs.visits.iter().zip(weights) {
            parts.push(visit.number().to_le_bytes().into());
            parts.push(weight.to_le_bytes().into());
        }
        parts.push(coadd.iter().flat_map(|value| value.to_le_bytes()).collect());
        run_name(parts.iter().map(Vec::as_slice))
    }
}
