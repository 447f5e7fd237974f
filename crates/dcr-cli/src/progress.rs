//! Progress bars on the terminal, one per stage of a run.

use std::fmt::Write;
use std::sync::Mutex;
use std::time::Duration;

use dcr_coadd::Monitor;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::interrupt::Interrupt;
use crate::output::visible;

/// Template of a bar with step count and remaining time.
const COUNTED: &str = "{prefix:>11} [{bar:24}] {pos}/{len}  {left}  {wide_msg}";
/// Template for a stage of one step, or of unknown length.
const UNCOUNTED: &str = "{prefix:>11} {spinner} {elapsed}  {wide_msg}";
/// Redraw interval.
const REDRAW: Duration = Duration::from_millis(200);

/// Shows the progress of a run and passes signals on to it.
pub(crate) struct Progress {
    bars: MultiProgress,
    current: Mutex<ProgressBar>,
    interrupt: Interrupt,
}

impl Progress {
    pub(crate) fn new(bars: MultiProgress, interrupt: Interrupt) -> Self {
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
        let mut current = self.current();
        current.finish_and_clear();
        let counted = steps > 1;
        // Hidden until added to the others: a bar on its own ignores the draw target.
        let alone = ProgressBar::with_draw_target(counted.then_some(steps), ProgressDrawTarget::hidden());
        let bar = self.bars.add(alone);
        // The templates are constants, and a test parses them.
        if let Ok(style) = ProgressStyle::with_template(if counted { COUNTED } else { UNCOUNTED }) {
            let left = |state: &ProgressState, out: &mut dyn Write| {
                let _ = out.write_str(&time_left(state.pos(), state.eta()));
            };
            bar.set_style(style.with_key("left", left).progress_chars("=> "));
        }
        bar.set_prefix(name.to_owned());
        bar.enable_steady_tick(REDRAW);
        *current = bar;
    }

    fn advance(&self, steps: u64, message: &str) {
        let bar = self.current();
        bar.set_message(visible(message).into_owned());
        bar.inc(steps);
        tracing::debug!(stage = bar.prefix(), step = bar.position(), "{message}");
    }

    fn cancelled(&self) -> bool {
        self.interrupt.signal().is_some()
    }
}

/// Remaining time in words; unknown until the first step is complete.
fn time_left(done: u64, left: Duration) -> String {
    let seconds = left.as_secs();
    match seconds {
        _ if done == 0 => "…".to_owned(),
        0..100 => format!("{seconds} s left"),
        100..6000 => format!("{} min left", seconds.div_ceil(60)),
        _ => format!("{} h {:02} min left", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_time_left_is_short() {
        let left = |seconds| time_left(1, Duration::from_secs(seconds));
        assert_eq!(time_left(0, Duration::from_secs(5)), "…");
        assert_eq!([left(0), left(99), left(100)], ["0 s left", "99 s left", "2 min left"]);
        assert_eq!([left(5999), left(7261)], ["100 min left", "2 h 01 min left"]);
    }

    #[test]
    fn progress_templates_are_valid() {
        for template in [COUNTED, UNCOUNTED] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
