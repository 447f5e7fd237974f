//! An exposure minus its template: pixels, noise, mask and PSF, with PSF matching on request.
//!
//! The sharper image is convolved ([`dcr_measure::matching_kernel`]); the difference is in the
//! exposure's units either way. Widths within 2 % count as equal; the template is then convolved,
//! for it has less noise.

use crate::error::DifferenceError;
use dcr_image::{Exposure, MaskError, MaskPlanes, MaskedImage, Psf, Stamp, Translation, Wcs};
use ndarray::{Array2, Zip};
use serde::Serialize;

use dcr_coadd::config::{Background, DifferenceConfig};
use dcr_measure::glitches::{Contrast, Glitch, glitches_of};
use dcr_measure::matching_kernel::{Frame, MatchError, fit};
use dcr_measure::residuals::Scene;

/// The template is convolved if its FWHM exceeds the exposure's by no more than this factor.
const SAME_WIDTH: f64 = 1.02;

/// An image to subtract, or to be subtracted from.
pub(crate) struct PairMember {
    pub(crate) pixels: MaskedImage,
    /// The meaning of its mask.
    pub(crate) planes: MaskPlanes,
    /// The PSF in the middle, with its FWHM in px.
    pub(crate) psf: Option<(Stamp, f64)>,
}

/// A difference image.
pub(crate) struct Difference {
    /// NaN and NO_DATA where one of the two has no data.
    pub(crate) pixels: MaskedImage,
    pub(crate) planes: MaskPlanes,
    /// Pixels without valid data.
    pub(crate) bad: Array2<bool>,
    /// Number of the exposure's own good pixels.
    pub(crate) good: usize,
    /// Pixels of sources in either image.
    pub(crate) sources: Array2<bool>,
    pub(crate) psf: Stamp,
    pub(crate) fwhm_px: f64,
    pub(crate) matching: Option<Matching>,
}

/// Mask planes that describe single visits of a coadd. Other visits have data in such pixels, so
/// that the coadd is good. Planes with a propagation threshold, such as SAT, describe the coadd.
const OF_SINGLE_VISITS: [&str; 14] = [
    "CR",
    "SUSPECT",
    "INTRP",
    "EDGE",
    "CROSSTALK",
    "UNMASKEDNAN",
    "STREAK",
    "CLIPPED",
    "REJECTED",
    "SENSOR_EDGE",
    "INEXACT_PSF",
    "DETECTED",
    "DETECTED_NEGATIVE",
    "NOT_DEBLENDED",
];

/// How PSFs were matched.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Matching {
    /// Which of the two was convolved.
    pub convolved: Convolution,
    /// The ratio of fluxes: the sum of the kernel.
    pub scale: f64,
    /// The background between the two, in the middle.
    pub background: f64,
    /// Bright sources that the kernel was fitted to.
    pub stamps: usize,
    /// Bright sources that did not follow, and were left out.
    pub rejected: usize,
    /// Mean squared residual in them, in units of the noise; their median.
    pub chi2: f64,
}

/// The image that was convolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Convolution {
    /// The template, which was the sharper.
    Template,
    /// The exposure.
    Exposure,
}

/// Why no difference can be made.
#[derive(Debug)]
pub(crate) enum PairError {
    /// Neither image has a PSF, or the one to be matched has none.
    NoPsf,
    Match(MatchError),
    /// The mask planes of both are too many.
    Mask(MaskError),
}

impl Difference {
    /// Fraction of the exposure's good pixels in which residuals can be found: the others have no
    /// template.
    pub(crate) fn searched(&self) -> f64 {
        let told = self.bad.iter().filter(|bad| !**bad).count();
        told as f64 / self.good.max(1) as f64
    }
}

impl Difference {
    /// The difference as the search for residuals takes it, with `background` to be subtracted.
    pub(crate) fn scene<'a>(&'a self, wcs: &'a Wcs, background: Background) -> Scene<'a> {
        Scene {
            background,
            bbox: self.pixels.bbox,
            wcs,
            image: self.pixels.image.view(),
            variance: self.pixels.variance.view(),
            bad: self.bad.view(),
            sources: self.sources.view(),
            psf: &self.psf,
            fwhm_px: self.fwhm_px,
        }
    }
}

