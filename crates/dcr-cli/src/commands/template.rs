//! `dcr template`.

use dcr_coadd::TemplateRequest;
use dcr_coadd::config::TemplateConfig;
use indicatif::MultiProgress;

use crate::args::Template;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::progress::Progress;
use crate::{output, settings, summary, warps};

/// Makes the templates and prints what was done.
pub(crate) fn run(arguments: &Template, bars: MultiProgress, quiet: bool) -> anyhow::Result<Exit> {
    let config = TemplateConfig::from(&settings::gather(&arguments.settings)?);
    let request = TemplateRequest {
        coadds: arguments.coadds.clone(),
        exposures: warps::expand(&arguments.exposures)?,
        output: arguments.output.clone(),
        overwrite: arguments.overwrite,
    };
    let progress = Progress::new(bars, quiet, Interrupt::listen()?);
    let outcome = dcr_coadd::matched_templates(&request, &config, &progress);
    drop(progress);
    let done = outcome?;
    output::print(&summary::of_templates(&done))?;
    Ok(Exit::Done)
}
