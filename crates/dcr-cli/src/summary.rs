//! Run summaries for the terminal, about a dozen lines each.

use std::collections::BTreeMap;
use std::path::PathBuf;

use dcr_coadd::{JointSummary, Outcome, PsfOrigin, Summary, TemplateSource, Warning};
use dcr_difference::{Convolution, SubtractSummary, TemplateSummary};

use crate::output::visible;
use crate::table::{Table, digits, fixed, numbers, words};

/// Maximum number of warnings shown; summary.json has all of them.
const WARNINGS_SHOWN: usize = 6;

/// The summary of `dcr assemble`.
pub(crate) fn of_assembling(summary: &Summary) -> String {
    let mut lines = Lines::default();
    let band = &summary.band;
    let edges: Vec<String> = band
        .subfilters_nm
        .iter()
        .map(|edges| edges[0])
        .chain(band.subfilters_nm.last().map(|edges| edges[1]))
        .map(|nm| format!("{nm:.1}"))
        .collect();
    lines.add(
        "band",
        format!("{}, {} subfilters: {} nm", band.name, band.subfilters_nm.len(), edges.join(" | ")),
    );
    let bbox = &summary.bbox;
    lines.add(
        "patch",
        format!("{} × {} px of {:.3}″, in {}", bbox.width, bbox.height, summary.arcsec_per_px, summary.unit),
    );
    lines.add("visits", visits(summary));
    for dropped in &summary.dropped {
        lines.add("dropped", format!("{}: {}", dropped.subject, dropped.text));
    }
    let (hit, pixels) = summary
        .visits
        .iter()
        .map(|visit| visit.artefact_pixels)
        .filter(|pixels| *pixels > 0)
        .fold((0, 0), |(hit, all), pixels| (hit + 1, all + pixels));
    if hit > 0 {
        let visits = if hit == 1 { "one visit".to_owned() } else { format!("{hit} visits") };
        lines.add("artefacts", format!("{pixels} pixels in {visits} excluded"));
    }
    lines.add("solved", solved(summary));
    if let Some(fwhm) = summary.psf_fwhm_px {
        lines.add("PSF", format!("FWHM {fwhm:.2} px, {}", psf_from(summary)));
    }
    lines.add(
        "outcome",
        match summary.outcome {
            Outcome::Done => "done".to_owned(),
            Outcome::DoneWithRemarks => format!("done, but {}", summary.remarks.join("; ")),
        },
    );
    let others = summary.warnings.iter().filter(|warning| !summary.dropped.contains(warning));
    for warning in grouped(others) {
        lines.add("warning", warning);
    }
    lines.add("written", written(&summary.files));
    let stages: Vec<String> =
        summary.stages.iter().map(|stage| format!("{} {:.1}", stage.stage, stage.seconds)).collect();
    let memory = summary.peak_memory_bytes.map(|bytes| bytes as f64 / f64::from(1 << 20));
    lines.add(
        "took",
        format!("{:.1} s ({}); peak memory {} MiB", summary.seconds, stages.join(", "), fixed(memory, 0)),
    );
    lines.text
}

/// The summary of `dcr template`.
pub(crate) fn of_templates(summary: &TemplateSummary) -> String {
    let mut lines = Lines::default();
    lines.add("coadd", coadds(&summary.runs, &summary.band));
    for template in &summary.templates {
        lines.add(
            "template",
            format!(
                "{}: visit {}, airmass {:.3}, q {:.1}°, {:.1} % covered{}",
                template.file.display(),
                template.visit,
                template.airmass,
                template.parallactic_angle_deg,
                100.0 * template.covered,
                match template.patches.len() {
                    _ if !template.warped => String::new(),
                    1 => ", warped".into(),
                    patches => format!(", warped from {patches} patches"),
                }
            ),
        );
    }
    for warning in grouped(&summary.warnings) {
        lines.add("warning", warning);
    }
    lines.add("took", format!("{:.1} s", summary.seconds));
    lines.text
}

