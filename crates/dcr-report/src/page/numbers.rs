//! All numbers as tables to copy, the configuration, and versions.

use maud::{Markup, html};
use serde_json::Value;

use super::table::{Column, numbers, table, words};
use crate::findings::{Findings, Left};
use crate::run_summary::{Joint, RunSummary};
use crate::words::fixed;

pub(super) fn section(findings: &Findings) -> Markup {
    html! {
        (run(findings))
        (subfilters(findings))
        (remainders(findings))
        (visits(findings))
        (shifts(findings))
        @match &findings.summary.joint {
            Some(joint) => (tiles(joint)),
            None => (regions(findings)),
        }
        (configuration(findings))
    }
}

/// Facts of the run as a whole.
fn run(findings: &Findings) -> Markup {
    let summary = &findings.summary;
    let stages = summary.stages.iter().map(|stage| format!("{} {} s", stage.stage, fixed(stage.seconds, 1)));
    let memory = summary.peak_memory_bytes.map(|bytes| bytes as f64 / f64::from(1 << 20));
    let facts = [
        ("run", summary.run.clone()),
        ("version of dcr", summary.version.clone()),
        ("outcome", summary.outcome.replace('_', " ")),
        ("band", summary.band.name.clone()),
        ("middle of the band (nm)", fixed(summary.band.effective_nm, 2)),
        ("width of the band (nm)", fixed(summary.band.bandwidth_nm, 2)),
        ("stays in place (nm)", fixed(summary.band.reference_nm, 2)),
        ("patch (px)", findings.bbox.to_string()),
        ("pixel (″)", fixed(summary.arcsec_per_px, 4)),
        ("unit of pixel values", findings.unit.clone()),
        ("FWHM of the coadd's PSF (px)", fixed(summary.psf_fwhm_px, 3)),
    ];
    let cost = [
        ("time (s)", fixed(summary.seconds, 1)),
        ("stages", stages.collect::<Vec<_>>().join(", ")),
        ("peak memory (MiB)", fixed(memory, 0)),
    ];
    let rows: Vec<Vec<String>> = facts
        .into_iter()
        .chain(solve(summary))
        .chain(cost)
        .map(|(name, value)| vec![name.to_owned(), value])
        .collect();
    table("run-table", "The run", &[words(""), words("value")], &rows)
}

/// Results of the solve as a whole, by method.
fn solve(summary: &RunSummary) -> Vec<(&'static str, String)> {
    let Some(joint) = &summary.joint else {
        return vec![
            ("method", "iterative".into()),
            ("metric at the start", fixed(summary.initial_metric, 5)),
            ("metric at the end", fixed(summary.final_metric, 5)),
        ];
    };
    let percent = |share: Option<f64>| fixed(share.map(|share| 100.0 * share), 1);
    let visit = joint.fiducial_visit.map_or_else(|| "none".into(), |visit| visit.to_string());
    vec![
        ("method", "joint".into()),
        ("visit that provides the PSF of the coadds", visit),
        ("FWHM of that PSF (px)", fixed(joint.fiducial_fwhm_px, 3)),
        ("noise of all visits together (per pixel)", fixed(joint.noise_per_pixel, 4)),
        ("pixels with data in the model (%)", percent(joint.covered)),
        (
            "error of a colour at S/N 100, from data alone (mag)",
            joint.colour_error_mag.map_or_else(|| "without bounds".into(), |error| fixed(Some(error), 4)),
        ),
        ("contribution of the data to it (%)", percent(joint.data_fraction)),
        ("the same at S/N 30 (%)", percent(joint.faint_data_fraction)),
    ]
}

fn subfilters(findings: &Findings) -> Markup {
    let band = &findings.summary.band;
    let row = |(i, [blue, red]): (usize, &[f64; 2])| {
        let share = band.fractions.get(i).copied();
        vec![i.to_string(), fixed(Some(*blue), 2), fixed(Some(*red), 2), fixed(share, 5)]
    };
    let rows: Vec<Vec<String>> = band.subfilters_nm.iter().enumerate().map(row).collect();
    let columns = [
        numbers("subfilter", ""),
        numbers("from", "nm"),
        numbers("to", "nm"),
        numbers("share of a flat spectrum", ""),
    ];
    table("subfilter-table", "Subfilters", &columns, &rows)
}

