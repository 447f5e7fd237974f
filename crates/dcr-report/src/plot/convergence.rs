//! The course of the solve: metric and gain of each region by iteration.

use maud::{Markup, html};

use super::axis::Axis;
use super::frame::{Frame, matched_mark};
use crate::run_summary::Region;

/// The metric by iteration, the starting model's at 0; `None` if nobody looked at it.
pub(crate) fn metrics(regions: &[Region]) -> Option<Markup> {
    let course = |region: &Region| -> Vec<f64> {
        let later = region.iterations.iter().map(|iteration| iteration.metric);
        std::iter::once(region.initial_metric).chain(later).map(|metric| metric.unwrap_or(f64::NAN)).collect()
    };
    let about = "Convergence metric of each region by iteration, logarithmic";
    plot(regions, course, 0, |values| Axis::logarithmic(values, "metric"), about)
}

/// The gain by iteration.
pub(crate) fn gains(regions: &[Region]) -> Option<Markup> {
    let course = |region: &Region| -> Vec<f64> {
        region.iterations.iter().map(|iteration| iteration.gain.unwrap_or(f64::NAN)).collect()
    };
    plot(regions, course, 1, |values| Axis::from_zero(values, "gain"), "Gain of each region by iteration")
}

fn plot(
    regions: &[Region],
    course: impl Fn(&Region) -> Vec<f64>,
    first: usize,
    axis: impl Fn(Vec<f64>) -> Axis,
    about: &str,
) -> Option<Markup> {
    let courses: Vec<Vec<f64>> = regions.iter().map(course).collect();
    let values: Vec<f64> = courses.iter().flatten().copied().filter(|value| value.is_finite()).collect();
    if values.is_empty() {
        return None;
    }
    let longest = courses.iter().map(Vec::len).max().unwrap_or(0);
    let last = (first + longest).saturating_sub(1);
    let frame = Frame { x: Axis::linear([first as f64, last as f64], "iteration"), y: axis(values) };
    let points = |course: &[f64]| -> Vec<(f64, f64)> {
        course.iter().enumerate().map(|(i, value)| ((first + i) as f64, *value)).collect()
    };
    let single = courses.len() == 1;
    Some(frame.draw(
        about,
        &html! {
            @for (course, region) in courses.iter().zip(regions) {
                polyline.course.faint[!single] points=(frame.line(points(course))) {
                    title { "region " (region.bbox.to_string()) }
                }
            }
            @if single {
                @for (x, y) in points(&courses[0]) {
                    @if let Some(place) = frame.place(x, y) {
                        (matched_mark(place, &format!("iteration {x}: {y:.4}")))
                    }
                }
            }
        },
    ))
}
