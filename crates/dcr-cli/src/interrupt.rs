//! Ctrl-C: the first asks the run to stop, the second stops it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;

use crate::args::LogFormat;

/// Whether the user wants the run to end.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens for Ctrl-C and for being asked to terminate.
    #[expect(clippy::print_stderr, reason = "the user waits for a sign")]
    pub(crate) fn listen(format: LogFormat) -> anyhow::Result<Self> {
        let interrupt = Self(Arc::default());
        let asked = interrupt.clone();
        ctrlc::set_handler(move || {
            if asked.0.swap(true, Ordering::SeqCst) {
                dcr_image::fits::remove_temporaries();
                std::process::exit(130);
            }
            match format {
                LogFormat::Text => eprintln!("stopping (again to stop at once)"),
                LogFormat::Json => tracing::warn!("stopping (again to stop at once)"),
            }
        })
        .context("cannot listen for Ctrl-C")?;
        Ok(interrupt)
    }

    /// Whether Ctrl-C was pressed.
    pub(crate) fn is_asked_for(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
