//! Synthetic fields with known truth, to test DCR coadds with independent code.
//!
//! A field is a catalogue of sources with known spectra and a set of visits at given airmasses, on
//! both sides of the meridian. Every exposure is the sum, over sources and wavelengths, of
//! Gaussians integrated over each pixel:
//!
//! ```text
//! image(p) = Σ_sources F ∫ dλ w(λ) ∫_pixel PSF(λ) ⊗ profile (x − x₀ − lift(λ))
//! ```
//!
//! with the normalised photon distribution `w` in the band, and the differential refraction `lift`
//! towards the zenith (Stone 1996, from `dcr-physics`), in a gnomonic projection of any rotation
//! and either parity. The kernels of the solver (interpolation, splines, Fourier shifts, two-point
//! subfilters) are not used: profiles are mixtures of Gaussians ([`profile`](SourceShape)), so that
//! shifts and convolutions are exact, and the integral over λ is a Gauss quadrature of the measure
//! `w` itself ([`Passband`]).
//!
//! # Accuracy
//!
//! | what | error, of a star's peak | test |
//! |---|---|---|
//! | pixel integration, round | rounding | `gaussian_round_has_its_flux_centre_and_width` |
//! | pixel integration, elliptical, σ ≥ 1 px | 1.5e-5 | `gaussian_elliptical_meets_round` |
//! | integral over wavelength, to airmass 2.2 and seeing of 3 px | 2e-6 | `drawing_at_nodes_meets_all_wavelengths` |
//! | wings cut at `floor_electrons` | 1e-3 electrons per pixel and Gaussian | `gaussian_cut_at_the_floor_loses_what_is_stated` |
//!
//! # Reproducibility
//!
//! Transcendental functions of the pixel values come from the `libm` crate, random numbers from a
//! generator in this crate, and positions are rounded to 2⁻³⁰ pixel, so that the last digit of the
//! refraction model is irrelevant. Pixels are rounded to `f32` once, at the end.
//!
//! # Use
//!
//! [`Field::draw`] plans a field from a [`FieldConfig`], [`Field::expose`] draws one exposure, and
//! [`Field::truth_subfilters`] draws the sky in N subfilters.

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
