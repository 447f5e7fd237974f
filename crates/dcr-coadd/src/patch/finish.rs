//! From the state of a patch to its solution, and from the solution to the results.

use std::sync::Arc;

use dcr_image::fits::peak_memory;
use dcr_image::psf::{StampError, StampGrid};
use dcr_image::{Psf, Stamp};
use dcr_measure::noise_correlation::NoiseCorrelation;
use dcr_solver::iterative;
use dcr_solver::joint::JointSolution;
use dcr_solver::{Observations, PixelList};
use ndarray::{Array2, ArrayView2, Zip};

use super::products::{Coadd, Coadds};
use super::state::PatchState;
use crate::artefacts::Artefacts;
use crate::coadd::coadd_psfs::CoaddPsfs;
use crate::coadd::psf_selection::{CoaddPsf, PsfCells, average};
use crate::coadd::residual_rms::residual_rms;
use crate::coadd::solved_planes::SolvedPlanes;
use crate::coadd::solver_choice::Solver;
use crate::config::FindArtefacts;
use crate::error::CoaddError;
use crate::inputs::Input;
use crate::inputs::input_map::input_bits;
use crate::inputs::losses::remark_on_loss;
use crate::inputs::store::Store;
use crate::joint::{
    PatchVisits, joint_spectrum, joint_summary, solve_patch, warn_of_flux_scales, warn_of_offsets,
};
use crate::model::{JointModel, Model, ModelContent, ModelPlane};
use crate::run::metadata::RunMetadata;
use crate::run::run_log::RunLog;
use crate::run::status_notes::status_notes;
use crate::run::summary::{JointSummary, Outcome, RegionSummary, Summary, TemplateSource, VisitSummary};

/// The Julian date at which modified Julian dates begin.
const MJD_ZERO: f64 = 2_400_000.5;

/// The solution of either solver.
pub(super) enum Solution {
    Iterative(Box<iterative::Solution>),
    Joint(Box<JointSolution>),
}

impl Solution {
    /// Solves a patch.
    ///
    /// # Errors
    ///
    /// [`CoaddError`] if pixels cannot be read, a visit lacks what the solver needs, or the monitor
    /// asks to stop.
    pub(super) fn of(state: &PatchState, store: &Store, log: &mut RunLog<'_>) -> Result<Self, CoaddError> {
        let PatchState { config, division, survey, template, sources, .. } = state;
        if state.solver == Solver::Iterative {
            let bad_bits = state.bad_bits();
            let bad = template.mask.mapv(|mask| mask & bad_bits != 0);
            let solution = division.solve(store, &template.image, sources, &bad, config, log)?;
            return Ok(Self::Iterative(Box::new(solution)));
        }
        let spectrum = joint_spectrum(&division.band.band, division.grid())?;
        let mut joint = config.joint.clone();
        joint.rarity = config.artefacts.rarity();
        if config.artefacts.find == FindArtefacts::Off {
            joint.clip_rounds.clear();
        }
        let shape = survey.inputs.bbox.shape();
        let solution = solve_patch(&state.visits(store)?, shape, &spectrum, &joint, log)?;
        if let Some(warning) = solution.identifiability.warning() {
            log.warn("colours", format!("Here {warning}"));
        }
        warn_of_flux_scales(&solution, &survey.inputs, log);
        warn_of_offsets(&solution, &survey.inputs, log);
        Ok(Self::Joint(Box::new(solution)))
    }
}

impl PatchState {
    /// The visits as the joint solver asks for them.
    fn visits<'a>(&'a self, store: &'a Store) -> Result<PatchVisits<'a>, CoaddError> {
        PatchVisits::new(store, &self.survey.inputs, &self.division.plan, &self.survey.noise)
    }
}

