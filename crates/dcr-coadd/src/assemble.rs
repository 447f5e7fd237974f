//! The main job: from warps to subfilter coadds (ALGORITHM §5 to §10).

use std::path::PathBuf;
use std::sync::Arc;

use dcr_image::fits::{OutputFolder, ScratchFile, peak_memory};
use dcr_image::{ExposureFile, MaskPlanes};
use dcr_solver::Observations;
use dcr_solver::joint::{JointSolution, Noise};
use ndarray::Array2;

use crate::coadds::{Coadds, Patch};
use crate::config::{AssembleConfig, Method};
use crate::division::Division;
use crate::error::CoaddError;
use crate::inputs::{Input, Inputs};
use crate::joint::{JointRecord, joint_summary};
use crate::journal::Journal;
use crate::memory::MemoryPlan;
use crate::metadata::{run_name, subfilter_cards};
use crate::outputs::{Canvas, Planes, visit_table, write_options, write_summary};
use crate::pixels::PixelReader;
use crate::plain::PLAIN_COADD;
use crate::plain_coadd::{PlainCoadd, plain_coadd};
use crate::progress::Monitor;
use crate::psf_selection::{CoaddPsf, coadd_psf};
use crate::remarks::{remarks_on, warn_of_small_leverage};
use crate::solved::{Solved, Unsolved};
use crate::store::{Store, StoredPixels, Stream};
use crate::summary::{JointSummary, Outcome, RegionSummary, Summary, TemplateSource, VisitSummary, Warning};
use crate::template_coadd::{TemplateCoadd, given_template, made_template, open_template};
use crate::weights::{Keep, Survey, survey, visit_weights};

/// What to assemble, and where to write it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssembleRequest {
    /// Exposures of one band on one grid.
    pub warps: Vec<PathBuf>,
    /// A coadd to start from; without it one is made.
    pub template: Option<PathBuf>,
    /// The folder for the results.
    pub output: PathBuf,
    /// Whether results that are there may be replaced.
    pub overwrite: bool,
}

/// Assembles subfilter coadds from warps and writes them.
///
/// Nothing appears under a final name before everything is complete.
///
/// # Errors
///
/// [`CoaddError`], for the first thing that is wrong with settings, files or the folder; and if the monitor asks to stop.
pub fn assemble(
    request: &AssembleRequest,
    config: &AssembleConfig,
    monitor: &dyn Monitor,
) -> Result<Summary, CoaddError> {
    config.validate()?;
    if request.warps.is_empty() {
        return Err(CoaddError::NoInputs);
    }
    let folder = OutputFolder::create(&request.output, request.overwrite)?;
    let mut journal = Journal::new(monitor);
    let reader = PixelReader::new(&config.coadd);

    let mut gathered = Gathered::read(request, &folder, config, &reader, &mut journal)?;
    let division = Division::new(&gathered.inputs, config)?;
    let shifts = division.all_shifts(&gathered.inputs)?;
    let weights = gathered.weights(&division, config);
    let start = Start::make(&gathered, &weights, &reader, config, &mut journal)?;
    let store = Store { weights, shifts, pixels: gathered.take_pixels() };
    if config.solver.method == Method::Iterative {
        warn_of_small_leverage(&store.shifts, start.psf.fwhm_px, &mut journal);
    }
    let unsolved = Unsolved {
        inputs: &gathered.inputs,
        noise: &gathered.noise,
        division: &division,
        store: &store,
        template: &start.template,
        sources: &start.sources,
        planes: &start.planes,
    };
    let solved = unsolved.solve(config, &mut journal)?;
    let own_psf = match &solved {
        Solved::Joint(solution) => Some(CoaddPsf::of_solution(solution)?),
        Solved::Iterative(_) => None,
    };

    journal.stage("writing", config.model.subfilters + 2)?;
    let patch = Patch {
        store: &store,
        variances: &gathered.variances,
        fractions: &division.fractions,
        plain: &start.plain,
        template: &start.template,
        sources: &start.sources,
        planes: &start.planes,
        cells: &division.cell_regions,
        config,
    };
    let (coadds, joint) = match solved {
        Solved::Iterative(solution) => (Coadds::new(&patch, *solution), None),
        Solved::Joint(solution) => {
            let numbers: Vec<u64> = gathered.inputs.visits.iter().map(Input::number).collect();
            let summary = joint_summary(&solution, &numbers);
            (Coadds::joint(&patch, &unsolved.visits()?, &solution)?, Some((solution, summary)))
        }
    };
    let finished = Finished {
        request,
        config,
        run: gathered.run_name(&store.weights, &coadds.sum.image, config),
        regions: division.region_summaries(&coadds.reports, config),
        gathered: &gathered,
        division: &division,
        start: &start,
        store: &store,
        psf: own_psf.as_ref().unwrap_or(&start.psf),
        coadds: &coadds,
        joint,
    };
    let visits = finished.visits();
    finished.write_coadds(&folder, &visits, &journal)?;
    let summary = finished.summary(visits, &mut journal);
    write_summary(&folder, &summary)?;
    journal.go_on()?;
    // An earlier run may have had more subfilters, or another method.
    folder
        .publish(|name| name == "joint.fits" || name.starts_with("subfilter_") && name.ends_with(".fits"))?;
    Ok(summary)
}

