// Links of the README lead to docs.rs; in this documentation they lead to the items.
//! [`Review`]: crate::review::Review
//! [`matched_templates`]: crate::matched_templates
//! [`subtract`]: crate::subtract()
//! [`template`]: crate::template()
#![doc = include_str!("../README.md")]

mod error;
mod model;
pub mod review;
mod subtract;
mod summary;
mod template;

pub use dcr_measure::matching_kernel::MatchError;
pub use dcr_measure::residuals::ResidualCounts;
pub use error::{DifferenceError, Disagreement};
pub use subtract::difference::{Convolution, Matching};
pub use subtract::{SubtractRequest, subtract};
pub use summary::{MatchedTemplate, PsfOf, SubtractSummary, SubtractedVisit, TemplateSummary};
pub use template::{Template, TemplateRequest, matched_templates, template};
