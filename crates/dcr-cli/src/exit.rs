//! How the program ends: its exit codes, and errors in one line.

use std::process::ExitCode;

use dcr_coadd::{CoaddError, Outcome};
use dcr_coadd::config::ConfigError;

use crate::args::LogFormat;
use crate::logging::LogError;
use crate::settings::SettingError;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Done,
    /// Failed; nothing was written.
    Failed,
    /// Asked for in a way that cannot be meant.
    Usage,
    /// Done, but inputs were dropped, most of a visit was thrown away, or subregions did not
    /// converge.
    DoneWithRemarks,
    /// Stopped by the user.
    Interrupted,
}

impl Exit {
    /// The end of a job that wrote its results.
    pub(crate) const fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::Done,
            Outcome::DoneWithRemarks => Self::DoneWithRemarks,
        }
    }

    /// The code that the shell sees.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::DoneWithRemarks => 3,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Prints an error in one line, and tells how to end after it.
#[expect(clippy::print_stderr, reason = "the one place where a failure reaches the user")]
pub(crate) fn report(error: &anyhow::Error, format: LogFormat) -> Exit {
    let line = one_line(error);
    match format {
        LogFormat::Text => eprintln!("error: {line}"),
        LogFormat::Json => tracing::error!("{line}"),
    }
    let usage = error.is::<SettingError>() || error.is::<ConfigError>() || error.is::<LogError>();
    match error.downcast_ref() {
        Some(CoaddError::Cancelled) => Exit::Interrupted,
        _ if usage => Exit::Usage,
        _ => Exit::Failed,
    }
}

/// The error and its causes in one line; a cause that the line has already is left out.
fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let text = cause.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        if line.contains(&text) {
            continue;
        }
        if !line.is_empty() {
            line.push_str(": ");
        }
        line.push_str(&text);
    }
    line
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::one_line;

    #[test]
    fn error_is_one_line_and_says_nothing_twice() {
        let cause = anyhow!("no space\nleft");
        assert_eq!(one_line(&cause.context("cannot write a.fits")), "cannot write a.fits: no space left");
        let twice = anyhow!("no space left").context("cannot write a.fits: no space left");
        assert_eq!(one_line(&twice), "cannot write a.fits: no space left");
    }
}
