//! Where the zenith was in each visit, and how far it drew blue light away from red.

use maud::{Markup, html};

use super::axis::ticks;
use super::frame::px;

/// Half the side of the plot, in its own units, and the radius of its outermost ring.
const HALF: f64 = 190.0;
const RADIUS: f64 = 150.0;
/// Width of a letter of a label.
const LETTER: f64 = 6.6;
/// Points per radial line at which overlap with a label is tested.
const LINE_STEPS: usize = 12;

/// A visit in the plot.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Leverage {
    pub(crate) visit: u64,
    /// Position angle of the zenith, North through East.
    pub(crate) angle_deg: f64,
    /// The displacement across the band.
    pub(crate) length_px: f64,
    pub(crate) airmass: f64,
    /// Its label.
    pub(crate) label: Option<&'static str>,
}

/// The plot, North up and East to the left as on the sky; `None` if no visit's displacement is
/// known.
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
    let places: Vec<(f64, f64)> = known.iter().map(|visit| place(visit)).collect();
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
            }
            @for visit in &known {
                @if let Some(label) = visit.label { (beside(place(visit), label, &places)) }
            }
        }
    })
}

/// A label near a point, at the position that covers the fewest other points and radial lines.
fn beside(at: (f64, f64), label: &str, points: &[(f64, f64)]) -> Markup {
    let width = LETTER * label.chars().count() as f64;
    // Middles of the label around the point, the preferred first: outwards, then further and further round.
    let outwards = at.1.atan2(at.0);
    let turns = [0.0, 60.0, -60.0, 90.0, -90.0, 120.0, -120.0, 180.0].map(f64::to_radians);
    let middle = |turn: f64| {
        let (sin, cos) = (outwards + turn).sin_cos();
        (at.0 + (9.0 + width / 2.0) * cos, at.1 + 15.0 * sin)
    };
    let covered = |(x, y): (f64, f64)| {
        let inside = |px: f64, py: f64| (px - x).abs() < width / 2.0 + 6.0 && (py - y).abs() < 12.0;
        let along = |(px, py): &(f64, f64)| {
            (1..=LINE_STEPS)
                .filter(|i| inside(px * *i as f64 / LINE_STEPS as f64, py * *i as f64 / LINE_STEPS as f64))
                .count()
        };
        let off = if x.abs() + width / 2.0 > HALF { 1000 } else { 0 };
        off + points
            .iter()
            .map(|point| along(point) + if inside(point.0, point.1) { 20 } else { 0 })
            .sum::<usize>()
    };
    let places = turns.map(middle);
    let best = places.into_iter().min_by_key(|place| covered(*place)).unwrap_or(at);
    html! {
        text.named x=(px(best.0)) y=(px(best.1 + 4.0)) text-anchor="middle" { (label) }
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
    fn labels_keep_clear_of_points_where_they_can() {
        let at = (100.0, 0.0);
        let x = |points: &[(f64, f64)]| -> f64 {
            let text = beside(at, "worst", points).into_string();
            let from = text.find("x=\"").unwrap() + 3;
            text[from..from + text[from..].find('"').unwrap()].parse().unwrap()
        };
        assert!(x(&[at]) > 120.0);
        assert!(x(&[at, (125.0, 3.0)]) < 120.0);
    }

    #[test]
    fn polar_of_unknown_or_no_displacement() {
        assert!(polar(&[]).is_none());
        assert!(polar(&[visit(f64::NAN, 1.0), visit(0.0, f64::NAN)]).is_none());
        assert!(polar(&[visit(0.0, 0.0)]).unwrap().into_string().contains("1 px"));
    }
}
