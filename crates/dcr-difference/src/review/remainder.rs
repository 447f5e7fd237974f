//! Statistics of a difference image: residuals, and the rms on sources.

use dcr_image::Wcs;
use ndarray::{Array2, Zip};

use crate::subtract::difference::{Difference, Matching};
use dcr_coadd::config::Background;
use dcr_measure::residuals::ResidualCounts;
use dcr_measure::statistics::median_and_scatter;

/// Minimum pixels for a scatter.
const FEWEST_PIXELS: usize = 50;

/// An exposure less a template.
#[derive(Clone, Debug)]
pub struct Remainder {
    /// The difference; NaN in pixels without valid data.
    pub image: Array2<f32>,
    /// Share of the pixels valid in this difference alone; pixels invalid in the other are NaN too.
    pub usable: f64,
    /// Fraction of the exposure's good pixels that were searched: those valid in both differences.
    pub searched: f64,
    /// Rms of pixels on sources in units of the scatter elsewhere, each over its own noise; 1 for
    /// perfectly subtracted sources. `None` if either has too few pixels.
    pub source_rms: Option<f64>,
    /// Residuals, most significant first; `None` without a PSF.
    pub residuals: Option<Vec<ResidualMark>>,
    /// How many; `None` without a PSF.
    pub counts: Option<ResidualCounts>,
    /// How PSFs were matched.
    pub matching: Option<Matching>,
}

/// A residual, reduced to its mark in a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ResidualMark {
    /// Parent pixel coordinates.
    pub x: f64,
    /// Parent pixel coordinate along y.
    pub y: f64,
    /// In units of the noise, with the sign of the exposure's surplus.
    pub significance: f64,
    /// True for a lobe of a dipole.
    pub dipole: bool,
}

impl Remainder {
    /// Statistics of a difference. With a threshold and background, residuals are searched for.
    pub(super) fn of(
        difference: Difference,
        wcs: &Wcs,
        search: Option<(f64, Background)>,
        usable: f64,
    ) -> Self {
        let found = search.map(|(threshold, background)| difference.scene(wcs, background).search(threshold));
        let marks = found.as_ref().map(|found| {
            let mark = |residual: &dcr_measure::residuals::Residual| ResidualMark {
                x: residual.x,
                y: residual.y,
                significance: if residual.positive { residual.significance } else { -residual.significance },
                dipole: residual.partner.is_some(),
            };
            found.residuals.iter().map(mark).collect()
        });
        let (searched, source_rms) = (difference.searched(), source_rms(&difference));
        let mut image = difference.pixels.image;
        Zip::from(&mut image).and(&difference.bad).for_each(|value, bad| {
            if *bad {
                *value = f32::NAN;
            }
        });
        Self {
            image,
            usable,
            searched,
            source_rms,
            residuals: marks,
            counts: found.map(|found| found.counts()),
            matching: difference.matching,
        }
    }
}

/// The scatter of pixels of sources in units of that of those without.
fn source_rms(difference: &Difference) -> Option<f64> {
    let (mut quiet, mut of_sources) = (Vec::with_capacity(difference.bad.len()), Vec::new());
    Zip::from(&difference.pixels.image)
        .and(&difference.pixels.variance)
        .and(&difference.bad)
        .and(&difference.sources)
        .for_each(|value, variance, bad, source| {
            if *bad || !value.is_finite() || variance.is_nan() || *variance <= 0.0 {
                return;
            }
            let relative = value / variance.sqrt();
            if *source {
                of_sources.push(relative);
            } else {
                quiet.push(relative);
            }
        });
    if quiet.len().min(of_sources.len()) < FEWEST_PIXELS {
        return None;
    }
    let (centre, scale) = median_and_scatter(quiet);
    if scale <= 0.0 {
        return None;
    }
    let squares: f64 = of_sources.iter().map(|value| (f64::from(*value) - f64::from(centre)).powi(2)).sum();
    Some((squares / of_sources.len() as f64).sqrt() / scale)
}

#[cfg(test)]
mod tests {
    use dcr_image::{BBox, MaskPlanes, MaskedImage, Psf};
    use ndarray::Array2;

    use super::*;

    /// The scatter of a thousand values from their median absolute deviation.
    const SCATTER: f64 = 0.1;

    /// Noise of variance 4, nearly normal: a sum of twelve even numbers from a fixed sequence.
    fn noise(shape: (usize, usize)) -> Array2<f32> {
        let mut state = 11_u64;
        let mut even = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 24) as f32
        };
        Array2::from_shape_fn(shape, |_| 2.0 * ((0..12).map(|_| even()).sum::<f32>() - 6.0))
    }

    fn difference(image: Array2<f32>, bad: Array2<bool>, sources: Array2<bool>) -> Difference {
        let bbox = BBox::of_shape((0, 0), image.dim());
        let pixels = MaskedImage {
            bbox,
            mask: Array2::zeros(image.dim()),
            // Wrong by a factor of four, as where neighbouring pixels share noise.
            variance: Array2::from_elem(image.dim(), 16.0),
            image,
        };
        let psf = Psf::Gaussian { fwhm_px: 3.0 }.stamp_at(0.0, 0.0).unwrap();
        let planes = MaskPlanes::canonical();
        Difference { pixels, planes, good: bad.len(), bad, sources, psf, fwhm_px: 3.0, matching: None }
    }

    #[test]
    fn scatter_of_sources_is_one_if_they_leave_nothing_and_grows_with_what_they_leave() {
        let none = Array2::from_elem((60, 60), false);
        let sources = Array2::from_shape_fn((60, 60), |(y, x)| y < 20 && x < 30);
        let rms = source_rms(&difference(noise((60, 60)), none.clone(), sources.clone()));
        assert!((rms.unwrap() - 1.0).abs() < SCATTER, "{rms:?}");
        let mut image = noise((60, 60));
        Zip::from(&mut image).and(&sources).for_each(|value, source| *value *= 1.0 + f32::from(*source));
        let rms = source_rms(&difference(image, none, sources));
        assert!((rms.unwrap() - 2.0).abs() < 2.0 * SCATTER, "{rms:?}");
    }

    #[test]
    fn scatter_of_nothing_is_none() {
        let all = Array2::from_elem((20, 20), true);
        let none = Array2::from_elem((20, 20), false);
        assert_eq!(source_rms(&difference(noise((20, 20)), all.clone(), none.clone())), None);
        assert_eq!(source_rms(&difference(noise((20, 20)), none.clone(), all)), None);
        let nan = Array2::from_elem((20, 20), f32::NAN);
        assert_eq!(source_rms(&difference(nan, none.clone(), none.clone())), None);
        assert_eq!(source_rms(&difference(noise((20, 20)), none.clone(), none)), None);
    }
}
