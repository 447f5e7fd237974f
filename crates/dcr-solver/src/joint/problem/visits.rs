//! The visits of the joint solver: pixels, noise, PSF and displacements, region by region.

use std::borrow::Cow;

use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};

use super::psf::PsfStamp;
use super::psf_field::PsfField;
use super::spectrum::Spectrum;
use crate::joint::error::JointError;
use crate::kernel::{PixelShift, Region};
use crate::observation::{DETECTED, GOOD, Pixels, SourceError};

/// The noise of a visit's pixels: `sky_variance + shot·signal`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Noise {
    /// Variance of a pixel without sources.
    pub sky_variance: f64,
    /// Variance per unit of signal, 1 over the gain; 0 if sources add no variance.
    pub shot: f64,
}

impl Noise {
    /// Signal in σ of the sky above which pixels constrain the growth of variance with signal.
    const BRIGHT: f32 = 10.0;
    /// Minimum number of such pixels.
    const ENOUGH: usize = 50;

    /// Noise from a variance plane: the median over pixels that are [`GOOD`] and not [`DETECTED`],
    /// and the median growth with signal over bright ones.
    ///
    /// `None` if no good pixel has a positive, finite variance. If every good pixel is detected,
    /// the lower quartile over all good ones replaces the median.
    #[must_use]
    pub fn of_planes(
        image: ArrayView2<f32>,
        variance: ArrayView2<f32>,
        flags: ArrayView2<u8>,
    ) -> Option<Self> {
        let usable = |flags: u8, v: f32| flags & GOOD != 0 && v.is_finite() && v > 0.0;
        let of = |wanted: u8| -> Vec<f32> {
            let pixels = variance.iter().zip(flags.iter());
            pixels.filter(|(v, f)| usable(**f, **v) && *f & DETECTED == wanted).map(|(v, _)| *v).collect()
        };
        let sky = match quantile(of(0), 0.5) {
            Some(sky) => sky,
            None => quantile(of(DETECTED), 0.25)?,
        };
        let bright: Vec<f32> = image
            .iter()
            .zip(variance.iter())
            .zip(flags.iter())
            .filter(|((s, v), f)| usable(**f, **v) && s.is_finite() && **s > Self::BRIGHT * sky.sqrt())
            .map(|((s, v), _)| (v - sky) / s)
            .collect();
        let shot = if bright.len() > Self::ENOUGH { quantile(bright, 0.5) } else { None };
        Some(Self { sky_variance: f64::from(sky), shot: f64::from(shot.unwrap_or(0.0).max(0.0)) })
    }
}

/// Checks that there is one finite displacement per wavelength.
pub(crate) fn check_displacements(
    visit: usize,
    displacements: &[PixelShift],
    spectrum: &Spectrum,
) -> Result<(), JointError> {
    let got = displacements.iter().filter(|d| d.dy.is_finite() && d.dx.is_finite()).count();
    let expected = spectrum.wavelengths().len();
    if got != expected || displacements.len() != expected {
        return Err(JointError::Displacements { visit, got, expected });
    }
    Ok(())
}

/// Quantile of unordered values; the median of an even number is the mean of the two in the middle.
fn quantile(mut values: Vec<f32>, at: f64) -> Option<f32> {
    if values.is_empty() {
        return None;
    }
    let position = at * (values.len() - 1) as f64;
    let (_, below, higher) = values.select_nth_unstable_by(position.floor() as usize, f32::total_cmp);
    let below = *below;
    let above = higher.iter().copied().min_by(f32::total_cmp).unwrap_or(below);
    Some(below + (above - below) * position.fract() as f32)
}

/// The visits of a patch, read by region so that they need not be in memory at once.
///
/// The solver divides the patch into tiles and reads each tile's pixels once per round, up to four
/// times. PSF and displacements hold in the middle of the region.
pub trait JointVisits: Sync {
    /// Number of visits.
    fn visits(&self) -> usize;
    /// Noise of a visit's pixels, one for the whole patch: weights must not follow sources.
    fn noise(&self, visit: usize) -> Noise;
    /// The visit's PSF in a region.
    ///
    /// # Errors
    ///
    /// Errors of the source.
    fn psf(&self, visit: usize, region: &Region) -> Result<Cow<'_, PsfStamp>, SourceError>;
    /// The visit's PSF as a function of place in a region; constant unless implemented.
    ///
    /// # Errors
    ///
    /// Errors of the source.
    fn psf_field(&self, visit: usize, region: &Region) -> Result<PsfField, SourceError> {
        Ok(PsfField::constant(self.psf(visit, region)?.into_owned()))
    }
    /// Displacement of each wavelength of the spectrum by refraction in a region, relative to the
    /// reference wavelength.
    fn displacements(&self, visit: usize, region: &Region) -> Cow<'_, [PixelShift]>;
    /// Pixels of a region of the patch.
    ///
    /// # Errors
    ///
    /// Errors of the source.
    fn pixels(&self, visit: usize, region: &Region) -> Result<Pixels<'_>, SourceError>;
}

