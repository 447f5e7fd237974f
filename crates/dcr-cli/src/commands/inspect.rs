//! `dcr inspect`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use dcr_coadd::inspect::{Inspection, Place, VisitInspection};

use crate::args::Inspect;
use crate::console::Console;
use crate::exit::Exit;
use crate::output::visible;
use crate::table::{Table, digits, fixed, numbers, words};
use crate::{output, settings, warps};

/// Inspects the exposures and prints their properties.
pub(crate) fn run(arguments: &Inspect, console: &Console) -> anyhow::Result<Exit> {
    let config = settings::gather(&arguments.settings)?;
    let files = warps::expand(&arguments.warps.warps, &config.input, console)?;
    let inspection = dcr_coadd::inspect::inspect(&files, &config);
    if arguments.json {
        output::print_json(&(serde_json::to_string_pretty(&inspection)? + "\n"))?;
    } else {
        output::print(&as_text(&inspection))?;
    }
    Ok(match (inspection.visits.len(), inspection.unreadable.len()) {
        (_, 0) => Exit::Done,
        (0, _) => Exit::Failed,
        _ => Exit::DoneWithWarnings,
    })
}

fn as_text(inspection: &Inspection) -> String {
    let mut text = String::new();
    if !inspection.visits.is_empty() {
        text.push_str(&visits(&inspection.visits).to_string());
        text.push('\n');
        text.push_str(&set(inspection));
    }
    for warning in &inspection.warnings {
        let _ = writeln!(text, "warning: {}", visible(warning));
    }
    for (warning, heading) in [(true, "warning"), (false, "note")] {
        for (said, names) in said(&inspection.visits, warning) {
            let said = visible(said);
            let _ = writeln!(text, "{heading}: {}: {said}", who(&names, inspection.visits.len()));
        }
    }
    for unreadable in &inspection.unreadable {
        let _ = writeln!(text, "unreadable: {}", visible(&unreadable.error));
    }
    text
}

fn visits(visits: &[VisitInspection]) -> Table {
    let mut table = Table::new([
        words("visit"),
        words("file"),
        words("middle (UTC)"),
        numbers("airmass"),
        numbers("alt °"),
        numbers("at start"),
        numbers("header"),
        numbers("q °"),
        numbers("at start"),
        numbers("zenith °"),
        numbers("DCR px"),
        numbers("mas"),
        numbers("FWHM px"),
        numbers("noise"),
    ]);
    for visit in visits {
        let place = visit.boresight.or(visit.centre);
        let of_place = |value: fn(Place) -> f64| place.map(value);
        table.row([
            visit.visit.to_string(),
            name(&visit.file),
            visit.mid_time.clone().unwrap_or_else(|| "–".into()),
            fixed(of_place(|place| place.airmass), 3),
            fixed(of_place(|place| place.altitude_deg), 2),
            fixed(visit.boresight_at_start.map(|place| place.altitude_deg), 2),
            fixed(visit.header_altitude_deg, 2),
            fixed(of_place(|place| place.parallactic_angle_deg), 2),
            fixed(visit.boresight_at_start.map(|place| place.parallactic_angle_deg), 2),
            fixed(visit.zenith_direction_deg, 1),
            fixed(visit.dispersion.map(|dispersion| dispersion.px), 2),
            fixed(visit.dispersion.map(|dispersion| dispersion.mas), 0),
            fixed(visit.psf.map(|psf| psf.fwhm_px), 2),
            digits(visit.noise, 3),
        ]);
    }
    table
}

/// Summary lines for the set as a whole.
fn set(inspection: &Inspection) -> String {
    let count = inspection.visits.len();
    let mut text = format!("{count} {}", if count == 1 { "visit" } else { "visits" });
    let filters: Vec<&str> = distinct(inspection.visits.iter().filter_map(|visit| visit.filter.as_deref()));
    let units: Vec<&str> = distinct(inspection.visits.iter().filter_map(|visit| visit.unit.as_deref()));
    for (what, values) in [("filter", filters), ("unit", units)] {
        if !values.is_empty() {
            let _ = write!(text, "; {what} {}", visible(&values.join(", ")));
        }
    }
    if let Some(leverage) = inspection.leverage {
        let _ = write!(
            text,
            "\nDCR baseline: tan z (cos q, sin q) spans {:.2}; longest along position angle {:.0}° ({:.2})",
            leverage.tan_z, leverage.direction_deg, leverage.largest
        );
        if let Some(ratio) = leverage.dispersion_per_fwhm {
            let _ = write!(text, "; across the band {:.0} % of the PSF's FWHM", 100.0 * ratio);
        }
    }
    text.push('\n');
    text
}

/// A short list of visit names.
fn who(names: &[String], of: usize) -> String {
    const SHOWN: usize = 6;
    match names.len() {
        n if n == of && n > 1 => format!("all {n}"),
        n if n > SHOWN + 1 => format!("{} and {} more", names[..SHOWN].join(", "), n - SHOWN),
        _ => names.join(", "),
    }
}

/// Assumption texts, each with the names of the visits it applies to, in order of the visits.
fn said(visits: &[VisitInspection], warning: bool) -> Vec<(&str, Vec<String>)> {
    let mut order: Vec<&str> = Vec::new();
    let mut names: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for visit in visits {
        for assumption in visit.assumptions.iter().filter(|assumption| assumption.warning == warning) {
            let said = assumption.text.as_str();
            let of = names.entry(said).or_default();
            if of.is_empty() {
                order.push(said);
            }
            of.push(visit.visit.to_string());
        }
    }
    order.into_iter().map(|said| (said, names.remove(said).unwrap_or_default())).collect()
}

fn distinct<'a>(values: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut values: Vec<&str> = values.collect();
    values.sort_unstable();
    values.dedup();
    values
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
