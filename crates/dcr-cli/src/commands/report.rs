//! `dcr report`, and the page of `dcr assemble --report`.

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

/// The most exposures that are named as missing.
const MISSING_SHOWN: usize = 5;

/// Writes the page of a finished run and says what it says first.
pub(crate) fn run(arguments: &Report, console: &Console) -> anyhow::Result<Exit> {
    let progress = console.progress();
    let told = write(&arguments.folder, &progress);
    drop(progress);
    console.summary(&told?)?;
    Ok(Exit::Done)
}

/// Writes `report.html` into the folder of a run, and returns what is to be said of it.
pub(crate) fn write(folder: &Path, monitor: &dyn Monitor) -> anyhow::Result<String> {
    let source = folder.join("summary.json");
    // Nobody replaces the run while its page is made, or gives it the page of another.
    let _in_use = folder.is_dir().then(|| FolderInUse::take(folder)).transpose()?;
    let summary = std::fs::read_to_string(&source).with_context(|| {
        format!("cannot read {}; name the folder that dcr assemble has written", source.display())
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

/// Writes a file whole or not at all.
fn save(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(text.as_bytes())?;
    file.commit()
}
