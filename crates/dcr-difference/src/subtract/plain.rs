//! The standard coadd of the patches as a template: what a user subtracts without a model of
//! refraction.
//!
//! It is `plain.fits` in the folder of each run. Runs without it fall back on `coadd.fits`, the sum
//! of the subfilters: the coadd at the reference wavelength.

use crate::error::DifferenceError;
use dcr_coadd::{InputError, ModelError};
use dcr_image::{BBox, Exposure, ExposureFile, MaskPlanes, MaskedImage, OpenOptions, fits, remap};

use crate::model::patches::{Patches, check_run, folder};
use crate::subtract::difference::PairMember;
use crate::template::mosaic::{PatchFootprint, Placement};
use dcr_coadd::model::Model;
use dcr_coadd::run::metadata::RunMetadata;

/// File names of standard coadds, in order of preference.
const NAMES: [&str; 2] = [PLAIN_COADD, "coadd.fits"];

/// File name of the standard coadd of a run.
pub(crate) const PLAIN_COADD: &str = "plain.fits";

/// Standard coadds of all patches.
pub(crate) struct PlainCoadds {
    files: Vec<ExposureFile>,
    /// The pixels of all files, in this order, if they are kept.
    kept: Vec<MaskedImage>,
    planes: MaskPlanes,
    /// The name of the files.
    pub(crate) name: &'static str,
}

impl PlainCoadds {
    /// Opens those of all patches, all of one name; `None` if some have neither.
    ///
    /// # Errors
    ///
    /// [`DifferenceError`] if a file is there and is no image on the run's pixels.
    pub(crate) fn open(patches: &Patches) -> Result<Option<Self>, DifferenceError> {
        let mut in_all = None;
        for name in NAMES {
            let mut missing = 0;
            for model in &patches.models {
                missing += usize::from(!fits::exists(&folder(model).join(name))?);
            }
            if missing == 0 {
                in_all = Some(name);
                break;
            }
        }
        let Some(name) = in_all else { return Ok(None) };
        let mut planes = MaskPlanes::canonical();
        let mut files = Vec::new();
        for model in &patches.models {
            let file = open_one(model, name)?;
            planes
                .merge(file.mask_planes())
                .map_err(|source| InputError::Mask { path: file.path().to_owned(), source })?;
            files.push(file);
        }
        Ok(Some(Self { files, kept: vec![], planes, name }))
    }

    /// Keeps all pixels in memory, for many exposures.
    ///
    /// # Errors
    ///
    /// [`DifferenceError`] if a file cannot be read.
    pub(crate) fn keep(&mut self) -> Result<(), DifferenceError> {
        let whole = self.files.iter().map(|file| self.fetch(file, file.bbox()));
        self.kept = whole.collect::<Result<_, _>>()?;
        Ok(())
    }

    fn fetch(&self, file: &ExposureFile, part: BBox) -> Result<MaskedImage, DifferenceError> {
        let mut pixels = file.read(part)?;
        remap(&mut pixels.mask, file.mask_planes(), &self.planes)
            .map_err(|source| InputError::Mask { path: file.path().to_owned(), source })?;
        Ok(pixels)
    }

    /// The coadds on the pixels of an exposure.
    ///
    /// # Errors
    ///
    /// [`DifferenceError`] if none lies there, or a file cannot be read.
    pub(crate) fn on(
        &self,
        exposure: &dyn Exposure,
        kernel: dcr_image::resample::WarpKernel,
        patches_named: impl FnOnce() -> String,
    ) -> Result<PairMember, DifferenceError> {
        let footprints: Vec<PatchFootprint<'_>> =
            self.files.iter().map(|file| PatchFootprint { bbox: file.bbox(), wcs: file.wcs() }).collect();
        let placement = Placement::find(exposure, &footprints, kernel, patches_named)?;
        let no_data = self.planes.bits_of(["NO_DATA"]);
        let pixels = placement.pixels(exposure.bbox(), &footprints, kernel, no_data, |patch, part| {
            let kept = self.kept.get(patch).and_then(|kept| kept.sub_image(part).ok());
            kept.map_or_else(|| self.fetch(&self.files[patch], part), Ok)
        })?;
        let psf = placement.psf(&exposure.bbox(), kernel, |patch, (x, y)| {
            Ok(self.files[patch].psf().map(|psf| psf.stamp_at(x, y)).transpose()?)
        })?;
        Ok(PairMember::made(pixels, self.planes.clone(), psf))
    }
}

fn open_one(model: &Model, name: &str) -> Result<ExposureFile, DifferenceError> {
    let path = folder(model).join(name);
    let file = ExposureFile::open(&path, &OpenOptions::of_run())?;
    check_run(&path, &RunMetadata::of(&file)?.run, model)?;
    if file.bbox() != model.bbox {
        let reason = "its pixels are not those of the model".into();
        return Err(ModelError::NotARun { path, reason }.into());
    }
    Ok(file)
}
