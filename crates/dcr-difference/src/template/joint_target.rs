//! An exposure as the joint solver asks for it, on the pixels of a patch.

use crate::error::DifferenceError;
use dcr_coadd::InputError;
use std::borrow::Cow;

use dcr_image::resample::{WarpKernel, warp_stamp};
use dcr_image::{MaskedImage, Stamp};
use dcr_solver::joint::{JointVisits, Noise, PsfField, PsfStamp};
use dcr_solver::kernel::{PixelShift, Region};
use dcr_solver::{Pixels, SourceError};
use ndarray::Array2;

use crate::template::target::Target;
use dcr_coadd::config::CoaddConfig;
use dcr_coadd::geometry::shifts::ShiftPlan;
use dcr_coadd::inputs::pixels::{PixelReader, leave_out};
use dcr_coadd::joint::psf_cells::{psf_cells, psf_cells_elsewhere};
use dcr_coadd::joint::solver_stamp;
use dcr_coadd::joint::visits::{atmospheric_stamp, displacements_at, middle};
use dcr_coadd::model::{JointSettings, Model};
use dcr_measure::glitches::{Contrast, glitches};

/// Noise of an exposure on other pixels than the patch's: only its PSF and air are used, and no
/// pixel is good.
const NO_NOISE: Noise = Noise { sky_variance: 1.0, shot: 0.0 };

/// One exposure over a patch. Pixels are asked for inside the exposure only.
pub(super) struct OnPatch<'a> {
    exposure: &'a Target,
    model: &'a Model,
    plan: &'a ShiftPlan,
    /// If the exposure lies on other pixels, how its PSF is brought to the patch's.
    warp: Option<WarpKernel>,
    noise: Noise,
    /// Position in the patch, image and flags of an exposure on the patch's pixels that is to be
    /// registered.
    pixels: Option<(Region, &'a RunScalePixels)>,
}

/// The pixels of an exposure in the run's flux scale.
pub(crate) struct RunScalePixels {
    pub(super) pixels: MaskedImage,
    /// Flags of the solver; glitches are not good.
    pub(super) flags: Array2<u8>,
}

impl<'a> OnPatch<'a> {
    /// An exposure on the patch's own pixels. With `seen` it can be registered.
    pub(super) fn same_pixels(
        exposure: &'a Target,
        model: &'a Model,
        plan: &'a ShiftPlan,
        seen: Option<&'a RunScalePixels>,
    ) -> Self {
        let mut out = Self::elsewhere(exposure, model, plan, None);
        let place = exposure.file.bbox().slice_in(&model.bbox).map(|(rows, cols)| Region { rows, cols });
        if let Some((place, seen)) = place.zip(seen) {
            let RunScalePixels { pixels, flags } = seen;
            // Without a good pixel there is nothing to register to.
            if let Some(noise) = Noise::of_planes(pixels.image.view(), pixels.variance.view(), flags.view()) {
                (out.noise, out.pixels) = (noise, Some((place, seen)));
            }
        }
        out
    }

    /// An exposure on other pixels than the patch's.
    pub(super) fn elsewhere(
        exposure: &'a Target,
        model: &'a Model,
        plan: &'a ShiftPlan,
        warp: Option<WarpKernel>,
    ) -> Self {
        Self { exposure, model, plan, warp, noise: NO_NOISE, pixels: None }
    }

    /// True if there are pixels to register to.
    pub(super) fn can_be_registered(&self) -> bool {
        self.pixels.is_some()
    }

    /// The exposure's PSF at a place of the patch, in the patch's pixels; `None` if it has none.
    ///
    /// # Errors
    ///
    /// [`DifferenceError`] if it makes no stamp there, or the exposure's WCS does not reach there.
    pub(super) fn stamp(&self, (x, y): (f64, f64)) -> Result<Option<Stamp>, DifferenceError> {
        let file = &self.exposure.file;
        let Some(psf) = file.psf() else { return Ok(None) };
        let Some(kernel) = self.warp else { return Ok(Some(atmospheric_stamp(psf, (x, y))?)) };
        let patch = &self.model.wcs;
        let wcs_error = |source| InputError::Wcs { path: file.path().to_owned(), source };
        let (u, v) =
            file.wcs().sky_to_pixel(patch.pixel_to_sky(x, y).map_err(wcs_error)?).map_err(wcs_error)?;
        let from = patch.jacobian(x, y).map_err(wcs_error)?;
        let to = file.wcs().jacobian(u, v).map_err(wcs_error)?;
        let steps = to.pixels_for(from.east_x, from.north_x).zip(to.pixels_for(from.east_y, from.north_y));
        // Pixels without area are refused by `warp_stamp`.
        let ((xx, yx), (xy, yy)) = steps.unwrap_or_default();
        Ok(Some(warp_stamp(&atmospheric_stamp(psf, (u, v))?, [[xx, xy], [yx, yy]], kernel)?))
    }
}

