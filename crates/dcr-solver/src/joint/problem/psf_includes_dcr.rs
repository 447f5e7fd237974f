//! The setting for PSFs that contain the smearing of stars by refraction.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};

use super::psf::PsfStamp;

/// The word for [`PsfIncludesDcr::Auto`].
const AUTO: &str = "auto";

/// PSFs that were measured on stars in the exposures, smeared by refraction: `"auto"`, `true` or
/// `false`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PsfIncludesDcr {
    /// PSFs that are marked so ([`PsfStamp::includes_refraction`]).
    #[default]
    Auto,
    /// All PSFs.
    Always,
    /// No PSF.
    Never,
}

impl PsfIncludesDcr {
    /// True if the mean star's smearing must be removed from a PSF.
    #[must_use]
    pub fn holds_for(self, psf: &PsfStamp) -> bool {
        match self {
            Self::Auto => psf.includes_refraction(),
            Self::Always => true,
            Self::Never => false,
        }
    }
}

impl Serialize for PsfIncludesDcr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str(AUTO),
            Self::Always => serializer.serialize_bool(true),
            Self::Never => serializer.serialize_bool(false),
        }
    }
}

impl<'de> Deserialize<'de> for PsfIncludesDcr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SwitchOrWord)
    }
}

struct SwitchOrWord;

impl Visitor<'_> for SwitchOrWord {
    type Value = PsfIncludesDcr;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("\"auto\", true or false")
    }

    fn visit_bool<E: Error>(self, on: bool) -> Result<Self::Value, E> {
        Ok(if on { PsfIncludesDcr::Always } else { PsfIncludesDcr::Never })
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Self::Value, E> {
        if word == AUTO {
            Ok(PsfIncludesDcr::Auto)
        } else {
            Err(E::invalid_value(serde::de::Unexpected::Str(word), &self))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setting_is_a_word_or_a_switch() {
        for (text, value) in [
            ("\"auto\"", PsfIncludesDcr::Auto),
            ("true", PsfIncludesDcr::Always),
            ("false", PsfIncludesDcr::Never),
        ] {
            assert_eq!(serde_json::from_str::<PsfIncludesDcr>(text).unwrap(), value);
            assert_eq!(serde_json::to_string(&value).unwrap(), text);
        }
        let error = |text| serde_json::from_str::<PsfIncludesDcr>(text).unwrap_err().to_string();
        assert!(error("\"yes\"").contains("expected \"auto\", true or false"), "{}", error("\"yes\""));
        assert!(error("1").contains("expected \"auto\", true or false"));
    }

    #[test]
    fn auto_follows_the_stamp() {
        let plain = PsfStamp::gaussian(3.0).unwrap();
        let measured = plain.clone().with_refraction();
        for (setting, expected) in [
            (PsfIncludesDcr::Auto, [false, true]),
            (PsfIncludesDcr::Always, [true, true]),
            (PsfIncludesDcr::Never, [false, false]),
        ] {
            assert_eq!([setting.holds_for(&plain), setting.holds_for(&measured)], expected);
        }
    }
}
