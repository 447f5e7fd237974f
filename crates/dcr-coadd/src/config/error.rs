//! Settings that are refused.

use dcr_physics::BandError;

/// Maximum edit distance of misspelt band names.
const MISSPELT: usize = 1;

/// A setting that cannot be meant.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The value is not allowed.
    #[error("{key} = {value}: expected {allowed}")]
    Value {
        /// The setting with its table.
        key: String,
        /// Its value.
        value: String,
        /// The allowed values.
        allowed: String,
    },
    /// An unknown setting.
    #[error("unknown setting {key}{}", nearest.as_ref().map_or_else(String::new, |name| format!("; did you mean {name}?")))]
    Unknown {
        /// The given name.
        key: String,
        /// The closest known setting.
        nearest: Option<String>,
    },
    /// A mask plane that no file has and that is not known.
    #[error(
        "{key} names {plane}, which no file's mask has{}; the files have {there}",
        nearest.as_ref().map_or_else(String::new, |name| format!("; did you mean {name}?"))
    )]
    Plane {
        /// The setting.
        key: String,
        /// The name given.
        plane: String,
        /// The closest known name.
        nearest: Option<String>,
        /// The planes of the files.
        there: String,
    },
    /// Neither the configuration nor the headers state the band.
    #[error(
        "{}: set band.name to one of {known}; or band.effective_wavelength_nm and band.bandwidth_nm",
        untold(name.as_deref(), filter.as_deref(), known)
    )]
    Band {
        /// The name that was given.
        name: Option<String>,
        /// The filter that the headers name.
        filter: Option<String>,
        /// The names that are built in.
        known: String,
    },
    /// The numbers make no band.
    #[error("[band]: {0}")]
    Numbers(#[from] BandError),
}

fn untold(name: Option<&str>, filter: Option<&str>, known: &str) -> String {
    match (name, filter) {
        (Some(name), _) => {
            let close = known.split(", ").find(|known| edit_distance(name, known) <= MISSPELT);
            let hint = close.map_or_else(String::new, |band| format!(" (did you mean {band}?)"));
            format!("the wavelengths of band {name:?} are not known{hint}")
        }
        (None, Some(filter)) => {
            format!(
                "the wavelengths of filter {filter:?} are not known, and the warps' headers do not state them"
            )
        }
        (None, None) => "no band is set, and the warps' headers name none".into(),
    }
}

/// The error about `key = value`, in one line.
pub(super) fn refuse(key: &str, value: impl ToString, allowed: &str) -> ConfigError {
    ConfigError::Value { key: key.into(), value: value.to_string(), allowed: allowed.into() }
}

/// The number of letters to insert, delete or replace (Levenshtein).
pub(crate) fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, other) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edit_distance_counts_letters() {
        for (a, b, distance) in
            [("", "abc", 3), ("kitten", "sitting", 3), ("same", "same", 0), ("ab", "ba", 2)]
        {
            assert_eq!(edit_distance(a, b), distance);
            assert_eq!(edit_distance(b, a), distance);
        }
    }
}
