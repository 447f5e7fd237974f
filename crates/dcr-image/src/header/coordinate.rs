//! Latitudes and longitudes in headers: numbers, and strings with a sign, a hemisphere letter, or
//! both.

use super::Value;
use super::angle::parse_sexagesimal;

/// A latitude or longitude, with the sign convention of its text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Coordinate {
    /// Degrees, north or east positive where `lettered`.
    pub(super) degrees: f64,
    /// Whether a letter states the hemisphere.
    pub(super) lettered: bool,
    /// Whether the text has a minus sign as well as a letter.
    pub(super) signed_too: bool,
}

/// A coordinate with hemisphere letters `positive` and `negative`, such as N and S.
///
/// A letter takes precedence: "70.7 W" and "W 70:42:00" are −70.7. With a minus sign as well, both
/// are assumed to state the same: "-70.7 W" is −70.7, and so is "-70.7 E", where the letter states
/// the direction of positive numbers.
pub(super) fn coordinate(value: &Value, positive: char, negative: char) -> Option<Coordinate> {
    let Value::Text(text) = value else {
        return Some(Coordinate { degrees: value.as_f64()?, lettered: false, signed_too: false });
    };
    let text = text.trim();
    let letter = |c: char| c.eq_ignore_ascii_case(&positive) || c.eq_ignore_ascii_case(&negative);
    let last = text.chars().next_back()?;
    // "30d14m40s" ends in seconds, not in S for south.
    let seconds = last == 's' && text.contains(['d', 'm']) && !text.contains(['S', ' ']);
    let (rest, found) = if letter(last) && !seconds {
        (&text[..text.len() - last.len_utf8()], Some(last))
    } else {
        let first = text.chars().next().filter(|c| letter(*c));
        (first.map_or(text, |first| &text[first.len_utf8()..]), first)
    };
    let rest = rest.trim().trim_end_matches("deg").trim_end_matches('°').trim();
    let degrees =
        rest.parse::<f64>().ok().filter(|value| value.is_finite()).or_else(|| parse_sexagesimal(rest))?;
    let minus = rest.starts_with('-');
    Some(match found {
        None => Coordinate { degrees, lettered: false, signed_too: false },
        Some(letter) => {
            let west_or_south = letter.eq_ignore_ascii_case(&negative);
            let degrees = if west_or_south || minus { -degrees.abs() } else { degrees };
            Coordinate { degrees, lettered: true, signed_too: minus }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_and_signs_of_hemispheres() {
        for (text, degrees, lettered) in [
            ("-70.7", -70.7, false),
            ("70.7 W", -70.7, true),
            ("70.7W", -70.7, true),
            ("W70.7", -70.7, true),
            ("-70.7 W", -70.7, true),
            ("-70.7 E", -70.7, true),
            ("+70.7 E", 70.7, true),
            ("-70 42 00 W", -70.7, true),
            ("70:42:00 w", -70.7, true),
            ("w 70:42:00", -70.7, true),
            ("70d42m00s", 70.7, false),
            ("70d42m00sW", -70.7, true),
            ("70.7 deg W", -70.7, true),
            ("-70 42 00", -70.7, false),
        ] {
            let got = coordinate(&Value::Text(text.into()), 'E', 'W').unwrap();
            assert!((got.degrees - degrees).abs() < 1e-9 && got.lettered == lettered, "{text}: {got:?}");
        }
        let south = |text: &str| coordinate(&Value::Text(text.into()), 'N', 'S').map(|got| got.degrees);
        assert_eq!(
            (south("30.5 S"), south("30.5S"), south("-30.5 S")),
            (Some(-30.5), Some(-30.5), Some(-30.5))
        );
        assert_eq!((south("30d30m00s"), south("30:30:00 S")), (Some(30.5), Some(-30.5)));
        assert_eq!((south("S"), south(""), south("NaN"), south("unknown")), (None, None, None, None));
        let number = coordinate(&Value::Float(-30.5), 'N', 'S').unwrap();
        assert!(!number.lettered && number.degrees == -30.5);
    }
}
