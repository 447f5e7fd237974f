// Links of the README lead to docs.rs; in this documentation they lead to the items.
//! [`Report`]: crate::Report
//! [`ReportError`]: crate::ReportError
//! [`report`]: crate::report
#![doc = include_str!("../README.md")]

mod displacement;
mod findings;
mod headline;
mod page;
mod picture;
mod plot;
mod run_summary;
mod statistics;
mod views;
mod words;

use std::path::Path;

use dcr_coadd::Monitor;
use dcr_difference::DifferenceError;

use crate::findings::Findings;
use crate::headline::Headline;
use crate::run_summary::RunSummary;

/// A finished page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The page.
    pub html: String,
    /// The headline.
    pub headline: String,
    /// The exposures that could not be read, each with the reason.
    pub missing: Vec<String>,
}

/// The reason for a missing page.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// `summary.json` is not one of `dcr assemble`.
    #[error("not a summary of dcr assemble ({0}); give the folder of a finished run")]
    Summary(String),
    /// The coadds cannot be read, or the run was cancelled.
    #[error(transparent)]
    Difference(#[from] DifferenceError),
}

/// Makes the page of the run in `folder`, given the text of its `summary.json`.
///
/// Exposures are searched for at the paths of the summary, relative to the working directory, the
/// run's folder, and those above it; missing ones are listed and left out.
///
/// # Errors
///
/// [`ReportError`] if the summary is not of `dcr assemble`, the coadds cannot be read, or the
/// monitor asks to stop.
pub fn report(folder: &Path, summary: &str, monitor: &dyn Monitor) -> Result<Report, ReportError> {
    let summary = RunSummary::parse(summary).map_err(ReportError::Summary)?;
    let findings = Findings::gather(folder, summary, monitor)?;
    let headline = Headline::of(&findings);
    let html = page::render(&findings, &headline).into_string();
    let missing =
        findings.missing().into_iter().map(|(visit, reason)| format!("visit {}: {reason}", visit.visit));
    Ok(Report { missing: missing.collect(), headline: headline.text, html })
}
