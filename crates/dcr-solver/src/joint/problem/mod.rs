//! The problem that the joint solver is given: visits, noise, PSFs and the band.

pub(crate) mod psf;
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
    /// The PSF that the model is to have; `None`: that of the sharpest visit. A blurrier one than the sharpest visit's costs a little
    /// resolution, a sharper one gains nothing.
    pub fiducial: Option<&'a PsfStamp>,
}

/// Called after each iteration with how many are done and how many there can be; `false` stops the solve.
pub type JointProgress<'a> = dyn FnMut(usize, usize) -> bool + 'a;
