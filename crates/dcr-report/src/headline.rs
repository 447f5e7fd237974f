//! The main result, in plain words.

use crate::findings::{Findings, Left, PlainCoadd};
use crate::words::{counted, fixed, grouped, listed};

/// Differences between visits below this many px move nothing that could be seen.
const NEGLIGIBLE_PX: f64 = 0.05;

/// The headline with its explanation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Headline {
    /// One or two sentences.
    pub(crate) text: String,
    /// Sentences in smaller print.
    pub(crate) more: Vec<String>,
}

impl Headline {
    pub(crate) fn of(findings: &Findings) -> Self {
        let text =
            [displacement(findings), worst(findings)].into_iter().flatten().collect::<Vec<_>>().join(" ");
        let more =
            [meaning(findings), total(findings), seeing(findings), plain_coadd(findings), missing(findings)];
        Self { text, more: more.into_iter().flatten().collect() }
    }
}

/// How far blue light moved against red.
fn displacement(findings: &Findings) -> Option<String> {
    let summary = &findings.summary;
    let on_sky =
        |px: f64| summary.arcsec_per_px.map_or_else(String::new, |scale| format!(" ({:.2}″)", px * scale));
    Some(match findings.spread {
        _ if summary.visits.is_empty() => "The run has no visits.".into(),
        None if summary.subfilters() < 2 => "With a single subfilter, no refraction was modelled.".into(),
        None => "The displacement of blue light against red light is unknown.".into(),
        Some(spread) if spread.visits == 1 => format!(
            "Refraction separates blue and red light by {:.1} px{} in the only visit.",
            spread.largest_px,
            on_sky(spread.largest_px)
        ),
        Some(spread) if spread.between_px < NEGLIGIBLE_PX => format!(
            "Refraction separates blue and red light by {:.1} px{}, almost equally in all visits.",
            spread.largest_px,
            on_sky(spread.largest_px)
        ),
        Some(spread) => format!(
            "Refraction separates blue and red light by up to {:.1} px{}, differently in each visit.",
            spread.largest_px,
            on_sky(spread.largest_px)
        ),
    })
}

/// The residuals of the worst visit.
fn worst(findings: &Findings) -> Option<String> {
    let i = *findings.ranked().first()?;
    let (visit, seen) = (&findings.summary.visits[i], findings.seen(i)?);
    let whose = match (findings.summary.visits.len(), visit.airmass) {
        (1, _) => "Subtracted from it".to_owned(),
        (_, Some(airmass)) => format!("Subtracted from the worst visit, at airmass {airmass:.2}"),
        (_, None) => format!("Subtracted from the worst visit, {}", visit.visit),
    };
    let detections = |left: &Left| left.counts.map(|counts| counts.detections);
    let matched = detections(&seen.matched);
    Some(match (seen.plain.as_ref().map(detections), matched) {
        (Some(Some(0)), Some(0)) => {
            format!(
                "{whose}, neither the standard coadd nor the matched template leaves a residual detection."
            )
        }
        (Some(Some(plain)), Some(matched)) => format!(
            "{whose}, the standard coadd leaves {}, the matched template {}.",
            counted(plain, "detection", "detections"),
            none_or(matched)
        ),
        (_, Some(matched)) => {
            format!("{whose}, the matched template leaves {}.", counted(matched, "detection", "detections"))
        }
        _ => {
            let rms = |left: Option<&Left>| fixed(left.and_then(|left| left.source_rms), 2);
            format!(
                "{whose}, the residuals of sources are {} times the noise with the standard coadd and {} with \
                 the matched template. Without a PSF, detections cannot be counted.",
                rms(seen.plain.as_ref()),
                rms(Some(&seen.matched))
            )
        }
    })
}

/// Explanation of the comparison, for new users.
fn meaning(findings: &Findings) -> Option<String> {
    if findings.ranked().is_empty() || findings.plain_coadd == PlainCoadd::Missing {
        return None;
    }
    Some(
        "The standard coadd is the average of all visits. The matched template is the model's prediction for \
         this visit, with the light of each wavelength where refraction puts it."
            .into(),
    )
}

/// A count that may be none, at the end of a sentence.
fn none_or(count: usize) -> String {
    if count == 0 { "none".into() } else { grouped(count) }
}

fn total(findings: &Findings) -> Option<String> {
    let (plain, matched) = findings.detections();
    let seen = findings.ranked().len();
    let matched = matched.filter(|_| seen > 1)?;
    let threshold = findings.threshold;
    Some(match plain {
        Some(plain) => format!(
            "In all {seen} visits together, the standard coadd leaves {} above {threshold} σ, the matched \
             templates {}. Every detection is false unless the sky changed.",
            counted(plain, "detection", "detections"),
            none_or(matched)
        ),
        None => format!(
            "In all {seen} visits together, the matched templates leave {} above {threshold} σ.",
            counted(matched, "detection", "detections")
        ),
    })
}

fn seeing(findings: &Findings) -> Option<String> {
    if !findings.psfs_matched {
        return None;
    }
    let widths: Vec<f64> = findings.summary.visits.iter().filter_map(|visit| visit.psf_fwhm_px).collect();
    let low = widths.iter().copied().fold(f64::INFINITY, f64::min);
    let high = widths.iter().copied().fold(0.0, f64::max);
    let range = if high > low {
        format!("Seeing varies between visits (FWHM {low:.1} to {high:.1} px), so ")
    } else {
        String::new()
    };
    let what = "both templates were matched to the exposure's PSF before subtraction";
    let unmatched: Vec<String> = findings
        .ranked()
        .into_iter()
        .filter(|i| findings.seen(*i).is_some_and(|seen| !seen.matched.psf_matched))
        .map(|i| findings.summary.visits[i].visit.to_string())
        .collect();
    let but = if unmatched.is_empty() {
        String::new()
    } else {
        format!("; the fit of the kernel failed for {}", listed(&unmatched, 6))
    };
    let sentence = format!("{range}{what}{but}.");
    Some(sentence[..1].to_uppercase() + &sentence[1..])
}

fn plain_coadd(findings: &Findings) -> Option<String> {
    match findings.plain_coadd {
        PlainCoadd::SumOfSubfilters => Some(
            "The run has no plain.fits; coadd.fits, the sum of the subfilters, replaces the standard coadd. It \
             is sharper and leaves more residuals."
                .into(),
        ),
        PlainCoadd::There => None,
        PlainCoadd::Missing => Some("No standard coadd is available for comparison.".into()),
    }
}

fn missing(findings: &Findings) -> Option<String> {
    let missing: Vec<String> = findings.missing().iter().map(|(visit, _)| visit.visit.to_string()).collect();
    match missing.len() {
        0 => None,
        n if n == findings.summary.visits.len() => Some(
            "No exposure could be read, so the page shows no differences. The paths are those in summary.json."
                .into(),
        ),
        n => Some(format!(
            "{} could not be read: {}.",
            counted(n, "exposure", "exposures"),
            listed(&missing, 6)
        )),
    }
}
