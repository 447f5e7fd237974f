//! The solution of the joint solver.

use ndarray::{Array2, Array3};
use serde::{Deserialize, Serialize};

use crate::calibration::CalibrationReport;
use crate::joint::noise::covariance::{Covariance, NoiseMaps};
use crate::joint::noise::identifiability::Identifiability;
use crate::joint::noise::stars::StarNoise;
use crate::joint::problem::psf::PsfStamp;
use crate::joint::robust::changing::ChangingSource;
use crate::kernel::PixelShift;

/// A solved patch.
#[derive(Clone, Debug)]
pub struct JointSolution {
    /// Fluxes of the subfilters at the fiducial PSF, blue to red, `(subfilters, rows, cols)`, over
    /// the patch and `border` pixels around it.
    pub planes_ayx: Array3<f32>,
    /// Border of the planes beyond the patch, px.
    pub border: usize,
    /// Pixels with used data of some visit. Elsewhere the planes are extrapolated and must not be
    /// trusted.
    pub covered_yx: Array2<bool>,
    /// Weight of the data at each pixel over that of all visits together, smoothed with the PSF.
    pub coverage_yx: Array2<f32>,
    /// Prior scale of the colours at each pixel, averaged over the PSF.
    pub prior_scale_yx: Array2<f32>,
    /// Variance of the planes' sum from the light of sources, over that from the sky, if all visits
    /// had their mean light.
    pub source_noise_yx: Array2<f32>,
    /// Noise of the planes, mode by mode.
    pub covariance: Covariance,
    /// Noise of the subfilters on bright sources.
    pub star_noise: StarNoise,
    /// Identifiability of colours.
    pub identifiability: Identifiability,
    /// The PSF of the planes.
    pub fiducial: PsfStamp,
    /// The visit of the fiducial PSF; `None` if the PSF was an input.
    pub fiducial_visit: Option<usize>,
    /// Noise per pixel of the weighted coadd of all visits, σ_c.
    pub sigma: f64,
    /// Reports of the visits, in their order.
    pub visits: Vec<VisitReport>,
    /// Clipped pixels of each visit: good in the input, but not used. Indices `row × cols + col` in
    /// the patch, ascending.
    pub clipped: Vec<Vec<u32>>,
    /// Sources whose flux differs between visits.
    pub changing: Vec<ChangingSource>,
    /// Report of the solve.
    pub report: JointReport,
}

impl JointSolution {
    /// Converts to a unit that is `unit` times smaller: planes are multiplied by it.
    pub(crate) fn rescaled_by(mut self, unit: f32) -> Self {
        self.planes_ayx *= unit;
        self.prior_scale_yx *= unit;
        self.sigma *= f64::from(unit);
        self.covariance.scale(unit);
        self.star_noise.scale(unit * unit);
        let calibrations = self.visits.iter_mut().filter_map(|visit| visit.calibration.as_mut());
        calibrations.for_each(|report| report.scale(f64::from(unit)));
        self
    }
}

impl JointSolution {
    /// Maps that the variance of templates depends on, with [`Self::covariance`].
    #[must_use]
    pub fn noise_maps(&self) -> NoiseMaps<'_> {
        NoiseMaps {
            coverage_yx: self.coverage_yx.view(),
            prior_scale_yx: self.prior_scale_yx.view(),
            source_noise_yx: self.source_noise_yx.view(),
        }
    }

    /// Variance of every pixel of subfilter `a`'s plane; infinite without data.
    ///
    /// # Panics
    ///
    /// If there is no such subfilter.
    #[must_use]
    pub fn plane_variance(&self, a: usize) -> Array2<f32> {
        let mut out = self.covariance.plane_variance(a, &self.noise_maps());
        self.star_noise.write(a, self.planes_ayx.dim().0, &self.coverage_yx, &mut out);
        out
    }

    /// Variance of every pixel of the planes' sum; infinite without data.
    #[must_use]
    pub fn flux_variance(&self) -> Array2<f32> {
        let mut source_noise_yx = self.source_noise_yx.clone();
        self.star_noise.write_source_noise(&mut source_noise_yx);
        let maps = NoiseMaps { source_noise_yx: source_noise_yx.view(), ..self.noise_maps() };
        self.covariance.flux_variance(&maps)
    }

    /// The planes without their border.
    #[must_use]
    pub fn patch_planes(&self) -> ndarray::ArrayView3<'_, f32> {
        let (rows, cols) = self.covered_yx.dim();
        let b = self.border;
        self.planes_ayx.slice(ndarray::s![.., b..b + rows, b..b + cols])
    }
}

/// Report on a visit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct VisitReport {
    /// Offset from the nominal position, px. The mean of all offsets is 0, and the effect of a
    /// change of the reference wavelength is projected out: the sky constrains neither.
    pub offset: PixelShift,
    /// All else in which the visit differs from all together, relative to its offset; `None` if it
    /// is not calibrated. Means over the visits, and what the sky could explain, are projected out.
    pub calibration: Option<CalibrationReport>,
    /// Seeing of the solver in pixels, from the PSF's transfer function
    /// ([`super::PsfStamp::seeing_px`]). The FWHM of the PSF differs by 6 to 15 %, because of
    /// pixels and wings.
    pub seeing_px: f64,
    /// Good pixels.
    pub good: usize,
    /// Good pixels that were clipped.
    pub clipped: usize,
    /// Mean over used pixels of the squared residual over the variance of the sky and of a
    /// saturated star's halo: 1, and more where other sources add noise.
    pub chi2: f64,
}

/// Report on a solve.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JointReport {
    /// Outcome of the solve.
    pub outcome: JointOutcome,
    /// Largest change of a visit's calibration in every round, as the displacement in pixels that
    /// changes a star as much.
    pub calibration_changes: Vec<f64>,
    /// Reports of the tiles, in their order.
    pub tiles: Vec<TileReport>,
}

/// Outcome of a solve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JointOutcome {
    /// Every tile reached its tolerance.
    #[default]
    Converged,
    /// Some tile reached the iteration limit: the solution is good except for its last digits.
    IterationLimit,
}

/// Convergence histories of a tile: the remaining rms error of predictions per pixel after each
/// iteration, in units of the weighted coadd's noise.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TileReport {
    /// First row and column of the tile's core.
    pub origin: (usize, usize),
    /// Shape of the core, `(rows, cols)`.
    pub shape: (usize, usize),
    /// The first solves, one after each round of clipping and of fitting offsets.
    pub first: Vec<Vec<f64>>,
    /// The final solve; empty for one subfilter and where there are no data.
    pub last: Vec<f64>,
}
