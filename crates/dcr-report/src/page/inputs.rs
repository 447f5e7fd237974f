//! The inputs: visits, origin of the zenith, assumptions and warnings.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::table::{numbers, table, words};
use crate::displacement::{across_band, length};
use crate::findings::Findings;
use crate::plot::{Leverage, polar};
use crate::words::{counted, fixed, listed};

/// Minimum DCR leverage for measurable colours, in units of the PSF's FWHM (equal to that of `dcr
/// inspect`).
const SMALLEST_LEVERAGE: f64 = 0.34;

pub(super) fn section(findings: &Findings) -> Markup {
    let notes = notes(findings);
    html! {
        (visits(findings, &notes))
        @if !notes.is_empty() {
            div.assumed {
                h3 { "Assumptions" }
                dl {
                    @for (i, note) in notes.iter().enumerate() {
                        dt { (letter(i)) }
                        dd { @if note.warning { strong { "Doubtful. " } } (note.text) " " span.who { "(" (note.who) ")" } }
                    }
                }
            }
        }
        (leverage(findings))
        (warning_list(findings))
    }
}

/// The table of visits.
fn visits(findings: &Findings, notes: &[Note]) -> Markup {
    let columns = [
        words("visit"),
        words("file"),
        numbers("airmass", ""),
        numbers("q", "°"),
        numbers("PSF FWHM", "px"),
        numbers("weight", ""),
        numbers("usable", "%"),
        numbers("blue − red", "px"),
        numbers("blue dx, dy", "px"),
        numbers("red dx, dy", "px"),
        words("assumed"),
    ];
    let shift = |shift: Option<&[Option<f64>; 2]>| match shift {
        Some([x, y]) => format!("{}, {}", fixed(*x, 2), fixed(*y, 2)),
        None => "–".into(),
    };
    let rows: Vec<Vec<String>> = findings
        .summary
        .visits
        .iter()
        .map(|visit| {
            let letters: Vec<String> = notes
                .iter()
                .enumerate()
                .filter(|(_, note)| visit.assumptions.iter().any(|own| own.text == note.text))
                .map(|(i, _)| letter(i))
                .collect();
            vec![
                visit.visit.to_string(),
                visit.file_name(),
                fixed(visit.airmass, 3),
                fixed(visit.parallactic_angle_deg, 1),
                fixed(visit.psf_fwhm_px, 2),
                fixed(visit.weight, 3),
                fixed(visit.usable.map(|usable| 100.0 * usable), 1),
                fixed(across_band(visit).map(length), 2),
                shift(visit.shifts_px.first()),
                shift(visit.shifts_px.last().filter(|_| visit.shifts_px.len() > 1)),
                letters.join(" "),
            ]
        })
        .collect();
    let caption = "q is the position angle of the zenith, North through East. Blue − red is the displacement of the blue \
     edge of the band against its red edge; the last columns are the displacements of the bluest and reddest \
     subfilter, at the middle of the patch. Letters refer to the assumptions below";
    table("visit-table", caption, &columns, &rows)
}

/// The polar plot with its interpretation.
fn leverage(findings: &Findings) -> Markup {
    let ranked = findings.ranked();
    let label = |i: usize| match ranked[..] {
        [first, ..] if first == i => Some("worst"),
        [.., last] if last == i => Some("best"),
        _ => None,
    };
    let points: Vec<Leverage> = findings
        .summary
        .visits
        .iter()
        .enumerate()
        .filter_map(|(i, visit)| {
            Some(Leverage {
                visit: visit.visit,
                angle_deg: visit.parallactic_angle_deg?,
                length_px: length(across_band(visit)?),
                airmass: visit.airmass.unwrap_or(f64::NAN),
                label: label(i).filter(|_| ranked.len() > 1),
            })
        })
        .collect();
    let Some(plot) = polar(&points) else {
        return html! { p { "Without displacements, or with a single subfilter, the leverage is undefined." } };
    };
    html! {
        div.beside {
            figure.plotted { (plot) figcaption { "Direction to the zenith on the sky, and displacement of blue against red light in px" } }
            div {
                h3 { "Leverage" }
                p {
                    "Each point is a visit: direction and size of the displacement of blue light against red \
                     light. Colours within the band come from the differences between these vectors: points \
                     far apart determine them well, points close together do not."
                }
                @if let Some(spread) = findings.spread.filter(|spread| spread.visits > 1) {
                    p {
                        "Blue and red light are at most " (fixed(Some(spread.largest_px), 1)) " px apart in one visit. Between the two points \
                         that lie farthest apart this displacement changes by " (fixed(Some(spread.between_px), 1)) " px."
                    }
                }
                @if let Some(spread) = findings.spread { p { (verdict(spread.rms_px, findings.summary.psf_fwhm_px)) } }
            }
        }
    }
}

