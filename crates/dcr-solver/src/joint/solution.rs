//! What the joint solver answers.

use ndarray::{Array2, Array3};
use serde::{Deserialize, Serialize};

use crate::joint::noise::covariance::{Covariance, NoiseMaps};
use crate::joint::noise::identifiability::Identifiability;
use crate::joint::noise::stars::StarNoise;
use crate::joint::problem::psf::PsfStamp;
use crate::kernel::PixelShift;

/// A solved patch.
#[derive(Clone, Debug)]
pub struct JointSolution {
    /// Fluxes of the subfilters at the fiducial PSF, blue to red, `(subfilters, rows, cols)`: over the patch and `border` pixels around
    /// it, where light is that is seen inside.
    pub planes_ayx: Array3<f32>,
    /// By how many pixels the planes reach beyond the patch.
    pub border: usize,
    /// Pixels where some visit has data that were used. Elsewhere the planes are a guess from what is around: never trust it.
    pub covered_yx: Array2<bool>,
    /// Weight of the data at each pixel over that of all visits together, smoothed with the PSF.
    pub coverage_yx: Array2<f32>,
    /// How far colours could depart from the flat spectrum at each pixel: the prior's width, averaged over the PSF.
    pub freedom_yx: Array2<f32>,
    /// Variance that sources' light adds to the planes' sum, over that of the sky, if all visits had their mean light.
    pub source_noise_yx: Array2<f32>,
    /// Noise of the planes, mode by mode.
    pub covariance: Covariance,
    /// Noise of the subfilters on bright sources.
    pub star_noise: StarNoise,
    /// What the visits can tell of colours.
    pub identifiability: Identifiability,
    /// The PSF of the planes.
    pub fiducial: PsfStamp,
    /// The visit whose PSF that is, unless it was given.
    pub fiducial_visit: Option<usize>,
    /// Noise per pixel of the weighted coadd of all visits, σ_c.
    pub sigma: f64,
    /// One element for each visit.
    pub visits: Vec<VisitReport>,
    /// For each visit the clipped pixels: good in the input, not used. Index `row × cols + col` in the patch, ascending.
    pub clipped: Vec<Vec<u32>>,
    /// The course of the work.
    pub report: JointReport,
}

impl JointSolution {
    /// Back from this unit to that of the images.
    pub(crate) fn out_of(mut self, unit: f32) -> Self {
        self.planes_ayx *= unit;
        self.freedom_yx *= unit;
        self.sigma *= f64::from(unit);
        self.covariance.scale(unit);
        self.star_noise.scale(unit * unit);
        self
    }
}

impl JointSolution {
    /// What the variance of templates follows from, with [`Self::covariance`].
    #[must_use]
    pub fn noise_maps(&self) -> NoiseMaps<'_> {
        NoiseMaps {
            coverage_yx: self.coverage_yx.view(),
            freedom_yx: self.freedom_yx.view(),
            source_noise_yx: self.source_noise_yx.view(),
        }
    }

    /// The variance of every pixel of subfilter `a`'s plane; infinite where nothing is known.
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

    /// The variance of every pixel of the planes' sum; infinite where nothing is known.
    #[must_use]
    pub fn total_variance(&self) -> Array2<f32> {
        let mut source_noise_yx = self.source_noise_yx.clone();
        self.star_noise.write_source_noise(&mut source_noise_yx);
        let maps = NoiseMaps { source_noise_yx: source_noise_yx.view(), ..self.noise_maps() };
        self.covariance.total_variance(&maps)
    }

    /// The planes without their border.
    #[must_use]
    pub fn patch_planes(&self) -> ndarray::ArrayView3<'_, f32> {
        let (rows, cols) = self.covered_yx.dim();
        let b = self.border;
        self.planes_ayx.slice(ndarray::s![.., b..b + rows, b..b + cols])
    }
}

/// What was found out about a visit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct VisitReport {
    /// Its offset from where it was said to be, in pixels. Of all visits' offsets the mean is 0, and what a change of
    /// the reference wavelength would do is taken out: neither can be told from the sky.
    pub offset: PixelShift,
    /// Its flux over the model's, minus 1: reported, not applied. `None` where nothing was bright enough, or no offsets were fitted.
    pub flux_excess: Option<f64>,
    /// The error of that from noise.
    pub flux_error: Option<f64>,
    /// Seeing in pixels, from the PSF's transfer function ([`super::PsfStamp::seeing_px`]): what the solver
    /// works with. It is not the FWHM of the PSF, which a pixel and other wings make another by 6 to 15 %.
    pub seeing_px: f64,
    /// Good pixels.
    pub good: usize,
    /// Those of them that were clipped.
    pub clipped: usize,
    /// Mean of the squared residual over the sky's variance, and that of a saturated star's halo, over the pixels used: 1, and more where other sources add noise.
    pub chi2: f64,
}

/// The course of a solve.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JointReport {
    /// How it ended.
    pub outcome: JointOutcome,
    /// The largest change of a visit's offset in every round of fitting, in pixels.
    pub offset_changes: Vec<f64>,
    /// One element for each tile.
    pub tiles: Vec<TileReport>,
}

/// How a solve ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JointOutcome {
    /// Every tile reached its tolerance.
    #[default]
    Converged,
    /// Some tile made the most iterations: the solution is good, its last digits are not.
    IterationLimit,
}

/// The course of a tile's solves: after each iteration the rms error of predictions that is left, per pixel, in units of the weighted coadd's noise.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TileReport {
    /// First row and column of the tile's own pixels.
    pub origin: (usize, usize),
    /// Its shape, `(rows, cols)`.
    pub shape: (usize, usize),
    /// The first solves, one after each round of clipping and of fitting offsets.
    pub first: Vec<Vec<f64>>,
    /// The final solve; empty for one subfilter and where there are no data.
    pub last: Vec<f64>,
}
