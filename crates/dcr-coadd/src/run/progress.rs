//! How a caller follows a run, and stops it.

use crate::run::summary::Warning;

/// Told of the run's progress, from the thread that called; asked whether to go on.
pub trait Monitor: Sync {
    /// A stage begins, of so many steps at most.
    fn stage(&self, _name: &str, _steps: u64) {}
    /// So many steps of the stage are done.
    fn advance(&self, _steps: u64, _message: &str) {}
    /// A step of the stage is done.
    fn step(&self, message: &str) {
        self.advance(1, message);
    }
    /// Something to be minded came up.
    fn warn(&self, _warning: &Warning) {}
    /// Whether to stop.
    fn cancelled(&self) -> bool {
        false
    }
}

/// Nobody follows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unmonitored;

impl Monitor for Unmonitored {}
