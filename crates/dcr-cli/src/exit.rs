//! How the program ends: its exit codes, and errors in one line.

use std::process::ExitCode;

use dcr_coadd::config::ConfigError;
use dcr_coadd::{CoaddError, Outcome};
use dcr_difference::DifferenceError;
use signal_hook::consts::SIGINT;

use crate::args::LogFormat;
use crate::logging::LogError;
use crate::settings::SettingError;
use crate::{hints, output};

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
    /// Stopped by this signal.
    Interrupted(i32),
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
            // As shells have it: 130 after Ctrl-C, 143 after a request to terminate.
            Self::Interrupted(signal) => 128 + signal as u8,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Prints an error in one line, and tells how to end after it. After a `signal` any error is taken
/// for its consequence.
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