/// Makes the results of a solved patch. `artefacts` are the pixels that search and solver left out.
pub(super) fn finish(
    state: PatchState,
    store: Store,
    solution: Solution,
    artefacts: Artefacts,
    log: &mut RunLog<'_>,
) -> Result<Coadds, CoaddError> {
    log.stage("finishing", 1)?;
    let inputs = &state.survey.inputs;
    // The store does not hold these, and could not give them back.
    let glitches: Vec<PixelList> = inputs.visits.iter().map(|visit| visit.glitches.clone()).collect();
    let artefacts = artefacts.and(&glitches);
    artefacts.warn_of_losses(&inputs.visits, &state.survey.good_pixels(), log);
    let clipped = artefacts.anywhere(inputs.bbox.shape());
    let cells = PsfCells { patch: inputs.bbox, cells: &state.survey.psf_cells };
    let bad = state.bad_bits();
    let (planes, psfs, joint) = match solution {
        Solution::Iterative(solution) => {
            let planes = SolvedPlanes::of_iteration(&state, &store, &clipped, *solution);
            let grid = state.division.grid();
            let psfs = CoaddPsfs::of_coadds(&state.psf, &planes, bad, &cells, grid, &state.config, log)?;
            (planes, psfs, None)
        }
        Solution::Joint(solution) => {
            let own = CoaddPsf::of_solution(&solution)?;
            let summary = joint_summary(&solution, inputs, own.fwhm_px);
            let visits = state.visits(&store)?;
            let planes = SolvedPlanes::of_joint_solution(&state, &clipped, &visits, &solution)?;
            let psfs = CoaddPsfs::of_solution(&own, &planes, bad, &cells, &state.config, log);
            (planes, psfs, Some((solution, summary)))
        }
    };
    let residual_rms = match &joint {
        Some((_, summary)) => summary.visits.iter().map(|visit| Some(visit.chi2.sqrt())).collect(),
        None => residual_rms(&planes, &state.division, &store, &state.survey.variances, &state.config)?,
    };
    let input_map = match state.config.output.input_map {
        true => Some(input_bits(&store, inputs.bbox.shape())?),
        false => None,
    };
    let run = state.survey.run_name(&store.weights, &planes.sum.image, &state.config);
    let metadata =
        state.division.metadata(&run, psfs.coadd.fwhm_px, inputs.zero_point_mag, &state.config, state.solver);
    let finished = Finished { state, store, planes, psfs, residual_rms, artefacts, metadata };
    let coadds = finished.results(joint, input_map, log)?;
    log.monitor.step("coadds");
    Ok(coadds)
}

/// A solved patch whose planes and PSFs are known.
struct Finished {
    state: PatchState,
    store: Store,
    planes: SolvedPlanes,
    psfs: CoaddPsfs,
    /// By visit.
    residual_rms: Vec<Option<f64>>,
    artefacts: Artefacts,
    metadata: RunMetadata,
}

impl Finished {
    fn results(
        self,
        joint: Option<(Box<JointSolution>, JointSummary)>,
        input_map: Option<Vec<Array2<i32>>>,
        log: &mut RunLog<'_>,
    ) -> Result<Coadds, CoaddError> {
        let joint_summary = joint.as_ref().map(|(_, summary)| summary.clone());
        let summary = self.summary(joint_summary, log);
        let sum_noise = summary.noise_correlation;
        let model = self.model(joint.as_ref().map(|(solution, _)| &**solution))?;
        let identifiability = joint.map(|(solution, _)| solution.identifiability);
        let plain_noise = self.noise(self.state.plain.image.view(), self.state.plain.variance.view());
        let noise: Vec<_> = self
            .planes
            .subfilters
            .iter()
            .map(|plane| self.noise(plane.image.view(), plane.variance.view()))
            .collect();
        let Self { state, planes, psfs, artefacts, metadata, .. } = self;
        let mask = Arc::new(planes.mask);
        let (band, ranges) = (state.division.band.band.range(), state.division.grid().subfilters().to_vec());
        let subfilters = planes.subfilters.into_iter().zip(psfs.subfilters).zip(noise).zip(ranges);
        let subfilters = subfilters
            .map(|(((plane, psf), noise), range)| Coadd {
                image: plane.image,
                variance: plane.variance,
                mask: Arc::clone(&mask),
                n_image: plane.n_image,
                psf,
                noise,
                range,
            })
            .collect();
        let sum = Coadd {
            image: planes.sum.image,
            variance: planes.sum.variance,
            mask,
            n_image: planes.sum.n_image,
            psf: psfs.coadd,
            noise: sum_noise,
            range: band,
        };
        let plain = Coadd {
            image: state.plain.image,
            variance: state.plain.variance,
            mask: Arc::new(state.plain.mask),
            n_image: state.plain.n_image,
            // It has not the PSF of a joint model.
            psf: state.psf,
            noise: plain_noise,
            range: band,
        };
        let inputs = state.survey.inputs;
        Ok(Coadds {
            metadata,
            bbox: inputs.bbox,
            wcs: inputs.wcs,
            unit: inputs.unit,
            planes: state.planes,
            subfilters,
            sum,
            plain,
            artefacts: artefacts.visits,
            input_map,
            model,
            identifiability,
            summary,
        })
    }

