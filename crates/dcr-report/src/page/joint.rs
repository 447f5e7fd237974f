//! The joint solve: convergence, identifiability of colours, and offset of each visit.

use maud::{Markup, html};

use dcr_image::psf::FWHM_PER_SIGMA;

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
            " The error is the rms difference per pixel between the predictions and those of the exact \
             solution, in units of the noise of all visits together. Below 1 it is hidden by the noise."
        }
        @if first.is_none() && last.is_none() { p { "The summary lists no iterations." } }
        div.plots {
            @if let Some(plot) = first {
                figure.plotted { (plot) figcaption { "First solve, continued after each round of outlier rejection and offset fits (logarithmic)" } }
            }
            @if let Some(plot) = last {
                figure.plotted { (plot) figcaption { "Final solve (logarithmic)" } }
            }
        }
        h3 { "How well the visits determine colours" }
        p { (identifiability(joint)) }
        h3 { "Geometry of the visits" }
        p { (offsets(joint)) }
        (visits(joint))
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
            "; some tiles reached the iteration limit: the solution is usable, but its last digits have not converged"
        }
        _ => "",
    };
    format!(
        "One least-squares solution of all visits, each with its own PSF, in {}: {range}{end}.",
        counted(joint.tiles.len(), "tile", "tiles")
    )
}

/// Identifiability of colours in words, with its origin.
fn identifiability(joint: &Joint) -> String {
    let whose = "The colour between the bluest and the reddest subfilter of a star with S/N 100";
    let known = match joint.colour_error_mag {
        None => format!("{whose} is not determined by the visits."),
        Some(error) if error > POOR_MAG => {
            format!(
                "{whose} is hardly determined by the visits: its error would be {} mag.",
                fixed(Some(error), 2)
            )
        }
        Some(error) => {
            format!("{whose} has an error of {} mag from the visits alone.", fixed(Some(error), 3))
        }
    };
    let percent = |fraction: f64| match (100.0 * fraction).round() {
        100.0 => "nearly all".to_owned(),
        0.0 => "almost nothing".into(),
        percent => format!("{percent} %"),
    };
    match (joint.data_fraction, joint.faint_data_fraction) {
        (Some(bright), Some(faint)) => format!(
            "{known} The prior assumes smooth and nearly flat spectra. The visits contribute {} of such a \
             colour, and {} of that of a star with S/N 30.",
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
    let settled = joint.calibration_changes_px.iter().flatten().next_back();
    match (farthest, settled) {
        (Some(farthest), Some(change)) => format!(
            "Each visit was calibrated against all together. The offsets from the WCS are up to {} px; the last \
             round changed no visit by more than a displacement of {} px does.",
            fixed(Some(farthest), 3),
            fixed(Some(*change), 4)
        ),
        _ => "Visits were not calibrated: they were used as they are.".into(),
    }
}

fn visits(joint: &Joint) -> Markup {
    let columns = [
        words("visit"),
        numbers("offset dx", "px"),
        numbers("dy", "px"),
        numbers("PSF FWHM", "px"),
        numbers("flux", "%"),
        numbers("sky", "σ"),
        numbers("PSF wider", "%"),
        numbers("clipped", "%"),
        numbers("χ²", ""),
    ];
    let percent = |share: Option<f64>| share.map(|share| 100.0 * share);
    let level = |level: Option<f64>| Some(level? / joint.noise_per_pixel?);
    let row = |visit: &JointVisit| {
        let terms = visit.calibration.clone().unwrap_or_default().middle;
        vec![
            visit.visit.to_string(),
            fixed(visit.offset_px[0], 3),
            fixed(visit.offset_px[1], 3),
            fixed(visit.fwhm_px, 2),
            fixed(percent(terms.flux), 2),
            fixed(level(terms.background), 2),
            fixed(percent(wider(visit.fwhm_px, terms.moments[0])), 2),
            fixed(percent(visit.clipped), 2),
            fixed(visit.chi2, 3),
        ]
    };
    let rows: Vec<Vec<String>> = joint.visits.iter().map(row).collect();
    let caption = "Each visit was calibrated against all together, in the order of the columns: displacement, flux scale, \
     level of the sky (σ: noise per pixel of all together) and width of its PSF, in the middle of the patch. All are undone. Clipped are good pixels that contradict the model: \
     cosmic rays, trails, changes on the sky. χ² is the mean squared residual over the variance of the sky; 1 \
     means pure noise";
    table("joint-table", caption, &columns, &rows)
}

/// Relative change of a PSF's width that changes its second moments by `moment` px².
fn wider(fwhm_px: Option<f64>, moment: Option<f64>) -> Option<f64> {
    Some(0.5 * moment? * (FWHM_PER_SIGMA / fwhm_px?).powi(2))
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
            of(Some(0.031)).contains("has an error of 0.031 mag")
                && of(Some(0.031)).contains("contribute 95 % of")
        );
        assert!(of(Some(0.5)).contains("hardly"));
        assert!(of(None).contains("is not determined"));
        assert!(!identifiability(&Joint::default()).contains('%'));
    }

    #[test]
    fn joint_offsets_are_told_only_if_fitted() {
        let visits = vec![JointVisit { offset_px: [Some(0.03), Some(-0.04)], ..JointVisit::default() }];
        let fitted =
            Joint { visits, calibration_changes_px: vec![Some(0.04), Some(0.001)], ..Joint::default() };
        assert!(
            offsets(&fitted).contains("up to 0.050 px")
                && offsets(&fitted).contains("displacement of 0.0010 px")
        );
        assert!(offsets(&Joint::default()).contains("were not calibrated"));
    }
}
