//! The main job: from warps to subfilter coadds (ALGORITHM §5 to §10).

use std::path::PathBuf;

use dcr_image::fits::{OutputFolder, peak_memory};
use dcr_image::{BBox, MaskPlanes};
use dcr_physics::WavelengthGrid;
use dcr_solver::iterative::{Edge, Problem, Solution, solve, solve_regions};
use dcr_solver::kernel::Region;
use dcr_solver::{Observations, SpectralBasis, SubfilterShift};
use ndarray::{Array2, Zip};

use crate::basis::spectral_basis;
use crate::cells::{cells, reference_subregions, region_in};
use crate::coadds::{Coadds, Patch};
use crate::config::{AssembleConfig, ResolvedBand};
use crate::error::CoaddError;
use crate::inputs::Inputs;
use crate::journal::Journal;
use crate::metadata::{RunMetadata, run_name, subfilter_cards};
use crate::outputs::{Canvas, Planes, visit_table, write_options, write_summary};
use crate::pixels::PixelReader;
use crate::plain_coadd::plain_coadd;
use crate::progress::Monitor;
use crate::psf_selection::{CoaddPsf, coadd_psf};
use crate::remarks::{remarks_on, warn_of_small_leverage};
use crate::shifts::{ShiftPlan, Split};
use crate::store::{Store, fits_in_memory};
use crate::summary::{BandSummary, Outcome, RegionSummary, Summary, TemplateSource, VisitSummary, Warning};
use crate::template_coadd::{given_template, made_template, open_template};
use crate::weights::{survey, visit_weights};

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

    journal.stage("reading", request.warps.len())?;
    let mut inputs = Inputs::open(&request.warps, config)?;
    let template_file = match &request.template {
        Some(path) => Some(open_template(path, &inputs.visits[0].file, config)?),
        None => None,
    };
    let reader = PixelReader::new(&config.coadd);
    let in_memory = fits_in_memory(inputs.visits.len(), &inputs.bbox, &config.coadd);
    let read = survey(&inputs.visits, &reader, in_memory, &|visit| monitor.step(&visit.name()))?;
    let (mut visits, dropped) = keep_usable(&mut inputs, read, config, &mut journal)?;
    journal.warn_of_assumptions(inputs.visits.iter().map(|v| (v.number(), v.sky.notes.as_slice())));

    let division = Division::new(&inputs, config)?;
    let shifts = division.all_shifts(&inputs)?;
    let noise: Vec<(f64, f64)> =
        visits.iter().zip(&inputs.visits).map(|(v, input)| (v.variance, division.airmass(input))).collect();
    let weights = visit_weights(&noise, &config.coadd);

    journal.stage("coadding", 1)?;
    let planes = inputs.planes(template_file.as_ref())?;
    let plain =
        plain_coadd(&inputs.visits, &reader, &weights, &planes, &config.coadd, || !monitor.cancelled())?;
    let mut template = match &template_file {
        Some(file) => given_template(file, &plain, &planes)?,
        None => made_template(&plain, &planes),
    };
    let (sources, _) = template.sources(&inputs.visits, &planes, config);
    let psf = coadd_psf(
        &inputs.visits,
        &weights,
        inputs.bbox.centre(),
        template.psf.as_ref(),
        config.coadd.select_psfs,
    )?;
    if psf.stamp.is_none() {
        journal.warn("PSF", "No visit has a PSF: the coadds have none either.");
    }
    if !sources.iter().any(|source| *source) {
        journal.warn("sources", "Nothing is detected in the template: all subfilters are its shares.");
    }

    let kept_planes: Option<Vec<_>> = visits.iter_mut().map(|v| v.planes.take()).collect();
    let variances: Vec<f64> = visits.iter().map(|v| v.variance).collect();
    let usable: Vec<f64> = visits.iter().map(|v| v.usable).collect();
    let store = Store {
        visits: &inputs.visits,
        reader: &reader,
        bbox: inputs.bbox,
        weights: weights.clone(),
        shifts,
        planes: kept_planes,
    };
    warn_of_small_leverage(&store.shifts, psf.fwhm_px, &mut journal);
    let bad = template.mask.mapv(|mask| mask & planes.bits_of(&config.coadd.bad_mask_planes) != 0);
    let solved = division.solve(&store, &template.image, &sources, &bad, config, &mut journal)?;

    journal.stage("writing", config.model.subfilters + 2)?;
    let patch = Patch {
        store: &store,
        variances: &variances,
        fractions: &division.fractions,
        plain: &plain,
        template: &template,
        sources: &sources,
        planes: &planes,
        cells: &division.cell_regions,
        config,
    };
    let coadds = Coadds::new(&patch, solved);
    let run = run_name_of(&inputs, &usable, &weights, &coadds.sum.image, config);
    let regions: Vec<RegionSummary> = division
        .regions(config)
        .into_iter()
        .zip(coadds.reports.clone())
        .map(|(bbox, report)| RegionSummary { bbox, report })
        .collect();
    let metadata = division.metadata(&run, psf.fwhm_px, config);
    let visit_summaries = summarise_visits(&inputs, &store, &division, &psf, &variances, &usable, &regions);
    let (remarks, region_warnings) = remarks_on(&regions, &sources, &inputs.bbox, &dropped, config);
    region_warnings.into_iter().for_each(|text| journal.warn("solver", text));

    write_coadds(
        &folder,
        &inputs,
        &planes,
        &psf,
        &metadata,
        &division,
        &coadds,
        &visit_summaries,
        config,
        &journal,
    )?;
    journal.go_on()?;
    let mut files: Vec<PathBuf> =
        (0..config.model.subfilters).map(|a| format!("subfilter_{a}.fits").into()).collect();
    files.extend(["coadd.fits".into(), "summary.json".into()]);
    let (stages, seconds) = journal.times();
    let mean = |of: &dyn Fn(&RegionSummary) -> f64| {
        regions.iter().map(of).sum::<f64>() / regions.len().max(1) as f64
    };
    let (cx, cy) = inputs.bbox.centre();
    let summary = Summary {
        version: env!("CARGO_PKG_VERSION").into(),
        run,
        outcome: if remarks.is_empty() { Outcome::Done } else { Outcome::DoneWithRemarks },
        remarks,
        band: division.band_summary(),
        bbox: inputs.bbox,
        unit: inputs.unit.clone(),
        arcsec_per_px: inputs.wcs.pixel_scale(cx, cy).unwrap_or(f64::NAN),
        template: request.template.clone().map_or(TemplateSource::Made, TemplateSource::File),
        visits: visit_summaries,
        dropped,
        initial_metric: mean(&|region| region.report.initial_metric),
        final_metric: mean(&|region| region.report.final_metric),
        regions,
        psf_fwhm_px: psf.fwhm_px,
        warnings: journal.warnings.clone(),
        files: files.iter().map(|name| request.output.join(name)).collect(),
        stages,
        seconds,
        peak_memory_bytes: peak_memory(),
        in_memory,
        configuration: config.clone(),
    };
    write_summary(&folder, &summary)?;
    folder.publish()?;
    Ok(summary)
}

