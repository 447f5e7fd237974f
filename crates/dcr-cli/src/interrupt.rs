//! Signals that end the program: Ctrl-C, termination, hang-up.
//!
//! A run that polls its monitor stops by itself within [`GRACE`]. During a long calculation the
//! signal thread removes the unfinished files and ends the program, so that every signal takes
//! effect within a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::Context;
use dcr_coadd::CoaddError;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXCPU, SIGXFSZ};
use signal_hook::iterator::Signals;

use crate::args::LogFormat;
use crate::{exit, output};

/// Time for a run to stop by itself.
const GRACE: Duration = Duration::from_millis(300);
/// Polling interval for a second signal.
const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// Time limit for writing a message; the reader of stderr may have stopped reading.
const WRITE_LIMIT: Duration = Duration::from_millis(100);

/// The signal that ended the program, if any.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupt(Arc<AtomicI32>);

impl Interrupt {
    /// Listens for signals until the program ends. A hang-up signal ignored at the start, as under
    /// `nohup`, stays ignored.
    pub(crate) fn listen(&self, format: LogFormat) -> anyhow::Result<()> {
        let context = "cannot listen for signals";
        // With a handler, exceeding the file-size limit fails the write and does not kill the
        // process.
        signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false))).context(context)?;
        let signals = Signals::new(wanted()).context(context)?;
        let asked = Arc::clone(&self.0);
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(move || end_on_signal(&asked, signals, format))
            .context(context)?;
        Ok(())
    }

    /// The received signal, if any.
    pub(crate) fn signal(&self) -> Option<i32> {
        Some(self.0.load(Ordering::SeqCst)).filter(|signal| *signal != 0)
    }
}

/// Waits for a signal, gives the run time to stop, and ends the program. A second signal ends it at
/// once.
fn end_on_signal(asked: &AtomicI32, mut signals: Signals, format: LogFormat) {
    let Some(first) = signals.forever().next() else { return };
    asked.store(first, Ordering::SeqCst);
    write_with_timeout(move || match format {
        LogFormat::Text => output::complain("stopping"),
        LogFormat::Json => tracing::warn!("stopping"),
    });
    let end = Instant::now() + GRACE;
    while Instant::now() < end && signals.pending().next().is_none() {
        std::thread::sleep(POLL_INTERVAL);
    }
    dcr_image::fits::remove_unfinished();
    write_with_timeout(move || {
        let exit = exit::report(&CoaddError::Cancelled.into(), format, Some(first));
        tracing::info!(exit_code = exit.code(), "dcr ends");
    });
    std::process::exit(i32::from(exit::Exit::Interrupted(first).code()));
}

/// Writes a message in its own thread, because stderr may be a full pipe.
fn write_with_timeout(message: impl FnOnce() + Send + 'static) {
    let (done, is_done) = mpsc::channel();
    std::thread::spawn(move || {
        message();
        // The receiver may have given up waiting.
        let _ = done.send(());
    });
    let _ = is_done.recv_timeout(WRITE_LIMIT);
}

/// Signals to listen for. SIGINT counts even in background jobs, which shells start with SIGINT
/// ignored.
fn wanted() -> Vec<i32> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    // Without information on ignored signals, hang-ups are left alone.
    let heeds_hang_up = ignored_signals(&status).is_some_and(|mask| mask & (1 << (SIGHUP - 1)) == 0);
    [SIGINT, SIGTERM, SIGXCPU].into_iter().chain(heeds_hang_up.then_some(SIGHUP)).collect()
}

/// Mask of ignored signals from a process status; signal 1 is the lowest bit.
fn ignored_signals(status: &str) -> Option<u64> {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_status() {
        let status = "Name:\tdcr\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n";
        assert_eq!(ignored_signals(status), Some(0x1001));
        assert_eq!(ignored_signals("Name:\tdcr\n"), None);
    }
}
