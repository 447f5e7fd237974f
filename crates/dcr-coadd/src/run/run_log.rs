//! Run log: stages and warnings, reported to the monitor and kept for the summary.

use std::collections::BTreeMap;
use std::time::Instant;

use dcr_image::fits::Findings;
use dcr_physics::Assumption;

use crate::error::CoaddError;
use crate::run::progress::Monitor;
use crate::run::summary::{StageSeconds, Warning};

/// The record of a run.
pub struct RunLog<'a> {
    /// The receiver of stages, steps and warnings.
    pub monitor: &'a dyn Monitor,
    /// Warnings so far.
    pub warnings: Vec<Warning>,
    stages: Vec<StageSeconds>,
    started: Instant,
    /// When the stage that runs began, if one does.
    stage_started: Option<Instant>,
}

impl<'a> RunLog<'a> {
    /// An empty log that reports to `monitor`.
    pub fn new(monitor: &'a dyn Monitor) -> Self {
        Self { monitor, warnings: vec![], stages: vec![], started: Instant::now(), stage_started: None }
    }

    /// Begins a stage of `steps` steps.
    ///
    /// # Errors
    ///
    /// [`CoaddError::Cancelled`] if the monitor asks to stop.
    pub fn stage(&mut self, name: &str, steps: usize) -> Result<(), CoaddError> {
        self.end_stage();
        self.stages.push(StageSeconds { stage: name.into(), seconds: 0.0 });
        self.stage_started = Some(Instant::now());
        tracing::info!(stage = name, steps, "stage begins");
        self.monitor.stage(name, steps as u64);
        self.go_on()
    }

    /// # Errors
    ///
    /// [`CoaddError::Cancelled`] if the caller wants to stop.
    pub fn go_on(&self) -> Result<(), CoaddError> {
        if self.monitor.cancelled() { Err(CoaddError::Cancelled) } else { Ok(()) }
    }

    /// Records and reports a warning about `subject`.
    pub fn warn(&mut self, subject: impl Into<String>, text: impl Into<String>) {
        let warning = Warning { subject: subject.into(), text: text.into() };
        tracing::warn!(subject = warning.subject, "{}", warning.text);
        self.monitor.warn(&warning);
        self.warnings.push(warning);
    }

    /// Emits one warning per distinct assumption, naming all visits it applies to.
    pub fn warn_of_assumptions<'b>(&mut self, visits: impl Iterator<Item = (u64, &'b [Assumption])>) {
        let mut visits_of_text: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        for (visit, notes) in visits {
            for note in notes.iter().filter(|note| note.warning) {
                visits_of_text.entry(&note.text).or_default().push(visit);
            }
        }
        for (text, visits) in visits_of_text {
            self.warn(subject(&visits), text);
        }
    }

    /// Warns of doubtful pixel values, once for all visits that have such, with the number of
    /// pixels.
    pub fn warn_of_findings(&mut self, visits: impl Iterator<Item = (u64, Findings)>) {
        let mut found: BTreeMap<String, (Vec<u64>, usize)> = BTreeMap::new();
        for (visit, findings) in visits {
            for finding in findings.list() {
                let (visits, pixels) = found.entry(finding.text).or_default();
                visits.push(visit);
                *pixels += finding.pixels;
            }
        }
        for (text, (visits, pixels)) in found {
            self.warn(subject(&visits), format!("{text} ({pixels} pixels)"));
        }
    }

    /// Ends the stage that runs. Seconds of each stage, and of all.
    pub fn times(&mut self) -> (Vec<StageSeconds>, f64) {
        self.end_stage();
        (self.stages.clone(), self.started.elapsed().as_secs_f64())
    }

    fn end_stage(&mut self) {
        let (Some(stage), Some(started)) = (self.stages.last_mut(), self.stage_started.take()) else {
            return;
        };
        stage.seconds = started.elapsed().as_secs_f64();
        tracing::info!(stage = stage.stage, seconds = stage.seconds, "stage ends");
    }
}

/// The visits that a warning is about.
fn subject(visits: &[u64]) -> String {
    match visits {
        [] => "no visit".into(),
        [visit] => format!("visit {visit}"),
        [first, .., last] => format!("{} visits, {first} to {last}", visits.len()),
    }
}

impl Drop for RunLog<'_> {
    fn drop(&mut self) {
        self.end_stage();
    }
}
