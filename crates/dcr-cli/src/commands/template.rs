//! `dcr template`.

use dcr_coadd::TemplateRequest;
use dcr_coadd::config::TemplateConfig;

use crate::args::Template;
use crate::console::Console;
use crate::exit::Exit;
use crate::{settings, summary, warps};

/// Makes the templates and prints what was done.
pub(crate) fn run(arguments: &Template, console: &Console) -> anyhow::Result<Exit> {
    let config = TemplateConfig::from(&settings::gather(&arguments.settings)?);
    let request = TemplateRequest {
        coadds: arguments.coadds.clone(),
        exposures: warps::expand(&arguments.exposures)?,
        output: arguments.output.clone(),
        overwrite: arguments.overwrite,
    };
    let progress = console.progress()?;
    let outcome = dcr_coadd::matched_templates(&request, &config, &progress);
    drop(progress);
    let done = outcome?;
    console.summary(&summary::of_templates(&done))?;
    Ok(Exit::Done)
}
