//! The course and the products of a run: monitor, log, metadata, output files, summary.

pub(crate) mod memory;
pub mod metadata;
pub mod outputs;
pub mod progress;
pub mod run_log;
pub(crate) mod status_notes;
pub mod summary;
