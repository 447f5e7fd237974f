//! The joint solver: all subfilters of all visits as one weighted least-squares problem, each visit
//! with its own PSF.
//!
//! # Model
//!
//! At spatial frequency `k`, visit `i` observes the subfilters' fluxes `y_a` at a fiducial PSF `P`
//! through transfer functions
//!
//! ```text
//! s_i(k) = Σ_a A_ia(k) y_a(k),    A_ia(k) = Σ_l C_al exp(−2πi k·d_i(l)) K_i(k, l)
//! ```
//!
//! with the displacement `d_i(l)` of light of wavelength `l`, the smooth spectrum `C` that has the
//! subfilters' fluxes ([`SmoothSpectrum`](crate::SmoothSpectrum)), and the ratio `K_i` of the
//! visit's PSF to `P`. Towards the Nyquist frequency `A` fades to 0: a well sampled PSF passes
//! nothing there, and displacements stay local. Conjugate gradients in Fourier space minimise
//!
//! ```text
//! Σ_i Σ_p w_i(p) (s_i − F⁻¹ Σ_a A_ia y_a)² + prior,    w_i = 1/(sky variance) where used, else 0
//! ```
//!
//! Weights do not follow sources, which would bias bright stars. The exception is a star with a
//! masked core in every visit: its light is known from thousands of halo pixels at once, and those
//! pixels are weighted by the noise of that light.
//!
//! # Steps
//!
//! 1. Stars with masked cores are fitted to their halos. Their light is part of every later
//!    prediction.
//! 2. A first solve has a uniform prior. Rounds of clipping remove cosmic rays and trails: pixels
//!    that deviate from the prediction for their own visit.
//! 3. Each visit's offset is fitted to its prediction. Offsets that are degenerate with the sky are
//!    projected out, and the first solve continues, up to three times.
//! 4. The final solve has a prior that frees colours in proportion to the light.
//! 5. Variances and the identifiability of colours ([`Identifiability`]) follow.
//!
//! The *reference wavelength*, at which displacements are 0, is the caller's choice and is not
//! constrained by the data: in g, an error of 10 nm changes colours by 0.6 mag and templates not at
//! all.
//!
//! Patches larger than [`JointConfig::tile_size`] are solved in overlapping tiles, one after the
//! other, with common PSF, weights, prior and offsets. Results are the same, bit for bit, for any
//! number of threads. Modes and planes are in single precision, scalars and sums in double. On a
//! small problem the solution is within 10⁻⁵ of the peak of a dense solve in double precision.
//!
//! # Cost
//!
//! Every iteration transforms each visit forth and back, on one core about 15 ns per pixel (padding
//! and overlap included) and visit. A whole solve of a large patch takes 1 µs per pixel and visit,
//! and 10 µs per pixel once. For memory see [`JointConfig::tile_size`].
//!
//! [`solve_joint`] and [`joint_template`] have examples.

#[cfg(test)]
mod against_dense;
mod config;
mod error;
#[cfg(test)]
mod fixtures;
mod fourier;
mod noise;
mod operator;
mod patch;
mod precondition;
mod problem;
mod progress;
mod robust;
mod solution;
mod solve;
mod template;

pub use config::{JointConfig, JointConfigError};
pub use error::JointError;
pub use noise::covariance::{Covariance, NoiseMaps};
pub use noise::identifiability::Identifiability;
pub use noise::stars::StarNoise;
pub use patch::run::solve_joint;
pub use problem::psf::{PsfError, PsfStamp};
pub use problem::psf_field::PsfField;
pub use problem::psf_includes_dcr::PsfIncludesDcr;
pub use problem::spectrum::{Spectrum, SpectrumError};
pub use problem::visits::{JointInMemory, JointVisit, JointVisits, Noise};
pub use problem::{JointProblem, JointProgress};
pub use robust::changing::ChangingSource;
pub use solution::{JointOutcome, JointReport, JointSolution, TileReport, VisitReport};
pub use template::model::{JointModel, JointNoise, TemplatePsf};
pub use template::predict::{JointTemplate, TemplateWanted, joint_template, template_reach};
