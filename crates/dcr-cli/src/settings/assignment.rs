//! One assignment of a setting, and its errors.

use std::path::PathBuf;

use dcr_coadd::config::ConfigError;

/// A setting that cannot be applied, with its source.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingError {
    /// Unknown setting, or a value outside its range.
    #[error("{place}: {source}")]
    Config {
        /// Source: `--set …`, or file and line.
        place: String,
        /// The problem.
        source: ConfigError,
    },
    /// The value has the wrong type.
    #[error("{place}: {key} = {value}: {reason}")]
    Kind {
        /// Source: `--set …`, or file and line.
        place: String,
        /// Name of the setting.
        key: String,
        /// The value given.
        value: String,
        /// The values expected.
        reason: String,
    },
    /// A `--set` without `=`.
    #[error("--set {argument}: expected KEY=VALUE, e.g. --set model.subfilters=5")]
    NoValue {
        /// The argument.
        argument: String,
    },
    /// The configuration file cannot be read.
    #[error("{}: cannot read the configuration: {source}", path.display())]
    Unreadable {
        /// Path of the file.
        path: PathBuf,
        /// Reason of the operating system.
        source: std::io::Error,
    },
    /// The file is not valid TOML.
    #[error("{}:{line}: {reason}", path.display())]
    Syntax {
        /// Path of the file.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// Message of the parser.
        reason: String,
    },
}

/// An assignment: key (`table.name` or deeper), value (`None` unsets it) and source.
#[derive(Clone, Debug)]
pub(super) struct Assignment {
    pub(super) key: String,
    pub(super) value: Option<toml::Value>,
    pub(super) place: String,
    /// The value as written on the command line, where strings need no quotes.
    pub(super) bare: Option<String>,
}
