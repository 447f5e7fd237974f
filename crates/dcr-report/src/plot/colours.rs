//! Colours of stars between subfilters: blue less middle against middle less red.

use dcr_difference::review::Star;
use maud::{Markup, html};

use super::axis::Axis;
use super::frame::{Frame, px};

/// Fluxes below this many errors have no colour worth showing.
const LEAST_SIGNIFICANCE: f64 = 5.0;
/// Maximum number of plotted stars, brightest first.
const MOST: usize = 500;
/// Temperatures in K of the plotted black bodies, evenly spaced in 1/T.
const COOLEST_K: f64 = 3000.0;
const HOTTEST_K: f64 = 30_000.0;
const BODIES: usize = 24;
/// hc/k in nm K.
const SECOND_RADIATION_CONSTANT: f64 = 1.438_776_877e7;

/// A colour with its error, in magnitudes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Colour {
    pub(crate) value: f64,
    pub(crate) error: f64,
}

/// Subfilters of the colours: bluest, middle and reddest, or fewer.
pub(crate) fn chosen(subfilters: usize) -> Vec<usize> {
    match subfilters {
        0 | 1 => vec![],
        2 => vec![0, 1],
        n => vec![0, n / 2, n - 1],
    }
}

/// Magnitude difference of a star between subfilters `a` and `b`, relative to a flat spectrum.
pub(crate) fn colour(star: &Star, fractions: &[f64], a: usize, b: usize) -> Option<Colour> {
    let part = |i: usize| {
        let [flux, error] = *star.fluxes.get(i)?;
        let fraction = fractions.get(i).copied().filter(|fraction| *fraction > 0.0)?;
        (flux > LEAST_SIGNIFICANCE * error && flux > 0.0).then_some((flux / fraction, error / flux))
    };
    let ((flux_a, error_a), (flux_b, error_b)) = (part(a)?, part(b)?);
    let per_relative = 2.5 / std::f64::consts::LN_10;
    Some(Colour { value: -2.5 * (flux_a / flux_b).log10(), error: per_relative * error_a.hypot(error_b) })
}

/// The colour–colour diagram and its number of stars; for two subfilters colour against brightness.
/// `None` for fewer subfilters, or without a star.
pub(crate) fn colour_colour(
    stars: &[Star],
    fractions: &[f64],
    edges_nm: &[[f64; 2]],
) -> Option<(Markup, usize)> {
    match chosen(fractions.len())[..] {
        [a, b] => colour_magnitude(stars, fractions, a, b),
        [a, b, c] => {
            let both = |star: &Star| Some((colour(star, fractions, b, c)?, colour(star, fractions, a, b)?));
            let points: Vec<(Colour, Colour)> = stars.iter().filter_map(both).take(MOST).collect();
            let (x, y) = (format!("subfilter {b} − {c} (mag)"), format!("subfilter {a} − {b} (mag)"));
            let bodies: Vec<(f64, f64)> = temperatures()
                .map(|kelvin| {
                    (thermal_colour(kelvin, edges_nm, b, c), thermal_colour(kelvin, edges_nm, a, b))
                })
                .collect();
            let about = format!(
                "Colour–colour diagram of {} stars: blue less middle against middle less red subfilter",
                points.len()
            );
            diagram(&points, &bodies, (x, y), &about)
        }
        _ => None,
    }
}

/// From the coolest to the hottest.
fn temperatures() -> impl Iterator<Item = f64> {
    let (cool, hot) = (COOLEST_K.recip(), HOTTEST_K.recip());
    (0..BODIES).map(move |i| (cool + (hot - cool) * i as f64 / (BODIES - 1) as f64).recip())
}

/// Colour of a black body between two subfilters, relative to a spectrum flat in photons; NaN for
/// unknown edges.
fn thermal_colour(kelvin: f64, edges_nm: &[[f64; 2]], a: usize, b: usize) -> f64 {
    // Photons for each nm: λ^−4 / (exp(hc/λkT) − 1).
    let photons = |nm: f64| nm.powi(-4) / (SECOND_RADIATION_CONSTANT / (nm * kelvin)).exp_m1();
    // The mean over a subfilter by Simpson's rule.
    let mean = |i: usize| {
        let [blue, red] = edges_nm.get(i).copied().unwrap_or([f64::NAN; 2]);
        (photons(blue) + 4.0 * photons(f64::midpoint(blue, red)) + photons(red)) / 6.0
    };
    -2.5 * (mean(a) / mean(b)).log10()
}

fn colour_magnitude(stars: &[Star], fractions: &[f64], a: usize, b: usize) -> Option<(Markup, usize)> {
    let with_brightness = |star: &Star| {
        let colour = colour(star, fractions, a, b)?;
        Some((Colour { value: star.significance.log10(), error: 0.0 }, colour))
    };
    let points: Vec<(Colour, Colour)> = stars.iter().filter_map(with_brightness).take(MOST).collect();
    let labels = ("log S/N in the sum".to_owned(), format!("subfilter {a} − {b} (mag)"));
    diagram(&points, &[], labels, "Colour of stars between the two subfilters against their brightness")
}

