//! Region files as text.

use super::{Length, Shape, SkyRegion, System};

/// Shapes that cover no pixels.
const WITHOUT_AREA: [&str; 8] =
    ["point", "line", "vector", "text", "ruler", "compass", "projection", "segment"];

/// A region file that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}, in {text:?}")]
pub struct RegionError {
    /// The line, from 1.
    pub line: usize,
    /// Its text.
    pub text: String,
    /// The reason.
    pub reason: String,
}

/// Reads the text of a region file.
///
/// # Errors
///
/// [`RegionError`] for the first line with a shape or coordinates that are not known.
///
/// # Example
///
/// ```
/// let regions = dcr_coadd::regions::parse_regions("fk5\ncircle(53.1, -27.8, 30\")")?;
/// assert_eq!(regions.len(), 1);
/// # Ok::<(), dcr_coadd::regions::RegionError>(())
/// ```
pub fn parse_regions(text: &str) -> Result<Vec<SkyRegion>, RegionError> {
    let mut system = System::Image;
    let mut regions = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        // What follows # describes the region: colour, text, tags.
        let line = line.split('#').next().unwrap_or_default();
        for part in line.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            let error = |reason: String| RegionError { line: number, text: part.to_owned(), reason };
            match part.to_ascii_lowercase().as_str() {
                "fk5" | "j2000" | "icrs" | "wcs" => system = System::Sky,
                "image" => system = System::Image,
                "physical" => system = System::Physical,
                other @ ("fk4" | "b1950" | "galactic" | "ecliptic" | "detector" | "amplifier") => {
                    return Err(error(format!("coordinates in {other} are not known; save them as fk5")));
                }
                lower if lower.starts_with("global") => {}
                lower => regions.extend(region(lower, system).map_err(error)?),
            }
        }
    }
    Ok(regions)
}

/// One shape; `None` if it covers nothing.
fn region(text: &str, system: System) -> Result<Option<SkyRegion>, String> {
    let (excludes, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = text.find(['(', ' ', '\t']).unwrap_or(text.len());
    let (name, arguments) = text.split_at(end);
    if WITHOUT_AREA.contains(&name) {
        return Ok(None);
    }
    let arguments: Vec<&str> =
        arguments.split(['(', ')', ',', ' ', '\t']).filter(|argument| !argument.is_empty()).collect();
    let counted = |allowed: &[usize]| {
        if allowed.contains(&arguments.len()) {
            Ok(())
        } else {
            Err(format!("a {name} has {allowed:?} numbers, this one {}", arguments.len()))
        }
    };
    let place = |i: usize| -> Result<[f64; 2], String> {
        Ok([coordinate(arguments[i], system, true)?, coordinate(arguments[i + 1], system, false)?])
    };
    let angle = |i: usize| arguments.get(i).map_or(Ok(0.0), |text| decimal(text.trim_end_matches('d')));
    let half = |i: usize, factor: f64| length(arguments[i], system, factor);
    let shape = match name {
        "circle" => {
            counted(&[3])?;
            Shape::Ellipse { centre: place(0)?, half: [half(2, 1.0)?, half(2, 1.0)?], angle_deg: 0.0 }
        }
        "ellipse" => {
            counted(&[4, 5])?;
            Shape::Ellipse { centre: place(0)?, half: [half(2, 1.0)?, half(3, 1.0)?], angle_deg: angle(4)? }
        }
        "box" => {
            counted(&[4, 5])?;
            Shape::Box { centre: place(0)?, half: [half(2, 0.5)?, half(3, 0.5)?], angle_deg: angle(4)? }
        }
        "polygon" => {
            if arguments.len() < 6 || arguments.len() % 2 == 1 {
                return Err(format!(
                    "a polygon has 6 or more numbers, two for each corner; this one {}",
                    arguments.len()
                ));
            }
            Shape::Polygon((0..arguments.len()).step_by(2).map(place).collect::<Result<_, _>>()?)
        }
        _ => return Err("this shape is not known; circle, box, ellipse and polygon are".into()),
    };
    Ok(Some(SkyRegion { system, shape, excludes }))
}

fn decimal(text: &str) -> Result<f64, String> {
    let value: Option<f64> = text.parse().ok();
    value.filter(|value| value.is_finite()).ok_or_else(|| format!("{text} is no number"))
}

/// A coordinate: pixels, or degrees from a decimal or sexagesimal number; a sexagesimal right
/// ascension is in hours.
fn coordinate(text: &str, system: System, first: bool) -> Result<f64, String> {
    if system != System::Sky {
        return decimal(text);
    }
    let separators = [':', 'h', 'm', 's', 'd'];
    let parts: Vec<&str> = text.split(separators).filter(|part| !part.is_empty()).collect();
    if parts.len() == 1 {
        return decimal(text.trim_end_matches('d'));
    }
    if parts.len() > 3 {
        return Err(format!("{text} is no angle"));
    }
    let negative = text.starts_with('-');
    let mut value = 0.0;
    for (part, scale) in parts.iter().zip([1.0, 60.0, 3600.0]) {
        value += decimal(part.trim_start_matches(['-', '+']))? / scale;
    }
    let hours = first && !text.contains('d');
    Ok(if negative { -value } else { value } * if hours { 15.0 } else { 1.0 })
}

fn length(text: &str, system: System, factor: f64) -> Result<Length, String> {
    let with = |suffix: char| text.strip_suffix(suffix).map(decimal);
    let degrees = |scale: f64, value: Result<f64, String>| value.map(|v| Length::Degrees(v * factor / scale));
    let result = if let Some(arcsec) = with('"') {
        degrees(3600.0, arcsec)
    } else if let Some(arcmin) = with('\'') {
        degrees(60.0, arcmin)
    } else if let Some(value) = with('d') {
        degrees(1.0, value)
    } else if let Some(pixels) = with('p').or_else(|| with('i')) {
        pixels.map(|v| Length::Pixels(v * factor))
    } else if system == System::Sky {
        degrees(1.0, decimal(text))
    } else {
        decimal(text).map(|v| Length::Pixels(v * factor))
    };
    match result {
        Ok(Length::Degrees(value) | Length::Pixels(value)) if value <= 0.0 => {
            Err(format!("a size of {text} must be above 0"))
        }
        result => result,
    }
}
