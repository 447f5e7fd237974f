//! Numbers as people write them.

/// The number with `digits` decimals, or a dash for `None`.
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

/// A count, in groups of three digits if it has five or more.
pub(crate) fn grouped(count: usize) -> String {
    let digits = count.to_string();
    if digits.len() < 5 {
        return digits;
    }
    let first = digits.len() % 3;
    let groups = digits.as_bytes()[first..].chunks(3).map(String::from_utf8_lossy);
    let head = (first > 0).then(|| digits[..first].into());
    head.into_iter().chain(groups).collect::<Vec<_>>().join("\u{202f}")
}

/// A count with its noun.
pub(crate) fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{} {}", grouped(count), if count == 1 { one } else { many })
}

/// Names in a list, abbreviated to the first `most`.
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
    fn large_counts_are_grouped() {
        let told = [0, 9999, 10_000, 124_132, 1_000_000].map(grouped);
        assert_eq!(told, ["0", "9999", "10\u{202f}000", "124\u{202f}132", "1\u{202f}000\u{202f}000"]);
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