/// Residuals of each visit.
fn remainders(findings: &Findings) -> Markup {
    let columns = [
        words("visit"),
        numbers("airmass", ""),
        numbers("standard coadd: detections", ""),
        numbers("dipoles", ""),
        numbers("rms on sources", ""),
        numbers("usable", "%"),
        numbers("matched template: detections", ""),
        numbers("dipoles", ""),
        numbers("rms on sources", ""),
        numbers("usable", "%"),
        numbers("good pixels searched", "%"),
        words("PSF matched"),
    ];
    let cells = |left: Option<Left>| {
        let count = |number: Option<usize>| number.map_or_else(|| "–".into(), |number| number.to_string());
        let counts = left.and_then(|left| left.counts);
        [
            count(counts.map(|counts| counts.detections)),
            count(counts.map(|counts| counts.dipoles)),
            fixed(left.and_then(|left| left.source_rms), 3),
            fixed(left.map(|left| 100.0 * left.usable), 1),
        ]
    };
    let rows: Vec<Vec<String>> = findings
        .summary
        .visits
        .iter()
        .enumerate()
        .map(|(i, visit)| {
            let seen = findings.seen(i);
            let mut row = vec![visit.visit.to_string(), fixed(visit.airmass, 3)];
            row.extend(cells(seen.and_then(|seen| seen.plain)));
            row.extend(cells(seen.map(|seen| seen.matched)));
            row.push(fixed(seen.map(|seen| 100.0 * seen.matched.searched), 1));
            row.push(match seen {
                None => "not read".into(),
                Some(seen) if seen.matched.psf_matched => "yes".into(),
                Some(_) => "no".into(),
            });
            row
        })
        .collect();
    let caption = format!("Residuals of each visit above {} σ", findings.threshold);
    table("remainder-table", &caption, &columns, &rows)
}

fn visits(findings: &Findings) -> Markup {
    // The joint method has no metric.
    let measured = findings.summary.visits.iter().any(|visit| visit.metric.is_some());
    let mut columns = vec![
        words("visit"),
        words("file"),
        numbers("airmass", ""),
        numbers("altitude", "°"),
        numbers("q", "°"),
        words("zenith from"),
        numbers("PSF FWHM", "px"),
        words("in the coadd's PSF"),
        numbers("variance", ""),
        numbers("weight", ""),
        numbers("usable", "%"),
    ];
    columns.extend(measured.then(|| numbers("metric", "")));
    let rows: Vec<Vec<String>> = findings
        .summary
        .visits
        .iter()
        .map(|visit| {
            let mut row = vec![
                visit.visit.to_string(),
                visit.file.display().to_string(),
                fixed(visit.airmass, 4),
                fixed(visit.altitude_deg, 3),
                fixed(visit.parallactic_angle_deg, 3),
                visit.zenith_from.replace('_', " "),
                fixed(visit.psf_fwhm_px, 3),
                visit.psf_selected.map_or("–", |selected| if selected { "yes" } else { "no" }).into(),
                visit.variance.map_or_else(|| "–".into(), |variance| format!("{variance:.5e}")),
                fixed(visit.weight, 4),
                fixed(visit.usable.map(|usable| 100.0 * usable), 2),
            ];
            row.extend(measured.then(|| fixed(visit.metric, 5)));
            row
        })
        .collect();
    table("all-visits-table", "Visits", &columns, &rows)
}

