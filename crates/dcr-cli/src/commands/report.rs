//! `dcr report`, and the report of `dcr assemble --report`.

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use dcr_coadd::Monitor;
use dcr_image::fits::{AtomicFile, FolderInUse};
use dcr_report::ReportError;

use crate::args::Report;
use crate::console::Console;
use crate::exit::Exit;
use crate::output::visible;

/// Maximum number of missing exposures listed.
const MISSING_SHOWN: usize = 5;

/// Writes the report of a finished run and prints its headline.
pub(crate) fn run(arguments: &Report, console: &Console) -> anyhow::Result<Exit> {
    let progress = console.progress();
    let text = write(&arguments.folder, &progress);
    drop(progress);
    console.summary(&text?)?;
    Ok(Exit::Done)
}

/// Writes `report.html` into the folder of a run, and returns the text to print.
pub(crate) fn write(folder: &Path, monitor: &dyn Monitor) -> anyhow::Result<String> {
    let source = folder.join("summary.json");
    // The lock keeps other processes from replacing the run during the report.
    let _in_use = folder.is_dir().then(|| FolderInUse::take(folder)).transpose()?;
    let summary = std::fs::read_to_string(&source).with_context(|| {
        format!("cannot read {}; expected the output directory of dcr assemble", source.display())
    })?;
    let report = dcr_report::report(folder, &summary, monitor).map_err(|error| match error {
        ReportError::Difference(error) => error.into(),
        other => anyhow::Error::new(other).context(source.display().to_string()),
    })?;
    let path = folder.join("report.html");
    save(&path, &report.html).with_context(|| format!("cannot write {}", path.display()))?;
    let mut text = format!("report    {}\n", visible(&report.headline));
    for missing in report.missing.iter().take(MISSING_SHOWN) {
        text.push_str(&format!("missing   {}\n", visible(missing)));
    }
    let more = report.missing.len().saturating_sub(MISSING_SHOWN);
    if more > 0 {
        text.push_str(&format!("missing   {more} more, listed in the report\n"));
    }
    text.push_str(&format!("written   {}\n", visible(&path.display().to_string())));
    Ok(text)
}

/// Writes a file atomically.
fn save(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(text.as_bytes())?;
    file.commit()
}
