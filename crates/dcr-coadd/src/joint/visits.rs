//! The visits of a patch as the joint solver asks for them.

use std::borrow::Cow;

use dcr_image::{BBox, Psf, Stamp, Wcs};
use dcr_solver::joint::{JointVisits, Noise, PsfError, PsfField, PsfStamp};
use dcr_solver::kernel::{PixelShift, Region};
use dcr_solver::{Observations, Pixels, SourceError};

use crate::error::{CoaddError, InputError};
use crate::geometry::shifts::ShiftPlan;
use crate::inputs::store::Store;
use crate::inputs::{Input, Inputs};
use crate::joint::psf_cells::psf_cells;

/// Exponent of the Moffat profile closest to the atmosphere's PSF (Trujillo et al. 2001, MNRAS 328,
/// 977).
const ATMOSPHERE_BETA: f64 = 4.765;

/// The visits of a patch, with pixels from the store.
pub(crate) struct PatchVisits<'a> {
    store: &'a Store,
    inputs: &'a Inputs,
    plan: &'a ShiftPlan,
    noise: &'a [Noise],
}

impl<'a> PatchVisits<'a> {
    /// Visits with the pixels of `store` and displacements by `plan`.
    ///
    /// # Errors
    ///
    /// [`CoaddError`] for the first visit without a PSF, or with undefined displacements at a
    /// corner of the patch.
    pub(crate) fn new(
        store: &'a Store,
        inputs: &'a Inputs,
        plan: &'a ShiftPlan,
        noise: &'a [Noise],
    ) -> Result<Self, CoaddError> {
        let bbox = &inputs.bbox;
        let (x, y) = bbox.centre();
        for Input { file, sky, .. } in &inputs.visits {
            let Some(psf) = file.psf() else {
                return Err(InputError::NoPsf { path: file.path().to_owned() }.into());
            };
            atmospheric_stamp(psf, (x, y))?;
            for corner in corners(bbox) {
                plan.displacements(file.path(), sky, &inputs.wcs, corner)?;
            }
        }
        Ok(Self { store, inputs, plan, noise })
    }
}

impl JointVisits for PatchVisits<'_> {
    fn visits(&self) -> usize {
        self.inputs.visits.len()
    }

    fn noise(&self, visit: usize) -> Noise {
        self.noise[visit]
    }

    fn psf(&self, visit: usize, region: &Region) -> Result<Cow<'_, PsfStamp>, SourceError> {
        let file = &self.inputs.visits[visit].file;
        let Some(psf) = file.psf() else {
            return Err(InputError::NoPsf { path: file.path().to_owned() }.into());
        };
        let stamp = atmospheric_stamp(psf, middle(&self.inputs.bbox, region))?;
        Ok(Cow::Owned(solver_stamp(&stamp, psf)?))
    }

    fn psf_field(&self, visit: usize, region: &Region) -> Result<PsfField, SourceError> {
        let file = &self.inputs.visits[visit].file;
        let Some(psf) = file.psf() else {
            return Err(InputError::NoPsf { path: file.path().to_owned() }.into());
        };
        let stamp = |cell: Region| {
            let stamp = atmospheric_stamp(psf, middle(&self.inputs.bbox, &cell))?;
            Ok((cell, solver_stamp(&stamp, psf)?))
        };
        let cells = psf_cells(psf, &self.inputs.bbox, region).into_iter().map(stamp);
        let field = PsfField::of_cells(cells.collect::<Result<_, SourceError>>()?);
        field.map_or_else(|| Ok(PsfField::constant(self.psf(visit, region)?.into_owned())), Ok)
    }

    fn displacements(&self, visit: usize, region: &Region) -> Cow<'_, [PixelShift]> {
        let (input, place) = (&self.inputs.visits[visit], middle(&self.inputs.bbox, region));
        displacements_at(self.plan, input.file.path(), &input.sky, &self.inputs.wcs, place)
    }

    fn pixels(&self, visit: usize, region: &Region) -> Result<Pixels<'_>, SourceError> {
        Observations::pixels(self.store, visit, region)
    }
}

/// PSF stamp at `(x, y)`. A PSF known only by its FWHM gets Moffat wings (β = 4.765).
pub fn atmospheric_stamp(psf: &Psf, (x, y): (f64, f64)) -> Result<Stamp, CoaddError> {
    let stamp = match psf.at(x, y) {
        Psf::Gaussian { fwhm_px } => Psf::Moffat { fwhm_px: *fwhm_px, beta: ATMOSPHERE_BETA }.stamp_at(x, y),
        psf => psf.stamp_at(x, y),
    };
    Ok(stamp?)
}

/// A stamp of a PSF as the solver's: both are centred on their middle pixel.
pub fn solver_stamp(stamp: &Stamp, psf: &Psf) -> Result<PsfStamp, PsfError> {
    let stamp = PsfStamp::new(stamp.pixels().clone())?;
    Ok(if psf.includes_refraction() { stamp.with_refraction() } else { stamp })
}

/// Displacements at a position; empty where they are undefined, which the solver refuses.
pub fn displacements_at(
    plan: &ShiftPlan,
    path: &std::path::Path,
    sky: &crate::inputs::sky::Sky,
    wcs: &Wcs,
    place: (f64, f64),
) -> Cow<'static, [PixelShift]> {
    Cow::Owned(plan.displacements(path, sky, wcs, place).unwrap_or_default())
}

/// The middle of a region of the patch, in the parent's pixels.
pub fn middle(patch: &BBox, region: &Region) -> (f64, f64) {
    let part = BBox::new(
        patch.x0 + region.cols.start as i64,
        patch.y0 + region.rows.start as i64,
        region.cols.len(),
        region.rows.len(),
    );
    part.centre()
}

/// The middles of the corner pixels.
pub fn corners(bbox: &BBox) -> [(f64, f64); 4] {
    let (left, right) = (bbox.x0 as f64, (bbox.x1() - 1) as f64);
    let (bottom, top) = (bbox.y0 as f64, (bbox.y1() - 1) as f64);
    [(left, bottom), (right, bottom), (left, top), (right, top)]
}
