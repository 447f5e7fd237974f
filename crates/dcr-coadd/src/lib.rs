//! DCR-free coadds of a patch of sky, from warps.
//!
//! [`assemble`] opens warps, [`coadd`] makes the coadds in memory, and [`assemble`] writes them:
//! exposures are checked against each other and weighted, a starting coadd is made or read, each
//! subfilter's displacement in each visit is computed, artefacts are found, and the solver's planes
//! become coadds with mask, variance, PSF and metadata. [`model::Model`] is the result from which
//! templates are made.
//!
//! [`inspect`](inspect::inspect) lists exposures without coadding them; [`config`] holds every
//! setting.
//!
//! This crate touches files only through [`dcr_image::fits`], and prints nothing: progress and
//! warnings go to a [`Monitor`] and into the [`Summary`].

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
