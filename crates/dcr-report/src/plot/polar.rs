//! Where the zenith was in each visit, and how far it drew blue light away from red.

use maud::{Markup, html};

use super::axis::ticks;
use super::frame::px;

/// Half the side of the plot, in its own units, and the radius of its outermost ring.
const HALF: f64 = 190.0;
const RADIUS: f64 = 150.0;

/// A visit in the plot.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Leverage {
    pub(crate) visit: u64,
    /// Position angle of the zenith, North through East.
    pub(crate) angle_deg: f64,
    /// The displacement across the band.
    pub(crate) length_px: f64,
    pub(crate) airmass: f64,
    /// What is written beside it.
    pub(crate) label: Option<&'static str>,
}

/// The plot, North up and East to the left as on the sky; `None` without a visit whose displacement is known.
pub(crate) fn polar(visits: &[Leverage]) -> Option<Markup> {
    let known: Vec<&Leverage> =
        visits.iter().filter(|visit| visit.angle_deg.is_finite() && visit.length_px.is_finite()).collect();
    let longest = known.iter().map(|visit| visit.length_px).fold(0.0, f64::max);
    if known.is_empty() {
        return None;
    }
    let outer = if longest > 0.0 { 1.05 * longest } else { 1.0 };
    let rings: Vec<f64> = ticks(0.0, outer, 4).into_iter().filter(|ring| *ring > 0.0).collect();
    let place = |visit: &Leverage| {
        let (sin, cos) = visit.angle_deg.to_radians().sin_cos();
        let radius = RADIUS * visit.length_px / outer;
        (-radius * sin, -radius * cos)
    };
    let names = [("N", 0.0, -1.0), ("E", -1.0, 0.0), ("S", 0.0, 1.0), ("W", 1.0, 0.0)];
    let about = format!(
        "Polar plot of {} visits: direction to the zenith on the sky, and displacement of blue against red light, up to {longest:.2} px",
        known.len()
    );
    Some(html! {
        svg.plot.polar viewBox=(format!("{} {} {} {}", -HALF, -HALF + 8.0, 2.0 * HALF, 2.0 * HALF - 16.0))
            role="img" aria-label=(about) {
            g.grid {
                @for ring in &rings { circle r=(px(RADIUS * ring / outer)) {} }
                line x1=(-RADIUS) x2=(RADIUS) y1="0" y2="0" {}
                line x1="0" x2="0" y1=(-RADIUS) y2=(RADIUS) {}
            }
            g.axes {
                @for (name, x, y) in names {
                    text.label x=(px(x * (RADIUS + 14.0))) y=(px(y * (RADIUS + 14.0) + 4.5)) text-anchor="middle" { (name) }
                }
                @for ring in &rings {
                    // Along a diagonal, where directions are fewest.
                    @let at = RADIUS * ring / outer * std::f64::consts::FRAC_1_SQRT_2;
                    text.ring x=(px(at + 3.0)) y=(px(at + 11.0)) { (format!("{ring} px")) }
                }
            }
            @for visit in &known {
                @let (x, y) = place(visit);
                line.link x1="0" y1="0" x2=(px(x)) y2=(px(y)) {}
            }
            @for visit in &known {
                @let (x, y) = place(visit);
                circle.matched cx=(px(x)) cy=(px(y)) r="5" {
                    title { (format!("visit {}: {:.2} px towards {:.0}°, airmass {:.2}", visit.visit, visit.length_px, visit.angle_deg.rem_euclid(360.0), visit.airmass)) }
                }
                @if let Some(label) = visit.label { (beside((x, y), label)) }
            }
        }
    })
}

/// A label beside a point, away from the line to the middle along which other points may lie.
fn beside((x, y): (f64, f64), label: &str) -> Markup {
    let radius = x.hypot(y).max(1.0);
    // Of the two directions across the line, the one that goes up.
    let (mut across_x, mut across_y) = (-y / radius, x / radius);
    if across_y > 0.0 {
        (across_x, across_y) = (-across_x, -across_y);
    }
    let anchor = match across_x {
        a if a > 0.4 => "start",
        a if a < -0.4 => "end",
        _ => "middle",
    };
    html! {
        text.named x=(px(x + 13.0 * across_x)) y=(px(y + 13.0 * across_y + 4.0)) text-anchor=(anchor) { (label) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visit(angle_deg: f64, length_px: f64) -> Leverage {
        Leverage { visit: 1, angle_deg, length_px, airmass: 1.2, label: Some("worst") }
    }

    #[test]
    fn polar_has_north_up_and_east_left() {
        let circle = |angle| {
            let svg = polar(&[visit(angle, 2.0)]).unwrap().into_string();
            let at = svg.find("circle class=\"matched\"").unwrap();
            let number = |name: &str| -> f64 {
                let from = at + svg[at..].find(name).unwrap() + name.len();
                svg[from..from + svg[from..].find('"').unwrap()].parse().unwrap()
            };
            (number("cx=\""), number("cy=\""))
        };
        let (x, y) = circle(0.0);
        assert!(x.abs() < 0.1 && y < -100.0);
        let (x, y) = circle(90.0);
        assert!(x < -100.0 && y.abs() < 0.1);
    }

    #[test]
    fn polar_of_unknown_or_no_displacement() {
        assert!(polar(&[]).is_none());
        assert!(polar(&[visit(f64::NAN, 1.0), visit(0.0, f64::NAN)]).is_none());
        assert!(polar(&[visit(0.0, 0.0)]).unwrap().into_string().contains("1 px"));
    }
}
