//! A finished run compared with its own exposures, for the report.
//!
//! Differences and residuals are made by the code of [`crate::subtract`]; nothing is written. The
//! exposures went into the coadds, so their differences have slightly less noise than those of
//! other exposures.

mod coadds;
mod remainder;
mod stars;

use crate::error::DifferenceError;
use dcr_coadd::{CoaddError, InputError};
use std::path::{Path, PathBuf};

use dcr_image::fits::MissingVariance;
use dcr_image::{BBox, Exposure, ExposureFile, OpenOptions, Psf, Wcs};
use ndarray::{Array2, Axis, Zip};

pub use self::coadds::CoaddPlanes;
pub use self::remainder::{Remainder, ResidualMark};
pub use self::stars::Star;
use crate::model::finished_run::{FinishedRun, RunPlanes};
use crate::model::patches::Patches;
use crate::subtract::difference::{Difference, PairError, PairMember, subtract as difference_of};
use crate::subtract::plain::PlainCoadds;
use crate::template::maker::TemplateMaker;
use crate::template::target::Target;
use dcr_coadd::config::{Background, SubtractConfig, ZeroPoint};
use dcr_coadd::inputs::flux_factors;

/// FWHM in px of the PSF assumed where neither image has one.
const STAND_IN_FWHM_PX: f64 = 3.5;

/// A finished run, open for review. Its standard coadd is kept in memory.
pub struct Review {
    patches: Patches,
    run: FinishedRun,
    plain: Option<PlainCoadds>,
    config: SubtractConfig,
    /// Magnitude zero point that exposures are brought to.
    zero_point: Option<f64>,
}

/// A run whose templates can be made, to look at its exposures.
pub struct Exposures<'a> {
    review: &'a Review,
    maker: TemplateMaker<'a>,
}

/// An exposure with its differences.
#[derive(Clone, Debug)]
pub struct VisitReview {
    /// Its pixels.
    pub exposure: Array2<f32>,
    /// Less the matched template.
    pub matched: Remainder,
    /// Difference with the standard coadd, if the run has one.
    pub plain: Option<Remainder>,
}

impl Review {
    /// Opens the run in `folder`. With `config.subtract.match_psf`, PSFs are matched wherever a
    /// kernel can be fitted.
    ///
    /// # Errors
    ///
    /// [`DifferenceError`] if the folder holds no run, or files of several runs.
    pub fn open(folder: &Path, config: SubtractConfig) -> Result<Self, DifferenceError> {
        let patches = Patches::open(&[folder.to_owned()])?;
        let mut plain = PlainCoadds::open(&patches)?;
        plain.iter_mut().try_for_each(PlainCoadds::keep)?;
        let zero_point = patches.metadata().zero_point_mag;
        Ok(Self { patches, run: FinishedRun::open(folder)?, plain, config, zero_point })
    }

    /// Tells the exposure that others were scaled to, where `input.zero_point` says that they were.
    ///
    /// # Errors
    ///
    /// [`DifferenceError`] if it cannot be read.
    pub fn scale_to(&mut self, exposure: &Path) -> Result<(), DifferenceError> {
        let input = &self.config.template.input;
        if input.zero_point == ZeroPoint::Header && self.zero_point.is_none() {
            let file = ExposureFile::open(exposure, &input.open_options(exposure))?;
            self.zero_point = file.visit().zero_point_mag;
        }
        Ok(())
    }

    /// The pixels of the patch.
    #[must_use]
    pub fn bbox(&self) -> BBox {
        self.patches.models[0].bbox
    }

    /// Refuses a file in the run's folder that states another run.
    ///
    /// # Errors
    ///
    /// [`ModelError::MixedRuns`](dcr_coadd::ModelError::MixedRuns).
    pub fn check_run(&self, path: &Path, run: &str) -> Result<(), DifferenceError> {
        self.patches.check_run(path, run)
    }

    /// The unit of the pixel values.
    #[must_use]
    pub fn unit(&self) -> &str {
        self.patches.unit()
    }

