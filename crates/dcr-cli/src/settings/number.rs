//! Numbers in notations that TOML does not accept.

/// The TOML form of a number in a notation that TOML does not accept: `.005`, `5.`, `+.5`, `007`,
/// `1,5`, `1.e-3`, `1d-3`.
pub(super) fn as_toml(text: &str) -> Option<String> {
    let (sign, digits) = match text.strip_prefix(['+', '-']) {
        Some(digits) => (if text.starts_with('-') { "-" } else { "" }, digits),
        None => ("", text),
    };
    let (mantissa, exponent) = match digits.split_once(['e', 'E', 'd', 'D']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (digits, None),
    };
    let (whole, fraction) = mantissa.split_once(['.', ',']).unwrap_or((mantissa, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !(all_digits(whole) && all_digits(fraction)) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let mut written = format!("{sign}{}", without_leading_zeros(whole));
    if !fraction.is_empty() {
        written.push_str(&format!(".{fraction}"));
    }
    if let Some(exponent) = exponent {
        let power: i32 = exponent.parse().ok()?;
        written.push_str(&format!("e{power}"));
    }
    (written != text).then_some(written)
}

fn without_leading_zeros(digits: &str) -> &str {
    match digits.trim_start_matches('0') {
        "" => "0",
        rest => rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_people_become_those_of_toml() {
        for (text, expected) in [
            (".005", "0.005"),
            ("5.", "5"),
            ("+.5", "0.5"),
            ("-.5", "-0.5"),
            ("1,5", "1.5"),
            (",5", "0.5"),
            ("007", "7"),
            ("-00.5", "-0.5"),
            ("000", "0"),
            ("1.e-3", "1e-3"),
            (".5E+2", "0.5e2"),
            ("1d-3", "1e-3"),
        ] {
            assert_eq!(as_toml(text).as_deref(), Some(expected), "{text}");
            let line = format!("value = {expected}");
            assert!(line.parse::<toml::Table>().is_ok(), "{line}");
        }
    }

    #[test]
    fn what_toml_takes_and_what_is_no_number_is_left_alone() {
        for text in [
            "1e-3", "0.5", "-3", "", ".", "+", "-,", "e5", "1e", "five", "1.2.3", "1,2,3", "0x.5", "--5",
            "1e2.5",
        ] {
            assert_eq!(as_toml(text), None, "{text}");
        }
    }
}
