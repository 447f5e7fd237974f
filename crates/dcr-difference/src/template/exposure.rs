//! An exposure that a template is wanted for: opened, and checked to be of the band.

use std::collections::BTreeMap;
use std::path::Path;

use dcr_image::ExposureFile;
use dcr_image::fits::MissingVariance;

use crate::model::patches::Patches;
use crate::template::mosaic::GRID_TOLERANCE_PX;
use crate::template::scales::{Calibration, Scale};
use dcr_coadd::CoaddError;
use dcr_coadd::config::InputConfig;
use dcr_coadd::inputs::may_be_the_same;
use dcr_coadd::inputs::parts::{Opened, join_visits, relative_scale};
use dcr_coadd::inputs::sky::Sky;

/// An exposure, its pixels still on disk.
pub(crate) struct Exposure {
    pub(crate) file: ExposureFile,
    pub(crate) sky: Sky,
    /// Its scale against that of the runs.
    pub(crate) scale: Scale,
}

impl Exposure {
    /// Opens an exposure. Where nothing of its pixels will be used, variances need not be there.
    ///
    /// # Errors
    ///
    /// [`CoaddError`] if it cannot be read, its zenith cannot be told, or it was taken through another filter.
    pub(crate) fn open(
        path: &Path,
        patches: &Patches,
        input: &InputConfig,
        pixels_are_used: bool,
    ) -> Result<Self, CoaddError> {
        let mut options = input.open_options(path);
        if !pixels_are_used {
            options.missing_variance = MissingVariance::Estimate;
        }
        let file = ExposureFile::open(path, &options)?;
        let sky = Sky::of(&file, input, patches.metadata().refraction)?;
        let band = patches.metadata().band.name();
        match sky.visit.filter.as_deref() {
            Some(filter) if !may_be_the_same(filter, band) => Err(CoaddError::Filter {
                path: path.to_owned(),
                filter: filter.into(),
                against: format!("the coadd in {} has", patches.runs[0].files[0].path().display()),
                expected: band.into(),
            }),
            _ => {
                let own = Calibration::new(sky.visit.zero_point_mag, file.unit())
                    .with_flux_scale(sky.visit.flux_scale);
                let scale = Scale::between(&own, &patches.calibration());
                Ok(Self { file, sky, scale })
            }
        }
    }

    /// Joins exposures that are CCDs of one visit, in the order of the first of each.
    ///
    /// # Errors
    ///
    /// [`CoaddError::NotOneVisit`] for two of one visit that cannot be joined.
    pub(crate) fn join(exposures: Vec<Self>, input: &InputConfig) -> Result<Vec<Self>, CoaddError> {
        let mut all: Vec<Opened> = Vec::with_capacity(exposures.len());
        let mut scales: BTreeMap<u64, Scale> = BTreeMap::new();
        for Self { file, sky, scale } in exposures {
            let visit = sky.visit.visit;
            let first = all.iter().find(|other| other.sky.visit.visit == visit);
            let factor =
                first.map_or(1.0, |first| relative_scale(&first.sky.visit, &sky.visit, input.zero_point));
            scales.entry(visit).or_insert(scale);
            all.push(Opened { file, sky, scale: factor });
        }
        let joined = join_visits(all, input, GRID_TOLERANCE_PX)?.into_iter();
        let with_scale = joined.filter_map(|Opened { file, sky, .. }| {
            let scale = scales.remove(&sky.visit.visit)?;
            Some(Self { file, sky, scale })
        });
        Ok(with_scale.collect())
    }

    /// The visit's number.
    pub(crate) fn visit(&self) -> u64 {
        self.sky.visit.visit
    }
}