/// Visits held in memory, with one PSF and one set of displacements each.
#[derive(Clone, Debug, Default)]
pub struct JointInMemory {
    /// The visits, in order.
    pub visits: Vec<JointVisit>,
}

/// A visit held in memory.
#[derive(Clone, Debug)]
pub struct JointVisit {
    /// Image, `(rows, cols)` of the patch. Values where [`GOOD`] is not set are ignored and may be
    /// NaN.
    pub image: Array2<f32>,
    /// [`GOOD`] and [`DETECTED`], of the same shape as the image.
    pub flags: Array2<u8>,
    /// Noise of the pixels.
    pub noise: Noise,
    /// PSF of the visit.
    pub psf: PsfStamp,
    /// Displacement of each wavelength of the spectrum.
    pub displacements: Vec<PixelShift>,
}

impl JointVisits for JointInMemory {
    fn visits(&self) -> usize {
        self.visits.len()
    }

    fn noise(&self, visit: usize) -> Noise {
        self.visits[visit].noise
    }

    fn psf(&self, visit: usize, _region: &Region) -> Result<Cow<'_, PsfStamp>, SourceError> {
        Ok(Cow::Borrowed(&self.visits[visit].psf))
    }

    fn displacements(&self, visit: usize, _region: &Region) -> Cow<'_, [PixelShift]> {
        Cow::Borrowed(&self.visits[visit].displacements)
    }

    fn pixels(&self, visit: usize, region: &Region) -> Result<Pixels<'_>, SourceError> {
        let visit = &self.visits[visit];
        Ok(Pixels {
            image: region.of(&visit.image.view()).into(),
            flags: region.of(&visit.flags.view()).into(),
        })
    }
}

/// At most `most` representatives of `count` visits, and the weight that each stands for.
///
/// In ascending order of `key` the visits are divided into parts of equal weight; each part is
/// represented by the visit in its middle.
pub(crate) fn representatives_of(
    count: usize,
    key: impl Fn(usize) -> f64,
    weight: impl Fn(usize) -> f64,
    most: usize,
) -> Vec<(usize, f64)> {
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|a, b| key(*a).total_cmp(&key(*b)));
    if count <= most {
        return order.iter().map(|visit| (*visit, weight(*visit))).collect();
    }
    let part = order.iter().map(|visit| weight(*visit)).sum::<f64>() / most as f64;
    let (mut out, mut before, mut parts) = (vec![], 0.0, 0.0);
    for visit in &order {
        before += weight(*visit);
        let stands_for = (before / part + 0.5).floor().min(most as f64) - parts;
        if stands_for > 0.0 {
            out.push((*visit, stands_for * part));
            parts += stands_for;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_read_off_a_variance_plane() {
        let image = Array2::from_shape_fn((20, 20), |(y, x)| if y < 10 { 0.0 } else { 100.0 * x as f32 });
        let variance = image.mapv(|s| 4.0 + 0.5 * s);
        let flags = image.mapv(|s| if s > 0.0 { GOOD | DETECTED } else { GOOD });
        let noise = Noise::of_planes(image.view(), variance.view(), flags.view()).unwrap();
        assert_eq!(noise.sky_variance, 4.0);
        assert!((noise.shot - 0.5).abs() < 1e-6);
    }

    #[test]
    fn noise_of_nothing_usable_is_none() {
        let image = Array2::zeros((3, 3));
        let good = Array2::from_elem((3, 3), GOOD);
        assert_eq!(Noise::of_planes(image.view(), image.view(), good.view()), None);
        let (nan, bad) = (Array2::from_elem((3, 3), f32::NAN), Array2::zeros((3, 3)));
        assert_eq!(Noise::of_planes(image.view(), nan.view(), good.view()), None);
        assert_eq!(Noise::of_planes(image.view(), (&image + 1.0).view(), bad.view()), None);
        let detected = Array2::from_elem((3, 3), GOOD | DETECTED);
        let noise = Noise::of_planes(image.view(), (&image + 1.0).view(), detected.view());
        assert_eq!(noise, Some(Noise { sky_variance: 1.0, shot: 0.0 }));
    }
}
