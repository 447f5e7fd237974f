//! Signals that ask the program to end: Ctrl-C, termination, a terminal that is closed.
//!
//! A run that looks at its monitor stops by itself within [`GRACE`]. One that is in the middle of a
//! long calculation is ended from here, after its unfinished files are removed: a signal is obeyed
//! within a second whatever the program does.

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
/// Time between two looks for a second signal.
const LOOK: Duration = Duration::from_millis(10);
/// Time that a message may take, for nobody may be reading.
const SAYING: Duration = Duration::from_millis(100);

/// The signal that asked the program to end, if one did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupt(Arc<AtomicI32>);

impl Interrupt {
    /// Listens for signals until the program ends. Hang-ups that were ignored when it started, as
    /// under `nohup`, stay ignored.
    pub(crate) fn listen(&self, format: LogFormat) -> anyhow::Result<()> {
        let context = "cannot listen for signals";
        // A limit on the size of files then fails the write instead of ending the process.
        signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false))).context(context)?;
        let signals = Signals::new(wanted()).context(context)?;
        let asked = Arc::clone(&self.0);
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(move || obey(&asked, signals, format))
            .context(context)?;
        Ok(())
    }

    /// The signal that asked, if one did.
    pub(crate) fn signal(&self) -> Option<i32> {
        Some(self.0.load(Ordering::SeqCst)).filter(|signal| *signal != 0)
    }
}

/// Waits for a signal, gives the run time to stop by itself, and ends the program. A second signal
/// shortens the time.
fn obey(asked: &AtomicI32, mut signals: Signals, format: LogFormat) {
    let Some(first) = signals.forever().next() else { return };
    asked.store(first, Ordering::SeqCst);
    say(move || match format {
        LogFormat::Text => output::complain("stopping"),
        LogFormat::Json => tracing::warn!("stopping"),
    });
    let end = Instant::now() + GRACE;
    while Instant::now() < end && signals.pending().next().is_none() {
        std::thread::sleep(LOOK);
    }
    dcr_image::fits::remove_unfinished();
    say(move || {
        let exit = exit::report(&CoaddError::Cancelled.into(), format, Some(first));
        tracing::info!(exit_code = exit.code(), "dcr ends");
    });
    std::process::exit(i32::from(exit::Exit::Interrupted(first).code()));
}

/// Says something in a thread of its own: stderr may be a pipe from which nobody reads.
fn say(message: impl FnOnce() + Send + 'static) {
    let (done, is_done) = mpsc::channel();
    std::thread::spawn(move || {
        message();
        // Nobody waits for it any more, perhaps.
        let _ = done.send(());
    });
    let _ = is_done.recv_timeout(SAYING);
}

/// The signals to listen for. Shells start background jobs with SIGINT ignored, and yet whoever
/// sends it to one means it.
fn wanted() -> Vec<i32> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    // Where nothing says whether hang-ups are ignored, they are left alone.
    let heeds_hang_up = ignored_signals(&status).is_some_and(|mask| mask & (1 << (SIGHUP - 1)) == 0);
    [SIGINT, SIGTERM, SIGXCPU].into_iter().chain(heeds_hang_up.then_some(SIGHUP)).collect()
}

/// The mask of ignored signals in a process's status, signal 1 the lowest bit.
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
