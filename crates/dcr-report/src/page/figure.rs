//! Pictures with captions and marks, and pairs of them to compare.

use maud::{Markup, html};

use crate::picture::{Picture, Ramp};
use crate::plot::px;
use crate::views::{Mark, View};

/// Radius of a mark for a picture's width: visible, and wider than the residual inside.
fn radius(picture: &Picture) -> f64 {
    (picture.width.max(picture.height) as f64 / 50.0).clamp(4.0, 9.0)
}

/// A picture with a caption and a description (`about`) for screen readers.
pub(crate) fn figure(picture: &Picture, about: &str, caption: &Markup) -> Markup {
    framed(picture, &[], None, about, caption)
}

/// A view with its marks, and the direction to the zenith, in degrees from the right anticlockwise.
pub(crate) fn view(view: &View, zenith_deg: Option<f64>, about: &str, caption: &Markup) -> Markup {
    framed(&view.picture, &view.marks, zenith_deg, about, caption)
}

fn framed(
    picture: &Picture,
    marks: &[Mark],
    zenith_deg: Option<f64>,
    about: &str,
    caption: &Markup,
) -> Markup {
    let (width, height) = (picture.width, picture.height);
    let r = radius(picture);
    html! {
        figure {
            div.picture style=(format!("aspect-ratio:{width}/{height}")) {
                img src=(picture.data_uri()) width=(width) height=(height) alt=(about);
                @if !marks.is_empty() || zenith_deg.is_some() {
                    svg viewBox=(format!("0 0 {width} {height}")) aria-hidden="true" {
                        @if let Some(angle) = zenith_deg { (arrow(angle, width as f64, height as f64)) }
                        g.marks {
                            @for mark in marks {
                                circle.surplus[mark.positive].lack[!mark.positive]
                                    cx=(px(mark.x)) cy=(px(mark.y)) r=(px(r)) {}
                            }
                        }
                    }
                }
            }
            figcaption { (caption) }
        }
    }
}

/// An arrow in the lower left corner towards the zenith.
fn arrow(angle_deg: f64, width: f64, height: f64) -> Markup {
    let unit = width.min(height) / 100.0;
    let (sin, cos) = angle_deg.to_radians().sin_cos();
    let (x, y) = (9.0 * unit, height - 9.0 * unit);
    let tip = (x + 6.0 * unit * cos, y - 6.0 * unit * sin);
    let tail = (x - 6.0 * unit * cos, y + 6.0 * unit * sin);
    let barb = |turn: f64| {
        let (sin, cos) = (angle_deg + turn).to_radians().sin_cos();
        (tip.0 - 3.5 * unit * cos, tip.1 + 3.5 * unit * sin)
    };
    let (a, b) = (barb(28.0), barb(-28.0));
    let path = format!(
        "M{:.1} {:.1}L{:.1} {:.1}M{:.1} {:.1}L{:.1} {:.1}L{:.1} {:.1}",
        tail.0, tail.1, tip.0, tip.1, a.0, a.1, tip.0, tip.1, b.0, b.1
    );
    html! {
        g.zenith {
            path.under d=(path) stroke-width=(px(2.0 * unit)) {}
            path d=(path) stroke-width=(px(0.8 * unit)) {}
        }
    }
}

/// Two pictures of the same pixels side by side; with a script also in turn at one position.
pub(crate) fn compared(first: &Markup, second: &Markup, marked: bool, about: &str) -> Markup {
    html! {
        div.pair role="group" aria-label=(about) {
            div.pictures { (first) (second) }
            input.slide type="range" min="0" max="100" value="50" hidden aria-label={ "Border between the images: " (about) };
            div.controls {
                span.modes hidden {
                    button type="button" data-mode="side" aria-pressed="true" { "Side by side" }
                    button type="button" data-mode="slider" aria-pressed="false" { "Slider" }
                    button type="button" data-mode="blink" aria-pressed="false" { "Blink" }
                }
                @if marked {
                    label { input.marked type="checkbox" checked; " circle detections" }
                }
            }
        }
    }
}

/// The colours of a ramp from the least to the most.
pub(crate) fn scale(ramp: Ramp, least: &str, most: &str) -> Markup {
    let stops: Vec<String> = (0..=5)
        .map(|i| {
            let [red, green, blue] = ramp.colour(f64::from(i) / 5.0);
            format!("rgb({red} {green} {blue})")
        })
        .collect();
    html! {
        span.scale {
            (least) " "
            i style=(format!("background:linear-gradient(to right,{})", stops.join(","))) {}
            " " (most)
        }
    }
}