impl RunScalePixels {
    /// Reads an exposure.
    ///
    /// # Errors
    ///
    /// [`DifferenceError`] if the pixels cannot be read.
    pub(super) fn read(exposure: &Target, settings: &JointSettings) -> Result<Self, DifferenceError> {
        let masks = CoaddConfig {
            bad_mask_planes: settings.bad.clone(),
            convergence_mask_planes: settings.sources.clone(),
            ..CoaddConfig::default()
        };
        let mut pixels = exposure.file.read(exposure.file.bbox())?;
        let mut flags = PixelReader::new(&masks).flags(&pixels, exposure.file.mask_planes());
        let contrast =
            Contrast::of(exposure.file.psf(), exposure.file.bbox().centre(), exposure.sky.visit.psf_fwhm_px);
        for glitch in glitches(pixels.image.view(), pixels.variance.view(), flags.view(), &contrast) {
            leave_out(&mut flags[glitch.at]);
        }
        if exposure.scale.factor != 1.0 {
            let to_run = exposure.scale.factor.recip() as f32;
            pixels.image *= to_run;
            pixels.variance *= to_run * to_run;
        }
        Ok(Self { pixels, flags })
    }
}

impl JointVisits for OnPatch<'_> {
    fn visits(&self) -> usize {
        1
    }

    fn noise(&self, _visit: usize) -> Noise {
        self.noise
    }

    fn psf(&self, _visit: usize, region: &Region) -> Result<Cow<'_, PsfStamp>, SourceError> {
        let missing = || DifferenceError::NoPsf { path: self.exposure.file.path().to_owned() };
        let psf = self.exposure.file.psf().ok_or_else(missing)?;
        let stamp = self.stamp(middle(&self.model.bbox, region))?.ok_or_else(missing)?;
        Ok(Cow::Owned(solver_stamp(&stamp, psf)?))
    }

    fn psf_field(&self, visit: usize, region: &Region) -> Result<PsfField, SourceError> {
        let missing = || DifferenceError::NoPsf { path: self.exposure.file.path().to_owned() };
        let (psf, patch) = (self.exposure.file.psf().ok_or_else(missing)?, &self.model.bbox);
        let cells = match self.warp {
            None => psf_cells(psf, patch, region),
            Some(_) => psf_cells_elsewhere(psf, region),
        };
        // The exposure may not reach all cells.
        let stamp = |cell: Region| {
            let stamp = self.stamp(middle(patch, &cell)).ok()??;
            Some((cell, solver_stamp(&stamp, psf).ok()?))
        };
        match PsfField::of_cells(cells.into_iter().filter_map(stamp).collect()) {
            Some(field) => Ok(field),
            None => Ok(PsfField::constant(self.psf(visit, region)?.into_owned())),
        }
    }

    fn displacements(&self, _visit: usize, region: &Region) -> Cow<'_, [PixelShift]> {
        let Target { file, sky, .. } = self.exposure;
        let place = middle(&self.model.bbox, region);
        displacements_at(self.plan, file.path(), sky, &self.model.wcs, place)
    }

    fn pixels(&self, _visit: usize, region: &Region) -> Result<Pixels<'_>, SourceError> {
        let Some((place, RunScalePixels { pixels, flags })) = &self.pixels else {
            let shape = region.shape();
            return Ok(Pixels { image: Array2::zeros(shape).into(), flags: Array2::zeros(shape).into() });
        };
        let inside = region.within(place);
        Ok(Pixels { image: inside.of(&pixels.image.view()).into(), flags: inside.of(&flags.view()).into() })
    }
}