impl PairMember {
    /// An exposure with its PSF in its middle.
    ///
    /// # Errors
    ///
    /// [`DifferenceError`] if it cannot be read.
    pub(crate) fn of(file: &dyn Exposure) -> Result<Self, DifferenceError> {
        let (x, y) = file.bbox().centre();
        let psf = file.psf().and_then(|psf| Some((psf.stamp_at(x, y).ok()?, psf.fwhm_px(x, y).ok()?)));
        Ok(Self { pixels: file.read(file.bbox())?, planes: file.mask_planes().clone(), psf })
    }

    /// Masks glitches ([`dcr_measure::glitches`]) and returns them. `psf` and `fwhm_px` are those
    /// of the image, if known.
    pub(crate) fn leave_out_glitches(&mut self, psf: Option<&Psf>, fwhm_px: Option<f64>) -> Vec<Glitch> {
        let contrast = Contrast::of(psf, self.pixels.bbox.centre(), fwhm_px);
        let found = glitches_of(&self.pixels, &contrast);
        found.iter().for_each(|glitch| self.pixels.image[glitch.at] = f32::NAN);
        found
    }

    /// Multiplies the pixels.
    pub(crate) fn scaled(mut self, factor: f64) -> Self {
        if factor != 1.0 {
            self.pixels.image *= factor as f32;
            self.pixels.variance *= (factor * factor) as f32;
        }
        self
    }

    /// An image made from others.
    pub(crate) fn made(pixels: MaskedImage, planes: MaskPlanes, psf: Option<Stamp>) -> Self {
        let psf = psf.and_then(|stamp| stamp.fwhm_px().ok().map(|fwhm| (stamp, fwhm)));
        Self { pixels, planes, psf }
    }

    /// Pixels of the named planes, and those without a number.
    fn bad(&self, planes: &[String]) -> Array2<bool> {
        let bits = self.planes.bits_of(planes);
        Zip::from(&self.pixels.image).and(&self.pixels.variance).and(&self.pixels.mask).map_collect(
            |value, variance, mask| {
                mask & bits != 0 || !value.is_finite() || !variance.is_finite() || *variance < 0.0
            },
        )
    }
}

/// Subtracts a template from an exposure on the same pixels.
///
/// # Errors
///
/// [`PairError`] if a PSF is needed and missing, no kernel can be fitted, or the masks together
/// have too many planes.
pub(crate) fn subtract(
    exposure: &PairMember,
    template: &PairMember,
    config: &DifferenceConfig,
) -> Result<Difference, PairError> {
    let of_coadds: Vec<String> = config
        .bad_mask_planes
        .iter()
        .filter(|name| !OF_SINGLE_VISITS.contains(&name.as_str()))
        .cloned()
        .collect();
    let bad = (exposure.bad(&config.bad_mask_planes), template.bad(&of_coadds));
    let good = bad.0.iter().filter(|bad| !**bad).count();
    let mut pair = if config.match_psf {
        matched(exposure, template, (&bad.0, &bad.1), config)?
    } else {
        unmatched(exposure, template, (&bad.0, &bad.1))?
    };
    let (planes, [from_exposure, from_template]) =
        joined_planes(exposure, template).map_err(PairError::Mask)?;
    let (no_data, detected) = (planes.bits_of(["NO_DATA"]), planes.bits_of(["DETECTED"]));
    let joined = |own: i32, other: i32| from_exposure.of(own) | from_template.of(other);
    let masks = Zip::from(&exposure.pixels.mask).and(&template.pixels.mask);
    let sources = masks.map_collect(|own, other| joined(*own, *other) & detected != 0);
    // What is detected in the difference is yet to be found.
    let cleared = planes.bits_of(["DETECTED", "DETECTED_NEGATIVE"]);
    let mask = Zip::from(&mut pair.image)
        .and(&mut pair.variance)
        .and(&mut pair.bad)
        .and(&exposure.pixels.mask)
        .and(&template.pixels.mask)
        .map_collect(|value, variance, bad, own, other| {
            let mask = joined(*own, *other) & !cleared;
            if value.is_finite() && variance.is_finite() && *variance > 0.0 {
                return mask;
            }
            (*value, *variance, *bad) = (f32::NAN, f32::NAN, true);
            mask | no_data
        });
    let Pair { image, variance, bad, psf: (psf, fwhm_px), matching } = pair;
    let pixels = MaskedImage { bbox: exposure.pixels.bbox, image, mask, variance };
    Ok(Difference { pixels, planes, bad, good, sources, psf, fwhm_px, matching })
}

