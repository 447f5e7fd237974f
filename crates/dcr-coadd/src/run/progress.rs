//! How a caller follows a run, and stops it.

use crate::run::summary::Warning;

/// Told of the run's progress, from the thread that called; asked whether to go on.
pub trait Monitor: Sync {
    /// A stage of at most `_steps` steps begins.
    fn stage(&self, _name: &str, _steps: u64) {}
    /// So many steps of the stage are done.
    fn advance(&self, _steps: u64, _message: &str) {}
    /// A step of the stage is done.
    fn step(&self, message: &str) {
        self.advance(1, message);
    }
    /// A warning was issued.
    fn warn(&self, _warning: &Warning) {}
    /// True to stop the run.
    fn cancelled(&self) -> bool {
        false
    }
}

/// A monitor that ignores everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unmonitored;

impl Monitor for Unmonitored {}
