//! Matched templates and difference images.
//!
//! [`matched_templates`] predicts exposures from the subfilter models that [`dcr_coadd::assemble`]
//! wrote. [`subtract`] subtracts the prediction from the exposure and lists the residuals.
//! [`review`] compares a finished run with its own exposures.

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