/// A difference without its mask.
struct Pair {
    image: Array2<f32>,
    variance: Array2<f32>,
    bad: Array2<bool>,
    psf: (Stamp, f64),
    matching: Option<Matching>,
}

/// The difference of the images as they are.
fn unmatched(
    exposure: &PairMember,
    template: &PairMember,
    bad: (&Array2<bool>, &Array2<bool>),
) -> Result<Pair, PairError> {
    Ok(Pair {
        image: &exposure.pixels.image - &template.pixels.image,
        variance: &exposure.pixels.variance + &template.pixels.variance,
        bad: Zip::from(bad.0).and(bad.1).map_collect(|a, b| *a || *b),
        psf: exposure.psf.clone().or_else(|| template.psf.clone()).ok_or(PairError::NoPsf)?,
        matching: None,
    })
}

/// The difference after the sharper of the two has been given the PSF of the other.
fn matched(
    exposure: &PairMember,
    template: &PairMember,
    bad: (&Array2<bool>, &Array2<bool>),
    config: &DifferenceConfig,
) -> Result<Pair, PairError> {
    let (Some((_, own_fwhm)), Some((_, other_fwhm))) = (&exposure.psf, &template.psf) else {
        return Err(PairError::NoPsf);
    };
    let frames = (frame(exposure, bad.0, *own_fwhm), frame(template, bad.1, *other_fwhm));
    let convolved =
        if *other_fwhm <= SAME_WIDTH * own_fwhm { Convolution::Template } else { Convolution::Exposure };
    let (sharp, wide) = match convolved {
        Convolution::Template => (&frames.1, &frames.0),
        Convolution::Exposure => (&frames.0, &frames.1),
    };
    let kernel = fit(sharp, wide, config.kernel_order, config.background_order).map_err(PairError::Match)?;
    let sum = kernel.sum();
    if sum.is_nan() || sum <= 0.0 {
        return Err(PairError::Match(MatchError::Undetermined));
    }
    let done = kernel.apply(sharp);
    // A convolved exposure is in the template's units; the difference is in the exposure's.
    let (factor, psf) = match convolved {
        Convolution::Template => (-1.0, exposure.psf.clone()),
        Convolution::Exposure => (sum.recip() as f32, template.psf.clone()),
    };
    let (rows, cols) = done.image.dim();
    Ok(Pair {
        image: (&done.image - wide.image) * factor,
        variance: (&done.variance + wide.variance) * (factor * factor),
        bad: Zip::from(&done.bad).and(wide.bad).map_collect(|a, b| *a || *b),
        psf: psf.ok_or(PairError::NoPsf)?,
        matching: Some(Matching {
            convolved,
            scale: sum,
            background: kernel.background(rows / 2, cols / 2),
            stamps: kernel.quality.stamps,
            rejected: kernel.quality.rejected,
            chi2: kernel.quality.chi2,
        }),
    })
}

fn frame<'a>(side: &'a PairMember, bad: &'a Array2<bool>, fwhm_px: f64) -> Frame<'a> {
    Frame { image: &side.pixels.image, variance: &side.pixels.variance, bad, fwhm_px }
}

/// The planes of both masks, and how to translate each to them.
fn joined_planes(
    exposure: &PairMember,
    template: &PairMember,
) -> Result<(MaskPlanes, [Translation; 2]), MaskError> {
    let mut planes = MaskPlanes::canonical();
    planes.merge(&exposure.planes)?;
    planes.merge(&template.planes)?;
    let translations =
        [Translation::new(&exposure.planes, &planes)?, Translation::new(&template.planes, &planes)?];
    Ok((planes, translations))
}
