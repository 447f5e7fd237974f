//! The visits of a patch on a coarse grid of frequencies, without masks, for the propagation of
//! noise. PSFs are small: 33 × 33 frequencies are enough for any patch.

use rustfft::num_complex::{Complex32, Complex64};

use crate::joint::config::JointConfig;
use crate::joint::error::JointError;
use crate::joint::fourier::frequencies::Frequencies;
use crate::joint::operator::tile::add_hessian;
use crate::joint::operator::transfer::{Fiducial, displace, visit_transfer};
use crate::joint::problem::JointProblem;
use crate::joint::problem::psf::PsfStamp;
use crate::joint::problem::spectrum::Spectrum;
use crate::joint::problem::visits::{Noise, representatives_of};
use crate::kernel::{PixelShift, Region};
use crate::linalg::hermitian::{Hermitian, upper};

/// Side of the frequency grid.
pub(crate) const SIDE: usize = 33;
/// Maximum number of representative visits.
const REPRESENTATIVES: usize = 8;

/// Hessian of all visits in the middle of the patch.
pub(crate) struct Coarse {
    pub(crate) frequencies: Frequencies,
    pub(crate) fiducial: Fiducial,
    n: usize,
    /// Upper triangles, `kx × pair × ky`.
    hessian: Vec<Complex64>,
    /// Representative visits.
    pub(crate) representatives: Vec<Representative>,
}

/// A visit that represents those of similar refraction.
pub(crate) struct Representative {
    /// Number of visits represented.
    pub(crate) count: f64,
    pub(crate) noise: Noise,
    /// Transfer functions, `kx × subfilter × ky`.
    transfer: Vec<Complex32>,
}

impl Representative {
    /// The transfer function of subfilter `a` of `n` at a mode.
    pub(crate) fn at(&self, mode: usize, a: usize, n: usize) -> Complex64 {
        let value = self.transfer[(mode / SIDE * n + a) * SIDE + mode % SIDE];
        Complex64::new(f64::from(value.re), f64::from(value.im))
    }
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
        let counts = representatives(problem);
        let mut representatives = vec![];
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
            if counts[visit] > 0.0 {
                let noise = problem.visits.noise(visit);
                representatives.push(Representative { count: counts[visit], noise, transfer });
            }
        }
        Ok(Self { frequencies, fiducial, n, hessian, representatives })
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

/// Number of visits that each visit represents, itself included; 0 for most. Along the line of
/// largest spread in refraction, representatives are in the middle of parts of equal weight.
fn representatives(problem: &JointProblem) -> Vec<f64> {
    let count = problem.visits.visits();
    let whole = Region::whole(problem.shape);
    let refraction: Vec<(f64, f64)> = (0..count)
        .map(|visit| {
            let displacements = problem.visits.displacements(visit, &whole);
            let (first, last) = (displacements[0], displacements[displacements.len() - 1]);
            (last.dy - first.dy, last.dx - first.dx)
        })
        .collect();
    let mean = |of: &dyn Fn(&(f64, f64)) -> f64| refraction.iter().map(of).sum::<f64>() / count as f64;
    let (my, mx) = (mean(&|r| r.0), mean(&|r| r.1));
    let spread = |of: &dyn Fn(f64, f64) -> f64| mean(&|r| of(r.0 - my, r.1 - mx));
    let angle = 0.5 * (2.0 * spread(&|y, x| y * x)).atan2(spread(&|y, x| x * x - y * y));
    let along = |visit: usize| refraction[visit].1 * angle.cos() + refraction[visit].0 * angle.sin();
    let weight = |visit: usize| 1.0 / problem.visits.noise(visit).sky_variance;
    let mut out = vec![0.0; count];
    for (visit, stands_for) in representatives_of(count, along, weight, REPRESENTATIVES) {
        out[visit] = stands_for / weight(visit);
    }
    out
}

/// Transfer functions of an exposure on the coarse grid.
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

#[cfg(test)]
pub(crate) mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::joint::fixtures::fine_band;
    use crate::joint::{JointInMemory, JointVisit};

    /// Visits without pixels, with these refractions and sky variances.
    pub(crate) fn visits(of: &[(f64, f64)]) -> JointInMemory {
        let visit = |(refraction, sky_variance): &(f64, f64)| {
            let displacement = |w: &f64| PixelShift { dy: refraction * (475.0 - w) / 144.0, dx: 0.1 };
            let displacements = fine_band().wavelengths().iter().map(displacement).collect();
            let noise = Noise { sky_variance: *sky_variance, shot: 0.5 };
            let (image, flags) = (Array2::zeros((0, 0)), Array2::zeros((0, 0)));
            JointVisit { image, flags, noise, psf: PsfStamp::gaussian(3.5).unwrap(), displacements }
        };
        JointInMemory { visits: of.iter().map(visit).collect() }
    }

    pub(crate) fn coarse(visits: &JointInMemory, shape: (usize, usize)) -> Coarse {
        let (spectrum, psf) = (fine_band(), PsfStamp::gaussian(3.5).unwrap());
        let problem = JointProblem { visits, shape, spectrum: &spectrum, fiducial: None };
        let offsets = vec![PixelShift::default(); visits.visits.len()];
        Coarse::of_visits(&problem, &JointConfig::default(), &psf, &offsets).unwrap()
    }

    #[test]
    fn representatives_stand_for_all_the_weight() {
        let few = coarse(&visits(&[(1.0, 1.0), (-1.0, 2.0)]), (64, 64));
        assert!(few.representatives.iter().all(|one| one.count == 1.0) && few.representatives.len() == 2);
        // Twenty, of three different weights, with refraction out of order.
        let many: Vec<(f64, f64)> =
            (0..20).map(|i| (f64::from(i * 7 % 20) - 9.5, [1.0, 2.0, 4.0][i as usize % 3])).collect();
        let representatives = coarse(&visits(&many), (64, 64)).representatives;
        assert!(representatives.len() <= REPRESENTATIVES && representatives.len() > REPRESENTATIVES / 2);
        let weight: f64 = representatives.iter().map(|one| one.count / one.noise.sky_variance).sum();
        let all: f64 = many.iter().map(|(_, variance)| 1.0 / variance).sum();
        assert!((weight / all - 1.0).abs() < 1e-12, "{weight} {all}");
    }
}
