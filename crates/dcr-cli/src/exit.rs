//! Exit codes, and one-line error messages.

use std::process::ExitCode;

use dcr_coadd::config::ConfigError;
use dcr_coadd::{CoaddError, Outcome};
use dcr_difference::DifferenceError;
use signal_hook::consts::SIGINT;

use crate::args::LogFormat;
use crate::logging::LogError;
use crate::settings::SettingError;
use crate::{hints, output};

/// Outcome of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Success.
    Done,
    /// Failure; no results were written.
    Failed,
    /// Usage error: contradictory or impossible arguments.
    Usage,
    /// Finished, but inputs were dropped, most of a visit was unused, or subregions did not
    /// converge.
    DoneWithWarnings,
    /// Stopped by this signal.
    Interrupted(i32),
}

impl Exit {
    /// Outcome of a job that wrote its results.
    pub(crate) const fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::Done,
            Outcome::DoneWithRemarks => Self::DoneWithWarnings,
        }
    }

    /// Exit code for the shell.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::DoneWithWarnings => 3,
            // Exit code of a signal by the shell convention: 130 for Ctrl-C, 143 for termination.
            Self::Interrupted(signal) => 128 + signal as u8,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Prints an error in one line and returns the exit code. After a `signal`, any error counts as its
/// consequence.
pub(crate) fn report(error: &anyhow::Error, format: LogFormat, signal: Option<i32>) -> Exit {
    let cancelled = matches!(error.downcast_ref(), Some(CoaddError::Cancelled))
        || error.downcast_ref().is_some_and(DifferenceError::is_cancelled);
    let line = match signal {
        Some(_) if !cancelled => CoaddError::Cancelled.to_string(),
        _ => match hints::hint(error) {
            Some(hint) => format!("{} ({hint})", one_line(error)),
            None => one_line(error),
        },
    };
    match format {
        LogFormat::Text => output::complain(&format!("error: {line}")),
        LogFormat::Json => tracing::error!("{line}"),
    }
    if cancelled || signal.is_some() {
        return Exit::Interrupted(signal.unwrap_or(SIGINT));
    }
    let usage = error.is::<SettingError>() || error.is::<ConfigError>() || error.is::<LogError>();
    if usage { Exit::Usage } else { Exit::Failed }
}

/// The error and its causes in one line; causes already quoted in the line are skipped.
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
