//! What a command says while it works: progress bars, a summary at the end, or neither.

use indicatif::{MultiProgress, ProgressDrawTarget};

use crate::args::{Arguments, LogFormat};
use crate::interrupt::Interrupt;
use crate::output;
use crate::progress::Progress;

/// The terminal, as the options of all commands want it used.
#[derive(Clone, Debug)]
pub(crate) struct Console {
    bars: MultiProgress,
    format: LogFormat,
    quiet: bool,
    interrupt: Interrupt,
}

impl Console {
    /// Bars appear on stderr if that is a terminal, unless `-q`, `--no-progress` or JSON on the
    /// same stream forbids them.
    pub(crate) fn new(arguments: &Arguments, interrupt: Interrupt) -> Self {
        let bars = MultiProgress::new();
        if arguments.quiet || arguments.no_progress || arguments.log_format == LogFormat::Json {
            bars.set_draw_target(ProgressDrawTarget::hidden());
        }
        Self { bars, format: arguments.log_format, quiet: arguments.quiet, interrupt }
    }

    /// The bars, for whoever writes around them.
    pub(crate) fn bars(&self) -> MultiProgress {
        self.bars.clone()
    }

    /// The form of messages on stderr.
    pub(crate) fn format(&self) -> LogFormat {
        self.format
    }

    /// Progress of a run that signals stop.
    pub(crate) fn progress(&self) -> Progress {
        Progress::new(self.bars(), self.interrupt.clone())
    }

    /// Says on stderr what was made of the command line, unless nobody wants to know.
    #[expect(clippy::print_stderr, reason = "a line for people, as the summary is")]
    pub(crate) fn note(&self, text: &str) {
        match self.format {
            LogFormat::Json => tracing::info!(subject = "paths", "{text}"),
            LogFormat::Text if !self.quiet => eprintln!("note: {text}"),
            LogFormat::Text => {}
        }
    }

    /// Warns on stderr of what was made of the command line, unless nobody wants to know.
    #[expect(clippy::print_stderr, reason = "a line for people, as the summary is")]
    pub(crate) fn warn(&self, text: &str) {
        match self.format {
            LogFormat::Json => tracing::warn!(subject = "paths", "{text}"),
            LogFormat::Text if !self.quiet => eprintln!("warning: {text}"),
            LogFormat::Text => {}
        }
    }

    /// Prints what was done, unless nobody wants to know.
    pub(crate) fn summary(&self, text: &str) -> anyhow::Result<()> {
        if self.quiet { Ok(()) } else { output::print(text) }
    }
}
