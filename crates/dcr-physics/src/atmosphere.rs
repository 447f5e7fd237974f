//! Standard atmosphere for weather readings missing in a header, field by field.
//!
//! At the height `h` of the telescope, with `T = t + 273.15` (docs/algorithm.md §1):
//!
//! ```text
//! t = 19 − 6.5 h/km  °C,    P = 101325 exp(−g M h/(R T))  Pa,    humidity 40 %
//! g = 9.80665,  M = 0.0289644,  R = 8.31447
//! ```
//!
//! Each reading that is missing, NaN or implausible is replaced on its own; the others are kept.
//! The pressure follows from the standard temperature at that height, not from a measured one.

use crate::{Assumption, Weather, WeatherReadings};

/// Plausible heights of telescopes above sea level, in m.
pub(crate) const HEIGHTS_M: std::ops::RangeInclusive<f64> = -1000.0..=10_000.0;
/// Plausible pressures at a telescope, in Pa.
const PRESSURE_PA: std::ops::RangeInclusive<f64> = 30_000.0..=110_000.0;
/// Plausible temperatures at a telescope, in °C.
const TEMPERATURE_C: std::ops::RangeInclusive<f64> = -60.0..=60.0;
/// Plausible relative humidities in percent, as in fog; values above 100 are used as 100.
const HUMIDITY_PERCENT: std::ops::RangeInclusive<f64> = 0.0..=105.0;

impl Weather {
    /// The standard atmosphere at a height above sea level in m.
    ///
    /// ```
    /// let air = dcr_physics::Weather::standard(2663.0);
    /// assert!((air.pressure_pa - 72_771.4).abs() < 0.1);
    /// ```
    #[must_use]
    pub fn standard(elevation_m: f64) -> Self {
        const GRAVITY: f64 = 9.806_65;
        const MOLAR_MASS: f64 = 0.028_964_4;
        const GAS: f64 = 8.314_47;
        let temperature_c = 19.0 - 0.0065 * elevation_m;
        let exponent = GRAVITY * MOLAR_MASS * elevation_m / (GAS * (temperature_c + 273.15));
        Self { temperature_c, pressure_pa: 101_325.0 * (-exponent).exp(), humidity_percent: 40.0 }
    }
}

impl WeatherReadings {
    /// The readings, with missing or implausible ones replaced by the standard atmosphere.
    ///
    /// Each replacement is reported as an [`Assumption`], a warning with the size of its effect. A
    /// height that is not a number or outside −1000 to 10 000 m counts as sea level, also with a
    /// warning.
    #[must_use]
    pub fn complete(&self, elevation_m: f64) -> (Weather, Vec<Assumption>) {
        let mut assumptions = Vec::new();
        let mut warn = |quantity: &str, text: String| {
            assumptions.push(Assumption { quantity: quantity.into(), text, warning: true });
        };

        let mut height = elevation_m;
        if !HEIGHTS_M.contains(&elevation_m) {
            height = 0.0;
            warn(
                "elevation",
                format!("The site elevation of {elevation_m} m is impossible; sea level is used."),
            );
        }
        let standard = Weather::standard(height);

        let temperature_c = plausible(self.temperature_c, &TEMPERATURE_C).unwrap_or_else(|given| {
            let used = standard.temperature_c;
            warn(
                "temperature",
                format!(
                    "The air temperature is {}; {used:.1} °C of a standard atmosphere is used \
                         (10 °C wrong is 27 mas of refraction across g at airmass 1.5).",
                    described(given, "°C")
                ),
            );
            used
        });
        let pressure_pa = plausible(self.pressure_pa, &PRESSURE_PA).unwrap_or_else(|given| {
            let used = standard.pressure_pa;
            warn(
                "pressure",
                format!(
                    "The air pressure is {}; {:.0} hPa of a standard atmosphere at {height:.0} m is used \
                     (10 hPa wrong is 11 mas of refraction across g at airmass 1.5).",
                    described(given, "Pa"),
                    used / 100.0
                ),
            );
            used
        });
        let humidity_percent = plausible(self.humidity_percent, &HUMIDITY_PERCENT).unwrap_or_else(|given| {
            let used = standard.humidity_percent;
            warn(
                "humidity",
                format!(
                    "The relative humidity is {}; {used:.0} % is used \
                         (30 % taken for 90 % is 1.9 mas of refraction across g at airmass 1.5).",
                    described(given, "%")
                ),
            );
            used
        });

        if humidity_percent > 100.0 {
            assumptions.push(Assumption {
                quantity: "humidity".into(),
                text: format!("The relative humidity of {humidity_percent} % is used as 100 %."),
                warning: false,
            });
        }
        let weather = Weather { temperature_c, pressure_pa, humidity_percent: humidity_percent.min(100.0) };
        (weather, assumptions)
    }
}