/// A visit that has been read and can be used.
struct UsableVisit {
    variance: f64,
    usable: f64,
    planes: Option<(Array2<f32>, Array2<u8>)>,
}

/// Leaves the visits with a usable pixel in `inputs`; tells of the others.
fn keep_usable(
    inputs: &mut Inputs,
    read: Vec<crate::weights::Survey>,
    config: &AssembleConfig,
    journal: &mut Journal<'_>,
) -> Result<(Vec<UsableVisit>, Vec<Warning>), CoaddError> {
    let given = inputs.visits.len();
    let (mut kept, mut usable, mut dropped) = (vec![], vec![], vec![]);
    for (input, survey) in std::mem::take(&mut inputs.visits).into_iter().zip(read) {
        match survey.variance {
            Some(variance) => {
                kept.push(input);
                usable.push(UsableVisit { variance, usable: survey.usable, planes: survey.planes });
            }
            None => {
                let text = "It has no usable pixel (all are NaN, masked, or of variance 0 or less), and was dropped.";
                journal.warn(input.name(), text);
                dropped.push(Warning { subject: input.name(), text: text.into() });
            }
        }
    }
    if kept.is_empty() {
        return Err(CoaddError::NothingUsable {
            count: given,
            planes: config.coadd.bad_mask_planes.join(", "),
        });
    }
    inputs.visits = kept;
    Ok((usable, dropped))
}

/// The patch divided into cells, the band into subfilters.
struct Division {
    band: ResolvedBand,
    plan: ShiftPlan,
    basis: SpectralBasis,
    fractions: Vec<f64>,
    bbox: BBox,
    wcs: dcr_image::Wcs,
    cells: Vec<BBox>,
    cell_regions: Vec<Region>,
}