    /// The correlation of the noise away from sources.
    fn noise(&self, image: ArrayView2<'_, f32>, variance: ArrayView2<'_, f32>) -> Option<NoiseCorrelation> {
        let no_data = self.state.planes.bits_of(["NO_DATA"]);
        let excluded = Zip::from(&self.state.sources)
            .and(&self.planes.mask)
            .map_collect(|source, mask| *source || mask & no_data != 0);
        NoiseCorrelation::measure(image, variance, excluded.view())
    }

    fn model(&self, joint: Option<&JointSolution>) -> Result<Model, CoaddError> {
        let (state, planes) = (&self.state, &self.planes);
        let in_memory = |plane: &Array2<f32>| ModelPlane::Memory(plane.clone());
        let content = match joint {
            Some(solution) => {
                let joint = JointModel::of(solution, &state.config.joint, &state.config.coadd);
                ModelContent::Joint(Box::new(joint.map_err(|error| CoaddError::Pixels(error.into()))?))
            }
            None => ModelContent::Subfilters {
                image: planes.subfilters.iter().map(|plane| in_memory(&plane.image)).collect(),
                variance: planes.subfilters.iter().map(|plane| in_memory(&plane.variance)).collect(),
            },
        };
        let inputs = &state.survey.inputs;
        Ok(Model {
            metadata: self.metadata.clone(),
            bbox: inputs.bbox,
            wcs: inputs.wcs.clone(),
            unit: inputs.unit.clone(),
            planes: state.planes.clone(),
            psf: mean_psf(&self.psfs.subfilters)?,
            mask: ModelPlane::Memory(planes.mask.clone()),
            content,
            path: format!("run {}", self.metadata.run).into(),
        })
    }

    fn visits(&self, regions: &[RegionSummary]) -> Vec<VisitSummary> {
        let Self { state, store, .. } = self;
        let (survey, division) = (&state.survey, &state.division);
        let middle = division.bbox.centre();
        let central = division.central_cell();
        let summary = |(i, input): (usize, &Input)| {
            let sky = division.sky(input);
            let metrics: Vec<f64> =
                regions.iter().filter_map(|region| region.report.visit_metrics.get(i).copied()).collect();
            VisitSummary {
                visit: input.number(),
                file: input.file.path().to_owned(),
                other_files: input.file.files().into_iter().skip(1).collect(),
                airmass: sky.map_or(f64::NAN, |sky| sky.airmass),
                altitude_deg: sky.map_or(f64::NAN, |sky| sky.altitude.degrees()),
                parallactic_angle_deg: sky.map_or(f64::NAN, |sky| sky.parallactic_angle.degrees()),
                zenith_from: input.sky.geometry.origin(),
                weather: input.sky.weather,
                psf_fwhm_px: input.fwhm_px(middle),
                mjd_tai: input.sky.visit.mid_time.map(|time| time.jd1 - MJD_ZERO + time.jd2),
                exposure_s: input.sky.visit.exposure_s,
                scale: f64::from(input.scale),
                psf_selected: self.psfs.coadd.selected[i],
                variance: survey.variances[i],
                weight: store.weight(i),
                usable: survey.usable[i],
                artefact_pixels: self.artefacts.visits[i].len(),
                shifts_px: store.shifts(i, central).iter().map(|s| [s.mean.dx, s.mean.dy]).collect(),
                metric: (!metrics.is_empty()).then(|| metrics.iter().sum::<f64>() / metrics.len() as f64),
                residual_rms: self.residual_rms.get(i).copied().flatten(),
                assumptions: input.sky.notes.clone(),
            }
        };
        survey.inputs.visits.iter().enumerate().map(summary).collect()
    }

