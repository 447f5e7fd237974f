//! The model of a solved patch, as the input of templates.

use ndarray::{ArrayView2, ArrayView3};

use crate::joint::noise::covariance::{Covariance, NoiseMaps};
use crate::joint::problem::psf::PsfStamp;
use crate::joint::problem::spectrum::Spectrum;
use crate::kernel::Region;

/// The model of a solved patch, from which templates are made. The files of a finished run contain
/// all of it.
#[derive(Clone, Debug)]
pub struct JointModel<'a> {
    /// Shape of the patch, `(rows, cols)`.
    pub patch: (usize, usize),
    /// The part of the patch covered by all arrays. A template needs its own part, with
    /// [`template_reach`](crate::joint::template_reach) pixels around it.
    pub held: Region,
    /// Fluxes of the subfilters at the fiducial PSF, `(subfilters, rows, cols)`, over `held` and
    /// `border` pixels around it. Pixels that are not finite count as 0.
    pub planes_ayx: ArrayView3<'a, f32>,
    /// Border of the planes beyond `held`, px. With 0, stars at the edge are incomplete.
    pub border: usize,
    /// Pixels with data.
    pub covered_yx: ArrayView2<'a, bool>,
    /// Spectrum of the fluxes.
    pub spectrum: &'a Spectrum,
    /// PSF of the planes.
    pub fiducial: &'a PsfStamp,
    /// Noise of the planes, for the variance of templates: see
    /// [`JointSolution`](crate::joint::JointSolution).
    pub noise: Option<JointNoise<'a>>,
}

/// Noise of a model.
#[derive(Clone, Copy, Debug)]
pub struct JointNoise<'a> {
    /// Noise covariances of the subfilters.
    pub covariance: &'a Covariance,
    /// Maps that the noise depends on.
    pub maps: NoiseMaps<'a>,
}

/// The PSF of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplatePsf {
    /// PSF of the exposure.
    Exposure,
    /// Fiducial PSF of the model, for an exposure of unknown PSF.
    Fiducial,
}
