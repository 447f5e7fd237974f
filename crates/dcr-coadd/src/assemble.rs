//! The main job on files: exposures are opened, coadded ([`crate::coadd()`]) and written.

mod write;

use std::path::PathBuf;
use std::sync::Arc;

use dcr_image::fits::{OutputFolder, peak_memory};
use dcr_image::{Exposure, ExposureFile};

use crate::config::AssembleConfig;
use crate::error::CoaddError;
use crate::inputs::input_map::INPUT_MAP;
use crate::inputs::open_exposures;
use crate::model::MODEL_FILE;
use crate::patch::{Exposures, coadd_recorded};
use crate::run::outputs::{REPORT, SUMMARY, Writer, write_summary};
use crate::run::progress::Monitor;
use crate::run::run_log::RunLog;
use crate::run::summary::Summary;

/// The model of a joint run before there were files for both solvers.
const EARLIER_MODEL: &str = "joint.fits";

/// Inputs and output folder of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssembleRequest {
    /// Exposures of one band on one grid.
    pub warps: Vec<PathBuf>,
    /// PSF-matched warps of the same visits, for the search for artefacts. Without any, the warps
    /// are convolved where needed.
    pub matched: Vec<PathBuf>,
    /// A coadd to start from; without it one is made.
    pub template: Option<PathBuf>,
    /// The folder for the results.
    pub output: PathBuf,
    /// True if existing results may be replaced.
    pub overwrite: bool,
}

/// Assembles subfilter coadds from warps and writes them.
///
/// No file appears under its final name before all are complete.
///
/// # Errors
///
/// [`CoaddError`] for the first error in settings, files or the folder, and if the monitor asks to
/// stop.
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
    let mut log = RunLog::new(monitor);
    log.stage("reading", request.warps.len())?;
    let open = |path: &PathBuf| -> Result<Arc<dyn Exposure>, CoaddError> {
        Ok(Arc::new(ExposureFile::open(path, &config.input.open_options(path))?))
    };
    let exposures = Exposures {
        visits: open_exposures(&request.warps, config)?,
        matched: request.matched.iter().map(open).collect::<Result<_, _>>()?,
        starting: request.template.as_ref().map(open).transpose()?,
        scratch: Some(folder.stage().to_owned()),
    };
    let mut coadds = coadd_recorded(&exposures, config, &mut log)?;
    log.stage("writing", config.model.subfilters + 2)?;
    coadds.write(&folder, &config.output, &log)?;
    coadds.summary.files = coadds.file_names().iter().map(|name| request.output.join(name)).collect();
    (coadds.summary.stages, coadds.summary.seconds) = log.times();
    coadds.summary.peak_memory_bytes = peak_memory();
    write_summary(&folder, &coadds.summary)?;
    log.go_on()?;
    // An earlier run may have had more subfilters, or been of an earlier version.
    folder.publish(Some(SUMMARY), |name| {
        let subfilter = name.starts_with("subfilter_") && name.ends_with(".fits");
        [MODEL_FILE, EARLIER_MODEL, INPUT_MAP, REPORT].contains(&name) || subfilter
    })?;
    Ok(coadds.summary)
}
