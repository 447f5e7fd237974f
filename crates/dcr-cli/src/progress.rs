//! Progress bars on a terminal, one for each stage of a run.

use std::sync::Mutex;
use std::time::Duration;

use dcr_coadd::Monitor;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::interrupt::Interrupt;

/// A bar with the time that is left.
const COUNTED: &str = "{prefix:>9} [{bar:32}] {pos}/{len} {eta_precise} left  {wide_msg}";
/// For a stage of unknown length.
const UNCOUNTED: &str = "{prefix:>9} {spinner} {elapsed_precise}  {wide_msg}";
/// How often the time is redrawn.
const REDRAW: Duration = Duration::from_millis(200);

/// Shows a run's progress and passes Ctrl-C on to it.
pub(crate) struct Progress {
    bars: MultiProgress,
    current: Mutex<ProgressBar>,
    interrupt: Interrupt,
}

impl Progress {
    /// Bars appear on stderr if that is a terminal, and not at all if `quiet`.
    pub(crate) fn new(bars: MultiProgress, quiet: bool, interrupt: Interrupt) -> Self {
        if quiet {
            bars.set_draw_target(indicatif::ProgressDrawTarget::hidden());
        }
        Self { bars, current: Mutex::new(ProgressBar::hidden()), interrupt }
    }

    fn current(&self) -> std::sync::MutexGuard<'_, ProgressBar> {
        self.current.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.current().finish_and_clear();
    }
}

impl Monitor for Progress {
    fn stage(&self, name: &str, steps: u64) {
        let bar = if steps > 0 { ProgressBar::new(steps) } else { ProgressBar::new_spinner() };
        // The templates are constants that a test has read.
        if let Ok(style) = ProgressStyle::with_template(if steps > 0 { COUNTED } else { UNCOUNTED }) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(name.to_owned());
        let bar = self.bars.add(bar);
        bar.enable_steady_tick(REDRAW);
        let earlier = std::mem::replace(&mut *self.current(), bar);
        earlier.finish_and_clear();
    }

    fn step(&self, message: &str) {
        let bar = self.current();
        bar.set_message(message.to_owned());
        bar.inc(1);
    }

    fn cancelled(&self) -> bool {
        self.interrupt.is_asked_for()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_templates_are_valid() {
        for template in [COUNTED, UNCOUNTED] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