/// The displacement of each subfilter in each visit.
fn shifts(findings: &Findings) -> Markup {
    let most = findings.summary.visits.iter().map(|visit| visit.shifts_px.len()).max().unwrap_or(0);
    let of_subfilter = |i: usize| ["dx", "dy"].map(|axis| numbers(format!("{i}: {axis}"), "px"));
    let columns: Vec<Column> =
        std::iter::once(words("visit")).chain((0..most).flat_map(of_subfilter)).collect();
    let rows: Vec<Vec<String>> = findings
        .summary
        .visits
        .iter()
        .map(|visit| {
            let shift = |i: usize| visit.shifts_px.get(i).copied().unwrap_or([None; 2]).map(|d| fixed(d, 4));
            std::iter::once(visit.visit.to_string()).chain((0..most).flat_map(shift)).collect()
        })
        .collect();
    let caption = "At the middle of the patch, by number of the subfilter, blue to red";
    folded("Displacements of the subfilters", &table("shift-table", caption, &columns, &rows))
}

fn regions(findings: &Findings) -> Markup {
    let columns: [Column; 5] = [
        words("region"),
        words("outcome"),
        numbers("iteration", ""),
        numbers("metric", ""),
        numbers("gain", ""),
    ];
    let mut rows: Vec<Vec<String>> = Vec::new();
    for region in &findings.summary.regions {
        let (name, outcome) = (region.bbox.to_string(), region.outcome.replace('_', " "));
        let row = |i: usize, metric: Option<f64>, gain: Option<f64>| {
            vec![name.clone(), outcome.clone(), i.to_string(), fixed(metric, 6), fixed(gain, 4)]
        };
        rows.push(row(0, region.initial_metric, None));
        rows.extend(region.iterations.iter().enumerate().map(|(i, step)| row(i + 1, step.metric, step.gain)));
    }
    folded("Iterations", &table("iteration-table", "0 is the starting model", &columns, &rows))
}

/// The errors of the joint method's solves.
fn tiles(joint: &Joint) -> Markup {
    let columns =
        [words("tile"), words("solve"), numbers("iteration", ""), numbers("remaining error", "noise")];
    let mut rows: Vec<Vec<String>> = Vec::new();
    for tile in &joint.tiles {
        let first =
            tile.first.iter().enumerate().map(|(i, errors)| (format!("first, round {}", i + 1), errors));
        for (solve, errors) in first.chain([("final".to_owned(), &tile.last)]) {
            rows.extend(
                errors.iter().enumerate().map(|(i, error)| {
                    vec![tile.name(), solve.clone(), (i + 1).to_string(), fixed(*error, 5)]
                }),
            );
        }
    }
    let caption = "rms per pixel, in units of the noise of all visits together";
    folded("Iterations", &table("iteration-table", caption, &columns, &rows))
}

fn configuration(findings: &Findings) -> Markup {
    let text = as_toml(&findings.summary.configuration);
    folded(
        "Configuration",
        &html! {
            div.above { p.caption { "All settings of the run, in the format of --config" } button type="button" data-copy="configuration" hidden { "Copy" } }
            pre id="configuration" tabindex="0" { (text) }
        },
    )
}

/// Settings as TOML, which has no null.
fn as_toml(settings: &Value) -> String {
    toml::to_string_pretty(&without_null(settings)).unwrap_or_else(|_| settings.to_string())
}

fn without_null(value: &Value) -> Value {
    match value {
        Value::Object(entries) => {
            let set = entries.iter().filter(|(_, value)| !value.is_null());
            set.map(|(name, value)| (name.clone(), without_null(value))).collect()
        }
        Value::Array(values) => values.iter().filter(|value| !value.is_null()).map(without_null).collect(),
        other => other.clone(),
    }
}

/// Something that is opened on request.
fn folded(title: &str, content: &Markup) -> Markup {
    html! { details { summary { (title) } (content) } }
}

#[cfg(test)]
mod tests {
    use dcr_coadd::config::AssembleConfig;

    use super::*;

    #[test]
    fn configuration_is_toml_without_null_that_reads_back() {
        let config = AssembleConfig::default();
        let text = as_toml(&serde_json::to_value(&config).unwrap());
        assert!(!text.contains("null"), "{text}");
        assert_eq!(toml::from_str::<AssembleConfig>(&text).unwrap(), config);
    }
}
