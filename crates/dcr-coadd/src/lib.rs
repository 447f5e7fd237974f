//! A patch of sky from warps to DCR-free coadds and matched templates.
//!
//! [`assemble`] is the main job: it opens warps, checks that they belong together, weighs them, makes a template coadd or
//! takes one, finds where each subfilter's light lands in each visit, hands arrays to the solver, and writes the subfilters'
//! coadds with all that belongs to them. [`matched_templates`] predicts from these what any other exposure sees.
//! [`inspect`](inspect::inspect) looks at exposures without coadding them; [`config`] holds every setting.
//!
//! This crate touches files only through [`dcr_image::fits`], and prints nothing: what is to be told goes to a [`Monitor`]
//! and into the [`Summary`].

mod assemble;
mod basis;
mod cells;
mod coadds;
pub mod config;
mod detection;
mod division;
mod error;
mod exposure;
mod finished_run;
mod inputs;
pub mod inspect;
mod interpolate;
mod journal;
mod matcher;
mod metadata;
mod mosaic;
mod outputs;
mod patches;
mod pixels;
mod plain_coadd;
mod prediction;
mod progress;
mod psf_selection;
mod remarks;
pub mod shifts;
mod sky;
mod store;
mod summary;
mod template;
mod template_coadd;
mod variance;
mod weights;

pub use assemble::{AssembleRequest, assemble};
pub use error::{CoaddError, Disagreement, GridDifference};
pub use progress::{Monitor, Unmonitored};
pub use summary::{
    BandSummary, MatchedTemplate, Outcome, RegionSummary, StageSeconds, Summary, TemplateSource,
    TemplateSummary, VisitSummary, Warning,
};
pub use template::{TemplateRequest, matched_templates};
