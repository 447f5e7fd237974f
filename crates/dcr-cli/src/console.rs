//! Console output of a running command: progress bars and a final summary.

use indicatif::{MultiProgress, ProgressDrawTarget};

use crate::args::{Arguments, LogFormat};
use crate::interrupt::Interrupt;
use crate::output;
use crate::progress::Progress;

/// Console settings from the global options.
#[derive(Clone, Debug)]
pub(crate) struct Console {
    bars: MultiProgress,
    format: LogFormat,
    quiet: bool,
    interrupt: Interrupt,
}

impl Console {
    /// Progress bars appear if stderr is a terminal and neither `-q`, `--no-progress` nor JSON
    /// logging is set.
    pub(crate) fn new(arguments: &Arguments, interrupt: Interrupt) -> Self {
        let bars = MultiProgress::new();
        if arguments.quiet || arguments.no_progress || arguments.log_format == LogFormat::Json {
            bars.set_draw_target(ProgressDrawTarget::hidden());
        }
        Self { bars, format: arguments.log_format, quiet: arguments.quiet, interrupt }
    }

    /// The progress bars, for writers that must suspend them.
    pub(crate) fn bars(&self) -> MultiProgress {
        self.bars.clone()
    }

    /// Format of messages on stderr.
    pub(crate) fn format(&self) -> LogFormat {
        self.format
    }

    /// A progress monitor that also reports signals to the run.
    pub(crate) fn progress(&self) -> Progress {
        Progress::new(self.bars(), self.interrupt.clone())
    }

    /// Prints a note about the arguments on stderr, unless `-q` is set.
    #[expect(clippy::print_stderr, reason = "a line for people, as the summary is")]
    pub(crate) fn note(&self, text: &str) {
        match self.format {
            LogFormat::Json => tracing::info!(subject = "paths", "{text}"),
            LogFormat::Text if !self.quiet => eprintln!("note: {text}"),
            LogFormat::Text => {}
        }
    }

    /// Prints a warning about the arguments on stderr, unless `-q` is set.
    #[expect(clippy::print_stderr, reason = "a line for people, as the summary is")]
    pub(crate) fn warn(&self, text: &str) {
        match self.format {
            LogFormat::Json => tracing::warn!(subject = "paths", "{text}"),
            LogFormat::Text if !self.quiet => eprintln!("warning: {text}"),
            LogFormat::Text => {}
        }
    }

    /// Prints the final summary, unless `-q` is set.
    pub(crate) fn summary(&self, text: &str) -> anyhow::Result<()> {
        if self.quiet { Ok(()) } else { output::print(text) }
    }
}
