// Links of the README lead to docs.rs; in this documentation they lead to the items.
//! [`Field`]: crate::Field
//! [`FieldConfig`]: crate::FieldConfig
//! [`SimVisit`]: crate::SimVisit
#![doc = include_str!("../README.md")]

mod artefact;
mod catalogue;
mod config;
mod error;
mod exposure;
mod field;
mod gaussian;
mod horizon;
mod passband;
mod plan;
mod profile;
mod quadrature;
mod random;
mod spectrum;
mod tangent;

pub use artefact::{Artefact, ArtefactKind};
pub use catalogue::Source;
pub use config::{ArtefactSettings, FieldConfig, SiteSettings, SourceSettings, VisitSettings};
pub use error::SimError;
pub use exposure::SimVisit;
pub use field::Field;
pub use passband::{DetectedSpectrum, Passband};
pub use plan::VisitPlan;
pub use profile::{GalaxyShape, PsfShape, SourceShape};
pub use spectrum::Spectrum;
