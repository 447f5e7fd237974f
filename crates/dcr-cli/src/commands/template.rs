//! `dcr template`.

use anyhow::bail;
use dcr_coadd::config::TemplateConfig;
use dcr_difference::TemplateRequest;

use crate::args::Template;
use crate::console::Console;
use crate::exit::Exit;
use crate::{settings, summary, warps};

/// Makes the templates and prints the summary.
pub(crate) fn run(arguments: &Template, console: &Console) -> anyhow::Result<Exit> {
    let mut config = TemplateConfig::from(&settings::gather(&arguments.settings)?);
    config.template.register &= !arguments.no_register;
    let exposures = warps::expand(&arguments.exposures, &config.input, console)?;
    let output = &arguments.output;
    if exposures.len() > 1 && output.extension().is_some_and(|extension| extension == "fits") {
        bail!(
            "{}: this is a file name, but there are {} exposures; give a directory",
            output.display(),
            exposures.len()
        );
    }
    let request = TemplateRequest {
        coadds: arguments.coadds.clone(),
        exposures,
        output: arguments.output.clone(),
        overwrite: arguments.overwrite,
    };
    let progress = console.progress();
    let outcome = dcr_difference::matched_templates(&request, &config, &progress);
    drop(progress);
    let done = outcome?;
    console.summary(&summary::of_templates(&done))?;
    Ok(Exit::of(done.outcome))
}
