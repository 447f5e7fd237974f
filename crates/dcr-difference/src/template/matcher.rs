//! Prediction of an iterative model for an exposure, on the patch's own pixels.

use crate::error::DifferenceError;
use dcr_coadd::{InputError, ModelError};
use std::path::Path;

use dcr_image::{BBox, MaskPlanes, MaskedImage, Stamp, Wcs, remap};
use dcr_solver::iterative::{ForwardPlanes, Interpolation};
use dcr_solver::kernel::Region;
use dcr_solver::{SpectralBasis, SubfilterShift};
use ndarray::{Array2, Array3, ArrayView2, ArrayView3, Axis, s};
use rayon::prelude::*;

use dcr_coadd::config::{MatchConfig, TemplateVariance};
use dcr_coadd::geometry::basis::spectral_basis;
use dcr_coadd::geometry::cells::{cells, region_in};
use dcr_coadd::geometry::prediction::{
    RESPONSE_REACH, predict_image, predict_mask, predict_variance, support,
};
use dcr_coadd::geometry::shifts::{ShiftPlan, Split};
use dcr_coadd::inputs::sky::Sky;
use dcr_coadd::model::{Model, SubfilterPart};

/// Makes predictions of one run.
pub(crate) struct Matcher<'a> {
    model: &'a Model,
    /// The dictionary of the masks made.
    planes: &'a MaskPlanes,
    config: &'a MatchConfig,
    plan: ShiftPlan,
    basis: SpectralBasis,
    cells: Vec<BBox>,
    kept: Option<ModelPlanes>,
}

/// The model in memory, ready to be displaced.
struct ModelPlanes {
    planes: ForwardPlanes,
    variance_byx: Array3<f32>,
    mask: Array2<i32>,
}

impl<'a> Matcher<'a> {
    /// # Errors
    ///
    /// [`DifferenceError`] if the band cannot be divided.
    pub(crate) fn new(
        model: &'a Model,
        planes: &'a MaskPlanes,
        config: &'a MatchConfig,
    ) -> Result<Self, DifferenceError> {
        let metadata = &model.metadata;
        let grid = metadata.band.wavelength_grid(metadata.subfilters)?;
        let basis = spectral_basis(&grid, metadata.spectrum);
        let split = if config.split_subfilters { Split::From(0.0) } else { Split::Never };
        let split = split.of_subfilters(metadata.subfilters);
        let plan = ShiftPlan { grid, reference: metadata.reference, rule: metadata.rule, split };
        let cells = cells(&model.bbox, metadata.cell);
        Ok(Self { model, planes, config, plan, basis, cells, kept: None })
    }

    /// Keeps the model in memory, for many exposures. A model displaced by Fourier shifts is read
    /// anew for each.
    ///
    /// # Errors
    ///
    /// [`DifferenceError`] if the run cannot be read.
    pub(crate) fn keep_model(&mut self) -> Result<(), DifferenceError> {
        if let Interpolation::Spline(order) = self.config.order {
            let SubfilterPart { image_byx, variance_byx, mask } = self.part(self.model.bbox)?;
            let planes = ForwardPlanes::new(image_byx.view(), &self.basis, order);
            self.kept = Some(ModelPlanes { planes, variance_byx, mask });
        }
        Ok(())
    }

    /// The subfilters in a box.
    fn part(&self, part: BBox) -> Result<SubfilterPart, DifferenceError> {
        let not_iterative = || ModelError::NotARun {
            path: self.model.path().to_owned(),
            reason: "it is a model of the joint solver".into(),
        };
        Ok(self.model.subfilters(part)?.ok_or_else(not_iterative)?)
    }

    /// The PSF at a place of the patch; `None` if the coadd has none.
    ///
    /// # Errors
    ///
    /// [`CoaddError::Psf`] if it makes no stamp there.
    pub(crate) fn psf_at(&self, (x, y): (f64, f64)) -> Result<Option<Stamp>, DifferenceError> {
        Ok(self.model.psf.as_ref().map(|psf| psf.stamp_at(x, y)).transpose()?)
    }

    /// The displacements in the middle of a box of an image with the WCS `wcs`.
    ///
    /// # Errors
    ///
    /// As [`ShiftPlan::shifts`].
    pub(crate) fn shifts(
        &self,
        path: &Path,
        sky: &Sky,
        wcs: &Wcs,
        bbox: &BBox,
    ) -> Result<Vec<SubfilterShift>, DifferenceError> {
        Ok(self.plan.shifts(path, sky, wcs, bbox, bbox)?)
    }

