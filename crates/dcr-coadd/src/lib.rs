// Links of the README lead to docs.rs; in this documentation they lead to the items.
//! [`Exposures`]: crate::Exposures
//! [`Model`]: crate::model::Model
//! [`Monitor`]: crate::Monitor
//! [`Summary`]: crate::Summary
//! [`assemble`]: crate::assemble()
//! [`coadd`]: crate::coadd()
//! [`config`]: crate::config
//! [`inspect`]: crate::inspect::inspect
#![doc = include_str!("../README.md")]

mod artefacts;
mod assemble;
pub mod coadd;
pub mod config;
mod error;
pub mod geometry;
pub mod inputs;
pub mod inspect;
pub mod joint;
pub mod model;
mod patch;
pub mod regions;
pub mod run;

pub use assemble::{AssembleRequest, assemble};
pub use coadd::psf_selection::psf_at;
pub use coadd::solver_choice::Solver;
pub use error::{CoaddError, GridDifference, InputError, ModelError};
pub use patch::{Coadd, Coadds, Exposures, coadd};
pub use run::progress::{Monitor, Unmonitored};
pub use run::summary::{
    BandSummary, JointSummary, JointVisitSummary, Outcome, PsfOrigin, PsfSummary, RegionSummary,
    StageSeconds, Summary, TemplateSource, VisitSummary, Warning,
};
