//! Single visits, and all of them by airmass.

use maud::{Markup, html};

use super::figure::view;
use super::summary::differences;
use crate::findings::{Findings, Seen, Shown};
use crate::plot::{Point, by_airmass as rms_by_airmass, detections_by_airmass};
use crate::words::fixed;

/// Where an exposure goes in a plot, if anywhere.
type Coordinates<'a> = &'a dyn Fn(&Seen) -> (Option<f64>, Option<f64>);

/// The worst, the median and the best visit: exposure and both differences.
pub(super) fn section(findings: &Findings) -> Markup {
    html! {
        @if findings.shown.is_empty() { p { "No exposure could be read." } }
        @for shown in &findings.shown {
            @if let Some(seen) = findings.seen(shown.visit) { (one(findings, shown, seen)) }
        }
        @if findings.shown.len() > 1 {
            p.note { "Visits are ranked by the detections that the standard coadd leaves, then by the scatter on sources." }
        }
    }
}

fn one(findings: &Findings, shown: &Shown, seen: &Seen) -> Markup {
    let visit = &findings.summary.visits[shown.visit];
    let (views, number) = (&shown.views, visit.visit);
    html! {
        div.visit {
            h3 { (shown.rank) " visit: " (number) }
            p {
                "Airmass " (fixed(visit.airmass, 2)) ", zenith towards " (fixed(visit.parallactic_angle_deg.map(|q| q.rem_euclid(360.0)), 0))
                "° (North through East), PSF FWHM "
                (fixed(visit.psf_fwhm_px, 2)) " px"
                @if views.block > 1 { "; one pixel here is the mean of " (views.block) " × " (views.block) }
            }
            div.three {
                (view(
                    &views.exposure,
                    None,
                    &format!("Exposure of visit {number}"),
                    &html! { span.name { "Exposure" } ", bright pixels compressed (asinh)" },
                ))
                (differences(findings, visit, seen, views.plain.as_ref(), &views.matched))
            }
        }
    }
}

/// Residuals of all visits.
pub(super) fn by_airmass(findings: &Findings) -> Markup {
    let points = |of: Coordinates| -> Vec<Point> {
        let visits = findings.summary.visits.iter().enumerate();
        visits
            .filter_map(|(i, visit)| {
                let (plain, matched) = of(findings.seen(i)?);
                Some(Point { visit: visit.visit, airmass: visit.airmass?, plain, matched })
            })
            .collect()
    };
    let rms = points(&|seen| (seen.plain.and_then(|left| left.source_rms), seen.matched.source_rms));
    let detections = points(&|seen| {
        let count = |left: crate::findings::Left| left.counts.map(|counts| counts.detections as f64);
        (seen.plain.and_then(count), count(seen.matched))
    });
    let (rms, detections) = (rms_by_airmass(&rms), detections_by_airmass(&detections));
    html! {
        @if rms.is_none() && detections.is_none() {
            p { "No exposure could be read, or none has sources and a known airmass." }
        } @else {
            p.legend {
                span { svg viewBox="0 0 14 14" aria-hidden="true" { rect.plain x="3" y="3" width="8" height="8" {} } " standard coadd" }
                span { svg viewBox="0 0 14 14" aria-hidden="true" { circle.matched cx="7" cy="7" r="4.5" {} } " matched template" }
            }
        }
        div.plots {
            @if let Some(plot) = rms {
                figure.plotted { (plot) figcaption { "Scatter of pixels of sources over that of the sky: 1 (dashed) means no residual; values below \
                 1 occur because the exposure contributes to its template" } }
            }
            @if let Some(plot) = detections {
                figure.plotted { (plot) figcaption { "Detections above " (findings.threshold) " σ; a dipole counts as one" } }
            }
        }
    }
}
