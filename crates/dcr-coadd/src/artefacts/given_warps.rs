//! Given PSF-matched warps: exposures already convolved to one PSF.
//!
//! Each belongs to the exposure of the same visit, and must share its pixels, unit and zero point:
//! artefacts found in it are left out there. Warps of other visits are ignored.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use dcr_image::header::unit;
use dcr_image::{BBox, Exposure};
use dcr_solver::GOOD;
use dcr_solver::joint::Noise;
use ndarray::{Array2, Zip};

use crate::config::{AssembleConfig, ZeroPoint};
use crate::error::{CoaddError, InputError};
use crate::inputs::flux_factors::{factor, scaled_zero_point};
use crate::inputs::pixels::PixelReader;
use crate::inputs::weights::{NOISE_OF_EVERY, noise_of};
use crate::inputs::{Input, Inputs, check_filter, check_grid, unit_of};

/// Zero points in mag that differ by no more are one.
const SAME_ZERO_POINT: f64 = 1e-3;
/// Rows that are read at a time to learn of the noise.
const STRIP_ROWS: usize = 512;

/// A PSF-matched warp, its pixels still on disk.
pub(crate) struct GivenWarp {
    pub(crate) file: Arc<dyn Exposure>,
    /// Pixel values are multiplied by this.
    scale: f32,
    /// Pixels of the patch that are not to be used.
    excluded: Option<Arc<Array2<bool>>>,
}

/// The PSF-matched warps of the visits, in their order; empty if none are given.
///
/// # Errors
///
/// [`CoaddError`] for the first file that cannot be opened, and for a visit without a warp, with
/// two, or with one that does not belong to it.
pub(crate) fn check_given_warps(
    exposures: &[Arc<dyn Exposure>],
    inputs: &Inputs,
    config: &AssembleConfig,
) -> Result<Vec<GivenWarp>, CoaddError> {
    if exposures.is_empty() {
        return Ok(vec![]);
    }
    let mut files: BTreeMap<u64, Arc<dyn Exposure>> = BTreeMap::new();
    for file in exposures {
        let visit = file.visit().visit;
        if let Some(earlier) = files.get(&visit) {
            let first = earlier.path().to_owned();
            return Err(InputError::SameVisit { visit, first, second: file.path().to_owned() }.into());
        }
        files.insert(visit, Arc::clone(file));
    }
    let there = files.keys().map(u64::to_string).collect::<Vec<_>>().join(", ");
    let of_visit = |input: &Input| {
        let visit = input.number();
        let none = || {
            let (path, there) = (input.file.path().to_owned(), there.clone());
            InputError::NoMatchedWarp { path, visit, there }
        };
        GivenWarp::of(files.remove(&visit).ok_or_else(none)?, input, inputs, config)
    };
    inputs.visits.iter().map(of_visit).collect()
}

impl GivenWarp {
    /// That of an exposure, if it belongs to it.
    fn of(
        file: Arc<dyn Exposure>,
        input: &Input,
        inputs: &Inputs,
        config: &AssembleConfig,
    ) -> Result<Self, CoaddError> {
        check_grid(file.as_ref(), input.file.as_ref(), config.coadd.grid_tolerance_px)?;
        let (path, first) = (|| file.path().to_owned(), || input.file.path().to_owned());
        let against = format!("{} has", input.file.path().display());
        check_filter(file.as_ref(), input.sky.visit.filter.as_deref(), &against)?;
        let (unit, expected) = (unit_of(file.as_ref())?, unit_of(input.file.as_ref())?);
        if !unit::same(&unit, &expected) {
            return Err(InputError::Unit { path: path(), unit, first: first(), expected }.into());
        }
        let zero_points = (scaled_zero_point(file.visit()), scaled_zero_point(&input.sky.visit));
        if let (ZeroPoint::Off, (Some(own), Some(expected))) = (config.input.zero_point, zero_points)
            && (own - expected).abs() > SAME_ZERO_POINT
        {
            return Err(InputError::OtherZeroPoint { path: path(), own, first: first(), expected }.into());
        }
        let scale = factor(file.as_ref(), &config.input, inputs.zero_point_mag)? as f32;
        Ok(Self { file, scale, excluded: input.excluded.clone() })
    }

    pub(super) fn file(&self) -> &dyn Exposure {
        self.file.as_ref()
    }

    /// FWHM of its PSF in px at a place, from the PSF or else from the header.
    pub(super) fn fwhm_px(&self, (x, y): (f64, f64)) -> Option<f64> {
        let of_psf = self.file.psf().and_then(|psf| psf.fwhm_px(x, y).ok());
        of_psf.or(self.file.visit().psf_fwhm_px).filter(|fwhm| *fwhm > 0.0)
    }

    /// Some rows, NaN where pixels may not be used.
    pub(super) fn rows(
        &self,
        rows: Range<usize>,
        reader: &PixelReader<'_>,
    ) -> Result<Array2<f32>, CoaddError> {
        let whole = self.file.bbox();
        let part = BBox::new(whole.x0, whole.y0 + rows.start as i64, whole.width, rows.len());
        let pixels = reader.read_file(self.file.as_ref(), self.scale, self.excluded.as_deref(), part)?;
        let mut image = pixels.masked.image;
        Zip::from(&mut image).and(&pixels.flags).for_each(|value, flags| {
            if flags & GOOD == 0 {
                *value = f32::NAN;
            }
        });
        Ok(image)
    }

    /// How its noise follows signal, as its variance plane states; `None` if no pixel may be used.
    pub(super) fn noise(&self, reader: &PixelReader<'_>) -> Result<Option<Noise>, CoaddError> {
        let (mut values, mut variances, mut flags) = (vec![], vec![], vec![]);
        let whole = self.file.bbox();
        for strip in whole.tiles((whole.width, STRIP_ROWS)) {
            let pixels = reader.read_file(self.file.as_ref(), self.scale, self.excluded.as_deref(), strip)?;
            values.extend(pixels.masked.image.iter().step_by(NOISE_OF_EVERY));
            variances.extend(pixels.masked.variance.iter().step_by(NOISE_OF_EVERY));
            flags.extend(pixels.flags.iter().step_by(NOISE_OF_EVERY));
        }
        Ok(noise_of(&values, &variances, &flags, 1))
    }
}
