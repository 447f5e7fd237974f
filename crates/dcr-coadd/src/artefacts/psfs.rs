//! The PSFs of the exposures of a patch, place by place, and the kernels between them.

use dcr_image::{Psf, Stamp};
use ndarray::Array2;

use crate::coadd::psf_selection::average;
use crate::error::CoaddError;
use crate::inputs::Input;
use crate::joint::atmospheric_stamp;
use crate::patch::state::PatchState;
use dcr_measure::convolve::turned;
use dcr_measure::psf_kernel::kernel_between;

/// FWHM of a Gaussian with σ = 1.
pub(super) const FWHM_PER_SIGMA: f64 = dcr_image::psf::FWHM_PER_SIGMA;
/// A kernel of no more than one pixel is none.
const POINT: usize = 1;

/// Kernels of each exposure, turned for correlation, in the cells of the patch; one for all cells
/// where PSFs are constant.
pub(super) struct PsfKernels {
    visits: Vec<Vec<Option<Array2<f32>>>>,
}

impl PsfKernels {
    /// Kernels from the weighted mean PSF of all exposures to each exposure's. An exposure without
    /// PSF has none.
    ///
    /// # Errors
    ///
    /// [`CoaddError::Psf`] if the PSFs sum to nothing.
    pub(super) fn to_visits(state: &PatchState, weights: &[f64]) -> Result<Self, CoaddError> {
        let mut visits = vec![vec![]; state.survey.inputs.visits.len()];
        for place in places(state) {
            let stamps: Vec<Option<Stamp>> =
                state.survey.inputs.visits.iter().map(|visit| stamp_at(visit, place)).collect();
            let known: Vec<(&Stamp, f64)> =
                stamps.iter().zip(weights).filter_map(|(stamp, w)| Some((stamp.as_ref()?, *w))).collect();
            if known.is_empty() {
                return Ok(Self { visits: vec![vec![None]; visits.len()] });
            }
            let mean = average(&known)?;
            for (kernels, stamp) in visits.iter_mut().zip(&stamps) {
                let kernel = stamp.as_ref().map(|stamp| kernel_between(&mean, stamp));
                kernels.push(kernel.filter(|kernel| kernel.nrows() > POINT).map(|k| turned_f32(&k)));
            }
        }
        Ok(Self { visits })
    }

    /// The kernel of an exposure in a cell.
    pub(super) fn kernel(&self, visit: usize, cell: usize) -> Option<&Array2<f32>> {
        let kernels = &self.visits[visit];
        kernels[cell.min(kernels.len() - 1)].as_ref()
    }

    /// How far an exposure's kernels reach, in px.
    pub(super) fn reach(&self, visit: usize) -> usize {
        self.visits[visit].iter().flatten().map(|kernel| kernel.nrows() / 2).max().unwrap_or(0)
    }
}

/// A kernel turned for correlation, as pixels are.
pub(super) fn turned_f32(kernel: &Array2<f64>) -> Array2<f32> {
    turned(kernel.view()).mapv(|weight| weight as f32).as_standard_layout().into_owned()
}

/// Positions at which PSFs are evaluated: the centres of the cells, or only that of the patch if no
/// PSF varies.
fn places(state: &PatchState) -> Vec<(f64, f64)> {
    let varies =
        |visit: &Input| matches!(visit.file.psf(), Some(Psf::Grid(_) | Psf::PsfEx(_) | Psf::Parts(_)));
    if state.survey.inputs.visits.iter().any(varies) {
        state.division.cells.iter().map(dcr_image::BBox::centre).collect()
    } else {
        vec![state.survey.inputs.bbox.centre()]
    }
}

/// The common PSF of all exposures: of a given width, or the broadest; `None` if no PSF is known.
///
/// # Errors
///
/// [`CoaddError::Psf`] if the width makes no PSF.
pub(super) fn common_psf(state: &PatchState, fwhm_px: Option<f64>) -> Result<Option<Stamp>, CoaddError> {
    let place = state.survey.inputs.bbox.centre();
    if let Some(fwhm_px) = fwhm_px {
        return atmospheric_stamp(&Psf::Gaussian { fwhm_px }, place).map(Some);
    }
    let all = state.survey.inputs.visits.iter().filter_map(|visit| {
        let stamp = stamp_at(visit, place)?;
        let fwhm = stamp.fwhm_px().ok()?;
        Some((stamp, fwhm))
    });
    Ok(all.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(stamp, _)| stamp))
}

/// PSF of an exposure at a position: its own, or one of the FWHM in its header.
pub(super) fn stamp_at(visit: &Input, place: (f64, f64)) -> Option<Stamp> {
    match visit.file.psf() {
        Some(psf) => atmospheric_stamp(psf, place).ok(),
        None => {
            let fwhm_px = visit.fwhm_px(place)?;
            atmospheric_stamp(&Psf::Gaussian { fwhm_px }, place).ok()
        }
    }
}