/// The reading, or the rejected value if it is outside `range` or NaN.
fn plausible(reading: Option<f64>, range: &std::ops::RangeInclusive<f64>) -> Result<f64, Option<f64>> {
    match reading {
        Some(value) if range.contains(&value) => Ok(value),
        other => Err(other),
    }
}

fn described(given: Option<f64>, unit: &str) -> String {
    given.map_or_else(|| "unknown".into(), |value| format!("given as {value} {unit}, which is implausible"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weather_complete_keeps_what_is_plausible() {
        let readings = WeatherReadings {
            temperature_c: Some(-60.0),
            pressure_pa: Some(30_000.0),
            humidity_percent: Some(0.0),
        };
        let (weather, assumptions) = readings.complete(2000.0);
        assert_eq!(weather, Weather { temperature_c: -60.0, pressure_pa: 30_000.0, humidity_percent: 0.0 });
        assert!(assumptions.is_empty());
    }

    #[test]
    fn weather_complete_fills_each_field_alone() {
        let standard = Weather::standard(1000.0);
        let readings =
            WeatherReadings { pressure_pa: Some(778.0), temperature_c: Some(5.0), ..Default::default() };
        let (weather, assumptions) = readings.complete(1000.0);
        assert_eq!(weather, Weather { temperature_c: 5.0, ..standard });
        let quantities: Vec<_> = assumptions.iter().map(|a| (a.quantity.as_str(), a.warning)).collect();
        assert_eq!(quantities, [("pressure", true), ("humidity", true)]);
        assert!(assumptions[0].text.contains("given as 778 Pa"), "{}", assumptions[0].text);
        assert!(assumptions[1].text.contains("unknown"), "{}", assumptions[1].text);
    }

    #[test]
    fn weather_complete_replaces_nan_and_infinity() {
        for bad in [f64::NAN, f64::INFINITY, -1e9] {
            let readings = WeatherReadings {
                temperature_c: Some(bad),
                pressure_pa: Some(bad),
                humidity_percent: Some(bad),
            };
            let (weather, assumptions) = readings.complete(0.0);
            assert_eq!(weather, Weather::standard(0.0));
            assert_eq!(assumptions.len(), 3);
        }
    }

    #[test]
    fn weather_complete_takes_fog_as_saturated() {
        let readings = WeatherReadings { humidity_percent: Some(103.0), ..Default::default() };
        let (weather, assumptions) = readings.complete(0.0);
        assert_eq!(weather.humidity_percent, 100.0);
        assert!(assumptions.iter().any(|a| a.quantity == "humidity" && !a.warning));
        let (weather, _) =
            WeatherReadings { humidity_percent: Some(106.0), ..Default::default() }.complete(0.0);
        assert_eq!(weather.humidity_percent, 40.0);
    }

    #[test]
    fn weather_complete_survives_an_impossible_height() {
        for height in [f64::NAN, f64::INFINITY, -5000.0, 50_000.0] {
            let (weather, assumptions) = WeatherReadings::default().complete(height);
            assert_eq!(weather, Weather::standard(0.0));
            assert_eq!(assumptions.first().map(|a| a.quantity.as_str()), Some("elevation"));
        }
    }
}