fn diagram(
    points: &[(Colour, Colour)],
    line: &[(f64, f64)],
    labels: (String, String),
    about: &str,
) -> Option<(Markup, usize)> {
    if points.is_empty() {
        return None;
    }
    let frame = Frame {
        x: Axis::linear(points.iter().map(|(x, _)| x.value), labels.0),
        y: Axis::linear(points.iter().map(|(_, y)| y.value), labels.1),
    };
    let bar = |from: (f64, f64), to: (f64, f64)| {
        let (from, to) = (frame.place(from.0, from.1), frame.place(to.0, to.1));
        html! {
            @if let (Some(from), Some(to)) = (from, to) {
                line.error x1=(px(from.0)) y1=(px(from.1)) x2=(px(to.0)) y2=(px(to.1)) {}
            }
        }
    };
    let drawn = html! {
        @if !line.is_empty() { polyline.law points=(frame.line(line.iter().copied())) {} }
        @for (x, y) in points {
            (bar((x.value - x.error, y.value), (x.value + x.error, y.value)))
            (bar((x.value, y.value - y.error), (x.value, y.value + y.error)))
        }
        @for (x, y) in points {
            @if let Some(place) = frame.place(x.value, y.value) {
                circle.star cx=(px(place.0)) cy=(px(place.1)) r="3.2" {
                    title { (format!("{:.2} ± {:.2}, {:.2} ± {:.2}", x.value, x.error, y.value, y.error)) }
                }
            }
        }
    };
    Some((frame.draw(about, &drawn), points.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn star(fluxes: &[f64]) -> Star {
        Star { x: 0.0, y: 0.0, significance: 100.0, fluxes: fluxes.iter().map(|flux| [*flux, 1.0]).collect() }
    }

    #[test]
    fn colour_of_a_flat_spectrum_is_zero_and_of_a_red_one_positive() {
        let fractions = [0.2, 0.3, 0.5];
        let flat = colour(&star(&[200.0, 300.0, 500.0]), &fractions, 0, 2).unwrap();
        assert!(flat.value.abs() < 1e-12);
        let red = colour(&star(&[20.0, 300.0, 500.0]), &fractions, 0, 2).unwrap();
        assert!((red.value - 2.5).abs() < 1e-12);
        assert!((red.error - 2.5 / std::f64::consts::LN_10 * 0.05_f64.hypot(0.002)).abs() < 1e-9);
    }

    #[test]
    fn colour_of_faint_or_negative_flux_is_none() {
        for blue in [4.0, 0.0, -50.0, f64::NAN] {
            assert_eq!(colour(&star(&[blue, 100.0]), &[0.5, 0.5], 0, 1), None, "{blue}");
        }
        assert_eq!(colour(&star(&[100.0, 100.0]), &[0.0, 1.0], 0, 1), None);
        assert_eq!(colour(&star(&[100.0]), &[0.5, 0.5], 0, 1), None);
    }

    /// Limits of long waves (Rayleigh–Jeans), photons ∝ λ^−3, and of short waves (Wien), photons ∝
    /// λ^−4 exp(−hc/λkT).
    #[test]
    fn thermal_colours_meet_their_limits() {
        let edges = [[399.9, 400.1], [499.9, 500.1]];
        let hot = thermal_colour(1e8, &edges, 0, 1);
        assert!((hot - 7.5 * 0.8_f64.log10()).abs() < 1e-3, "{hot}");
        let cold = thermal_colour(1000.0, &edges, 0, 1);
        let wien = 2.5
            * (4.0 * 0.8_f64.log10() + 14_387.768_77 * (1.0 / 400.0 - 1.0 / 500.0) / std::f64::consts::LN_10);
        assert!((cold - wien).abs() < 1e-3, "{cold} {wien}");
        assert!(thermal_colour(5000.0, &edges, 0, 2).is_nan());
        assert!(temperatures().all(|kelvin| (2999.0..30_001.0).contains(&kelvin)));
    }

    #[test]
    fn diagram_for_every_number_of_subfilters() {
        let stars: Vec<Star> =
            (1..9).map(|i| star(&[100.0 * f64::from(i), 300.0, 250.0, 200.0, 500.0])).collect();
        for n in 0..=5 {
            let fractions = vec![1.0 / f64::from(n.max(1)); n as usize];
            let edges: Vec<[f64; 2]> =
                (0..n).map(|i| [400.0, 420.0].map(|nm| nm + 20.0 * f64::from(i))).collect();
            let drawn = colour_colour(&stars, &fractions, &edges);
            assert_eq!(drawn.as_ref().map(|(_, count)| *count), (n > 1).then_some(8), "{n}");
            assert_eq!(drawn.is_some_and(|(svg, _)| svg.into_string().contains("law")), n > 2, "{n}");
        }
        assert!(colour_colour(&[], &[0.3, 0.3, 0.4], &[[400.0, 500.0]; 3]).is_none());
    }
}
