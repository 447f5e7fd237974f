//! The frame of a plot: two axes with ticks, grid and labels.

use maud::{Markup, html};

use super::axis::Axis;

/// Size of a plot in its own units; the page scales it to the available width.
const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 320.0;
/// Bounds of the plotted area.
const LEFT: f64 = 72.0;
const RIGHT: f64 = WIDTH - 14.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = HEIGHT - 46.0;

/// Two axes.
pub(crate) struct Frame {
    pub(crate) x: Axis,
    pub(crate) y: Axis,
}

impl Frame {
    /// Where a point lies in the plot; `None` if an axis cannot have it.
    pub(crate) fn place(&self, x: f64, y: f64) -> Option<(f64, f64)> {
        let (x, y) = (self.x.fraction(x)?, self.y.fraction(y)?);
        Some((LEFT + x * (RIGHT - LEFT), BOTTOM - y * (BOTTOM - TOP)))
    }

    /// A line through points, without those that the axes cannot have.
    pub(crate) fn line(&self, points: impl IntoIterator<Item = (f64, f64)>) -> String {
        let places = points.into_iter().filter_map(|(x, y)| self.place(x, y));
        places.map(|(x, y)| format!("{x:.1},{y:.1}")).collect::<Vec<_>>().join(" ")
    }

    /// The plot. `about` is for those who cannot see it.
    pub(crate) fn draw(&self, about: &str, drawn: &Markup) -> Markup {
        let middle = (f64::midpoint(LEFT, RIGHT), f64::midpoint(TOP, BOTTOM));
        let along = |axis: &Axis, from: f64, to: f64| -> Vec<(f64, String)> {
            let place = |value: f64| Some(from + axis.fraction(value)? * (to - from));
            axis.ticks().into_iter().filter_map(|(value, text)| Some((place(value)?, text))).collect()
        };
        html! {
            svg.plot viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(about) {
                g.grid {
                    @for (x, _) in along(&self.x, LEFT, RIGHT) {
                        line x1=(px(x)) x2=(px(x)) y1=(TOP) y2=(BOTTOM) {}
                    }
                    @for (y, _) in along(&self.y, BOTTOM, TOP) {
                        line x1=(LEFT) x2=(RIGHT) y1=(px(y)) y2=(px(y)) {}
                    }
                }
                g.axes {
                    line x1=(LEFT) x2=(RIGHT) y1=(BOTTOM) y2=(BOTTOM) {}
                    line x1=(LEFT) x2=(LEFT) y1=(TOP) y2=(BOTTOM) {}
                    @for (x, text) in along(&self.x, LEFT, RIGHT) {
                        text x=(px(x)) y=(BOTTOM + 17.0) text-anchor="middle" { (text) }
                    }
                    @for (y, text) in along(&self.y, BOTTOM, TOP) {
                        text x=(LEFT - 8.0) y=(px(y + 4.0)) text-anchor="end" { (text) }
                    }
                    text.label x=(middle.0) y=(HEIGHT - 8.0) text-anchor="middle" { (self.x.label()) }
                    text.label transform=(format!("translate(14 {}) rotate(-90)", middle.1)) text-anchor="middle" {
                        (self.y.label())
                    }
                }
                svg x=(LEFT) y=(TOP) width=(RIGHT - LEFT) height=(BOTTOM - TOP)
                    viewBox=(format!("{LEFT} {TOP} {} {}", RIGHT - LEFT, BOTTOM - TOP)) { (drawn) }
            }
        }
    }

    /// A horizontal line at a value, across the plot.
    pub(crate) fn level(&self, y: f64) -> Markup {
        let y = self.y.fraction(y).map(|fraction| BOTTOM - fraction * (BOTTOM - TOP));
        html! {
            @if let Some(y) = y {
                line.level x1=(LEFT) x2=(RIGHT) y1=(px(y)) y2=(px(y)) {}
            }
        }
    }
}

/// A coordinate with as many digits as can be seen.
pub(crate) fn px(value: f64) -> String {
    format!("{value:.1}")
}

/// Mark of the standard coadd's residuals: an open square.
pub(crate) fn plain_mark((x, y): (f64, f64), about: &str) -> Markup {
    html! { rect.plain x=(px(x - 4.0)) y=(px(y - 4.0)) width="8" height="8" { title { (about) } } }
}

/// Mark of the matched template's residuals: a disc.
pub(crate) fn matched_mark((x, y): (f64, f64), about: &str) -> Markup {
    html! { circle.matched cx=(px(x)) cy=(px(y)) r="4.5" { title { (about) } } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_places_the_ends_of_its_axes() {
        let frame = Frame { x: Axis::from_zero([10.0], "x"), y: Axis::logarithmic([1.0, 100.0], "y") };
        let (x, y) = frame.place(10.0, 100.0).unwrap();
        assert!(x > LEFT && x < RIGHT && y > TOP && y < BOTTOM);
        assert_eq!(frame.place(1.0, 0.0), None);
        assert_eq!(frame.line([(0.0, 1.0), (1.0, f64::NAN), (5.0, 10.0)]).split(' ').count(), 2);
    }

    #[test]
    fn frame_escapes_its_labels() {
        let frame = Frame { x: Axis::from_zero([1.0], "<x>"), y: Axis::from_zero([1.0], "a & b") };
        let drawn = frame.draw("\"quoted\"", &html! {}).into_string();
        assert!(
            drawn.contains("&lt;x&gt;")
                && drawn.contains("a &amp; b")
                && drawn.contains("&quot;quoted&quot;")
        );
        assert!(!drawn.contains("<x>"));
    }
}