/// The summary of `dcr subtract`.
pub(crate) fn of_subtracting(summary: &SubtractSummary) -> String {
    let mut table = Table::new([
        words("visit"),
        numbers("airmass"),
        numbers("standard coadd"),
        numbers("matched"),
        numbers("dipoles"),
        numbers("noise"),
        numbers("searched"),
        words("PSF matched by"),
    ]);
    for visit in &summary.visits {
        table.row([
            visit.visit.to_string(),
            fixed(visit.airmass, 3),
            visit.plain.map_or_else(|| "–".into(), |plain| plain.detections.to_string()),
            visit.matched.detections.to_string(),
            visit.matched.dipoles.to_string(),
            fixed(Some(visit.noise_factor), 2),
            format!("{:.1} %", 100.0 * visit.searched),
            visit.matching.as_ref().map_or_else(
                || "–".into(),
                |matching| {
                    let convolved = match matching.convolved {
                        Convolution::Exposure => "exposure",
                        _ => "template",
                    };
                    format!(
                        "convolving the {convolved}, scale {:.3}, {} stars",
                        matching.scale, matching.stamps
                    )
                },
            ),
        ]);
    }
    let mut lines = Lines { text: table.to_string() };
    let matched = summary.matched;
    let plain = match (&summary.plain, &summary.plain_coadd) {
        (Some(plain), Some(name)) => format!("standard coadd ({name}) {}, ", plain.detections),
        _ => String::new(),
    };
    lines.add(
        "residuals",
        format!("above {} σ: {plain}matched template {}", summary.threshold, matched.detections),
    );
    for warning in grouped(&summary.warnings) {
        lines.add("warning", warning);
    }
    lines.add(
        "written",
        format!("{}: differences, tables of residuals, summary.json", summary.folder.display()),
    );
    lines.add("took", format!("{:.1} s", summary.seconds));
    lines.text
}

/// The runs behind the templates: identity of a single run, or their number.
fn coadds(runs: &[String], band: &str) -> String {
    match runs {
        [one] => format!("run {one}, band {band}"),
        several => format!("{} runs, band {band}", several.len()),
    }
}

/// Lines with a leading label.
#[derive(Default)]
struct Lines {
    text: String,
}

impl Lines {
    fn add(&mut self, about: &str, line: String) {
        self.text.push_str(&format!("{about:<9} {}\n", visible(&line)));
    }
}

/// Origin of the coadd's PSF.
fn psf_from(summary: &Summary) -> String {
    match (summary.psf.origin, &summary.psf.measured) {
        (PsfOrigin::Measured, Some(quality)) => {
            let error = quality.ellipticity_error.map(|error| format!(", ellipticity to {error:.4}"));
            let (stars, candidates) = (quality.stars, quality.candidates);
            format!("measured from {stars} of {candidates} bright sources{}", error.unwrap_or_default())
        }
        _ => match summary.joint.as_ref().and_then(|joint| joint.fiducial_visit) {
            Some(visit) => format!("as in visit {visit}, the sharpest"),
            None => {
                let selected = summary.visits.iter().filter(|visit| visit.psf_selected).count();
                format!("average of {selected} of {} visits", summary.visits.len())
            }
        },
    }
}

fn visits(summary: &Summary) -> String {
    let airmasses = summary.visits.iter().map(|visit| visit.airmass);
    let (low, high) = airmasses.fold((f64::INFINITY, 0.0_f64), |(low, high), x| (low.min(x), high.max(x)));
    let template = match &summary.template {
        TemplateSource::File(path) => format!("starting coadd {}", path.display()),
        TemplateSource::Made => "starting coadd made from them".to_owned(),
    };
    let memory = if summary.in_memory { "" } else { "; pixels on disk (they exceed the memory limit)" };
    format!("{}, airmass {low:.2} to {high:.2}; {template}{memory}", summary.visits.len())
}

