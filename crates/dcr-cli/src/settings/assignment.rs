//! A setting given from outside, and the errors of such.

use std::path::PathBuf;

use dcr_coadd::config::ConfigError;

/// A setting that cannot be taken, and where it stands.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingError {
    /// There is no such setting, or its value is not allowed.
    #[error("{place}: {source}")]
    Config {
        /// `--set …` or file and line.
        place: String,
        /// What is wrong.
        source: ConfigError,
    },
    /// The value is of the wrong kind.
    #[error("{place}: {key} = {value}: {reason}")]
    Kind {
        /// `--set …` or file and line.
        place: String,
        /// The setting.
        key: String,
        /// Its value.
        value: String,
        /// What was expected.
        reason: String,
    },
    /// A `--set` without `=`.
    #[error("--set {argument}: expected KEY=VALUE, as --set model.subfilters=5")]
    NoValue {
        /// What was given.
        argument: String,
    },
    /// The file cannot be read.
    #[error("{}: cannot read the configuration: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no TOML.
    #[error("{}:{line}: {reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What the parser says.
        reason: String,
    },
}

/// A setting from outside: `table.name` or deeper, its value (`None` unsets it) and where it
/// stands.
#[derive(Clone, Debug)]
pub(super) struct Assignment {
    pub(super) key: String,
    pub(super) value: Option<toml::Value>,
    pub(super) place: String,
    /// Its text on the command line, where words need no quotes.
    pub(super) bare: Option<String>,
}
