//! The worst visit minus the standard coadd and minus the matched template.

use maud::{Markup, html};

use super::figure::{compared, view};
use crate::displacement::{across_band, length};
use crate::findings::{Findings, Left, PlainCoadd, Seen, Shown};
use crate::run_summary::Visit;
use crate::views::View;
use crate::words::{counted, fixed};

/// Share of usable pixels below which it is reported.
const MOSTLY: f64 = 0.9;

/// Direction to the zenith in the picture, in degrees anticlockwise from the right; blue light is
/// displaced in this direction.
pub(super) fn zenith(visit: &Visit) -> Option<f64> {
    across_band(visit).map(|[x, y]| y.atan2(x).to_degrees()).filter(|angle| angle.is_finite())
}

pub(super) fn section(findings: &Findings) -> Markup {
    let worst = findings.shown.first();
    let Some((Shown { visit, views, .. }, seen)) =
        worst.and_then(|shown| Some((shown, findings.seen(shown.visit)?)))
    else {
        return html! { p { "No exposure could be read, so there is no difference to show." } };
    };
    let visit = &findings.summary.visits[*visit];
    let (plain, matched) = match &views.part {
        Some(part) => (part.plain.as_ref(), &part.matched),
        None => (views.plain.as_ref(), &views.matched),
    };
    html! {
        p {
            "Visit " (visit.visit) @if let Some(airmass) = visit.airmass { ", airmass " (fixed(Some(airmass), 2)) "," }
            " has the largest residuals with the standard coadd."
            @if flattened(findings, visit) {
                " Refraction displaces it less than others: the standard coadd is smeared like the average \
                 visit, this exposure is not."
            }
            " Where refraction displaces or smears a source differently in the exposure and in the subtracted \
             image, the difference is a dipole of black and white."
        }
        (differences(findings, visit, seen, plain, matched))
        p.note {
            "Grey is zero; black and white are −6 and 6 σ of the noise"
            @if seen.matched.psf_matched { " in each image, because PSFs were matched" } @else { ", the same in both" }
            "; hatched pixels have no data or no prediction in one of the two and are excluded from both. "
            @if seen.matched.counts.is_some() {
                "Circles are detections above " (findings.threshold) " σ: orange where the exposure is brighter, blue where it is fainter; a dipole counts as one. "
            }
            @if zenith(visit).is_some() { "The arrow points to the zenith, the direction in which refraction displaces blue light." }
            @if let Some(part) = &views.part {
                " The part with most detections is shown at full resolution: x " (part.bbox.x0) " to " (part.bbox.x1() - 1)
                ", y " (part.bbox.y0) " to " (part.bbox.y1() - 1) " px."
            }
            " The exposures contribute to both templates, which makes the noise of these differences slightly \
             smaller than that of new exposures. Real changes on the sky are detected with either template, as \
             are unmasked trails and cosmic rays."
        }
    }
}

/// True if most visits have a larger displacement than this one.
fn flattened(findings: &Findings, visit: &Visit) -> bool {
    let lengths = findings.summary.visits.iter().filter_map(|visit| across_band(visit).map(length));
    let Some(own) = across_band(visit).map(length) else { return false };
    let (larger, all) =
        lengths.fold((0, 0), |(larger, all), other| (larger + usize::from(other > own), all + 1));
    4 * larger > 3 * all
}

/// Both differences of a visit, to be compared.
pub(super) fn differences(
    findings: &Findings,
    visit: &Visit,
    seen: &Seen,
    plain: Option<&View>,
    matched: &View,
) -> Markup {
    let number = visit.visit;
    let caption = |what: &str, left: &Left| {
        html! {
            span.name { "Exposure − " (what) ":" }
            " " span.count { (left_over(left)) }
        }
    };
    let about = |what: &str, left: &Left, view: &View| {
        let marked = match view.marks.len() {
            0 => String::new(),
            n => format!("; {} marked here", counted(n, "detection", "detections")),
        };
        format!("Visit {number} minus the {what}: {}{marked}", left_over(left))
    };
    let angle = zenith(visit);
    let right = view(
        matched,
        angle,
        &about("matched template", &seen.matched, matched),
        &caption("matched template", &seen.matched),
    );
    match (plain, &seen.plain) {
        (Some(picture), Some(left)) => {
            let what = match findings.plain_coadd {
                PlainCoadd::SumOfSubfilters => "sum of subfilters",
                _ => "standard coadd",
            };
            let left_figure = view(picture, angle, &about(what, left, picture), &caption(what, left));
            let marked = !(picture.marks.is_empty() && matched.marks.is_empty());
            compared(&left_figure, &right, marked, &format!("Differences of visit {number}"))
        }
        _ => html! { div.pictures { (right) } },
    }
}

/// Residuals in a few words.
fn left_over(left: &Left) -> String {
    let rms =
        left.source_rms.map(|rms| format!("scatter on sources {} × that of the sky", fixed(Some(rms), 2)));
    let counted = left.counts.map(|counts| counted(counts.detections, "detection", "detections"));
    let masked = (left.usable < MOSTLY).then(|| format!("{:.0} % of the pixels usable", 100.0 * left.usable));
    let searched =
        left.counts.map(|_| format!("{:.1} % of the exposure's good pixels searched", 100.0 * left.searched));
    let told: Vec<String> = [counted, rms, searched, masked].into_iter().flatten().collect();
    if told.is_empty() { "no measurement possible".into() } else { told.join(", ") }
}
