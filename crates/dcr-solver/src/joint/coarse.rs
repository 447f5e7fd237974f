//! The patch's visits on a coarse grid of frequencies, without masks: what noise is made of. PSFs are small, so that 33 × 33 frequencies are enough,
//! whatever the patch's size.

use rustfft::num_complex::{Complex32, Complex64};

use super::config::JointConfig;
use super::frequencies::Frequencies;
use super::hermitian::{Hermitian, upper};
use super::operator::add_hessian;
use super::psf::PsfStamp;
use super::solve::{JointError, JointProblem};
use super::spectrum::Spectrum;
use super::transfer::{Fiducial, displace, visit_transfer};
use crate::kernel::{PixelShift, Region};

/// Side of the frequency grid.
pub(crate) const SIDE: usize = 33;

/// The data's Hessian of all visits, seen from the patch's middle.
pub(crate) struct Coarse {
    pub(crate) frequencies: Frequencies,
    pub(crate) fiducial: Fiducial,
    n: usize,
    /// Upper triangles, `kx × pair × ky`.
    hessian: Vec<Complex64>,
}

impl Coarse {
    pub(crate) fn of_visits(
        problem: &JointProblem,
        config: &JointConfig,
        fiducial: &PsfStamp,
        offsets: &[PixelShift],
    ) -> Result<Self, JointError> {
        let frequencies = Frequencies::new((SIDE, SIDE));
        let whole = Region::whole(problem.shape);
        let n = problem.spectrum.count();
        let fiducial = Fiducial::new(fiducial, &frequencies);
        let pairs = n * (n + 1) / 2;
        let mut hessian = vec![Complex64::default(); frequencies.x.len() * pairs * SIDE];
        for (visit, offset) in offsets.iter().enumerate() {
            let psf = problem.visits.psf(visit, &whole).map_err(JointError::Source)?;
            let displacements = problem.visits.displacements(visit, &whole);
            let mut transfer =
                visit_transfer(&frequencies, problem.spectrum, &fiducial, Some(&psf), &displacements, config);
            displace(&mut transfer, &frequencies, n, *offset);
            let weight = 1.0 / problem.visits.noise(visit).sky_variance;
            for (out, transfer) in hessian.chunks_exact_mut(pairs * SIDE).zip(transfer.chunks_exact(n * SIDE))
            {
                add_hessian(out, n, weight, transfer);
            }
        }
        Ok(Self { frequencies, fiducial, n, hessian })
    }

    /// Number of modes, `kx × ky`.
    pub(crate) fn modes(&self) -> usize {
        self.frequencies.x.len() * SIDE
    }

    /// The Hessian at a mode.
    pub(crate) fn at(&self, mode: usize) -> Hermitian {
        let pairs = self.n * (self.n + 1) / 2;
        let mut out = Hermitian::zeros(self.n);
        for (pair, (a, b)) in upper(self.n).enumerate() {
            out.add(a, b, self.hessian[(mode / SIDE * pairs + pair) * SIDE + mode % SIDE]);
        }
        out
    }
}

/// An exposure's transfer functions on the coarse grid.
pub(crate) fn coarse_transfer(
    spectrum: &Spectrum,
    fiducial: &PsfStamp,
    psf: Option<&PsfStamp>,
    displacements: &[PixelShift],
    config: &JointConfig,
) -> Vec<Complex32> {
    let frequencies = Frequencies::new((SIDE, SIDE));
    visit_transfer(&frequencies, spectrum, &Fiducial::new(fiducial, &frequencies), psf, displacements, config)
}