/// The usable warps, read once.
struct Gathered {
    inputs: Inputs,
    template_file: Option<ExposureFile>,
    /// Clipped mean of each visit's variance.
    variances: Vec<f64>,
    /// How each visit's noise follows signal, for the joint method.
    noise: Vec<Noise>,
    /// Share of each visit's pixels that are good.
    usable: Vec<f64>,
    /// Images and flags, if they are kept in memory.
    pixels: Vec<(Array2<f32>, Array2<u8>)>,
    /// The file in which they are else, and each visit's number there.
    on_disk: Option<(Arc<ScratchFile>, Vec<usize>)>,
    memory: MemoryPlan,
    dropped: Vec<Warning>,
}

impl Gathered {
    fn read(
        request: &AssembleRequest,
        folder: &OutputFolder,
        config: &AssembleConfig,
        reader: &PixelReader<'_>,
        journal: &mut Journal<'_>,
    ) -> Result<Self, CoaddError> {
        journal.stage("reading", request.warps.len())?;
        let mut inputs = Inputs::open(&request.warps, config)?;
        let template_file = match &request.template {
            Some(path) => Some(open_template(path, &inputs.visits[0].file, config)?),
            None => None,
        };
        let memory = MemoryPlan::new(inputs.visits.len(), &inputs.bbox, config)?;
        let file = match memory.in_memory {
            true => None,
            false => Some(folder.scratch(inputs.visits.len(), inputs.bbox.shape())?),
        };
        let keep = file.as_ref().map_or(Keep::InMemory, Keep::OnDisk);
        let monitor = journal.monitor;
        let surveys =
            survey(&inputs.visits, reader, keep, config.solver.method == Method::Joint, &|visit| {
                monitor.step(&visit.name())
            })?;
        let all = std::mem::take(&mut inputs.visits);
        let given = all.len();
        let mut out = Self {
            inputs,
            template_file,
            variances: vec![],
            noise: vec![],
            usable: vec![],
            pixels: vec![],
            on_disk: file.map(|file| (Arc::new(file), vec![])),
            memory,
            dropped: vec![],
        };
        for (slot, (input, survey)) in all.into_iter().zip(surveys).enumerate() {
            out.keep_if_usable(slot, input, survey, journal);
        }
        if out.inputs.visits.is_empty() {
            return Err(CoaddError::NothingUsable {
                count: given,
                planes: config.coadd.bad_mask_planes.join(", "),
            });
        }
        journal.warn_of_assumptions(
            out.inputs.visits.iter().map(|visit| (visit.number(), visit.sky.notes.as_slice())),
        );
        Ok(out)
    }

    fn keep_if_usable(&mut self, slot: usize, input: Input, survey: Survey, journal: &mut Journal<'_>) {
        let Some(variance) = survey.variance else {
            let text =
                "It has no usable pixel (all are NaN, masked, or of variance 0 or less), and was dropped.";
            journal.warn(input.name(), text);
            self.dropped.push(Warning { subject: input.name(), text: text.into() });
            return;
        };
        self.inputs.visits.push(input);
        self.variances.push(variance);
        self.noise.extend(survey.noise);
        self.usable.push(survey.usable);
        self.pixels.extend(survey.planes);
        if let Some((_, slots)) = &mut self.on_disk {
            slots.push(slot);
        }
    }

    /// The visits' pixels, for the solver.
    fn take_pixels(&mut self) -> StoredPixels {
        match self.on_disk.take() {
            None => StoredPixels::InMemory(std::mem::take(&mut self.pixels)),
            Some((file, slots)) => StoredPixels::OnDisk(Stream::new(file, slots, self.memory.rows_at_a_time)),
        }
    }

