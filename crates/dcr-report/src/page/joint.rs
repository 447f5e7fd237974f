//! The joint solve: convergence, identifiability of colours, and offset of each visit.

use maud::{Markup, html};

use super::table::{numbers, table, words};
use crate::plot::{first_errors, last_errors};
use crate::run_summary::{Joint, JointVisit};
use crate::words::{counted, fixed};

/// Colour error in mag above which colours are called poorly measured (equal to the solver's
/// limit).
const POOR_MAG: f64 = 0.2;

pub(super) fn section(joint: &Joint) -> Markup {
    let (first, last) = (first_errors(&joint.tiles), last_errors(&joint.tiles));
    html! {
        p {
            (course(joint))
            " The error is how far predictions are from those of the exact solution: rms per pixel, in units of the noise \
             of all visits together, so that below 1 it drowns in the noise."
        }
        @if first.is_none() && last.is_none() { p { "The summary has no iterations to draw." } }
        div.plots {
            @if let Some(plot) = first {
                figure.plotted { (plot) figcaption { "First solve, again after each round of leaving out outliers and fitting offsets (logarithmic)" } }
            }
            @if let Some(plot) = last {
                figure.plotted { (plot) figcaption { "Final solve (logarithmic)" } }
            }
        }
        h3 { "How well the visits tell colours" }
        p { (identifiability(joint)) }
        h3 { "Where the visits lay" }
        p { (offsets(joint)) }
        (visits(&joint.visits))
    }
}

/// In words how the solve went.
fn course(joint: &Joint) -> String {
    let steps = || joint.tiles.iter().map(|tile| tile.last.len()).filter(|steps| *steps > 0);
    let range = match (steps().min(), steps().max()) {
        (Some(least), Some(most)) if least < most => {
            format!("{least} to {most} iterations in the final solve")
        }
        (_, Some(most)) => format!("{} in the final solve", counted(most, "iteration", "iterations")),
        _ => "no final solve was needed".into(),
    };
    let end = match joint.outcome.as_str() {
        "converged" => "; every tile reached its tolerance",
        "iteration_limit" => {
            "; some tile made the most iterations: the solution is good, its last digits are not settled"
        }
        _ => "",
    };
    format!(
        "All visits were solved for together, each with its own PSF, in {}: {range}{end}.",
        counted(joint.tiles.len(), "tile", "tiles")
    )
}

/// Identifiability of colours in words, with its origin.
fn identifiability(joint: &Joint) -> String {
    let whose = "The colour between the bluest and the reddest subfilter, of a star with a signal 100 times its noise,";
    let known = match joint.colour_error_mag {
        None => format!("{whose} cannot be told from the visits at all."),
        Some(error) if error > POOR_MAG => {
            format!(
                "{whose} can hardly be told from the visits: its error would be {} mag.",
                fixed(Some(error), 2)
            )
        }
        Some(error) => format!("{whose} is known to {} mag from the visits alone.", fixed(Some(error), 3)),
    };
    let percent = |fraction: f64| match (100.0 * fraction).round() {
        100.0 => "nearly all".to_owned(),
        0.0 => "next to nothing".into(),
        percent => format!("{percent} %"),
    };
    match (joint.data_fraction, joint.faint_data_fraction) {
        (Some(bright), Some(faint)) => format!(
            "{known} The solve assumes besides that spectra are smooth and nearly flat. \
             Still {} of what it tells of such a colour comes from the visits; of a fainter star, at 30 times its noise, {}.",
            percent(bright),
            percent(faint)
        ),
        _ => known,
    }
}

/// In words how far visits were found from where they were thought to be.
fn offsets(joint: &Joint) -> String {
    let length = |visit: &JointVisit| match visit.offset_px {
        [Some(x), Some(y)] => Some(x.hypot(y)),
        _ => None,
    };
    let farthest = joint.visits.iter().filter_map(length).reduce(f64::max);
    let settled = joint.offset_changes_px.iter().flatten().next_back();
    match (farthest, settled) {
        (Some(farthest), Some(change)) => format!(
            "Each visit was registered to the model. They lie up to {} px from where their WCS put them; the last round of fitting moved \
             none by more than {} px.",
            fixed(Some(farthest), 3),
            fixed(Some(*change), 4)
        ),
        _ => "Visits were taken to lie where their WCS put them.".into(),
    }
}

fn visits(visits: &[JointVisit]) -> Markup {
    let columns = [
        words("visit"),
        numbers("offset dx", "px"),
        numbers("dy", "px"),
        numbers("PSF FWHM", "px"),
        numbers("brighter than the model", "%"),
        numbers("left out", "%"),
        numbers("χ²", ""),
    ];
    let percent = |share: Option<f64>| share.map(|share| 100.0 * share);
    let row = |visit: &JointVisit| {
        vec![
            visit.visit.to_string(),
            fixed(visit.offset_px[0], 3),
            fixed(visit.offset_px[1], 3),
            fixed(visit.fwhm_px, 2),
            fixed(percent(visit.flux_excess), 2),
            fixed(percent(visit.clipped), 2),
            fixed(visit.chi2, 3),
        ]
    };
    let rows: Vec<Vec<String>> = visits.iter().map(row).collect();
    let caption = "Brightness is told, not corrected. Left out are good pixels that no model fits: cosmic rays, trails, what varies. χ² is the \
                   mean squared residual over the variance of the sky; 1 if only noise is left";
    table("joint-table", caption, &columns, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_summary::Tile;

    #[test]
    fn joint_course_is_told_in_words() {
        let tile = |steps: usize| Tile { last: vec![Some(0.1); steps], ..Tile::default() };
        let joint = |outcome: &str, tiles: &[usize]| Joint {
            outcome: outcome.into(),
            tiles: tiles.iter().map(|steps| tile(*steps)).collect(),
            ..Joint::default()
        };
        let told = course(&joint("converged", &[8, 12, 0]));
        assert!(
            told.ends_with(
                "in 3 tiles: 8 to 12 iterations in the final solve; every tile reached its tolerance."
            ),
            "{told}"
        );
        assert!(
            course(&joint("iteration_limit", &[1]))
                .contains("in 1 tile: 1 iteration in the final solve; some tile")
        );
        assert!(course(&joint("", &[0])).ends_with("no final solve was needed."));
    }

    #[test]
    fn joint_colours_are_known_hardly_known_or_unknown() {
        let of = |error| {
            let joint = Joint {
                colour_error_mag: error,
                data_fraction: Some(0.954),
                faint_data_fraction: Some(0.6),
                ..Joint::default()
            };
            identifiability(&joint)
        };
        assert!(
            of(Some(0.031)).contains("is known to 0.031 mag") && of(Some(0.031)).contains("Still 95 % of")
        );
        assert!(of(Some(0.5)).contains("hardly"));
        assert!(of(None).contains("cannot be told"));
        assert!(!identifiability(&Joint::default()).contains('%'));
    }

    #[test]
    fn joint_offsets_are_told_only_if_fitted() {
        let visits = vec![JointVisit { offset_px: [Some(0.03), Some(-0.04)], ..JointVisit::default() }];
        let fitted = Joint { visits, offset_changes_px: vec![Some(0.04), Some(0.001)], ..Joint::default() };
        assert!(
            offsets(&fitted).contains("up to 0.050 px") && offsets(&fitted).contains("more than 0.0010 px")
        );
        assert!(offsets(&Joint::default()).contains("where their WCS put them"));
    }
}
