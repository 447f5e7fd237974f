//! Tables of settings whose documentation, default and name in the file are written once.

/// One setting, as `dcr config` explains it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// The table it stands in.
    pub table: &'static str,
    /// Its name there.
    pub name: &'static str,
    /// Meaning, unit, and when to change it; one or more lines.
    pub about: &'static str,
    /// A value as TOML, for a setting that is not set by default.
    pub example: Option<&'static str>,
}

/// Declares a struct of settings with its defaults, and `KEYS`, which explains each field by its
/// documentation. A field whose default is `None` ends in `; "example"`.
macro_rules! table {
    (
        $(#[$attribute:meta])*
        pub struct $Table:ident = $table:literal {
            $( $(#[doc = $about:literal])+ $field:ident : $Type:ty = $default:expr $(; $example:literal)? ),+ $(,)?
        }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $Table {
            $( $(#[doc = $about])+ pub $field: $Type ),+
        }

        impl Default for $Table {
            fn default() -> Self {
                Self { $( $field: $default ),+ }
            }
        }

        impl $Table {
            pub(super) const KEYS: &'static [$crate::config::Key] = &[
                $( $crate::config::Key {
                    table: $table,
                    name: stringify!($field),
                    about: concat!($($about, "\n"),+),
                    example: [None::<&'static str>, $(Some($example))?][0 $(+ { let _ = $example; 1 })?],
                } ),+
            ];
        }
    };
}

pub(super) use table;
