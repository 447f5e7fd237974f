//! Flux unit of the solver, near the noise: images in Jy and in electrons alike stay far from the
//! limits of single precision.
//!
//! The unit is a power of two and changes no digit: the solution has the same bits as in the
//! images' own unit.

use std::borrow::Cow;

use super::psf::PsfStamp;
use super::psf_field::PsfField;
use super::visits::{JointVisits, Noise};
use crate::kernel::{PixelShift, Region};
use crate::observation::{Pixels, SourceError};

/// Largest exponent; the square of the unit is representable in single precision too.
const MOST: f64 = 60.0;

/// Power of two nearest to the noise per pixel of the visits' weighted coadd.
pub(crate) fn noise_unit(visits: &dyn JointVisits) -> f32 {
    let weight: f64 = (0..visits.visits()).map(|visit| visits.noise(visit).sky_variance.recip()).sum();
    let exponent = -0.5 * weight.log2();
    if exponent.is_finite() { exponent.round().clamp(-MOST, MOST).exp2() as f32 } else { 1.0 }
}

/// Visits in another unit of flux: pixels are divided by `unit`.
pub(crate) struct Rescaled<'a> {
    pub(crate) visits: &'a dyn JointVisits,
    pub(crate) unit: f32,
}

impl JointVisits for Rescaled<'_> {
    fn visits(&self) -> usize {
        self.visits.visits()
    }

    fn noise(&self, visit: usize) -> Noise {
        let Noise { sky_variance, shot } = self.visits.noise(visit);
        let unit = f64::from(self.unit);
        Noise { sky_variance: sky_variance / (unit * unit), shot: shot / unit }
    }

    fn psf(&self, visit: usize, region: &Region) -> Result<Cow<'_, PsfStamp>, SourceError> {
        self.visits.psf(visit, region)
    }

    fn psf_field(&self, visit: usize, region: &Region) -> Result<PsfField, SourceError> {
        self.visits.psf_field(visit, region)
    }

    fn displacements(&self, visit: usize, region: &Region) -> Cow<'_, [PixelShift]> {
        self.visits.displacements(visit, region)
    }

    fn pixels(&self, visit: usize, region: &Region) -> Result<Pixels<'_>, SourceError> {
        let Pixels { image, flags } = self.visits.pixels(visit, region)?;
        let (mut image, per_unit) = (image.into_owned(), self.unit.recip());
        image.mapv_inplace(|v| v * per_unit);
        Ok(Pixels { image: image.into(), flags })
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::GOOD;
    use crate::joint::{JointInMemory, JointVisit};

    fn visits(sky_variance: &[f64]) -> JointInMemory {
        let visit = |sky_variance: &f64| JointVisit {
            image: Array2::from_elem((2, 3), 3.0),
            flags: Array2::from_elem((2, 3), GOOD),
            noise: Noise { sky_variance: *sky_variance, shot: 0.5 },
            psf: PsfStamp::gaussian(4.0).unwrap(),
            displacements: vec![],
        };
        JointInMemory { visits: sky_variance.iter().map(visit).collect() }
    }

    #[test]
    fn unit_is_the_power_of_two_nearest_to_the_noise() {
        assert_eq!(noise_unit(&visits(&[1.0])), 1.0);
        assert_eq!(noise_unit(&visits(&[200.0; 2])), 8.0);
        assert_eq!(noise_unit(&visits(&[1e-22])), (-37.0_f32).exp2());
        assert_eq!(noise_unit(&visits(&[f64::MAX])), (60.0_f32).exp2());
        assert_eq!(noise_unit(&visits(&[])), 1.0);
    }

    #[test]
    fn visits_in_a_unit_are_themselves_divided_by_it() {
        let visits = visits(&[36.0]);
        let visits = Rescaled { visits: &visits, unit: 4.0 };
        assert_eq!(visits.noise(0), Noise { sky_variance: 2.25, shot: 0.125 });
        let pixels = visits.pixels(0, &Region { rows: 0..1, cols: 1..3 }).unwrap();
        assert_eq!((pixels.image.dim(), pixels.image[[0, 1]]), ((1, 2), 0.75));
    }
}
