//! Division of a job: the patch into cells, the band into subfilters, with displacements and
//! airmass of every visit.

use dcr_image::{BBox, Wcs};
use dcr_physics::{LocalSky, WavelengthGrid};
use dcr_solver::iterative::{Edge, IterationReport, Problem, Solution, SolveReport, solve, solve_regions};
use dcr_solver::kernel::Region;
use dcr_solver::{Observations, SpectralBasis, SubfilterShift};
use ndarray::Array2;

use crate::coadd::solver_choice::Solver;
use crate::config::{AssembleConfig, ResolvedBand};
use crate::error::CoaddError;
use crate::geometry::basis::spectral_basis;
use crate::geometry::cells::{cells, reference_subregions, region_in};
use crate::geometry::shifts::{ShiftPlan, Split};
use crate::inputs::store::Store;
use crate::inputs::{Input, Inputs};
use crate::run::metadata::RunMetadata;
use crate::run::run_log::RunLog;
use crate::run::summary::{BandSummary, RegionSummary};

/// The patch divided into cells, the band into subfilters.
pub(crate) struct Division {
    pub(crate) band: ResolvedBand,
    pub(crate) plan: ShiftPlan,
    pub(crate) basis: SpectralBasis,
    pub(crate) fractions: Vec<f64>,
    pub(crate) bbox: BBox,
    pub(crate) wcs: Wcs,
    pub(crate) cells: Vec<BBox>,
    pub(crate) cell_regions: Vec<Region>,
}

impl Division {
    pub(crate) fn new(inputs: &Inputs, config: &AssembleConfig) -> Result<Self, CoaddError> {
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

    pub(crate) fn grid(&self) -> &WavelengthGrid {
        &self.plan.grid
    }

    /// By visit, then cell, then subfilter.
    pub(crate) fn all_shifts(&self, inputs: &Inputs) -> Result<Vec<Vec<Vec<SubfilterShift>>>, CoaddError> {
        let of_visit = |input: &Input| {
            self.cells
                .iter()
                .map(|cell| self.plan.shifts(input.file.path(), &input.sky, &self.wcs, &self.bbox, cell))
                .collect()
        };
        inputs.visits.iter().map(of_visit).collect()
    }

    /// The sky in the middle of the patch.
    pub(crate) fn sky(&self, input: &Input) -> Option<LocalSky> {
        let (x, y) = self.bbox.centre();
        self.wcs.pixel_to_sky(x, y).ok().map(|place| input.sky.at(place))
    }

    pub(crate) fn airmass(&self, input: &Input) -> f64 {
        self.sky(input).map_or(f64::NAN, |sky| sky.airmass)
    }

    /// The regions that are solved on their own.
    pub(crate) fn regions(&self, config: &AssembleConfig) -> Vec<BBox> {
        if one_by_one(config) { self.cells.clone() } else { vec![self.bbox] }
    }

    pub(crate) fn solve(
        &self,
        store: &Store,
        template: &Array2<f32>,
        sources: &Array2<bool>,
        bad: &Array2<bool>,
        config: &AssembleConfig,
        log: &mut RunLog<'_>,
    ) -> Result<Solution, CoaddError> {
        let iterative = &config.solver.iterative;
        let (regions, visits) = (self.regions(config).len(), store.visits());
        // A step is one visit in one iteration, so that the bar of a large run is as fine as that of a small one.
        let most = iterative.max_iterations(config.model.subfilters);
        log.stage("solving", regions * most * visits)?;
        let problem = Problem {
            observations: store,
            cells: &self.cell_regions,
            basis: &self.basis,
            fractions: &self.fractions,
            template: template.view(),
            detected: sources.view(),
            bad: bad.view(),
        };
        let monitor = log.monitor;
        let mut progress = |done: usize, most: usize, report: &IterationReport| {
            let message = format!("iteration {done} of at most {most}, metric {:.5}", report.metric);
            monitor.advance(visits as u64, &message);
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

    /// The cell that holds the middle of the patch.
    pub(crate) fn central_cell(&self) -> usize {
        let (x, y) = self.bbox.centre();
        let (x, y) = (x.floor() as i64, y.floor() as i64);
        self.cells.iter().position(|cell| cell.contains(x, y)).unwrap_or(0)
    }

    pub(crate) fn region_summaries(
        &self,
        reports: &[SolveReport],
        config: &AssembleConfig,
    ) -> Vec<RegionSummary> {
        let regions = self.regions(config).into_iter().zip(reports);
        regions.map(|(bbox, report)| RegionSummary { bbox, report: report.clone() }).collect()
    }

    pub(crate) fn metadata(
        &self,
        run: &str,
        psf_fwhm_px: Option<f64>,
        zero_point_mag: Option<f64>,
        config: &AssembleConfig,
        solver: Solver,
    ) -> RunMetadata {
        RunMetadata {
            run: run.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            band: self.band.band.clone(),
            reference: self.band.reference,
            subfilters: config.model.subfilters,
            solver,
            refraction: config.model.refraction,
            rule: config.model.shift_rule,
            spectrum: config.model.spectrum,
            cell: config.coadd.subregion_size,
            psf_fwhm_px,
            zero_point_mag,
            configuration: serde_json::to_string(config).unwrap_or_default(),
        }
    }

    pub(crate) fn band_summary(&self) -> BandSummary {
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

/// True if subregions are solved one after the other, as in LSST's DcrAssembleCoaddTask.
fn one_by_one(config: &AssembleConfig) -> bool {
    config.solver.iterative.edge == Edge::Zero
}

/// Margin in px of a subregion for reading (docs/algorithm.md §5.6).
fn buffer(store: &Store) -> usize {
    let largest = store.shifts.iter().flatten().flatten().map(|s| s.mean.max_component()).fold(0.0, f64::max);
    largest.ceil() as usize + 1
}
