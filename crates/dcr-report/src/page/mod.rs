//! The page: head, headline, and sections by decreasing importance.

mod coadds;
mod convergence;
mod figure;
mod inputs;
mod joint;
mod numbers;
mod summary;
mod table;
mod visits;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::findings::Findings;
use crate::headline::Headline;
use crate::words::counted;

/// Nothing may be fetched from anywhere.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                      base-uri 'none'; form-action 'none'";

/// A section: anchor, title and content.
struct Section {
    id: &'static str,
    title: &'static str,
    content: Markup,
}

/// The page.
pub(crate) fn render(findings: &Findings, headline: &Headline) -> Markup {
    let sections = [
        Section { id: "worst", title: "The worst visit", content: summary::section(findings) },
        Section { id: "inputs", title: "Inputs", content: inputs::section(findings) },
        Section { id: "convergence", title: "Convergence", content: convergence::section(findings) },
        Section { id: "coadds", title: "The coadds", content: coadds::section(findings) },
        Section { id: "visits", title: "Worst, median and best visit", content: visits::section(findings) },
        Section { id: "airmass", title: "Residuals by airmass", content: visits::by_airmass(findings) },
        Section { id: "colours", title: "Colours of stars", content: coadds::colours(findings) },
        Section { id: "numbers", title: "All numbers", content: numbers::section(findings) },
    ];
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "dcr report: band " (findings.summary.band.name) ", run " (findings.summary.run) }
                // The browser asks for no icon then.
                link rel="icon" href="data:,";
                style { (PreEscaped(include_str!("style.css"))) }
            }
            body {
                header {
                    p.kind { "dcr report · " (facts(findings)) }
                    h1 { (headline.text) }
                    @for sentence in &headline.more { p { (sentence) } }
                    (outcome(findings))
                    nav aria-label="Sections" {
                        @for section in &sections { a href={ "#" (section.id) } { (section.title) } " " }
                    }
                }
                main {
                    @for section in &sections {
                        section id=(section.id) aria-labelledby={ (section.id) "-title" } {
                            h2 id={ (section.id) "-title" } { (section.title) }
                            (section.content)
                        }
                    }
                }
                footer {
                    p { "Made by dcr " (env!("CARGO_PKG_VERSION")) " for run " (findings.summary.run) "." }
                    p.said role="status" aria-live="polite" {}
                }
                script { (PreEscaped(include_str!("script.js"))) }
            }
        }
    }
}

/// Kind of the run, in a line.
fn facts(findings: &Findings) -> String {
    let (summary, bbox) = (&findings.summary, &findings.bbox);
    format!(
        "band {} · {} · {} · {} × {} px",
        summary.band.name,
        counted(summary.visits.len(), "visit", "visits"),
        counted(summary.subfilters(), "subfilter", "subfilters"),
        bbox.width,
        bbox.height
    )
}

/// How the run ended, and where warnings are.
fn outcome(findings: &Findings) -> Markup {
    let (summary, warnings) = (&findings.summary, inputs::warnings(findings).len());
    html! {
        @if !summary.remarks.is_empty() {
            p.minded { strong { "Done, with remarks: " } (summary.remarks.join("; ")) "." }
        }
        @if warnings > 0 {
            p.minded {
                a href="#warnings" { (counted(warnings, "warning", "warnings")) }
                " below."
            }
        }
    }
}
