//! Elevation of a telescope, from cards that may be in feet or hold the altitude angle.
//!
//! A unit in the text or comment of the card is respected. Elevations above 5700 m, higher than any
//! observatory, are read as feet if the pressure allows the result. A fractional number below 5.7,
//! as for elevations in km, is read as m, with a warning. A number up to 90 in a card with two
//! meanings, such as ELEVATIO, is an angle if it agrees with the altitude of the pointing. Unusable
//! values are ignored, with a warning.

use super::Value;
use super::reading::Reading;
use super::weather;

/// Metres in a foot and in a kilometre.
const FOOT_M: f64 = 0.3048;
const KILOMETRE_M: f64 = 1000.0;
/// Elevations in km that may lack their unit.
const MAYBE_KILOMETRES: std::ops::Range<f64> = 0.1..5.7;
/// Maximum difference in degrees between a number and the altitude of the pointing for an angle.
const ALTITUDE_DEG: f64 = 1.0;
/// Maximum difference in m between a card and the known elevation of an instrument.
const KNOWN_SITE_M: f64 = 500.0;
/// Cards whose name can mean an angle.
const MAYBE_ANGLES: [&str; 4] = ["ELEVATIO", "ELEVATION", "ALTITUDE", "TELELEV"];

impl Reading<'_> {
    /// Elevation above sea level in m, from the first usable card. `altitude_deg` is the altitude
    /// of the pointing, from the header or from time and position; `known_m` is the elevation of
    /// the instrument's telescope.
    pub(super) fn elevation(
        &mut self,
        cards: &[&'static str],
        altitude_deg: Option<f64>,
        known_m: Option<f64>,
    ) -> Option<f64> {
        cards.iter().find_map(|card| self.elevation_of(card, altitude_deg)).filter(|elevation| {
            let known = known_m.filter(|known| (known - elevation).abs() > KNOWN_SITE_M);
            if let Some(known) = known {
                self.warn(
                    "elevation",
                    format!(
                        "The header gives an elevation of {elevation:.0} m, but {} is at {known:.0} m, which is \
                         used.",
                        self.profile.name
                    ),
                );
            }
            known.is_none()
        })
    }

    fn elevation_of(&mut self, card: &str, altitude_deg: Option<f64>) -> Option<f64> {
        let value = self.header.get(card)?;
        let written = value.to_string();
        let (number, unit_m) = match value {
            Value::Text(text) => match number_and_unit(text) {
                Some(number) => number,
                None => {
                    if super::angle::parse_sexagesimal(text).is_some() {
                        self.not_an_elevation(card, &written, "is an angle");
                    }
                    return None;
                }
            },
            other => (other.as_f64()?, None),
        };
        if let Some(unit_m) = unit_m {
            let elevation = number * unit_m;
            if !weather::ELEVATIONS.contains(&elevation) {
                self.not_an_elevation(
                    card,
                    &written,
                    "is not the elevation of an observatory (-420 to 5700 m)",
                );
                return None;
            }
            return Some(elevation);
        }
        if MAYBE_ANGLES.contains(&card) && (-90.0..=90.0).contains(&number) {
            match altitude_deg {
                Some(altitude) if (altitude - number).abs() > ALTITUDE_DEG && card != "ALTITUDE" => {}
                // A sexagesimal value under such a name is always an angle.
                _ if card == "ALTITUDE" => return None,
                Some(altitude) => {
                    let why = format!("is the altitude of the pointing ({altitude:.2}°)");
                    self.not_an_elevation(card, &written, &why);
                    return None;
                }
                None => {
                    self.not_an_elevation(card, &written, "may be the altitude of the pointing");
                    return None;
                }
            }
        }
        if let Some((unit, unit_m)) = self.unit_in_comment(card)
            && weather::ELEVATIONS.contains(&(number * unit_m))
        {
            let elevation = number * unit_m;
            self.warn(
                "elevation",
                format!("{card} = {written} is in {unit} by its comment: {elevation:.0} m."),
            );
            return Some(elevation);
        }
        if weather::ELEVATIONS.contains(&number) {
            if MAYBE_KILOMETRES.contains(&number) && number.fract() != 0.0 {
                self.warn(
                    "elevation",
                    format!(
                        "{card} = {written} is read as m; if it is in km, set input.site, e.g. \
                         {{ elevation_m = {:.0} }}.",
                        number * KILOMETRE_M
                    ),
                );
            }
            return Some(number);
        }
        let feet = number * FOOT_M;
        if number > 0.0 && weather::ELEVATIONS.contains(&feet) && self.pressure_allows(feet) {
            self.warn(
                "elevation",
                format!(
                    "{card} = {written} would be above all observatories in m; it is read as feet, {feet:.0} m."
                ),
            );
            return Some(feet);
        }
        self.not_an_elevation(card, &written, "is not the elevation of an observatory (-420 to 5700 m)");
        None
    }

    /// Unit other than m in the comment of a card, and its size in m. Of several units, the one in
    /// brackets at the beginning applies (FITS convention); without brackets none does, with a
    /// warning.
    fn unit_in_comment(&mut self, card: &str) -> Option<(String, f64)> {
        let comment = self.header.card(card)?.comment.trim().to_ascii_lowercase();
        let words = comment.split(|c: char| !c.is_ascii_alphanumeric());
        let units: Vec<(&str, f64)> = words.filter_map(|word| Some((word, metres_in(word)?))).collect();
        let &(unit, unit_m) = units.first()?;
        if !comment.starts_with('[') && units.iter().any(|(_, other)| *other != unit_m) {
            self.warn(
                "elevation",
                format!("The comment of {card} names several units: none of them is used."),
            );
            return None;
        }
        (unit_m != 1.0).then(|| (unit.to_owned(), unit_m))
    }

    fn not_an_elevation(&mut self, card: &str, written: &str, why: &str) {
        self.warn("elevation", format!("{card} = {written} {why}; it is not used as an elevation."));
    }

    /// Whether the pressure in the header is plausible at an elevation; true without one.
    fn pressure_allows(&self, elevation_m: f64) -> bool {
        let pressure = super::profile::first_number(self.header, self.profile.pressure);
        pressure.filter(|value| *value > 0.0).is_none_or(|value| weather::fits(value, elevation_m))
    }
}

/// The number in a text such as "2663", "2663 m" or "8737 ft", and the size of its unit in m.
fn number_and_unit(text: &str) -> Option<(f64, Option<f64>)> {
    let text = text.trim();
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic()).filter(|at| *at > 0);
    let (number, unit) = unit_at.map_or((text, ""), |at| text.split_at(at));
    let number: f64 = number.trim().parse().ok().filter(|number: &f64| number.is_finite())?;
    match unit.trim().to_ascii_lowercase().as_str() {
        "" => Some((number, None)),
        unit => Some((number, Some(metres_in(unit)?))),
    }
}

/// The size in m of a unit of length, its name in lower case.
fn metres_in(unit: &str) -> Option<f64> {
    match unit {
        "m" | "meter" | "meters" | "metre" | "metres" | "m.a.s.l." | "masl" => Some(1.0),
        "ft" | "foot" | "feet" => Some(FOOT_M),
        "km" | "kilometers" | "kilometres" => Some(KILOMETRE_M),
        _ => None,
    }
}
