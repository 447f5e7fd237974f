//! The height of a telescope, from cards that may hold feet, or the telescope's altitude angle.
//!
//! - A unit in the text of the card, or in its comment, applies.
//! - A height above 5700 m, where no telescope stands, is read as feet if the pressure allows the result.
//! - A fraction below 5.7 without a unit may be in km. It is read as m, with a warning.
//! - A number up to 90 in a card whose name means both, such as ELEVATIO, is an angle where it equals
//!   the altitude of the pointing.
//! - Any other number is not used, with a warning.

use super::Value;
use super::interpret::Reading;
use super::weather;

/// Metres in a foot and in a kilometre.
const FOOT_M: f64 = 0.3048;
const KILOMETRE_M: f64 = 1000.0;
/// Heights in km that may be written without their unit.
const MAYBE_KILOMETRES: std::ops::Range<f64> = 0.1..5.7;
/// Largest difference between a number and the telescope's altitude that makes it that altitude.
const ALTITUDE_DEG: f64 = 1.0;
/// Largest difference in m between a card and the known height of an instrument's telescope.
const KNOWN_SITE_M: f64 = 500.0;
/// Cards whose name may mean an angle.
const MAYBE_ANGLES: [&str; 4] = ["ELEVATIO", "ELEVATION", "ALTITUDE", "TELELEV"];

impl Reading<'_> {
    /// The height above sea level in m, from the first card that has one. `altitude_deg` is the
    /// altitude of the pointing, as the header says or as it follows from time and place; `known_m`
    /// the height of the instrument's telescope.
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
                        "The header puts the telescope {elevation:.0} m high, but {} is at {known:.0} m, which is \
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
                        self.not_a_height(card, &written, "is an angle");
                    }
                    return None;
                }
            },
            other => (other.as_f64()?, None),
        };
        if let Some(unit_m) = unit_m {
            let elevation = number * unit_m;
            if !weather::ELEVATIONS.contains(&elevation) {
                self.not_a_height(card, &written, "is no height at which telescopes stand (-420 to 5700 m)");
                return None;
            }
            return Some(elevation);
        }
        if MAYBE_ANGLES.contains(&card) && (-90.0..=90.0).contains(&number) {
            match altitude_deg {
                Some(altitude) if (altitude - number).abs() > ALTITUDE_DEG && card != "ALTITUDE" => {}
                // Of this name it is an angle, as everywhere.
                _ if card == "ALTITUDE" => return None,
                Some(altitude) => {
                    let why = format!("is the altitude of the pointing ({altitude:.2}°)");
                    self.not_a_height(card, &written, &why);
                    return None;
                }
                None => {
                    self.not_a_height(card, &written, "may be the altitude of the pointing");
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
                        "{card} = {written} is taken for m; if it is in km, give the site by input.site, as \
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
                    "{card} = {written} is above all telescopes if it is in m; it is taken for feet, {feet:.0} m."
                ),
            );
            return Some(feet);
        }
        self.not_a_height(card, &written, "is no height at which telescopes stand (-420 to 5700 m)");
        None
    }

    /// The unit other than m that the comment of a card names, and its size in m. Of several the first
    /// counts if it is in brackets at the beginning, as FITS has it; else none does, with a warning.
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

    fn not_a_height(&mut self, card: &str, written: &str, why: &str) {
        self.warn("elevation", format!("{card} = {written} {why}; it is not used as a height."));
    }

    /// Whether the header's pressure, if there is one, is that of a height.
    fn pressure_allows(&self, elevation_m: f64) -> bool {
        let pressure = super::profile::first_number(self.header, self.profile.pressure);
        pressure.filter(|value| *value > 0.0).is_none_or(|value| weather::fits(value, elevation_m))
    }
}

/// The number of a text such as "2663", "2663 m" or "8737 ft", and the size of its unit in m.
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