fn solved(summary: &Summary) -> String {
    if let Some(joint) = &summary.joint {
        return jointly(joint);
    }
    let counts = summary.regions.iter().map(|region| region.report.iterations.len());
    let (fewest, most) = counts.fold((usize::MAX, 0), |(few, most), n| (few.min(n), most.max(n)));
    let iterations = match (fewest, most) {
        (few, most) if few >= most => format!("{most} iterations"),
        (few, most) => format!("{few} to {most} iterations"),
    };
    let regions = match summary.regions.len() {
        1 => String::new(),
        n => format!(" in {n} regions"),
    };
    format!(
        "iterative solver, {iterations}{regions}; metric {} → {}",
        digits(Some(summary.initial_metric), 3),
        digits(Some(summary.final_metric), 3)
    )
}

fn jointly(joint: &JointSummary) -> String {
    let passes = joint.tiles.iter().map(|tile| tile.last.len()).max().unwrap_or(0);
    let clipped = joint.visits.iter().map(|visit| visit.clipped).fold(0.0, f64::max);
    let furthest =
        joint.visits.iter().map(|visit| visit.offset_px[0].hypot(visit.offset_px[1])).fold(0.0, f64::max);
    let tiles = match joint.tiles.len() {
        1 => String::new(),
        n => format!(" in {n} tiles"),
    };
    format!(
        "joint solver, {passes} passes{tiles}; offsets up to {furthest:.3} px; up to {:.2} % of a visit clipped; colour error {:.2} mag at S/N 100",
        100.0 * clipped,
        joint.colour_error_mag
    )
}

/// Each warning with all its subjects, the most frequent first.
fn grouped<'a>(warnings: impl IntoIterator<Item = &'a Warning>) -> Vec<String> {
    let mut subjects: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for warning in warnings {
        subjects.entry(&warning.text).or_default().push(&warning.subject);
    }
    let mut groups: Vec<_> = subjects.into_iter().collect();
    groups.sort_by_key(|(_, subjects)| std::cmp::Reverse(subjects.len()));
    let more = groups.len().saturating_sub(WARNINGS_SHOWN);
    let mut shown: Vec<String> = groups
        .into_iter()
        .take(WARNINGS_SHOWN)
        .map(|(text, subjects)| match subjects.as_slice() {
            [one] => format!("{one}: {text}"),
            [one, rest @ ..] => format!("{one} and {} more: {text}", rest.len()),
            [] => text.to_owned(),
        })
        .collect();
    if more > 0 {
        shown.push(format!("{more} more in summary.json"));
    }
    shown
}

/// The common folder of the files, and their names.
fn written(files: &[PathBuf]) -> String {
    let Some(folder) = files.first().and_then(|file| file.parent()) else { return "nothing".into() };
    let names: Vec<_> =
        files.iter().filter_map(|file| file.file_name()).map(|name| name.to_string_lossy()).collect();
    format!("{}: {}", folder.display(), names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warning(subject: &str, text: &str) -> Warning {
        Warning { subject: subject.into(), text: text.into() }
    }

    #[test]
    fn warnings_are_grouped_and_not_too_many() {
        let all =
            [warning("visit 1", "No weather."), warning("patch", "Seam."), warning("visit 2", "No weather.")];
        assert_eq!(grouped(&all), ["visit 1 and 1 more: No weather.", "patch: Seam."]);
        let many: Vec<Warning> = (0..9).map(|i| warning("patch", &format!("Warning {i}."))).collect();
        let shown = grouped(&many);
        assert_eq!(shown.len(), WARNINGS_SHOWN + 1);
        assert_eq!(shown.last().map(String::as_str), Some("3 more in summary.json"));
    }

    #[test]
    fn written_files_stand_behind_their_folder() {
        assert_eq!(written(&["out/a.fits".into(), "out/b.fits".into()]), "out: a.fits, b.fits");
        assert_eq!(written(&[]), "nothing");
    }
}
