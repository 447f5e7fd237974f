//! Log messages on stderr, interleaved with progress bars: text, or one JSON object per line.

use std::io::{IsTerminal, Write};

use indicatif::MultiProgress;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::debug_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::args::{Arguments, LogFormat};
use crate::output::{visible, visible_json};

/// `RUST_LOG` is not a valid filter.
#[derive(Debug, thiserror::Error)]
#[error(
    "RUST_LOG={given}: {reason}; expected a level, e.g. RUST_LOG=info, or levels by module, e.g. RUST_LOG=warn,dcr_solver=debug"
)]
pub(crate) struct LogError {
    given: String,
    reason: String,
}

/// Starts logging at the level of `-v`, `-q` or else `RUST_LOG`.
///
/// Default levels: errors for text, because the final summary lists the warnings; stages and
/// warnings for JSON.
///
/// # Errors
///
/// [`LogError`] for an invalid `RUST_LOG`, which is then ignored.
pub(crate) fn start(arguments: &Arguments, bars: MultiProgress) -> Result<(), LogError> {
    let default = match arguments.log_format {
        LogFormat::Text => LevelFilter::ERROR,
        LogFormat::Json => LevelFilter::INFO,
    };
    let (filter, outcome) = match filter(arguments, std::env::var("RUST_LOG").ok()) {
        Ok(filter) => (filter, Ok(())),
        Err(error) => (None, Err(error)),
    };
    let filter = filter.unwrap_or_else(|| Targets::new().with_default(default));
    let colour =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    let around_bars = AroundBars { bars, format: arguments.log_format };
    // Write errors are not logged, because the log itself cannot be written.
    let messages = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .log_internal_errors(false)
        .with_writer(around_bars);
    match arguments.log_format {
        LogFormat::Text => {
            let fields = debug_fn(|to, field, value| {
                let value = format!("{value:?}");
                match field.name() {
                    "message" => write!(to, "{}", visible(&value)),
                    name => write!(to, "{name}={}", visible(&value)),
                }
            });
            messages
                .fmt_fields(fields.delimited(" "))
                .with_ansi(colour)
                .with_target(arguments.verbose > 1)
                .without_time()
                .finish()
                .with(filter)
                .init();
        }
        LogFormat::Json => {
            messages
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_span_list(false)
                .finish()
                .with(filter)
                .init();
        }
    }
    outcome
}

/// The filter from the command line, or else from the environment.
fn filter(arguments: &Arguments, environment: Option<String>) -> Result<Option<Targets>, LogError> {
    let level = match arguments.verbose {
        _ if arguments.quiet => LevelFilter::ERROR,
        0 => {
            let Some(given) = environment.filter(|text| !text.trim().is_empty()) else { return Ok(None) };
            let read = given.parse::<Targets>();
            return read.map(Some).map_err(|error| LogError { given, reason: error.to_string() });
        }
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    Ok(Some(Targets::new().with_default(level)))
}

/// Writes to stderr while the progress bars are suspended.
#[derive(Clone)]
struct AroundBars {
    bars: MultiProgress,
    format: LogFormat,
}

impl Write for AroundBars {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let shown = match self.format {
            // The fields are already escaped; the colour codes must stay.
            LogFormat::Text => text,
            LogFormat::Json => visible_json(&text).into_owned().into(),
        };
        self.bars.suspend(|| std::io::stderr().write_all(shown.as_bytes())).map(|()| line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

impl<'a> MakeWriter<'a> for AroundBars {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn filter_is_of_the_flags_then_of_the_environment() {
        let filter = |options: &[&str], environment: Option<&str>| {
            let line = [&["dcr", "config"][..], options].concat();
            let arguments = Arguments::try_parse_from(line).unwrap();
            filter(&arguments, environment.map(str::to_owned))
        };
        let shown = |options, environment| filter(options, environment).unwrap().map(|f| f.to_string());
        assert_eq!(shown(&[], None), None);
        assert_eq!(shown(&[], Some(" ")), None);
        assert_eq!(shown(&[], Some("dcr_solver=debug")).as_deref(), Some("dcr_solver=debug"));
        assert_eq!(shown(&["-v"], Some("off")).as_deref(), Some("info"));
        assert_eq!(shown(&["-q"], Some("trace")).as_deref(), Some("error"));
        assert_eq!(shown(&["-vv"], None).as_deref(), Some("debug"));
        let wrong = filter(&[], Some("dcr=loud")).unwrap_err().to_string();
        assert!(wrong.starts_with("RUST_LOG=dcr=loud: "), "{wrong}");
    }
}
