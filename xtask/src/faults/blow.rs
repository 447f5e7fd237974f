//! Signals and faults inflicted on a run.

/// The disturbance of a run.
#[derive(Clone, Debug)]
pub(crate) enum Blow {
    /// A signal, with its delay from the start in seconds.
    ByClock { signal: &'static str, seconds: f64 },
    /// A signal, an error or a short count at a call; `sticky` errors stay.
    AtCall { class: &'static str, at: u64, what: &'static str, sticky: bool },
}

impl Blow {
    /// Whether the program has no chance to clean up.
    pub(crate) fn kills(&self) -> bool {
        matches!(self, Self::ByClock { signal: "KILL", .. } | Self::AtCall { what: "kill", .. })
    }

    /// Whether the program is asked to end.
    pub(crate) fn asks(&self) -> bool {
        matches!(self, Self::ByClock { signal: "TERM", .. } | Self::AtCall { what: "term", .. })
    }
}
