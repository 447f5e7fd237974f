//! `dcr assemble`.

use anyhow::Context;
use dcr_coadd::AssembleRequest;

use crate::args::Assemble;
use crate::commands::report;
use crate::console::Console;
use crate::exit::Exit;
use crate::{settings, summary, warps};

/// Makes the coadds and prints the summary.
pub(crate) fn run(arguments: &Assemble, console: &Console) -> anyhow::Result<Exit> {
    let mut config = settings::gather(&arguments.settings)?;
    if let Some(limit) = arguments.memory_limit {
        config.coadd.memory_limit = Some(limit);
    }
    if let Some(path) = &arguments.visits {
        config.input.visits = Some(settings::visits(path)?);
    }
    let request = AssembleRequest {
        warps: warps::expand(&arguments.warps.warps, &config.input, console)?,
        matched: warps::expand(&arguments.matched, &config.input, console)?,
        template: arguments.template.clone(),
        output: arguments.output.clone(),
        overwrite: arguments.overwrite,
    };
    let progress = console.progress();
    let outcome = dcr_coadd::assemble(&request, &config, &progress);
    let page = (outcome.is_ok() && arguments.report).then(|| report::write(&arguments.output, &progress));
    drop(progress);
    let done = outcome?;
    console.summary(&summary::of_assembling(&done))?;
    if let Some(told) = page {
        console.summary(&told.context("the coadds are complete, but the report could not be written")?)?;
    }
    Ok(Exit::of(done.outcome))
}