    fn weights(&self, division: &Division, config: &AssembleConfig) -> Vec<f64> {
        let visits = self.inputs.visits.iter().zip(&self.variances);
        let noise: Vec<(f64, f64)> =
            visits.map(|(input, variance)| (*variance, division.airmass(input))).collect();
        visit_weights(&noise, &config.coadd)
    }

    /// A name that tells runs of other settings, visits or results apart.
    fn run_name(&self, weights: &[f64], coadd: &Array2<f32>, config: &AssembleConfig) -> String {
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

/// What the solve starts from.
struct Start {
    planes: MaskPlanes,
    plain: PlainCoadd,
    template: TemplateCoadd,
    sources: Array2<bool>,
    psf: CoaddPsf,
}

impl Start {
    fn make(
        gathered: &Gathered,
        weights: &[f64],
        reader: &PixelReader<'_>,
        config: &AssembleConfig,
        journal: &mut Journal<'_>,
    ) -> Result<Self, CoaddError> {
        journal.stage("coadding", 1)?;
        let inputs = &gathered.inputs;
        let planes = inputs.planes(gathered.template_file.as_ref())?;
        let monitor = journal.monitor;
        let go_on = || !monitor.cancelled();
        let strip_bytes = gathered.memory.strip_bytes;
        let plain = plain_coadd(&inputs.visits, reader, weights, &planes, strip_bytes, &config.coadd, go_on)?;
        let mut template = match &gathered.template_file {
            Some(file) => given_template(file, &plain, &planes)?,
            None => made_template(&plain, &planes),
        };
        let sources = template.sources(&inputs.visits, &planes, config);
        let centre = inputs.bbox.centre();
        let psf =
            coadd_psf(&inputs.visits, weights, centre, template.psf.as_ref(), config.coadd.select_psfs)?;
        if psf.stamp.is_none() {
            journal.warn("PSF", "No visit has a PSF: the coadds have none either.");
        }
        if !sources.iter().any(|source| *source) {
            journal.warn("sources", "Nothing is detected in the template: all subfilters are its shares.");
        }
        journal.monitor.step("template");
        Ok(Self { planes, plain, template, sources, psf })
    }
}

/// A run that has only to be written and told of.
struct Finished<'a> {
    request: &'a AssembleRequest,
    config: &'a AssembleConfig,
    run: String,
    regions: Vec<RegionSummary>,
    gathered: &'a Gathered,
    division: &'a Division,
    start: &'a Start,
    store: &'a Store,
    /// Of the coadds.
    psf: &'a CoaddPsf,
    coadds: &'a Coadds,
    joint: Option<(Box<JointSolution>, JointSummary)>,
}

impl Finished<'_> {
    fn visits(&self) -> Vec<VisitSummary> {
        let middle = self.division.bbox.centre();
        let central = self.division.central_cell();
        let summary = |(i, input): (usize, &Input)| {
            let sky = self.division.sky(input);
            let metrics: Vec<f64> = self
                .regions
                .iter()
                .filter_map(|region| region.report.visit_metrics.get(i).copied())
                .collect();
            VisitSummary {
                visit: input.number(),
                file: input.file.path().to_owned(),
                airmass: sky.map_or(f64::NAN, |sky| sky.airmass),
                altitude_deg: sky.map_or(f64::NAN, |sky| sky.altitude.degrees()),
                parallactic_angle_deg: sky.map_or(f64::NAN, |sky| sky.parallactic_angle.degrees()),
                zenith_from: input.sky.geometry.origin(),
                weather: input.sky.weather,
                psf_fwhm_px: input.fwhm_px(middle),
                psf_selected: self.psf.selected[i],
                variance: self.gathered.variances[i],
                weight: self.store.weight(i),
                usable: self.gathered.usable[i],
                shifts_px: self.store.shifts(i, central).iter().map(|s| [s.mean.dx, s.mean.dy]).collect(),
                metric: (!metrics.is_empty()).then(|| metrics.iter().sum::<f64>() / metrics.len() as f64),
                assumptions: input.sky.notes.clone(),
            }
        };
        self.gathered.inputs.visits.iter().enumerate().map(summary).collect()
    }

