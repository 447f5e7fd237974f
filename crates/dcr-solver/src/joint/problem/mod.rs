//! The input of the joint solver: visits, noise, PSFs and the band.

pub(crate) mod psf;
pub(crate) mod psf_field;
pub(crate) mod psf_includes_dcr;
pub(crate) mod spectrum;
pub(crate) mod units;
pub(crate) mod visits;

use self::psf::PsfStamp;
use self::spectrum::Spectrum;
use self::visits::JointVisits;

/// A patch to be solved.
#[derive(Clone, Copy)]
pub struct JointProblem<'a> {
    /// The visits.
    pub visits: &'a dyn JointVisits,
    /// Shape of the patch, `(rows, cols)`.
    pub shape: (usize, usize),
    /// The band and its subfilters.
    pub spectrum: &'a Spectrum,
    /// PSF of the model; `None` takes that of the sharpest visit. A blurrier one costs a little
    /// resolution, a sharper one gains nothing.
    pub fiducial: Option<&'a PsfStamp>,
}

/// Callback after each iteration, with the number done and the maximum; `false` stops the solve.
pub type JointProgress<'a> = dyn FnMut(usize, usize) -> bool + 'a;