    /// One status note for each visit most of whose pixels were not used.
    fn notes_on_losses(&self) -> Vec<String> {
        let survey = &self.state.survey;
        let good = survey.good_pixels();
        let remark = |(i, input): (usize, &Input)| {
            // Glitches were never good.
            let clipped = self.artefacts.visits[i].len().saturating_sub(input.glitches.len());
            remark_on_loss(&input.name(), survey.with_data[i], good[i], clipped)
        };
        survey.inputs.visits.iter().enumerate().filter_map(remark).collect()
    }

    fn summary(&self, joint: Option<JointSummary>, log: &mut RunLog<'_>) -> Summary {
        let PatchState { survey, division, config, sources, .. } = &self.state;
        let inputs = &survey.inputs;
        let regions = division.region_summaries(&self.planes.reports, config);
        let (mut remarks, warnings) = status_notes(&regions, sources, &inputs.bbox, &survey.dropped, config);
        remarks.extend(self.notes_on_losses());
        warnings.into_iter().for_each(|text| log.warn("solver", text));
        // Without regions, as with the joint solver, there is no metric.
        let mean =
            |of: &dyn Fn(&RegionSummary) -> f64| regions.iter().map(of).sum::<f64>() / regions.len() as f64;
        let (cx, cy) = inputs.bbox.centre();
        let sum = &self.planes.sum;
        Summary {
            version: env!("CARGO_PKG_VERSION").into(),
            run: self.metadata.run.clone(),
            outcome: if remarks.is_empty() { Outcome::Done } else { Outcome::DoneWithRemarks },
            remarks,
            band: division.band_summary(),
            bbox: inputs.bbox,
            unit: inputs.unit.clone(),
            arcsec_per_px: inputs.wcs.pixel_scale(cx, cy).unwrap_or(f64::NAN),
            template: match &survey.starting {
                Some(starting) => TemplateSource::File(starting.path().to_owned()),
                None => TemplateSource::Made,
            },
            visits: self.visits(&regions),
            dropped: survey.dropped.clone(),
            initial_metric: mean(&|region| region.report.initial_metric),
            final_metric: mean(&|region| region.report.final_metric),
            regions: regions.clone(),
            joint,
            psf_fwhm_px: self.psfs.coadd.fwhm_px,
            psf: self.psfs.summary.clone(),
            noise_correlation: self.noise(sum.image.view(), sum.variance.view()),
            warnings: log.warnings.clone(),
            files: vec![],
            stages: vec![],
            seconds: 0.0,
            peak_memory_bytes: peak_memory(),
            in_memory: survey.memory.in_memory,
            configuration: config.clone(),
        }
    }
}

/// The mean PSF of the subfilters, rounded as files have it; `None` without PSFs.
fn mean_psf(subfilters: &[CoaddPsf]) -> Result<Option<Psf>, StampError> {
    let mean = |stamps: Vec<&Stamp>| {
        let weighted: Vec<(&Stamp, f64)> = stamps.into_iter().map(|stamp| (stamp, 1.0)).collect();
        let mean = average(&weighted)?;
        Stamp::new(mean.pixels().mapv(|value| f64::from(value as f32)))
    };
    let grids: Vec<&StampGrid> = subfilters.iter().filter_map(|psf| psf.grid.as_ref()).collect();
    if let Some(first) = grids.first().filter(|_| grids.len() == subfilters.len()) {
        let cells = first.cells().iter().enumerate().map(|(i, (bbox, _))| {
            let stamps = grids.iter().filter_map(|grid| grid.cells().get(i)).map(|(_, stamp)| stamp);
            Ok((*bbox, mean(stamps.collect())?))
        });
        return Ok(Some(Psf::Grid(StampGrid::new(cells.collect::<Result<_, StampError>>()?)?)));
    }
    let stamps: Vec<&Stamp> = subfilters.iter().filter_map(|psf| psf.stamp.as_ref()).collect();
    if stamps.is_empty() { Ok(None) } else { Ok(Some(Psf::Stamp(mean(stamps)?))) }
}
