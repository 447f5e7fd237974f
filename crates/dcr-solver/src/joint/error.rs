//! Errors of the joint solver.

use crate::joint::config::JointConfigError;
use crate::observation::SourceError;

/// Errors of [`solve_joint`](crate::joint::solve_joint) and
/// [`joint_template`](crate::joint::joint_template).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JointError {
    /// A setting outside its allowed range.
    #[error(transparent)]
    Config(#[from] JointConfigError),
    /// Pixels or a PSF could not be read.
    #[error("{0}")]
    Source(#[source] SourceError),
    /// A visit's noise is not a positive, finite number.
    #[error(
        "visit {visit}: sky variance {sky_variance}, shot noise {shot} per unit of signal; expected a positive variance and no negative shot noise"
    )]
    Noise {
        /// Index of the visit.
        visit: usize,
        /// Sky variance of the visit.
        sky_variance: f64,
        /// Shot noise of the visit.
        shot: f64,
    },
    /// A visit's displacements do not fit the spectrum.
    #[error("visit {visit}: {got} finite displacements for {expected} wavelengths")]
    Displacements {
        /// Index of the visit.
        visit: usize,
        /// Number of finite displacements.
        got: usize,
        /// Number of wavelengths.
        expected: usize,
    },
    /// Pixels of a shape other than the region's.
    #[error("visit {visit}: pixels of shape {got:?} for a region of shape {expected:?}")]
    Shape {
        /// Index of the visit.
        visit: usize,
        /// Shape of the pixels.
        got: (usize, usize),
        /// Shape of the region.
        expected: (usize, usize),
    },
    /// No visit has a good pixel.
    #[error("no visit has a good pixel in the patch")]
    NoData,
    /// The caller asked to stop.
    #[error("stopped on request")]
    Cancelled,
}
