//! Angles as headers write them: numbers, and sexagesimal strings with colons or blanks.

use super::Value;

/// The unit of an angle that is a plain number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Degrees,
    Hours,
}

/// An angle in degrees. A sexagesimal string is in hours where `sexagesimal` says so; a number is
/// in `number`.
pub(super) fn degrees(value: &Value, sexagesimal: Unit, number: Unit) -> Option<f64> {
    let (angle, unit) = match value {
        Value::Text(text) if text.trim().contains([':', ' ', 'h', 'd']) => {
            (parse_sexagesimal(text)?, sexagesimal)
        }
        other => (other.as_f64()?, number),
    };
    Some(match unit {
        Unit::Degrees => angle,
        Unit::Hours => angle * 15.0,
    })
}

/// `-31 35 48`, `31:57.8`, `12h34m56.7s`, `111:36 W` as a decimal number; W and S are negative.
pub(super) fn parse_sexagesimal(text: &str) -> Option<f64> {
    let text = text.trim();
    let (text, hemisphere) = match text.strip_suffix(['W', 'S', 'w', 'S']) {
        Some(rest) if rest.ends_with([' ', '\'', '"']) => (rest, -1.0),
        _ => (text.trim_end_matches(['N', 'E']), 1.0),
    };
    let negative = text.trim_start().starts_with('-');
    let mut parts = text
        .trim_start_matches(['-', '+', ' '])
        .split([':', ' ', 'h', 'd', 'm', 's', '°', '\'', '"'])
        .filter(|part| !part.is_empty());
    let mut value = 0.0;
    let mut count = 0;
    for scale in [1.0, 60.0, 3600.0] {
        let Some(part) = parts.next() else { break };
        let number: f64 = part.parse().ok()?;
        if !(0.0..if count == 0 { 1000.0 } else { 60.000_001 }).contains(&number) {
            return None;
        }
        value += number / scale;
        count += 1;
    }
    if count == 0 || parts.next().is_some() {
        return None;
    }
    Some(if negative { -value } else { value } * hemisphere)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_strings_have_their_units() {
        let hours = |value: &Value| degrees(value, Unit::Hours, Unit::Degrees);
        assert_eq!(hours(&Value::Float(31.5)), Some(31.5));
        assert_eq!(hours(&Value::Text("02:00:00".into())), Some(30.0));
        assert_eq!(hours(&Value::Text("12.5".into())), Some(12.5));
        assert_eq!(hours(&Value::Text("NaN".into())), None);
        assert_eq!(hours(&Value::Undefined), None);
    }

    #[test]
    fn sexagesimal_forms() {
        let close = |text: &str, expected: f64| {
            let got = parse_sexagesimal(text).unwrap();
            assert!((got - expected).abs() < 1e-9, "{text}: {got}");
        };
        close("-00 30 00", -0.5);
        close("-31 35 48", -31.596_666_666_7);
        close("31:57.8", 31.963_333_333_3);
        close("111:36.0", 111.6);
        close("12h34m56.7s", 12.582_416_666_7);
        close("+111:36 W", -111.6);
        for text in ["", "-", "a:b", "1:2:3:4", "10:99", "1:-2"] {
            assert_eq!(parse_sexagesimal(text), None, "{text}");
        }
    }
}
