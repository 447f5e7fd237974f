//! Convergence of a solve: metric and gain of each region, or remaining error of each tile.

use maud::{Markup, html};

use super::axis::Axis;
use super::frame::{Frame, matched_mark};
use crate::run_summary::{Region, Tile};

/// How something went in one region or tile.
struct Course {
    name: String,
    /// The iteration of the first value.
    first: usize,
    values: Vec<f64>,
}

/// The metric by iteration, with the starting model at 0; `None` without a metric.
pub(crate) fn metrics(regions: &[Region]) -> Option<Markup> {
    let course = |region: &Region| {
        let later = region.iterations.iter().map(|iteration| iteration.metric);
        let values = std::iter::once(region.initial_metric).chain(later);
        Course::of(format!("region {}", region.bbox), 0, values)
    };
    let courses: Vec<Course> = regions.iter().map(course).collect();
    let about = "Convergence metric of each region by iteration, logarithmic";
    plot(&courses, |values| Axis::logarithmic(values, "metric"), about)
}

/// The gain by iteration.
pub(crate) fn gains(regions: &[Region]) -> Option<Markup> {
    let course = |region: &Region| {
        let values = region.iterations.iter().map(|iteration| iteration.gain);
        Course::of(format!("region {}", region.bbox), 1, values)
    };
    let courses: Vec<Course> = regions.iter().map(course).collect();
    plot(&courses, |values| Axis::from_zero(values, "gain"), "Gain of each region by iteration")
}

/// The error left in each tile by iteration of the first solves, a line for each round.
pub(crate) fn first_errors(tiles: &[Tile]) -> Option<Markup> {
    let courses: Vec<Course> = tiles
        .iter()
        .flat_map(|tile| {
            let name = |round: usize| format!("{}, round {}", tile.name(), round + 1);
            let rounds = tile.first.iter().enumerate();
            rounds.map(move |(round, errors)| Course::of(name(round), 1, errors.iter().copied()))
        })
        .collect();
    errors(&courses, "Remaining error of each tile by iteration of the first solves, logarithmic")
}

/// The remaining errors of the final solve.
pub(crate) fn last_errors(tiles: &[Tile]) -> Option<Markup> {
    let courses: Vec<Course> =
        tiles.iter().map(|tile| Course::of(tile.name(), 1, tile.last.iter().copied())).collect();
    errors(&courses, "Remaining error of each tile by iteration of the final solve, logarithmic")
}

fn errors(courses: &[Course], about: &str) -> Option<Markup> {
    plot(courses, |values| Axis::logarithmic(values, "error left / noise"), about)
}

impl Course {
    fn of(name: String, first: usize, values: impl IntoIterator<Item = Option<f64>>) -> Self {
        Self { name, first, values: values.into_iter().map(|value| value.unwrap_or(f64::NAN)).collect() }
    }

    fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        self.values.iter().enumerate().map(|(i, value)| ((self.first + i) as f64, *value))
    }
}

/// The courses as lines; a single one has its points marked. `None` without a number.
fn plot(courses: &[Course], axis: impl Fn(Vec<f64>) -> Axis, about: &str) -> Option<Markup> {
    let points: Vec<(f64, f64)> =
        courses.iter().flat_map(Course::points).filter(|(_, value)| value.is_finite()).collect();
    let last = points.iter().map(|(x, _)| *x).reduce(f64::max)?;
    let first = points.iter().map(|(x, _)| *x).fold(last, f64::min);
    let values = points.iter().map(|(_, value)| *value).collect();
    let frame = Frame { x: Axis::linear([first, last], "iteration"), y: axis(values) };
    let single = courses.len() == 1;
    Some(frame.draw(
        about,
        &html! {
            @for course in courses {
                polyline.course.faint[!single] points=(frame.line(course.points())) { title { (course.name) } }
            }
            @if single {
                @for (x, y) in points {
                    @if let Some(place) = frame.place(x, y) {
                        (matched_mark(place, &format!("iteration {x}: {y:.4}")))
                    }
                }
            } @else {
                // A line of one point is none.
                @for course in courses.iter().filter(|course| course.values.len() == 1) {
                    @for (x, y) in course.points() {
                        @if let Some(place) = frame.place(x, y) {
                            (matched_mark(place, &format!("{}, iteration {x}: {y:.4}", course.name)))
                        }
                    }
                }
            }
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tile(first: &[&[f64]], last: &[f64]) -> Tile {
        let known = |values: &[f64]| values.iter().map(|value| Some(*value)).collect();
        Tile { origin: [0, 0], first: first.iter().map(|values| known(values)).collect(), last: known(last) }
    }

    #[test]
    fn errors_have_a_line_for_each_tile_and_round_and_none_without_a_number() {
        let tiles = [tile(&[&[1.0, 0.1], &[0.5]], &[0.2, 0.02]), tile(&[], &[])];
        let lines =
            |plot: Option<Markup>| plot.map_or(0, |plot| plot.into_string().matches("<polyline").count());
        assert_eq!((lines(first_errors(&tiles)), lines(last_errors(&tiles))), (2, 2));
        assert_eq!(lines(last_errors(&tiles[..1])), 1);
        assert!(first_errors(&tiles[1..]).is_none() && last_errors(&[]).is_none());
        let unknown = Tile { last: vec![None, None], ..Tile::default() };
        assert!(last_errors(&[unknown]).is_none());
    }
}
