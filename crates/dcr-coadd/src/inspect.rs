//! Properties of a set of exposures before coaddition: times, angles, refraction, PSF, noise.
//!
//! Files need not share a grid, and a file that cannot be read is listed with the reason. The table
//! has the interpretation of each visit under [`crate::config`], and the spread of refraction over
//! the set ([`Leverage`]), which decides whether colours can be measured.

mod leverage;
mod visit;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use rayon::prelude::*;
use serde::Serialize;

pub use self::leverage::Leverage;
pub use self::visit::{Dispersion, Place, Psf, VisitInspection};
use crate::config::AssembleConfig;
use crate::error::CoaddError;

/// Properties of a set of exposures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Inspection {
    /// The exposures that could be read, in the order given.
    pub visits: Vec<VisitInspection>,
    /// The files that could not.
    pub unreadable: Vec<Unreadable>,
    /// DCR leverage of the set; `None` with fewer than two visits whose zenith is known.
    pub leverage: Option<Leverage>,
    /// Warnings about the set as a whole.
    pub warnings: Vec<String>,
}

/// A file that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unreadable {
    /// The file.
    pub file: PathBuf,
    /// Why.
    pub error: String,
}

/// Looks at each of `files`.
#[must_use]
pub fn inspect(files: &[PathBuf], config: &AssembleConfig) -> Inspection {
    let outcomes: Vec<_> = files.par_iter().map(|file| visit::inspect(file, config)).collect();
    let mut inspection =
        Inspection { visits: Vec::new(), unreadable: Vec::new(), leverage: None, warnings: Vec::new() };
    for (file, outcome) in files.iter().zip(outcomes) {
        match outcome {
            Ok(visit) => inspection.visits.push(visit),
            Err(error) => {
                let error = CoaddError::from(error).to_string();
                inspection.unreadable.push(Unreadable { file: file.clone(), error });
            }
        }
    }
    inspection.leverage = Leverage::of(&inspection.visits);
    inspection.warnings = warnings(&inspection);
    inspection
}

/// Warnings about the set as a whole.
fn warnings(inspection: &Inspection) -> Vec<String> {
    let mut warnings = Vec::new();
    let twice = shared_numbers(&inspection.visits);
    if !twice.is_empty() {
        let shown: Vec<&str> = twice.iter().take(3).map(String::as_str).collect();
        let more = if twice.len() > 3 { format!(" and {} more", twice.len() - 3) } else { String::new() };
        warnings.push(format!(
            "several files share a visit number, and their headers do not name different detectors: {}{more}",
            shown.join("; ")
        ));
    }
    for (what, values) in [
        ("filters", distinct(inspection, |visit| visit.filter.as_deref())),
        ("units", distinct(inspection, |visit| visit.unit.as_deref())),
    ] {
        if values.len() > 1 {
            warnings.push(format!("the files have different {what}: {}", values.join(", ")));
        }
    }
    if let Some(leverage) = inspection.leverage.filter(Leverage::is_small) {
        warnings.push(format!(
            "refraction differs little between the visits (spread of tan z {:.2}{}): colours in the subfilters come \
             from the prior; add visits at other airmass or on the other side of the meridian",
            leverage.tan_z,
            leverage
                .dispersion_per_fwhm
                .map_or_else(String::new, |ratio| format!(", {:.0} % of the PSF's FWHM across the band", 100.0 * ratio)),
        ));
    }
    warnings
}

/// The visit numbers that several files have, each with these, unless they are of different
/// detectors.
fn shared_numbers(visits: &[VisitInspection]) -> Vec<String> {
    let mut files: BTreeMap<u64, Vec<&VisitInspection>> = BTreeMap::new();
    visits.iter().for_each(|visit| files.entry(visit.visit).or_default().push(visit));
    files.retain(|_, files| !are_detectors(files));
    let names = |files: Vec<&VisitInspection>| -> Vec<String> {
        let name = |visit: &&VisitInspection| {
            visit.file.file_name().unwrap_or_default().to_string_lossy().into_owned()
        };
        files.iter().map(name).collect()
    };
    files.into_iter().map(|(number, files)| format!("{number} ({})", names(files).join(", "))).collect()
}

/// True if no two files share a detector or leave it unnamed; true for one file.
fn are_detectors(files: &[&VisitInspection]) -> bool {
    let detectors: BTreeSet<&String> = files.iter().filter_map(|visit| visit.detector.as_ref()).collect();
    files.len() == 1 || detectors.len() == files.len()
}

fn distinct<'a>(
    inspection: &'a Inspection,
    of: impl Fn(&'a VisitInspection) -> Option<&'a str>,
) -> Vec<&'a str> {
    let mut values: Vec<&str> = inspection.visits.iter().filter_map(of).collect();
    values.sort_unstable();
    values.dedup();
    values
}