    /// File name of the standard coadd, if there is one: `plain.fits`, else `coadd.fits`.
    #[must_use]
    pub fn plain_coadd(&self) -> Option<&'static str> {
        self.plain.as_ref().map(|plain| plain.name)
    }

    /// Reads the coadds.
    ///
    /// # Errors
    ///
    /// [`DifferenceError`] if a file cannot be read.
    pub fn coadds(&self) -> Result<CoaddPlanes, DifferenceError> {
        let run = &self.run;
        let RunPlanes { mut image_byx, mut variance_byx, mask } = run.read(self.bbox())?;
        let (no_data, detected) = (run.planes.bits_of(["NO_DATA"]), run.planes.bits_of(["DETECTED"]));
        for planes in [&mut image_byx, &mut variance_byx] {
            for mut plane in planes.axis_iter_mut(Axis(0)) {
                Zip::from(&mut plane).and(&mask).for_each(|value, mask| {
                    if mask & no_data != 0 {
                        *value = f32::NAN;
                    }
                });
            }
        }
        Ok(CoaddPlanes {
            sum: image_byx.sum_axis(Axis(0)),
            n_image: self.n_image(),
            sources: mask.mapv(|mask| mask & detected != 0),
            image_byx,
            variance_byx,
        })
    }

    /// The mean of the subfilters' numbers of visits. A file without them is no fault.
    fn n_image(&self) -> Option<Array2<f32>> {
        let run = &self.run;
        let mut sum: Array2<f32> = Array2::zeros(self.bbox().shape());
        // These images have no variance of their own; the variance HDUs precede them.
        let options = OpenOptions {
            image_hdu: Some("N_IMAGE".into()),
            missing_variance: MissingVariance::Estimate,
            ..OpenOptions::default()
        };
        for file in &run.files {
            let plane = ExposureFile::open(file.path(), &options).ok()?.read_image(self.bbox()).ok()?;
            sum += &plane;
        }
        Some(sum / run.files.len() as f32)
    }

    /// Isolated sources of the coadds with their fluxes in each subfilter, brightest first.
    ///
    /// # Errors
    ///
    /// [`DifferenceError`] if the PSF makes no stamp. Without a PSF the list is empty.
    pub fn stars(&self, coadds: &CoaddPlanes) -> Result<Vec<Star>, DifferenceError> {
        let file = &self.run.files[0];
        let (x, y) = file.bbox().centre();
        match file.psf() {
            Some(psf) => Ok(stars::find(coadds, file.bbox(), &psf.stamp_at(x, y)?)),
            None => Ok(vec![]),
        }
    }

    /// Prepares the run for its exposures: models are kept in memory.
    ///
    /// # Errors
    ///
    /// [`DifferenceError`] if a model cannot be read.
    pub fn exposures(&self) -> Result<Exposures<'_>, DifferenceError> {
        let mut maker =
            TemplateMaker::new(&self.patches.models, &self.patches.planes, &self.config.template)?;
        maker.keep_models()?;
        Ok(Exposures { review: self, maker })
    }

    /// Factor that brings an exposure to the coadds' zero point.
    fn scale(&self, file: &dyn Exposure) -> f32 {
        let factor = flux_factors::factor(file, &self.config.template.input, self.zero_point);
        factor.unwrap_or(1.0) as f32
    }

    fn difference(
        &self,
        file: &dyn Exposure,
        exposure: &PairMember,
        mut template: PairMember,
    ) -> Result<Unsearched, DifferenceError> {
        let path = || PathBuf::from(file.path());
        let psf_known = exposure.psf.is_some() || template.psf.is_some();
        if !psf_known {
            template.psf =
                Some((Psf::Gaussian { fwhm_px: STAND_IN_FWHM_PX }.stamp_at(0.0, 0.0)?, STAND_IN_FWHM_PX));
        }
        let mut config = self.config.subtract.clone();
        let mut difference = difference_of(exposure, &template, &config);
        if let Err(PairError::Match(_) | PairError::NoPsf) = difference {
            config.match_psf = false;
            difference = difference_of(exposure, &template, &config);
        }
        match difference {
            Ok(difference) => Ok(Unsearched {
                difference,
                search: psf_known.then_some((config.threshold, config.background)),
            }),
            Err(PairError::NoPsf) => Err(DifferenceError::NoPsf { path: path() }),
            Err(PairError::Match(source)) => Err(DifferenceError::Match { path: path(), source }),
            Err(PairError::Mask(source)) => Err(InputError::Mask { path: path(), source }.into()),
        }
    }
}

impl Exposures<'_> {
    /// Subtracts the matched template and the standard coadd from an exposure, whose files are
    /// given. The two differences are compared on the pixels that both cover.
    ///
    /// # Errors
    ///
    /// [`DifferenceError`] if it cannot be read, or does not fit the run.
    pub fn visit(&self, paths: &[PathBuf]) -> Result<VisitReview, DifferenceError> {
        let review = self.review;
        let input = &review.config.template.input;
        let model = &review.patches.models[0];
        let opened = paths.iter().map(|path| Ok(Target::open(path, model, input, true)?.0));
        let subjects = Target::join(opened.collect::<Result<_, DifferenceError>>()?, model, input)?;
        let Some(subject) = subjects.into_iter().next() else { return Err(CoaddError::NoInputs.into()) };
        let mut exposure = PairMember::of(subject.file.as_ref())?;
        exposure.leave_out_glitches(subject.file.psf(), subject.sky.visit.psf_fwhm_px);
        let scale = review.scale(subject.file.as_ref());
        if scale != 1.0 {
            exposure.pixels.image *= scale;
            exposure.pixels.variance *= scale * scale;
        }
        let template = self.maker.make(&subject)?;
        let template = PairMember::made(template.pixels, review.patches.planes.clone(), template.psf);
        let mut matched = review.difference(subject.file.as_ref(), &exposure, template)?;
        let mut plain = match &review.plain {
            None => None,
            Some(plain) => {
                let kernel = review.config.template.template.warp;
                let side = plain.on(subject.file.as_ref(), kernel, || review.patches.names())?;
                Some(review.difference(subject.file.as_ref(), &exposure, side)?)
            }
        };
        let usable = matched.usable();
        let plain_usable = plain.as_ref().map_or(0.0, Unsearched::usable);
        if let Some(plain) = &mut plain {
            // Else the one that covers less would seem the better.
            Zip::from(&mut plain.difference.bad).and(&mut matched.difference.bad).for_each(|a, b| {
                (*a, *b) = (*a || *b, *a || *b);
            });
        }
        let wcs = subject.file.wcs();
        Ok(VisitReview {
            exposure: exposure.pixels.image,
            matched: matched.remainder(wcs, usable),
            plain: plain.map(|plain| plain.remainder(wcs, plain_usable)),
        })
    }
}

/// A difference before the search for residuals.
struct Unsearched {
    difference: Difference,
    /// Threshold of residuals, and the background that is taken out, if they can be searched for.
    search: Option<(f64, Background)>,
}

impl Unsearched {
    /// Share of the pixels with valid data.
    fn usable(&self) -> f64 {
        let bad = &self.difference.bad;
        bad.iter().filter(|bad| !**bad).count() as f64 / bad.len().max(1) as f64
    }

    fn remainder(self, wcs: &Wcs, usable: f64) -> Remainder {
        Remainder::of(self.difference, wcs, self.search, usable)
    }
}
