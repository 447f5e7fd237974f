//! The coadds as pictures, and the colours of stars in them.

use maud::{Markup, html};

use super::figure::{figure, scale};
use crate::findings::Findings;
use crate::picture::Ramp;
use crate::plot::colour_colour;
use crate::words::{counted, fixed};

pub(super) fn section(findings: &Findings) -> Markup {
    let (summary, pictures) = (&findings.summary, &findings.coadds);
    let range = |b: usize| {
        summary
            .band
            .subfilters_nm
            .get(b)
            .map_or_else(String::new, |[blue, red]| format!("{blue:.1} to {red:.1} nm"))
    };
    html! {
        @if let Some(picture) = &pictures.composite {
            div.wide {
                (figure(
                    picture,
                    "Colour image of the coadd: the blue end of the band is blue, the red end red",
                    &html! { span.name { "In colours:" } " the blue end of the band is shown blue, its red end red" },
                ))
            }
        }
        div.gallery {
            @for (b, picture) in pictures.subfilters.iter().enumerate() {
                (figure(
                    picture,
                    &format!("Coadd of subfilter {b}, {}", range(b)),
                    &html! { span.name { "Subfilter " (b) ":" } " " (range(b)) },
                ))
            }
            @if let Some((picture, least, most)) = &pictures.n_image {
                (figure(
                    picture,
                    &format!("Number of visits per pixel, from {least:.1} to {most:.1}"),
                    &html! {
                        span.name { "Visits for each pixel:" }
                        " "
                        @if least < most { (scale(Ramp::BlueToYellow, &whole(*least), &whole(*most))) }
                        @else { (whole(*most)) " everywhere" }
                    },
                ))
            }
        }
        p.note {
            "All subfilters have the same asinh stretch after division by the flux of a flat spectrum in the \
             subfilter, so that a source with a flat spectrum is equally bright in all of them. The colour \
             image fades to grey where colours are noise."
        }
    }
}

/// A mean of counts, which need not be whole.
fn whole(value: f32) -> String {
    let digits = usize::from(value.fract() != 0.0);
    fixed(Some(f64::from(value)), digits)
}

/// The colour–colour diagram.
pub(super) fn colours(findings: &Findings) -> Markup {
    let band = &findings.summary.band;
    let Some((plot, drawn)) = colour_colour(&findings.stars, &band.fractions, &band.subfilters_nm) else {
        return html! { p { (without_colours(findings)) } };
    };
    html! {
        div.beside {
            figure.plotted { (plot) figcaption { "Colours between subfilters, relative to a flat spectrum" } }
            div {
                p {
                    (counted(drawn, "isolated source", "isolated sources")) " beyond 20 σ in the sum and 5 σ in each subfilter, of "
                    (findings.stars.len()) " that are isolated; PSF photometry on the subfilters. Redder sources are further up and \
                     to the right. Error bars are from the variances of the coadds."
                }
                @if band.fractions.len() > 2 {
                    p {
                        "The dashed line shows black bodies from 3000\u{a0}K (top) to 30\u{202f}000\u{a0}K. \
                         Stars deviate from it by lines and breaks in their spectra, and by errors."
                    }
                }
                @if findings.summary.settings().band.throughput.is_none() {
                    p {
                        "The run has no throughput curve (band.throughput), so all subfilters are assumed to \
                         have the same throughput. Where the true throughput is lower, sources look fainter, \
                         which shifts all points equally."
                    }
                }
            }
        }
    }
}

fn without_colours(findings: &Findings) -> &'static str {
    if findings.summary.subfilters() < 2 {
        "A single subfilter gives no colours."
    } else if findings.summary.psf_fwhm_px.is_none() {
        "The coadds have no PSF, which the photometry needs."
    } else {
        "No isolated source is bright enough for a colour."
    }
}