    fn write_coadds(
        &self,
        folder: &OutputFolder,
        visits: &[VisitSummary],
        journal: &Journal<'_>,
    ) -> Result<(), CoaddError> {
        let (inputs, coadds) = (&self.gathered.inputs, self.coadds);
        let canvas = Canvas {
            bbox: inputs.bbox,
            wcs: &inputs.wcs,
            unit: &inputs.unit,
            planes: &self.start.planes,
            psf: self.psf.stamp.as_ref(),
            cards: self.division.metadata(&self.run, self.psf.fwhm_px, self.config).cards(),
            options: write_options(&self.config.output, true),
        };
        let files = coadds
            .subfilters
            .iter()
            .enumerate()
            .map(|(a, coadd)| {
                (format!("subfilter_{a}.fits"), coadd, subfilter_cards(self.division.grid(), a))
            })
            .chain([("coadd.fits".to_owned(), &coadds.sum, vec![])]);
        for (name, coadd, cards) in files {
            let planes = Planes {
                image: coadd.image.view(),
                mask: coadds.mask.view(),
                variance: coadd.variance.view(),
                n_image: Some(coadd.n_image.view()),
            };
            canvas.write(&folder.staged(&name), &planes, cards, vec![visit_table(visits)])?;
            journal.monitor.step(&name);
            journal.go_on()?;
        }
        if let Some((solution, summary)) = &self.joint {
            let record = JointRecord {
                solution,
                summary,
                config: &self.config.joint,
                coadd: &self.config.coadd,
                metadata: &self.division.metadata(&self.run, self.psf.fwhm_px, self.config),
                bbox: inputs.bbox,
                wcs: &inputs.wcs,
                unit: &inputs.unit,
            };
            record.write(&folder.staged("joint.fits"), canvas.options)?;
        }
        // What a pipeline without a model of refraction would have: to be compared with.
        let plain = &self.start.plain;
        let planes = Planes {
            image: plain.image.view(),
            mask: plain.mask.view(),
            variance: plain.variance.view(),
            n_image: None,
        };
        // It has not the PSF of a joint model.
        let psf = &self.start.psf;
        let metadata = self.division.metadata(&self.run, psf.fwhm_px, self.config);
        let canvas = Canvas { psf: psf.stamp.as_ref(), cards: metadata.cards(), ..canvas };
        canvas.write(&folder.staged(PLAIN_COADD), &planes, vec![], vec![visit_table(visits)])?;
        journal.monitor.step(PLAIN_COADD);
        Ok(())
    }

    fn summary(&self, visits: Vec<VisitSummary>, journal: &mut Journal<'_>) -> Summary {
        let (inputs, dropped) = (&self.gathered.inputs, &self.gathered.dropped);
        let (remarks, doubts) =
            remarks_on(&self.regions, &self.start.sources, &inputs.bbox, dropped, self.config);
        doubts.into_iter().for_each(|text| journal.warn("solver", text));
        // Without regions, as with the joint method, there is no metric.
        let mean = |of: &dyn Fn(&RegionSummary) -> f64| {
            self.regions.iter().map(of).sum::<f64>() / self.regions.len() as f64
        };
        let subfilters = (0..self.coadds.subfilters.len()).map(|a| format!("subfilter_{a}.fits"));
        let joint = self.joint.iter().map(|_| "joint.fits".to_owned());
        let others = ["coadd.fits", PLAIN_COADD, "summary.json"].map(str::to_owned);
        let names = subfilters.chain(joint).chain(others);
        let (cx, cy) = inputs.bbox.centre();
        let (stages, seconds) = journal.times();
        Summary {
            version: env!("CARGO_PKG_VERSION").into(),
            run: self.run.clone(),
            outcome: if remarks.is_empty() { Outcome::Done } else { Outcome::DoneWithRemarks },
            remarks,
            band: self.division.band_summary(),
            bbox: inputs.bbox,
            unit: inputs.unit.clone(),
            arcsec_per_px: inputs.wcs.pixel_scale(cx, cy).unwrap_or(f64::NAN),
            template: self.request.template.clone().map_or(TemplateSource::Made, TemplateSource::File),
            visits,
            dropped: dropped.clone(),
            initial_metric: mean(&|region| region.report.initial_metric),
            final_metric: mean(&|region| region.report.final_metric),
            regions: self.regions.clone(),
            joint: self.joint.as_ref().map(|(_, summary)| summary.clone()),
            psf_fwhm_px: self.psf.fwhm_px,
            warnings: journal.warnings.clone(),
            files: names.map(|name| self.request.output.join(name)).collect(),
            stages,
            seconds,
            peak_memory_bytes: peak_memory(),
            in_memory: self.gathered.memory.in_memory,
            configuration: self.config.clone(),
        }
    }
}
