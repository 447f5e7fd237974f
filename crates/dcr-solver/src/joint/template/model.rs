//! A solved model, as templates are made from it.

use ndarray::{ArrayView2, ArrayView3};

use crate::joint::noise::covariance::{Covariance, NoiseMaps};
use crate::joint::problem::psf::PsfStamp;
use crate::joint::problem::spectrum::Spectrum;
use crate::kernel::Region;

/// A solved model from which templates are made; all of it is in a finished run's files.
#[derive(Clone, Debug)]
pub struct JointModel<'a> {
    /// Shape of the patch, `(rows, cols)`.
    pub patch: (usize, usize),
    /// The part of the patch that all arrays hold. For a template of a part of the patch that part will do, with [`template_reach`] pixels around it.
    pub held: Region,
    /// Fluxes of the subfilters at the fiducial PSF, `(subfilters, rows, cols)`, over what is held and `border` pixels around it.
    /// Pixels that are not finite count as 0.
    pub planes_ayx: ArrayView3<'a, f32>,
    /// By how many pixels the planes reach beyond the patch: light from there is seen inside it. With 0, stars at the edge are incomplete.
    pub border: usize,
    /// Pixels where the model rests on data.
    pub covered_yx: ArrayView2<'a, bool>,
    /// The spectrum that the fluxes stand for.
    pub spectrum: &'a Spectrum,
    /// The PSF that the planes have.
    pub fiducial: &'a PsfStamp,
    /// The noise of the planes, with which templates get a variance: see [`JointSolution`](crate::joint::JointSolution).
    pub noise: Option<JointNoise<'a>>,
}

/// What a template's variance follows from.
#[derive(Clone, Copy, Debug)]
pub struct JointNoise<'a> {
    /// Noise covariances of the subfilters.
    pub covariance: &'a Covariance,
    /// What it depends on from place to place.
    pub maps: NoiseMaps<'a>,
}

/// Which PSF a template has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplatePsf {
    /// The exposure's own.
    Exposure,
    /// The model's fiducial one, where the exposure's is not known.
    Fiducial,
}
