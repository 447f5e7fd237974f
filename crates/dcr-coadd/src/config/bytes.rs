//! An amount of memory, written `6GiB`.

use serde::{Deserialize, Serialize};

/// An amount of memory in bytes, written with a unit: `800MiB`, `6 GiB`, `2GB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ByteSize(pub u64);

const UNITS: [(&str, u64); 9] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TiB", 1 << 40),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
];

impl std::str::FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is no amount of memory: expected a number and B, kB, KiB, MB, MiB, GB, GiB, TB or TiB, as 6GiB"
            )
        };
        let at = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(wrong)?;
        let (number, unit) = text.split_at(at);
        let unit = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit.trim())).ok_or_else(wrong)?.1;
        let number: f64 = number.trim().parse().map_err(|_| wrong())?;
        let bytes = number * unit as f64;
        if bytes >= 1.0 && bytes < u64::MAX as f64 { Ok(Self(bytes as u64)) } else { Err(wrong()) }
    }
}

impl TryFrom<String> for ByteSize {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<ByteSize> for String {
    fn from(size: ByteSize) -> Self {
        size.to_string()
    }
}

impl std::fmt::Display for ByteSize {
    /// In the largest binary unit that leaves no fraction, so that parsing gives the same number
    /// back.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (name, unit) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
            if self.0.is_multiple_of(unit) && self.0 > 0 {
                return write!(f, "{}{name}", self.0 / unit);
            }
        }
        write!(f, "{}B", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::ByteSize;

    #[test]
    fn bytes_are_parsed_and_written_back() {
        for (text, bytes, back) in [
            ("6GiB", 6 << 30, "6GiB"),
            ("1.5 gib", 3 << 29, "1536MiB"),
            ("2GB", 2_000_000_000, "1953125KiB"),
            ("77B", 77, "77B"),
        ] {
            let size: ByteSize = text.parse().unwrap();
            assert_eq!(size.0, bytes);
            assert_eq!(size.to_string(), back);
            assert_eq!(back.parse(), Ok(size));
        }
    }

    #[test]
    fn bytes_without_unit_or_sense_are_refused() {
        for text in ["", "6", "GiB", "-1GiB", "0B", "NaN GiB", "6 apples", "1e30TiB", "inf GiB"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }
}
