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
mod background;
mod basis;
mod cells;
mod coadd_psfs;
mod coadds;
pub mod config;
mod convolve;
mod detection;
mod difference;
mod division;
mod dropped;
mod error;
mod exposure;
mod finished_run;
mod flux_scale;
mod glitches;
mod input_map;
mod inputs;
pub mod inspect;
mod interpolate;
mod joint;
mod journal;
mod losses;
mod mask_settings;
mod matcher;
mod matching_kernel;
mod memory;
mod metadata;
mod method;
mod mosaic;
mod noise_correlation;
mod outputs;
mod parts;
mod patches;
mod pixels;
mod plain;
mod plain_coadd;
mod prediction;
mod progress;
mod psf_measurement;
mod psf_selection;
pub mod regions;
mod remarks;
mod residual_rms;
mod residual_table;
mod residuals;
pub mod review;
mod running_mean;
mod scales;
mod scatter;
pub mod shifts;
mod sky;
mod sky_plane;
mod solved;
mod store;
mod subtract;
mod summary;
mod template;
mod template_coadd;
mod transmission;
mod variance;
mod weights;

pub use assemble::{AssembleRequest, assemble};
pub use coadd_psfs::{PsfOrigin, PsfSummary};
pub use difference::{Convolution, Matching};
pub use error::{CoaddError, Disagreement, GridDifference};
pub use matching_kernel::MatchError;
pub use noise_correlation::NoiseCorrelation;
pub use progress::{Monitor, Unmonitored};
pub use psf_measurement::{PsfCellQuality, PsfQuality};
pub use psf_selection::psf_at;
pub use residuals::ResidualCounts;
pub use subtract::{SubtractRequest, subtract};
pub use summary::{
    BandSummary, JointSummary, JointVisitSummary, MatchedTemplate, Outcome, PsfOf, RegionSummary,
    StageSeconds, SubtractSummary, SubtractedVisit, Summary, TemplateSource, TemplateSummary, VisitSummary,
    Warning,
};
pub use template::{TemplateRequest, matched_templates};
