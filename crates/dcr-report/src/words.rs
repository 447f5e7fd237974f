//! Numbers as people write them.

/// With so many digits behind the point, and a dash for what is not known.
pub(crate) fn fixed(value: Option<f64>, digits: usize) -> String {
    match value.filter(|value| value.is_finite()) {
        None => "–".into(),
        Some(value) => {
            let text = format!("{value:.digits$}");
            let zero = text.bytes().all(|byte| matches!(byte, b'-' | b'.' | b'0'));
            if zero { text.trim_start_matches('-').into() } else { text.replace('-', "−") }
        }
    }
}

/// A count with its noun.
pub(crate) fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Names in a row, the last few left out if there are many.
pub(crate) fn listed(names: &[String], most: usize) -> String {
    match names.len() {
        n if n > most + 1 => format!("{} and {} more", names[..most].join(", "), n - most),
        _ => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_a_minus_and_no_negative_zero() {
        assert_eq!(fixed(Some(-1.25), 1), "−1.2");
        assert_eq!(fixed(Some(-0.001), 2), "0.00");
        assert_eq!(fixed(Some(f64::NAN), 2), "–");
        assert_eq!(fixed(None, 0), "–");
    }

    #[test]
    fn counts_and_lists() {
        assert_eq!(counted(1, "visit", "visits"), "1 visit");
        assert_eq!(counted(0, "visit", "visits"), "0 visits");
        let names: Vec<String> = (1..=5).map(|i| i.to_string()).collect();
        assert_eq!(listed(&names, 4), "1, 2, 3, 4, 5");
        assert_eq!(listed(&names, 3), "1, 2, 3 and 2 more");
    }
}
