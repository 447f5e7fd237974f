//! The starting coadd: the first model of the solve, and the result away from sources.

use dcr_image::header::unit;
use dcr_image::{Exposure, MaskPlanes, Psf, remap};
use dcr_solver::kernel::dilate_diamond;
use ndarray::{Array2, Zip};

use crate::coadd::mean::MeanCoadd;
use crate::config::AssembleConfig;
use crate::error::{CoaddError, InputError};
use crate::inputs::{Input, check_grid, unit_of};
use dcr_measure::detection::Detection;

/// FWHM of a Gaussian with σ = 1.
const FWHM_PER_SIGMA: f64 = dcr_image::psf::FWHM_PER_SIGMA;
/// The width in px that is detected with where no PSF is known.
pub(crate) const UNKNOWN_FWHM_PX: f64 = 3.5;

/// A template coadd over the patch. Pixels without data are NaN and carry NO_DATA.
pub(crate) struct StartingCoadd {
    pub(crate) image: Array2<f32>,
    pub(crate) variance: Array2<f32>,
    pub(crate) mask: Array2<i32>,
    pub(crate) psf: Option<Psf>,
}

/// Refuses a template coadd that does not cover the patch, or is in another unit.
pub(crate) fn check_template(
    file: &dyn Exposure,
    first: &dyn Exposure,
    config: &AssembleConfig,
) -> Result<(), CoaddError> {
    check_grid(file, first, config.coadd.grid_tolerance_px)?;
    if file.unit().is_some() {
        unit_of(file)?;
    }
    if let (Some(unit), Some(expected)) = (file.unit(), first.unit())
        && !unit::same(unit, expected)
    {
        return Err(InputError::Unit {
            path: file.path().to_owned(),
            unit: unit.into(),
            first: first.path().to_owned(),
            expected: expected.into(),
        }
        .into());
    }
    Ok(())
}

/// The starting coadd from a file. The standard coadd fills its pixels without data.
///
/// # Errors
///
/// [`CoaddError`] if it cannot be read.
pub(crate) fn given_coadd(
    file: &dyn Exposure,
    plain: &MeanCoadd,
    planes: &MaskPlanes,
) -> Result<StartingCoadd, CoaddError> {
    let mut read = file.read(file.bbox())?;
    remap(&mut read.mask, file.mask_planes(), planes)
        .map_err(|source| InputError::Mask { path: file.path().to_owned(), source })?;
    let no_data = planes.bits_of(["NO_DATA"]);
    Zip::from(&mut read.image)
        .and(&mut read.variance)
        .and(&mut read.mask)
        .and(&plain.image)
        .and(&plain.variance)
        .for_each(|value, variance, mask, plain, plain_variance| {
            if !value.is_finite() {
                *value = *plain;
                *variance = *plain_variance;
                *mask = if plain.is_finite() { *mask & !no_data } else { *mask | no_data };
            } else if !variance.is_finite() {
                *variance = *plain_variance;
            }
        });
    Ok(StartingCoadd {
        image: read.image,
        variance: read.variance,
        mask: read.mask,
        psf: file.psf().cloned(),
    })
}

/// The standard coadd as the starting coadd, before the detection of sources.
pub(crate) fn made_coadd(plain: &MeanCoadd, planes: &MaskPlanes) -> StartingCoadd {
    let detected = planes.bits_of(["DETECTED", "DETECTED_NEGATIVE"]);
    StartingCoadd {
        image: plain.image.clone(),
        variance: plain.variance.clone(),
        mask: plain.mask.mapv(|mask| mask & !detected),
        psf: None,
    }
}

impl StartingCoadd {
    /// Pixels of sources: those of the convergence planes, or else detected here and flagged
    /// DETECTED.
    pub(crate) fn sources(
        &mut self,
        visits: &[Input],
        planes: &MaskPlanes,
        config: &AssembleConfig,
    ) -> Array2<bool> {
        let bits = planes.bits_of(&config.coadd.convergence_mask_planes);
        let flagged = self.mask.mapv(|mask| mask & bits != 0);
        if flagged.iter().any(|flagged| *flagged) {
            return flagged;
        }
        let Some(bbox) = visits.first().map(|visit| visit.file.bbox()) else { return flagged };
        let widths: Vec<f64> = visits.iter().filter_map(|visit| visit.fwhm_px(bbox.centre())).collect();
        let fwhm = match widths.len() {
            0 => UNKNOWN_FWHM_PX,
            n => widths.iter().sum::<f64>() / n as f64,
        };
        let coadd = &config.coadd;
        let sigma_px = fwhm / FWHM_PER_SIGMA;
        let detection = Detection::new(sigma_px, coadd.detection_threshold, coadd.detection_min_pixels)
            .grown_by(coadd.detection_grow);
        let mut found = detection.detect(self.image.view(), self.variance.view());
        // A core without data, as of a saturated star, belongs to the source whose light surrounds it.
        let missing = self.image.mapv(|value| !value.is_finite());
        let beside = dilate_diamond(found.view(), 1);
        Zip::from(&mut found)
            .and(&missing)
            .and(&beside)
            .for_each(|f, missing, beside| *f |= *missing && *beside);
        let detected = planes.bits_of(["DETECTED"]);
        Zip::from(&mut self.mask).and(&found).for_each(|mask, found| {
            if *found {
                *mask |= detected;
            }
        });
        found
    }
}
