//! An exposure that a template is made for, checked to be of the band.

use crate::error::DifferenceError;
use dcr_coadd::{CoaddError, InputError};
use std::path::Path;
use std::sync::Arc;

use dcr_coadd::config::InputConfig;
use dcr_coadd::inputs::may_be_the_same;
use dcr_coadd::inputs::parts::{join_visits, relative_scale};
use dcr_coadd::inputs::sky::Sky;
use dcr_coadd::model::Model;
use dcr_image::fits::MissingVariance;
use dcr_image::{Exposure, ExposureFile};

use crate::model::patches::calibration;
use crate::template::mosaic::GRID_TOLERANCE_PX;
use crate::template::scales::{Calibration, Scale};

/// An exposure with its sky, and its flux scale against that of the models.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) file: Arc<dyn Exposure>,
    pub(crate) sky: Arc<Sky>,
    pub(crate) scale: Scale,
}

impl Target {
    /// Works out sky and scale of an exposure.
    ///
    /// # Errors
    ///
    /// [`DifferenceError`] if its zenith is unknown, or it was taken through another filter.
    pub(crate) fn new(
        file: Arc<dyn Exposure>,
        model: &Model,
        input: &InputConfig,
    ) -> Result<Self, DifferenceError> {
        let sky = Sky::of(file.as_ref(), input, model.metadata.refraction)?;
        let band = model.metadata.band.name();
        if let Some(filter) = sky.visit.filter.as_deref().filter(|filter| !may_be_the_same(filter, band)) {
            return Err(InputError::Filter {
                path: file.path().to_owned(),
                filter: filter.into(),
                against: format!("the coadd in {} has", model.path().display()),
                expected: band.into(),
            }
            .into());
        }
        let own =
            Calibration::new(sky.visit.zero_point_mag, file.unit()).with_flux_scale(sky.visit.flux_scale);
        let scale = Scale::between(&own, &calibration(model));
        Ok(Self { file, sky: Arc::new(sky), scale })
    }

    /// Opens the file of an exposure and checks that it can be a target. Where its pixels are not
    /// used, variances need not be there.
    ///
    /// # Errors
    ///
    /// As [`Target::new`], and if the file cannot be read.
    pub(crate) fn open(
        path: &Path,
        model: &Model,
        input: &InputConfig,
        pixels_are_used: bool,
    ) -> Result<(ExposureFile, Scale), DifferenceError> {
        let mut options = input.open_options(path);
        if !pixels_are_used {
            options.missing_variance = MissingVariance::Estimate;
        }
        let target = Arc::new(ExposureFile::open(path, &options)?);
        let scale = Self::new(target.clone(), model, input)?.scale;
        // Nothing else holds it.
        let file = Arc::into_inner(target).ok_or(CoaddError::NoInputs)?;
        Ok((file, scale))
    }

    /// Joins files that are CCDs of one visit, in the order of the first of each.
    ///
    /// # Errors
    ///
    /// [`InputError::NotOneVisit`] for two of one visit that are not.
    pub(crate) fn join(
        files: Vec<ExposureFile>,
        model: &Model,
        input: &InputConfig,
    ) -> Result<Vec<Self>, DifferenceError> {
        let mut scaled: Vec<(ExposureFile, f32)> = Vec::with_capacity(files.len());
        for file in files {
            let first = scaled.iter().find(|(other, _)| other.visit().visit == file.visit().visit);
            let factor =
                first.map_or(1.0, |(first, _)| relative_scale(first.visit(), file.visit(), input.zero_point));
            scaled.push((file, factor));
        }
        let joined = join_visits(scaled, input, GRID_TOLERANCE_PX)?;
        joined.into_iter().map(|file| Self::new(Arc::new(file), model, input)).collect()
    }

    /// The visit's number.
    pub(crate) fn visit(&self) -> u64 {
        self.sky.visit.visit
    }
}