    /// Predicts the exposure at `path`, under this sky, in a box of the patch. Pixels that receive
    /// light from beyond the patch are NaN and flagged NO_DATA.
    ///
    /// # Errors
    ///
    /// [`DifferenceError`] if the run cannot be read, or the exposure's displacements are
    /// undefined.
    pub(crate) fn predict(&self, path: &Path, sky: &Sky, own: BBox) -> Result<MaskedImage, DifferenceError> {
        let (patch, wcs) = (self.model.bbox, &self.model.wcs);
        let mut out = MaskedImage {
            bbox: own,
            image: Array2::from_elem(own.shape(), f32::NAN),
            mask: Array2::from_elem(own.shape(), self.model.planes.bits_of(["NO_DATA"])),
            variance: Array2::from_elem(own.shape(), f32::NAN),
        };
        let parts: Vec<(BBox, &BBox)> =
            self.cells.iter().filter_map(|cell| Some((cell.intersection(&own)?, cell))).collect();
        let predicted: Vec<Result<Option<MaskedImage>, DifferenceError>> = parts
            .par_iter()
            .map(|(part, cell)| {
                let shifts = self.plan.shifts(path, sky, wcs, &patch, cell)?;
                self.predict_part(part, &shifts)
            })
            .collect();
        for part in predicted {
            let Some(part) = part? else { continue };
            let target = region_in(&part.bbox, &own);
            target.of_mut(out.image.view_mut()).assign(&part.image);
            target.of_mut(out.variance.view_mut()).assign(&part.variance);
            target.of_mut(out.mask.view_mut()).assign(&part.mask);
        }
        if self.model.planes != *self.planes {
            remap(&mut out.mask, &self.model.planes, self.planes)
                .map_err(|source| InputError::Mask { path: self.model.path().to_owned(), source })?;
        }
        Ok(out)
    }

    /// The part of a prediction that lies in one cell, cropped to its support.
    fn predict_part(
        &self,
        part: &BBox,
        shifts: &[SubfilterShift],
    ) -> Result<Option<MaskedImage>, DifferenceError> {
        let reach = shifts.iter().map(SubfilterShift::reach).fold(0.0, f64::max);
        let around = part.grown(reach.ceil() as usize + RESPONSE_REACH).clipped(&self.model.bbox);
        let supported = support(around.shape(), shifts).intersection(&region_in(part, &around));
        if supported.rows.is_empty() || supported.cols.is_empty() {
            return Ok(None);
        }
        let bbox = BBox::new(
            around.x0 + supported.cols.start as i64,
            around.y0 + supported.rows.start as i64,
            supported.cols.len(),
            supported.rows.len(),
        );
        let (image, (variance, mask)) = match &self.kept {
            Some(kept) => {
                let mut image = Array2::zeros(bbox.shape());
                kept.planes.forward(shifts, &region_in(&bbox, &self.model.bbox), image.view_mut());
                let Region { rows, cols } = region_in(&around, &self.model.bbox);
                let variance_byx = kept.variance_byx.slice(s![.., rows.clone(), cols.clone()]);
                (image, self.noise_and_mask(variance_byx, kept.mask.slice(s![rows, cols]), shifts))
            }
            None => {
                let SubfilterPart { image_byx, variance_byx, mask } = self.part(around)?;
                let image = predict_image(image_byx.view(), &self.basis, shifts, self.config.order);
                (cut(&image, &supported), self.noise_and_mask(variance_byx.view(), mask.view(), shifts))
            }
        };
        let (variance, mask) = (cut(&variance, &supported), cut(&mask, &supported));
        Ok(Some(MaskedImage { bbox, image, mask, variance }))
    }

    /// The variance and the mask of a prediction from a part of the model.
    fn noise_and_mask(
        &self,
        variance_byx: ArrayView3<'_, f32>,
        mask: ArrayView2<'_, i32>,
        shifts: &[SubfilterShift],
    ) -> (Array2<f32>, Array2<i32>) {
        let order = self.config.order;
        let variance = match self.config.variance {
            TemplateVariance::Propagated => predict_variance(variance_byx, &self.basis, shifts, order),
            // The reference leaves the variance where it is.
            TemplateVariance::Reference => &variance_byx.index_axis(Axis(0), 0) * shifts.len() as f32,
        };
        (variance, predict_mask(mask, shifts, order))
    }
}

fn cut<T: Clone>(plane: &Array2<T>, region: &Region) -> Array2<T> {
    region.of(&plane.view()).to_owned()
}