impl Division {
    fn new(inputs: &Inputs, config: &AssembleConfig) -> Result<Self, CoaddError> {
        let band = config.band.resolve(config.throughput.as_ref(), &inputs.stated)?;
        let grid = band.band.wavelength_grid(config.model.subfilters)?;
        let split = match config.model.split_subfilters {
            true => Split::From(config.model.split_threshold),
            false => Split::Never,
        }
        .of_subfilters(config.model.subfilters);
        let basis = spectral_basis(&grid, config.model.spectrum);
        let fractions = grid.fractions();
        let plan = ShiftPlan { grid, reference: band.reference, rule: config.model.shift_rule, split };
        let cells = match one_by_one(config) {
            true => reference_subregions(&inputs.bbox, config.coadd.subregion_size),
            false => cells(&inputs.bbox, config.coadd.subregion_size),
        };
        let cell_regions = cells.iter().map(|cell| region_in(cell, &inputs.bbox)).collect();
        let (bbox, wcs) = (inputs.bbox, inputs.wcs.clone());
        Ok(Self { band, plan, basis, fractions, bbox, wcs, cells, cell_regions })
    }

    fn grid(&self) -> &WavelengthGrid {
        &self.plan.grid
    }

    /// By visit, then cell, then subfilter.
    fn all_shifts(&self, inputs: &Inputs) -> Result<Vec<Vec<Vec<SubfilterShift>>>, CoaddError> {
        let of_visit = |input: &crate::inputs::Input| {
            self.cells
                .iter()
                .map(|cell| self.plan.shifts(input.file.path(), &input.sky, &self.wcs, &self.bbox, cell))
                .collect()
        };
        inputs.visits.iter().map(of_visit).collect()
    }

    /// The sky in the middle of the patch.
    fn sky(&self, input: &crate::inputs::Input) -> Option<dcr_physics::LocalSky> {
        let (x, y) = self.bbox.centre();
        self.wcs.pixel_to_sky(x, y).ok().map(|place| input.sky.at(place))
    }

    fn airmass(&self, input: &crate::inputs::Input) -> f64 {
        self.sky(input).map_or(f64::NAN, |sky| sky.airmass)
    }

    /// The regions that are solved on their own.
    fn regions(&self, config: &AssembleConfig) -> Vec<BBox> {
        if one_by_one(config) { self.cells.clone() } else { vec![self.bbox] }
    }

    fn solve(
        &self,
        store: &Store<'_>,
        template: &Array2<f32>,
        sources: &Array2<bool>,
        bad: &Array2<bool>,
        config: &AssembleConfig,
        journal: &mut Journal<'_>,
    ) -> Result<Solution, CoaddError> {
        let iterative = &config.solver.iterative;
        let regions = self.regions(config).len();
        journal.stage("solving", regions * (iterative.max_iterations(config.model.subfilters)))?;
        let problem = Problem {
            observations: store,
            cells: &self.cell_regions,
            basis: &self.basis,
            fractions: &self.fractions,
            template: template.view(),
            detected: sources.view(),
            bad: bad.view(),
        };
        let monitor = journal.monitor;
        let mut progress = |number: usize, most: usize, report: &dcr_solver::iterative::IterationReport| {
            monitor.step(&format!("iteration {number} of at most {most}: metric {:.5}", report.metric));
            !monitor.cancelled()
        };
        let solution = if one_by_one(config) {
            let whole = Region::whole(template.dim());
            let buffer = buffer(store);
            let regions: Vec<(Region, Region)> =
                self.cell_regions.iter().map(|cell| (cell.clone(), cell.grown(buffer, &whole))).collect();
            solve_regions(&problem, iterative, &regions, &mut progress)?
        } else {
            solve(&problem, iterative, &mut progress)?
        };
        Ok(solution)
    }

    fn metadata(&self, run: &str, psf_fwhm_px: Option<f64>, config: &AssembleConfig) -> RunMetadata {
        RunMetadata {
            run: run.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            band: self.band.band.clone(),
            reference: self.band.reference,
            subfilters: config.model.subfilters,
            refraction: config.model.refraction,
            rule: config.model.shift_rule,
            spectrum: config.model.spectrum,
            cell: config.coadd.subregion_size,
            psf_fwhm_px,
            configuration: serde_json::to_string(config).unwrap_or_default(),
        }
    }

    fn band_summary(&self) -> BandSummary {
        BandSummary {
            name: self.band.band.name().into(),
            effective_nm: self.band.band.effective().nm(),
            bandwidth_nm: self.band.band.bandwidth_nm(),
            reference_nm: self.band.reference.nm(),
            subfilters_nm: self.grid().subfilters().iter().map(|s| [s.lo.nm(), s.hi.nm()]).collect(),
            fractions: self.fractions.clone(),
            notes: self.band.notes.clone(),
        }
    }
}

/// Whether subregions are solved one after the other, as the reference does.
fn one_by_one(config: &AssembleConfig) -> bool {
    config.solver.iterative.edge == Edge::Zero
}

/// By how much a subregion is grown for reading (ALGORITHM §5.6).
fn buffer(store: &Store<'_>) -> usize {
    let largest = store.shifts.iter().flatten().flatten().map(|s| s.mean.max_component()).fold(0.0, f64::max);
    largest.ceil() as usize + 1
}

