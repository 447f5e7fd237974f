//! Weather readings, with units inferred from plausibility because their comments are often wrong.

use super::reading::Reading;

/// Units of pressures in headers, with their size in Pa.
const PRESSURE_UNITS: [(&str, f64); 5] =
    [("Pa", 1.0), ("hPa", 100.0), ("kPa", 1000.0), ("Torr", 133.322_4), ("inHg", 3386.389)];
/// Maximum |ln| of a pressure over that of the standard atmosphere: storms reach 8 %, and the
/// temperature of the air column 4 % at 4 km.
const PRESSURE_TOLERANCE: f64 = 0.12;
/// Elevation range of observatories in m; the limits for a header without an elevation.
pub(super) const ELEVATIONS: std::ops::RangeInclusive<f64> = -420.0..=5700.0;

/// Temperature in °C; values above 150 are in K.
pub(super) fn celsius(reading: &mut Reading<'_>, value: f64) -> Option<f64> {
    let (celsius, kelvin) = if value > 150.0 { (value - 273.15, true) } else { (value, false) };
    if !(-60.0..=60.0).contains(&celsius) {
        reading.warn(
            "temperature",
            format!("The air temperature of {value} is implausible in °C and in K; it is not used."),
        );
        return None;
    }
    if kelvin {
        reading.note("temperature", format!("The air temperature of {value} is read as K."));
    }
    Some(celsius)
}

/// Pressure in Pa, in the unit that fits the elevation best.
pub(super) fn pascal(reading: &mut Reading<'_>, value: f64, elevation_m: Option<f64>) -> Option<f64> {
    let misfit = |pascal: f64| match elevation_m {
        Some(elevation) => (pascal / standard_pressure(elevation)).ln().abs(),
        None => {
            let (low, high) = (standard_pressure(*ELEVATIONS.end()), standard_pressure(*ELEVATIONS.start()));
            (low / pascal).ln().max((pascal / high).ln()).max(0.0)
        }
    };
    let mut best: Option<(&str, f64)> = None;
    for (unit, size) in PRESSURE_UNITS {
        let pascal = value * size;
        if pascal > 0.0 && misfit(pascal) < best.map_or(PRESSURE_TOLERANCE, |(_, best)| misfit(best)) {
            best = Some((unit, pascal));
        }
    }
    match best {
        Some(("Pa", pascal)) => Some(pascal),
        Some((unit, pascal)) => {
            reading.note(
                "pressure",
                format!("The pressure of {value} is read as {unit}, which fits the elevation."),
            );
            Some(pascal)
        }
        None => {
            // Zeros and −1 mean missing data; other values may be reduced to sea level.
            if value > 0.0 {
                reading.warn(
                    "pressure",
                    format!(
                        "The pressure of {value} does not fit the elevation in any unit; it is not used."
                    ),
                );
            }
            None
        }
    }
}

/// Whether a pressure fits an elevation, in any unit.
pub(super) fn fits(value: f64, elevation_m: f64) -> bool {
    let standard = standard_pressure(elevation_m);
    PRESSURE_UNITS.iter().any(|(_, size)| (value * size / standard).ln().abs() < PRESSURE_TOLERANCE)
}

/// Relative humidity in percent; values outside 0 to 100 mean missing data.
pub(super) fn percent(reading: &mut Reading<'_>, value: f64) -> Option<f64> {
    if (0.0..=100.0).contains(&value) {
        return Some(value);
    }
    if value > 100.0 {
        reading.warn("humidity", format!("The relative humidity of {value} is above 100 %; it is not used."));
    }
    None
}

/// Pressure of the standard atmosphere in Pa (docs/algorithm.md §1).
fn standard_pressure(elevation_m: f64) -> f64 {
    let kelvin = 273.15 + 19.0 - 6.5 * elevation_m / 1000.0;
    101_325.0 * (-9.806_65 * 0.028_964_4 * elevation_m / (8.314_47 * kelvin)).exp()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::{Header, profiles};

    fn pressure(value: f64, elevation: Option<f64>) -> (Option<f64>, usize) {
        let header = Header::new();
        let mut reading = Reading::new(&header, &profiles::GENERIC);
        (pascal(&mut reading, value, elevation), reading.notes.iter().filter(|note| note.warning).count())
    }

    #[test]
    fn pressure_in_every_unit() {
        let close = |got: Option<f64>, expected: f64| (got.unwrap() - expected).abs() < 1.0;
        assert!(close(pressure(77_900.0, Some(2215.0)).0, 77_900.0));
        // DECam: the comment says Torr.
        assert!(close(pressure(781.0, Some(2215.0)).0, 78_100.0));
        assert!(close(pressure(621.7, Some(4139.0)).0, 62_170.0));
        assert!(close(pressure(580.0, Some(2215.0)).0, 77_326.99));
        assert!(close(pressure(23.1, Some(2215.0)).0, 78_225.6));
        assert!(close(pressure(743.15, None).0, 74_315.0));
    }

    #[test]
    fn pressure_reduced_to_sea_level_is_refused() {
        assert_eq!(pressure(1013.0, Some(2215.0)), (None, 1));
        assert_eq!(pressure(0.0, Some(2215.0)), (None, 0));
        assert_eq!(pressure(-1.0, None), (None, 0));
    }

    #[test]
    fn temperature_and_humidity_ranges() {
        let header = Header::new();
        let mut reading = Reading::new(&header, &profiles::GENERIC);
        assert!((celsius(&mut reading, 272.45).unwrap() + 0.7).abs() < 1e-9);
        assert_eq!(celsius(&mut reading, 12.5), Some(12.5));
        assert_eq!(celsius(&mut reading, -99.0), None);
        assert_eq!(percent(&mut reading, 0.0), Some(0.0));
        assert_eq!(percent(&mut reading, -1.0), None);
        assert_eq!(percent(&mut reading, 300.0), None);
    }
}
