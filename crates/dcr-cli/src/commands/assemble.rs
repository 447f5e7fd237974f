//! `dcr assemble`.

use dcr_coadd::{AssembleRequest, Outcome};
use indicatif::MultiProgress;

use crate::args::Assemble;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::progress::Progress;
use crate::{output, settings, summary, warps};

/// Makes the coadds and prints what was done.
pub(crate) fn run(arguments: &Assemble, bars: MultiProgress, quiet: bool) -> anyhow::Result<Exit> {
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
    let progress = Progress::new(bars, quiet, Interrupt::listen()?);
    let outcome = dcr_coadd::assemble(&request, &config, &progress);
    drop(progress);
    let done = outcome?;
    output::print(&summary::of_assembling(&done))?;
    Ok(match done.outcome {
        Outcome::Done => Exit::Done,
        Outcome::DoneWithRemarks => Exit::DoneWithRemarks,
    })
}
