//! `dcr subtract`.

use dcr_coadd::SubtractRequest;
use dcr_coadd::config::{SubtractConfig, TableFormat};
use indicatif::MultiProgress;

use crate::args::Subtract;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::progress::Progress;
use crate::{output, settings, summary, warps};

/// Subtracts the templates and prints what is left.
pub(crate) fn run(arguments: &Subtract, bars: MultiProgress, quiet: bool) -> anyhow::Result<Exit> {
    let mut config = SubtractConfig::from(&settings::gather(&arguments.settings)?);
    config.subtract.match_psf |= arguments.match_psf;
    if arguments.csv {
        config.subtract.table = TableFormat::Csv;
    }
    let request = SubtractRequest {
        coadds: arguments.coadds.clone(),
        templates: warps::expand(&arguments.templates)?,
        exposures: warps::expand(&arguments.exposures)?,
        output: arguments.output.clone(),
        overwrite: arguments.overwrite,
    };
    let progress = Progress::new(bars, quiet, Interrupt::listen()?);
    let outcome = dcr_coadd::subtract(&request, &config, &progress);
    drop(progress);
    output::print(&summary::of_subtracting(&outcome?))?;
    Ok(Exit::Done)
}
