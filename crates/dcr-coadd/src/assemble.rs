//! The main job: from warps to subfilter coadds (docs/algorithm.md §5 to §10).

mod finished;
mod gathered;
mod start;

use std::path::PathBuf;

use dcr_image::fits::OutputFolder;

use self::finished::Finished;
use self::gathered::Gathered;
use self::start::Start;
use crate::artefacts::{Artefacts, PixelList, Search, settled_for_given};
use crate::coadd_psfs::CoaddPsfs;
use crate::coadds::{Coadds, Patch};
use crate::config::{AssembleConfig, Method};
use crate::division::Division;
use crate::error::CoaddError;
use crate::input_map::INPUT_MAP;
use crate::inputs::Inputs;
use crate::joint::joint_summary;
use crate::journal::Journal;
use crate::method::settled;
use crate::outputs::{REPORT, SUMMARY, Writer, write_summary};
use crate::pixels::PixelReader;
use crate::progress::Monitor;
use crate::psf_selection::{CoaddPsf, PsfCells};
use crate::remarks::warn_of_small_leverage;
use crate::residual_rms::residual_rms;
use crate::solved::{Solved, Unsolved};
use crate::store::Store;
use crate::summary::Summary;

/// What to assemble, and where to write it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssembleRequest {
    /// Exposures of one band on one grid.
    pub warps: Vec<PathBuf>,
    /// PSF-matched warps of the same visits, to find artefacts with; without any they are made where they are needed.
    pub matched: Vec<PathBuf>,
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
    Writer::Assemble.check_folder(&request.output)?;
    let folder = OutputFolder::create(&request.output, request.overwrite)?;
    let mut journal = Journal::new(monitor);
    let reader = PixelReader::new(&config.coadd);

    journal.stage("reading", request.warps.len())?;
    let inputs = Inputs::open(&request.warps, config)?;
    let mut config = settled(config, &inputs, &mut journal);
    if !request.matched.is_empty() {
        config = settled_for_given(&config, &mut journal)?;
    }
    let config = &config;
    let mut gathered = Gathered::read(request, inputs, &folder, config, &reader, &mut journal)?;
    let division = Division::new(&gathered.inputs, config)?;
    let shifts = division.all_shifts(&gathered.inputs)?;
    let weights = gathered.weights(&division, config)?;
    let mut start = Start::make(&gathered, &weights, &reader, config, &mut journal)?;
    let mut store = Store { weights, shifts, pixels: gathered.take_pixels() };
    if config.solver.method != Method::Joint {
        warn_of_small_leverage(&store.shifts, start.psf.fwhm_px, &mut journal);
    }
    let found =
        Artefacts::find(&search(&gathered, &division, &start, &reader), &mut store, config, &mut journal)?;
    start.leave_out(&found, &gathered, &store.weights, &reader, config, &mut journal)?;
    let artefacts = found.with_streaks(
        &search(&gathered, &division, &start, &reader),
        &mut store,
        &start.plain.n_image,
        config,
        &mut journal,
    )?;
    start.leave_out(&artefacts, &gathered, &store.weights, &reader, config, &mut journal)?;
    let solved = unsolved(&gathered, &division, &store, &start).solve(config, &mut journal)?;
    let (own_psf, artefacts) = match &solved {
        Solved::Joint(solution) => {
            let clipped = Artefacts { visits: solution.clipped.clone() };
            let rare = clipped.rare(&start.plain.n_image, config);
            let of_few = artefacts.clone().and(&rare.visits);
            start.leave_out(&of_few, &gathered, &store.weights, &reader, config, &mut journal)?;
            (Some(CoaddPsf::of_solution(solution)?), artefacts.and(&clipped.visits))
        }
        Solved::Iterative(_) => (None, artefacts),
    };
    // The store does not have them to give back.
    let glitches: Vec<PixelList> =
        gathered.inputs.visits.iter().map(|visit| visit.glitches.clone()).collect();
    let artefacts = artefacts.and(&glitches);
    artefacts.warn_of_losses(&gathered.inputs.visits, &gathered.good_pixels(), &mut journal);

    journal.stage("writing", config.model.subfilters + 2)?;
    let patch = Patch {
        store: &store,
        variances: &gathered.variances,
        fractions: &division.fractions,
        plain: &start.plain,
        template: &start.template,
        sources: &start.sources,
        planes: &start.planes,
        clipped: &artefacts.anywhere(gathered.inputs.bbox.shape()),
        cells: &division.cell_regions,
        config,
    };
    let (coadds, joint) = match solved {
        Solved::Iterative(solution) => (Coadds::new(&patch, *solution), None),
        Solved::Joint(solution) => {
            let fiducial_fwhm_px = own_psf.as_ref().and_then(|psf| psf.fwhm_px);
            let summary = joint_summary(&solution, &gathered.inputs, fiducial_fwhm_px);
            let unsolved = unsolved(&gathered, &division, &store, &start);
            let visits = unsolved.visits()?;
            (Coadds::joint(&patch, &visits, &solution)?, Some((solution, summary)))
        }
    };
    let bad = start.planes.bits_of(&config.coadd.bad_mask_planes);
    let cells = PsfCells { patch: gathered.inputs.bbox, cells: &gathered.psf_cells };
    let psfs = match own_psf {
        Some(psf) => CoaddPsfs::of_solution(&psf, &coadds, bad, &cells, config, &mut journal),
        None => {
            CoaddPsfs::of_coadds(&start.psf, &coadds, bad, &cells, division.grid(), config, &mut journal)?
        }
    };
    let residual_rms = match &joint {
        Some((_, summary)) => summary.visits.iter().map(|visit| Some(visit.chi2.sqrt())).collect(),
        None => residual_rms(&coadds, &division, &store, &gathered.variances, config)?,
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
        psfs: &psfs,
        coadds: &coadds,
        residual_rms,
        artefacts: &artefacts,
        joint,
    };
    let visits = finished.visits();
    finished.write_coadds(&folder, &visits, &journal)?;
    let summary = finished.summary(visits, &mut journal);
    write_summary(&folder, &summary)?;
    journal.go_on()?;
    // An earlier run may have had more subfilters, or another method.
    folder.publish(Some(SUMMARY), |name| {
        let subfilter = name.starts_with("subfilter_") && name.ends_with(".fits");
        ["joint.fits", INPUT_MAP, REPORT].contains(&name) || subfilter
    })?;
    Ok(summary)
}

/// What artefacts are looked for in.
fn search<'a>(
    gathered: &'a Gathered,
    division: &'a Division,
    start: &'a Start,
    reader: &'a PixelReader<'a>,
) -> Search<'a> {
    Search {
        inputs: &gathered.inputs,
        given: &gathered.given,
        reader,
        noise: &gathered.noise,
        division,
        template: &start.template,
        sources: &start.sources,
        planes: &start.planes,
        strip_bytes: gathered.memory.strip_bytes,
    }
}

/// What is solved from.
fn unsolved<'a>(
    gathered: &'a Gathered,
    division: &'a Division,
    store: &'a Store,
    start: &'a Start,
) -> Unsolved<'a> {
    Unsolved {
        inputs: &gathered.inputs,
        noise: &gathered.noise,
        division,
        store,
        template: &start.template,
        sources: &start.sources,
        planes: &start.planes,
    }
}
