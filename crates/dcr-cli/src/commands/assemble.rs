//! `dcr assemble`.

use dcr_coadd::{AssembleRequest, Outcome};

use crate::args::Assemble;
use crate::console::Console;
use crate::exit::Exit;
use crate::{settings, summary, warps};

/// Makes the coadds and prints what was done.
pub(crate) fn run(arguments: &Assemble, console: &Console) -> anyhow::Result<Exit> {
    let mut config = settings::gather(&arguments.settings)?;
    if let Some(limit) = arguments.memory_limit {
        config.coadd.memory_limit = Some(limit);
    }
    let request = AssembleRequest {
        warps: warps::expand(&arguments.warps.warps)?,
        template: arguments.template.clone(),
        output: arguments.output.clone(),
        overwrite: arguments.overwrite,
    };
    let progress = console.progress()?;
    let outcome = dcr_coadd::assemble(&request, &config, &progress);
    drop(progress);
    let done = outcome?;
    console.summary(&summary::of_assembling(&done))?;
    Ok(match done.outcome {
        Outcome::Done => Exit::Done,
        Outcome::DoneWithRemarks => Exit::DoneWithRemarks,
    })
}
