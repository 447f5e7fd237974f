//! The model of the joint solver: bordered planes, noise, and the PSF that the planes have.

use std::ops::Range;

use dcr_image::BBox;
use dcr_solver::joint::{Covariance, JointConfig, JointSolution, PsfError, PsfStamp};
use dcr_solver::kernel::Region;
use ndarray::{Array2, Array3, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::plane::ModelPlane;
use crate::config::CoaddConfig;
use crate::error::CoaddError;
use crate::geometry::cells::region_in;

/// The settings of a run that its templates need.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JointSettings {
    /// The settings of the joint solver.
    pub joint: JointConfig,
    /// Mask planes of pixels that are not used.
    pub bad: Vec<String>,
    /// Mask planes of sources.
    pub sources: Vec<String>,
}

/// The model of a joint solution.
#[derive(Debug)]
pub struct JointModel {
    /// The settings that templates need.
    pub settings: JointSettings,
    /// Width in px of the border of the planes around the patch.
    pub border: usize,
    /// The covariance of the planes' noise.
    pub covariance: Covariance,
    /// The PSF of the planes.
    pub fiducial: PsfStamp,
    /// Flux of each subfilter, blue to red, over the patch and its border.
    pub planes: Vec<ModelPlane<f32>>,
    /// 1 where the model is constrained by data, else 0, in each pixel of the patch.
    pub covered: ModelPlane<f32>,
    /// Coverage in each pixel of the patch, as a share of all data.
    pub coverage: ModelPlane<f32>,
    /// Prior scale of the spectral components in each pixel of the patch.
    pub prior_scale: ModelPlane<f32>,
    /// Variance by the sources' own noise over that of the sky, in each pixel of the patch.
    pub source_noise: ModelPlane<f32>,
}

/// The planes of a joint model over a part of the patch.
#[derive(Clone, Debug)]
pub struct JointModelPart {
    /// The part.
    pub held: BBox,
    /// The planes over the part, with the model's border around it.
    pub planes_ayx: Array3<f32>,
    /// True where the model is constrained by data.
    pub covered_yx: Array2<bool>,
    /// Coverage, as a share of all data.
    pub coverage_yx: Array2<f32>,
    /// Prior scale of the spectral components.
    pub prior_scale_yx: Array2<f32>,
    /// Variance by the sources' own noise over that of the sky.
    pub source_noise_yx: Array2<f32>,
}

impl JointModel {
    /// The model of a solution.
    ///
    /// # Errors
    ///
    /// [`PsfError`] if the PSF of the planes is no PSF.
    pub(crate) fn of(
        solution: &JointSolution,
        joint: &JointConfig,
        coadd: &CoaddConfig,
    ) -> Result<Self, PsfError> {
        let covered = solution.covered_yx.mapv(|covered| f32::from(u8::from(covered)));
        Ok(Self {
            settings: JointSettings {
                joint: joint.clone(),
                bad: coadd.bad_mask_planes.clone(),
                sources: coadd.convergence_mask_planes.clone(),
            },
            border: solution.border,
            covariance: solution.covariance.clone(),
            // As it is read from a file.
            fiducial: PsfStamp::new(solution.fiducial.pixels().clone())?,
            planes: solution
                .planes_ayx
                .axis_iter(Axis(0))
                .map(|plane| ModelPlane::Memory(plane.to_owned()))
                .collect(),
            covered: ModelPlane::Memory(covered),
            coverage: ModelPlane::Memory(solution.coverage_yx.clone()),
            prior_scale: ModelPlane::Memory(solution.prior_scale_yx.clone()),
            source_noise: ModelPlane::Memory(solution.source_noise_yx.clone()),
        })
    }

    /// Reads the planes over the box `held` of `patch`, and as far around it as the border is wide.
    ///
    /// # Errors
    ///
    /// [`CoaddError`] if the file cannot be read.
    pub fn part(&self, held: BBox, patch: &BBox) -> Result<JointModelPart, CoaddError> {
        let Region { rows, cols } = region_in(&held, patch);
        let bordered = |range: &Range<usize>| range.start..range.end + 2 * self.border;
        let maps = [&self.covered, &self.coverage, &self.prior_scale, &self.source_noise];
        let planes = self.planes.par_iter().map(|plane| plane.read(bordered(&rows), bordered(&cols)));
        let maps = maps.into_par_iter().map(|map| map.read(rows.clone(), cols.clone()));
        let mut read: Vec<Array2<f32>> = planes.chain(maps).collect::<Result<_, _>>()?;
        let maps = read.split_off(self.planes.len());
        let (height, width) = held.grown(self.border).shape();
        let mut planes_ayx = Array3::zeros((read.len(), height, width));
        for (mut target, plane) in planes_ayx.axis_iter_mut(Axis(0)).zip(read) {
            target.assign(&plane);
        }
        let Ok::<[_; 4], _>([covered, coverage_yx, prior_scale_yx, source_noise_yx]) = maps.try_into() else {
            unreachable!("each of the maps was read")
        };
        Ok(JointModelPart {
            held,
            planes_ayx,
            covered_yx: covered.mapv(|covered| covered > 0.0),
            coverage_yx,
            prior_scale_yx,
            source_noise_yx,
        })
    }
}
