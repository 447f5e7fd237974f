//! Residuals by airmass: standard coadd and matched template.

use maud::{Markup, html};

use super::axis::Axis;
use super::frame::{Frame, matched_mark, plain_mark, px};

/// A measure of the residuals of a visit.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Point {
    pub(crate) visit: u64,
    pub(crate) airmass: f64,
    pub(crate) plain: Option<f64>,
    pub(crate) matched: Option<f64>,
}

/// The scatter on sources over that of the sky; 1 is nothing left. `None` without any.
pub(crate) fn by_airmass(points: &[Point]) -> Option<Markup> {
    let about = "Scatter of pixels of sources over that of the sky, by airmass, for the standard coadd and the matched template";
    plot(points, "rms on sources / noise", Some(1.0), about, 2)
}

/// The number of detections. `None` without any.
pub(crate) fn detections_by_airmass(points: &[Point]) -> Option<Markup> {
    let about = "Detections in the difference, by airmass, for the standard coadd and the matched template";
    plot(points, "detections in the difference", None, about, 0)
}

fn plot(points: &[Point], label: &str, level: Option<f64>, about: &str, digits: usize) -> Option<Markup> {
    let values = |point: &Point| [point.plain, point.matched].into_iter().flatten();
    let known: Vec<&Point> = points.iter().filter(|point| values(point).next().is_some()).collect();
    if known.is_empty() {
        return None;
    }
    let frame = Frame {
        x: Axis::linear(known.iter().map(|point| point.airmass), "airmass"),
        y: Axis::from_zero(known.iter().flat_map(|point| values(point)).chain(level), label),
    };
    let place = |point: &Point, value: Option<f64>| frame.place(point.airmass, value?);
    let tell = |point: &Point, of: &str, value: Option<f64>| {
        format!("visit {}, {of}: {:.digits$}", point.visit, value.unwrap_or(f64::NAN))
    };
    Some(frame.draw(
        about,
        &html! {
            @if let Some(level) = level { (frame.level(level)) }
            @for point in &known {
                @if let (Some(from), Some(to)) = (place(point, point.plain), place(point, point.matched)) {
                    line.link x1=(px(from.0)) y1=(px(from.1)) x2=(px(to.0)) y2=(px(to.1)) {}
                }
            }
            @for point in &known {
                @if let Some(place) = place(point, point.plain) {
                    (plain_mark(place, &tell(point, "standard coadd", point.plain)))
                }
            }
            @for point in &known {
                @if let Some(place) = place(point, point.matched) {
                    (matched_mark(place, &tell(point, "matched template", point.matched)))
                }
            }
        },
    ))
}
