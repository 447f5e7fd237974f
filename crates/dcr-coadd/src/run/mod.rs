//! The course and the products of a run: monitor, log, metadata, output files, summary.

pub mod journal;
pub(crate) mod memory;
pub mod metadata;
pub mod outputs;
pub mod progress;
pub(crate) mod remarks;
pub mod summary;
