//! The files of a finished run, opened again.

use crate::error::DifferenceError;
use dcr_coadd::{InputError, ModelError};
use std::path::Path;

use dcr_image::fits::{self, Seal};
use dcr_image::{BBox, ExposureFile, MaskPlanes, OpenOptions, remap};
use ndarray::{Array2, Array3, Axis};
use serde::Deserialize;

use dcr_coadd::inputs::grid_difference;
use dcr_coadd::run::metadata::{RunMetadata, subfilter_of};
use dcr_coadd::run::outputs::SUMMARY;

/// Files of one run lie on one grid to rounding.
const SAME_GRID_PX: f64 = 1e-6;

/// The subfilter coadds of a run, still on disk.
pub(crate) struct FinishedRun {
    /// Blue to red.
    pub(crate) files: Vec<ExposureFile>,
    /// The planes of all files' masks.
    pub(crate) planes: MaskPlanes,
}

/// The subfilter coadds in a box.
pub(crate) struct RunPlanes {
    /// `(subfilters, rows, cols)`; pixels without data are 0, and flagged.
    pub(crate) image_byx: Array3<f32>,
    /// Variances of the subfilters, `(subfilters, rows, cols)`.
    pub(crate) variance_byx: Array3<f32>,
    /// The union over subfilters, in the run's dictionary.
    pub(crate) mask: Array2<i32>,
}

impl FinishedRun {
    /// Opens the files in `folder` and checks that they belong together.
    ///
    /// # Errors
    ///
    /// [`DifferenceError`] naming the file that is missing, or belongs to another run, subfilter or
    /// grid. A run without `summary.json` is incomplete.
    pub(crate) fn open(folder: &Path) -> Result<Self, DifferenceError> {
        let path = |a: usize| folder.join(format!("subfilter_{a}.fits"));
        let seal = Seal::read(folder, SUMMARY)?;
        if !fits::exists(&path(0))? {
            let reason = "there is no such file".into();
            return Err(ModelError::NotARun { path: path(0), reason }.into());
        }
        let first = ExposureFile::open(&path(0), &OpenOptions::of_run())?;
        let metadata = RunMetadata::of(&first)?;
        let seal = seal.ok_or_else(|| ModelError::NoSummary { path: folder.join(SUMMARY) })?;
        check_run(seal.path(), &run_of(&seal)?, &first, &metadata)?;
        let mut files = vec![first];
        for a in 1..metadata.subfilters {
            let reason = format!("there is no such file, but {} subfilters", metadata.subfilters);
            if !fits::exists(&path(a))? {
                return Err(ModelError::NotARun { path: path(a), reason }.into());
            }
            files.push(ExposureFile::open(&path(a), &OpenOptions::of_run())?);
        }
        let mut planes = MaskPlanes::new();
        for (a, file) in files.iter().enumerate() {
            let not_a_run = |reason| ModelError::NotARun { path: file.path().to_owned(), reason };
            let own = RunMetadata::of(file)?;
            check_run(file.path(), &own.run, &files[0], &metadata)?;
            // Each subfilter has a PSF of its own.
            if (RunMetadata { psf_fwhm_px: metadata.psf_fwhm_px, ..own }) != metadata {
                return Err(not_a_run("its cards differ from those of subfilter_0.fits".into()).into());
            }
            let subfilter = subfilter_of(file)?;
            if subfilter != a {
                return Err(not_a_run(format!("it says that it is subfilter {subfilter}")).into());
            }
            let bbox = files[0].bbox();
            if file.bbox() != bbox
                || grid_difference(files[0].wcs(), file.wcs(), &bbox, SAME_GRID_PX).is_some()
            {
                return Err(not_a_run("its grid is not that of subfilter_0.fits".into()).into());
            }
            planes
                .merge(file.mask_planes())
                .map_err(|source| InputError::Mask { path: file.path().to_owned(), source })?;
        }
        Ok(Self { files, planes })
    }

    /// Reads a box of all subfilters.
    ///
    /// # Errors
    ///
    /// [`DifferenceError`] if a file cannot be read.
    pub(crate) fn read(&self, part: BBox) -> Result<RunPlanes, DifferenceError> {
        let shape = (self.files.len(), part.height, part.width);
        let mut out = RunPlanes {
            image_byx: Array3::zeros(shape),
            variance_byx: Array3::zeros(shape),
            mask: Array2::zeros(part.shape()),
        };
        let no_data = self.planes.bits_of(["NO_DATA"]);
        for (a, file) in self.files.iter().enumerate() {
            let mut read = file.read(part)?;
            remap(&mut read.mask, file.mask_planes(), &self.planes)
                .map_err(|source| InputError::Mask { path: file.path().to_owned(), source })?;
            out.mask.zip_mut_with(&read.mask, |all, own| *all |= own);
            out.mask.zip_mut_with(&read.image, |all, value| {
                if !value.is_finite() {
                    *all |= no_data;
                }
            });
            let finite = |value: f32| if value.is_finite() { value } else { 0.0 };
            out.image_byx.index_axis_mut(Axis(0), a).assign(&read.image.mapv(finite));
            out.variance_byx.index_axis_mut(Axis(0), a).assign(&read.variance.mapv(finite));
        }
        Ok(out)
    }
}

/// The run that a `summary.json` is of.
pub(crate) fn run_of(seal: &Seal) -> Result<String, DifferenceError> {
    #[derive(Deserialize)]
    struct Named {
        run: String,
    }
    let named: Named = serde_json::from_str(seal.text()).map_err(|error| ModelError::NotARun {
        path: seal.path().to_owned(),
        reason: format!("it is no summary of dcr assemble ({error})"),
    })?;
    Ok(named.run)
}

/// Refuses a file of another run than that of `first`, whose metadata are given.
fn check_run(
    path: &Path,
    run: &str,
    first: &ExposureFile,
    metadata: &RunMetadata,
) -> Result<(), DifferenceError> {
    if run == metadata.run {
        return Ok(());
    }
    Err(ModelError::MixedRuns {
        path: path.to_owned(),
        run: run.into(),
        beside: first.path().to_owned(),
        expected: metadata.run.clone(),
    }
    .into())
}