/// Verdict on the DCR leverage.
fn verdict(rms_px: f64, fwhm_px: Option<f64>) -> String {
    let Some(fwhm) = fwhm_px.filter(|fwhm| *fwhm > 0.0) else {
        return format!("Their scatter is {rms_px:.2} px (rms about the mean).");
    };
    let ratio = rms_px / fwhm;
    let judged = if ratio < SMALLEST_LEVERAGE {
        "That is small: colours in the subfilters come from the prior more than from the data."
    } else {
        "That is enough to determine colours."
    };
    format!(
        "Their scatter is {rms_px:.2} px (rms about the mean), {:.0} % of the FWHM of the coadd's PSF, \
         {fwhm:.2} px. {judged}",
        100.0 * ratio
    )
}

/// Something that was assumed, and of whom.
struct Note {
    text: String,
    warning: bool,
    who: String,
}

/// Assumptions about band and visits, each once, warnings first.
fn notes(findings: &Findings) -> Vec<Note> {
    let summary = &findings.summary;
    let mut visits_of: BTreeMap<(bool, &str), Vec<String>> = BTreeMap::new();
    for visit in &summary.visits {
        for note in &visit.assumptions {
            visits_of.entry((!note.warning, &note.text)).or_default().push(visit.visit.to_string());
        }
    }
    let who = |names: Vec<String>| match names.len() {
        n if n == summary.visits.len() && n > 1 => "all visits".into(),
        1 => format!("visit {}", names[0]),
        _ => format!("visits {}", listed(&names, 6)),
    };
    let of_visits = visits_of.into_iter().map(|((certain, text), names)| Note {
        text: text.to_owned(),
        warning: !certain,
        who: who(names),
    });
    let of_band = summary.band.notes.iter().map(|note| Note {
        text: note.text.clone(),
        warning: note.warning,
        who: "the band".into(),
    });
    of_visits.chain(of_band).collect()
}

/// a, b, …, z, aa, ab, …
fn letter(i: usize) -> String {
    let last = char::from(b'a' + (i % 26) as u8);
    match i / 26 {
        0 => last.to_string(),
        more => letter(more - 1) + &last.to_string(),
    }
}

/// Warnings as pairs of subject and sentence.
pub(super) fn warnings(findings: &Findings) -> Vec<(String, String)> {
    let summary = &findings.summary;
    let mut subjects: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut order: Vec<&str> = Vec::new();
    for warning in summary.dropped.iter().chain(&summary.warnings) {
        let names = subjects.entry(&warning.text).or_default();
        if names.is_empty() {
            order.push(&warning.text);
        }
        if !names.contains(&warning.subject) {
            names.push(warning.subject.clone());
        }
    }
    let told = order.into_iter().map(|text| {
        let names = subjects.remove(text).unwrap_or_default();
        (listed(&names, 6), text.to_owned())
    });
    let missing = findings.missing().into_iter().map(|(visit, reason)| {
        (format!("visit {}", visit.visit), format!("It could not be read for this report: {reason}."))
    });
    told.chain(missing).collect()
}

fn warning_list(findings: &Findings) -> Markup {
    let warnings = warnings(findings);
    html! {
        h3 id="warnings" { "Warnings" }
        @if warnings.is_empty() { p { "None." } }
        @else {
            p { (counted(warnings.len(), "thing is", "things are")) " to be minded." }
            ul {
                @for (subject, text) in &warnings { li { strong { (subject) ":" } " " (text) } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_go_on_after_z() {
        let letters: Vec<String> = [0, 1, 25, 26, 27, 52].map(letter).to_vec();
        assert_eq!(letters, ["a", "b", "z", "aa", "ab", "ba"]);
    }

    #[test]
    fn verdict_is_drawn_where_inspect_draws_it() {
        assert!(verdict(1.0, Some(4.0)).contains("That is small"));
        assert!(verdict(2.0, Some(4.0)).contains("enough"));
        assert!(!verdict(2.0, None).contains("That is"));
    }
}
