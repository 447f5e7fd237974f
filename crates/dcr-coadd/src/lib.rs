//! A patch of sky from warps to DCR-free coadds and matched templates.
//!
//! [`assemble`] is the main job: it opens warps, checks that they belong together, weighs them, makes a template coadd or
//! takes one, finds where each subfilter's light lands in each visit, hands arrays to the solver, and writes the subfilters'
//! coadds with all that belongs to them. [`matched_templates`] predicts from these what any other exposure sees, and [`subtract`]
//! takes that away from exposures and finds what is left.
//! [`inspect`](inspect::inspect) looks at exposures without coadding them; [`config`] holds every setting.
//!
//! This crate touches files only through [`dcr_image::fits`], and prints nothing: what is to be told goes to a [`Monitor`]
//! and into the [`Summary`].

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
