//! `dcr subtract`.

use dcr_coadd::config::{SubtractConfig, TableFormat};
use dcr_difference::SubtractRequest;

use crate::args::Subtract;
use crate::console::Console;
use crate::exit::Exit;
use crate::{settings, summary, warps};

/// Subtracts the templates and prints the residual counts.
pub(crate) fn run(arguments: &Subtract, console: &Console) -> anyhow::Result<Exit> {
    let mut config = SubtractConfig::from(&settings::gather(&arguments.settings)?);
    config.subtract.match_psf |= arguments.match_psf;
    config.template.template.register &= !arguments.no_register;
    if arguments.csv {
        config.subtract.table = TableFormat::Csv;
    }
    let request = SubtractRequest {
        coadds: arguments.coadds.clone(),
        templates: warps::expand(&arguments.templates, &config.template.input, console)?,
        exposures: warps::expand(&arguments.exposures, &config.template.input, console)?,
        output: arguments.output.clone(),
        overwrite: arguments.overwrite,
    };
    let progress = console.progress();
    let outcome = dcr_difference::subtract(&request, &config, &progress);
    drop(progress);
    let done = outcome?;
    console.summary(&summary::of_subtracting(&done))?;
    Ok(Exit::of(done.outcome))
}
