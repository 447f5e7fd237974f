//! An exposure that a template is wanted for: opened, and checked to be of the band.

use std::path::{Path, PathBuf};

use dcr_image::ExposureFile;
use dcr_image::fits::MissingVariance;

use crate::config::InputConfig;
use crate::error::CoaddError;
use crate::inputs::may_be_the_same;
use crate::mosaic::GRID_TOLERANCE_PX;
use crate::parts::{Opened, join_visits, relative_scale};
use crate::patches::Patches;
use crate::sky::Sky;

/// An exposure, its pixels still on disk.
pub(crate) struct Exposure {
    pub(crate) file: ExposureFile,
    pub(crate) sky: Sky,
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
            _ => Ok(Self { file, sky }),
        }
    }

    /// Opens exposures, those of one visit joined into one, in the order of the first of each.
    /// `opened` is told of each file.
    ///
    /// # Errors
    ///
    /// As [`Exposure::open`], and [`CoaddError::NotOneVisit`] for two of one visit that cannot be
    /// joined.
    pub(crate) fn open_all(
        paths: &[PathBuf],
        patches: &Patches,
        input: &InputConfig,
        pixels_are_used: bool,
        opened: impl Fn(&Path),
    ) -> Result<Vec<Self>, CoaddError> {
        let mut all: Vec<Opened> = Vec::with_capacity(paths.len());
        for path in paths {
            let Self { file, sky } = Self::open(path, patches, input, pixels_are_used)?;
            let first = all.iter().find(|other| other.sky.visit.visit == sky.visit.visit);
            let scale =
                first.map_or(1.0, |first| relative_scale(&first.sky.visit, &sky.visit, input.zero_point));
            all.push(Opened { file, sky, scale });
            opened(path);
        }
        let joined = join_visits(all, input, GRID_TOLERANCE_PX)?;
        Ok(joined.into_iter().map(|Opened { file, sky, .. }| Self { file, sky }).collect())
    }

    /// The visit's number.
    pub(crate) fn visit(&self) -> u64 {
        self.sky.visit.visit
    }
}
