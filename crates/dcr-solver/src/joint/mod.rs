//! The joint solver: all subfilters of all visits as one weighted least-squares problem, each visit with its own PSF.
//!
//! # The model
//!
//! A visit `i` sees, at spatial frequency `k`, the subfilters' fluxes `y_a` at a fiducial PSF `P` through transfer functions
//!
//! ```text
//! s_i(k) = Σ_a A_ia(k) y_a(k),    A_ia(k) = Σ_l C_al exp(−2πi k·d_i(l)) K_i(k, l)
//! ```
//!
//! with the displacement `d_i(l)` of light of wavelength `l`, the smooth spectrum `C` that has the given fluxes
//! ([`SmoothSpectrum`](crate::SmoothSpectrum)), and the ratio `K_i` of the visit's PSF to `P`. Towards the
//! Nyquist frequency `A` fades to 0: a well sampled PSF passes nothing there, and displacements stay local. What minimises
//!
//! ```text
//! Σ_i Σ_p w_i(p) (s_i − F⁻¹ Σ_a A_ia y_a)²  +  prior,        w_i = 1/(sky variance) where a pixel is used, 0 elsewhere
//! ```
//!
//! is found by conjugate gradients in Fourier space. Weights never follow sources: bright stars would be biased. Only of stars whose cores no visit shows
//! do they know the light, from all of the halo at once: a pixel of it counts by the noise that it has.
//!
//! # The order of work
//!
//! 1. Stars whose cores no visit shows are fitted to their halos; their light is part of every prediction from then on.
//! 2. A first solve under a prior that is the same everywhere, with rounds of clipping pixels that depart from the prediction for their
//!    own visit: cosmic rays, trails.
//! 3. Each visit's offset is fitted to its prediction, what is degenerate with the sky is projected out, and the first solve
//!    goes on from there; up to three times.
//! 4. The final solve, under a prior that frees colours where there is light, and nowhere else.
//! 5. Variances, and what the visits can tell of colours at all ([`Identifiability`]).
//!
//! The *reference wavelength*, at which displacements are 0, is a choice of the caller's that no data can correct: in g a wrong one by
//! 10 nm costs colours 0.6 mag, and templates nothing.
//!
//! Patches larger than [`JointConfig::tile_size`] are solved in overlapping tiles with common PSF, weights, prior and offsets, one after the
//! other; parallel work goes on inside a tile. Results are the same, bit for bit, for any number of threads. Modes and planes are in single
//! precision, scalars and sums in double: two quite different iterations end within 0.004 of a visit's noise of each other, and on a small
//! problem within 10⁻⁵ of the peak of a dense solve in double precision.
//!
//! # Cost
//!
//! Every iteration transforms each visit there and back: on one core about 15 ns for each pixel (padding and overlap included) and visit, 1 µs
//! for a whole solve of a large patch, where all that is done once adds some 10 µs for each pixel. Memory is at [`JointConfig::tile_size`].
//!
//! # Example
//!
//! ```
//! use dcr_solver::joint::{JointConfig, JointInMemory, JointProblem, JointVisit, Noise, PsfStamp, Spectrum, solve_joint};
//! use dcr_solver::{GOOD, PixelShift};
//! use ndarray::Array2;
//!
//! // Two subfilters of two wavelengths each; light of the four is displaced along x, more at higher airmass.
//! let spectrum = Spectrum::new(&[410.0, 450.0, 490.0, 530.0], &[1.0; 4], &[0, 0, 1, 1], 470.0)?;
//! let psf = PsfStamp::gaussian(4.0)?;
//! let visit = |refraction: f64| {
//!     let displacements = [0.5, 0.15, -0.15, -0.4].map(|d| PixelShift { dy: 0.0, dx: refraction * d }).to_vec();
//!     let image = Array2::from_shape_fn((32, 32), |(y, x)| {
//!         let r2 = (y as f32 - 16.0).powi(2) + (x as f32 - 15.0 - 0.025 * refraction as f32).powi(2);
//!         1000.0 * (-r2 / 5.77).exp()
//!     });
//!     let (flags, noise) = (Array2::from_elem((32, 32), GOOD), Noise { sky_variance: 1.0, shot: 0.0 });
//!     JointVisit { image, flags, noise, psf: psf.clone(), displacements }
//! };
//! let visits = JointInMemory { visits: [-1.0, 0.0, 1.0].map(visit).to_vec() };
//! let problem = JointProblem { visits: &visits, shape: (32, 32), spectrum: &spectrum, fiducial: None };
//! let solution = solve_joint(&problem, &JointConfig::default(), &mut |_, _| true)?;
//! let total: f32 = solution.patch_planes().iter().sum();
//! assert!((total / 18_130.0 - 1.0).abs() < 0.01);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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
pub use problem::psf_includes_dcr::PsfIncludesDcr;
pub use problem::spectrum::{Spectrum, SpectrumError};
pub use problem::visits::{JointInMemory, JointVisit, JointVisits, Noise};
pub use problem::{JointProblem, JointProgress};
pub use solution::{JointOutcome, JointReport, JointSolution, TileReport, VisitReport};
pub use template::model::{JointModel, JointNoise, TemplatePsf};
pub use template::predict::{JointTemplate, TemplateWanted, joint_template, template_reach};
