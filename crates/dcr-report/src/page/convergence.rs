//! How the solve went, region by region.

use maud::{Markup, html};

use crate::findings::Findings;
use crate::plot::{gains, metrics};
use crate::run_summary::Region;
use crate::words::{counted, fixed};

pub(super) fn section(findings: &Findings) -> Markup {
    let summary = &findings.summary;
    if let Some(joint) = &summary.joint {
        return super::joint::section(joint);
    }
    let (metrics, gains) = (metrics(&summary.regions), gains(&summary.regions));
    html! {
        p {
            (course(&summary.regions))
            @if let (Some(initial), Some(last)) = (summary.initial_metric, summary.final_metric) {
                " The metric is the mean difference between exposures and templates on sources, relative to their brightness: "
                (fixed(Some(initial), 4)) " with the starting model, " (fixed(Some(last), 4)) " in the end."
            }
        }
        @if metrics.is_none() && gains.is_none() { p { "The summary lists no iterations." } }
        div.plots {
            @if let Some(plot) = metrics { figure.plotted { (plot) figcaption { "Metric by iteration (logarithmic); 0 is the starting model" } } }
            @if let Some(plot) = gains { figure.plotted { (plot) figcaption { "Gain by iteration: weight of the new solution against the last one" } } }
        }
    }
}

/// In words how many regions took how many iterations, and how they ended.
fn course(regions: &[Region]) -> String {
    let steps = regions.iter().map(|region| region.iterations.len());
    let range = match (steps.clone().min(), steps.max()) {
        (Some(least), Some(most)) if least < most => format!("{least} to {most} iterations"),
        (_, Some(most)) => counted(most, "iteration", "iterations"),
        _ => return "Nothing was solved.".into(),
    };
    let mut outcomes: Vec<(&str, usize)> = Vec::new();
    for region in regions {
        match outcomes.iter_mut().find(|(outcome, _)| *outcome == region.outcome) {
            Some((_, count)) => *count += 1,
            None => outcomes.push((&region.outcome, 1)),
        }
    }
    let ends: Vec<String> = outcomes
        .iter()
        .map(|(outcome, count)| match regions.len() {
            1 => in_words(outcome).to_owned(),
            _ => format!("{count} {}", in_words(outcome)),
        })
        .collect();
    match regions.len() {
        1 => format!("{range}; the solve {}.", ends.join(", ")),
        n => format!("{n} regions, {range}: {}.", ends.join(", ")),
    }
}

/// How a solve ended, as the end of a sentence.
fn in_words(outcome: &str) -> &str {
    match outcome {
        "converged" => "converged",
        "diverged" => "diverged and kept the best model",
        "iteration_limit" => "ran for the maximum number of iterations, as intended for this solver",
        "no_data" => "had no data on sources and kept the standard coadd",
        "not_measured" => "ran for the requested number of iterations, without a measurement of convergence",
        "" => "ended",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn course_is_told_in_words() {
        let region = |outcome: &str, steps: usize| -> Region {
            let iterations = vec!["{}"; steps].join(",");
            let text = format!(
                r#"{{"bbox": {{"x0": 0, "y0": 0, "width": 1, "height": 1}}, "outcome": "{outcome}", "iterations": [{iterations}]}}"#
            );
            serde_json::from_str(&text).unwrap()
        };
        assert_eq!(course(&[]), "Nothing was solved.");
        assert_eq!(course(&[region("converged", 1)]), "1 iteration; the solve converged.");
        let several = [region("converged", 4), region("converged", 9), region("no_data", 0)];
        assert_eq!(
            course(&several),
            "3 regions, 0 to 9 iterations: 2 converged, 1 had no data on sources and kept the standard coadd."
        );
    }
}