/// A name that tells runs of other settings, visits or results apart.
fn run_name_of(
    inputs: &Inputs,
    usable: &[f64],
    weights: &[f64],
    coadd: &Array2<f32>,
    config: &AssembleConfig,
) -> String {
    let settings = serde_json::to_vec(config).unwrap_or_default();
    let mut parts: Vec<Vec<u8>> = vec![env!("CARGO_PKG_VERSION").into(), settings];
    for ((visit, usable), weight) in inputs.visits.iter().zip(usable).zip(weights) {
        parts.push(visit.number().to_le_bytes().into());
        parts.push(usable.to_le_bytes().into());
        parts.push(weight.to_le_bytes().into());
    }
    parts.push(coadd.iter().flat_map(|value| value.to_le_bytes()).collect());
    run_name(parts.iter().map(Vec::as_slice))
}

fn summarise_visits(
    inputs: &Inputs,
    store: &Store<'_>,
    division: &Division,
    psf: &CoaddPsf,
    variances: &[f64],
    usable: &[f64],
    regions: &[RegionSummary],
) -> Vec<VisitSummary> {
    let middle = division.bbox.centre();
    let central = division
        .cells
        .iter()
        .position(|cell| cell.contains(middle.0.floor() as i64, middle.1.floor() as i64))
        .unwrap_or(0);
    let summary = |(i, input): (usize, &crate::inputs::Input)| {
        let sky = division.sky(input);
        let metrics: Vec<f64> =
            regions.iter().filter_map(|region| region.report.visit_metrics.get(i).copied()).collect();
        VisitSummary {
            visit: input.number(),
            file: input.file.path().to_owned(),
            airmass: sky.map_or(f64::NAN, |sky| sky.airmass),
            altitude_deg: sky.map_or(f64::NAN, |sky| sky.altitude.degrees()),
            parallactic_angle_deg: sky.map_or(f64::NAN, |sky| sky.parallactic_angle.degrees()),
            zenith_from: input.sky.geometry.origin(),
            weather: input.sky.weather,
            psf_fwhm_px: input.fwhm_px(middle),
            psf_selected: psf.selected[i],
            variance: variances[i],
            weight: store.weight(i),
            usable: usable[i],
            shifts_px: store.shifts(i, central).iter().map(|s| [s.mean.dx, s.mean.dy]).collect(),
            metric: (!metrics.is_empty()).then(|| metrics.iter().sum::<f64>() / metrics.len() as f64),
            assumptions: input.sky.notes.clone(),
        }
    };
    inputs.visits.iter().enumerate().map(summary).collect()
}

#[expect(clippy::too_many_arguments, reason = "what a run has found, gathered for its files")]
fn write_coadds(
    folder: &OutputFolder,
    inputs: &Inputs,
    planes: &MaskPlanes,
    psf: &CoaddPsf,
    metadata: &RunMetadata,
    division: &Division,
    coadds: &Coadds,
    visits: &[VisitSummary],
    config: &AssembleConfig,
    journal: &Journal<'_>,
) -> Result<(), CoaddError> {
    let canvas = Canvas {
        bbox: inputs.bbox,
        wcs: &inputs.wcs,
        unit: &inputs.unit,
        planes,
        psf: psf.stamp.as_ref(),
        cards: metadata.cards(),
        options: write_options(&config.output, true),
    };
    for (a, subfilter) in coadds.subfilters.iter().enumerate() {
        let name = format!("subfilter_{a}.fits");
        let planes = Planes {
            image: subfilter.image.view(),
            mask: coadds.mask.view(),
            variance: subfilter.variance.view(),
            n_image: Some(subfilter.n_image.view()),
        };
        let cards = subfilter_cards(division.grid(), a);
        canvas.write(&folder.staged(&name), &planes, cards, vec![visit_table(visits)])?;
        journal.monitor.step(&name);
        journal.go_on()?;
    }
    let sum = &coadds.sum;
    let planes = Planes {
        image: sum.image.view(),
        mask: coadds.mask.view(),
        variance: sum.variance.view(),
        n_image: Some(sum.n_image.view()),
    };
    canvas.write(&folder.staged("coadd.fits"), &planes, vec![], vec![visit_table(visits)])?;
    journal.monitor.step("coadd.fits");
    Ok(())
}

/// Pixels of `sources` in a box of the patch.
pub(crate) fn any_in(sources: &Array2<bool>, part: &BBox, patch: &BBox) -> bool {
    let region = region_in(part, patch);
    let mut any = false;
    Zip::from(region.of(&sources.view())).for_each(|source| any |= *source);
    any
}
