//! DCR leverage of a set of visits: its power to measure colours.
//!
//! The DCR leverage is the rms over visits of the dispersion vector `tan z (cos q, sin q)` about
//! its mean. A colour changes an image by a displacement along this vector, the direction and
//! length of the refraction. A displacement that all visits share looks like another position of
//! the source, so the spread of the vector matters, not that of the airmass (docs/algorithm.md
//! §13.9). In observable units it is the spread of the dispersion across the band over the width of
//! the PSF.
//!
//! The colour error of a source of S/N 100 in three subfilters of g is 0.17 mag for airmasses of 1
//! to 1.15 at all parallactic angles and seeing of 0.75″ (leverage 0.40, 39 % of the FWHM), 0.33
//! mag for 1 to 1.05 (0.22, 22 %) and 0.52 mag for a single position off the zenith. The limit is
//! set at 0.2 mag.

use serde::Serialize;

use super::VisitInspection;

/// Minimum spread of the dispersion over the PSF's FWHM for measurable colours.
const SMALLEST_RATIO: f64 = 0.34;
/// Minimum leverage in tan z, for an unknown band or PSF: that of g at seeing 0.75″.
const SMALLEST_TAN_Z: f64 = 0.35;

/// The spread of the refraction over a set of visits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Leverage {
    /// Root mean square distance of `tan z (cos q, sin q)` from its mean.
    pub tan_z: f64,
    /// Rms distance along the direction in which it is largest.
    pub largest: f64,
    /// Position angle of that direction in degrees, North through East, in [0°, 180°).
    pub direction_deg: f64,
    /// `tan_z` times the dispersion across the band at tan z = 1, over the mean FWHM of the PSFs.
    pub dispersion_per_fwhm: Option<f64>,
}

impl Leverage {
    /// Leverage of the visits with a known zenith, if there are two.
    pub(super) fn of(visits: &[VisitInspection]) -> Option<Self> {
        let places: Vec<_> = visits.iter().filter_map(|visit| visit.centre).collect();
        if places.len() < 2 {
            return None;
        }
        let vectors = places.iter().map(|place| {
            let tan_z = (90.0 - place.altitude_deg).to_radians().tan();
            let (sin_q, cos_q) = place.parallactic_angle_icrs_deg.to_radians().sin_cos();
            (tan_z * cos_q, tan_z * sin_q)
        });
        let (nn, ne, ee) = covariance(&vectors.collect::<Vec<_>>());
        // Eigenvalues and the larger one's direction of a symmetric 2 × 2 matrix.
        let half_difference = ((nn - ee) / 2.0).hypot(ne);
        let largest = f64::midpoint(nn, ee) + half_difference;
        let direction = 0.5 * (2.0 * ne).atan2(nn - ee);
        let tan_z = (nn + ee).sqrt();
        Some(Self {
            tan_z,
            largest: largest.sqrt(),
            direction_deg: direction.to_degrees().rem_euclid(180.0),
            dispersion_per_fwhm: per_tan_z_and_fwhm(visits).map(|ratio| ratio * tan_z),
        })
    }

    /// True if the set cannot measure colours.
    pub(super) fn is_small(&self) -> bool {
        match self.dispersion_per_fwhm {
            Some(ratio) => ratio < SMALLEST_RATIO,
            None => self.tan_z < SMALLEST_TAN_Z,
        }
    }
}

/// Variance of the first, covariance, variance of the second component.
fn covariance(vectors: &[(f64, f64)]) -> (f64, f64, f64) {
    let n = vectors.len() as f64;
    let (sum_a, sum_b) = vectors.iter().fold((0.0, 0.0), |(a, b), v| (a + v.0, b + v.1));
    let (mean_a, mean_b) = (sum_a / n, sum_b / n);
    let (mut aa, mut ab, mut bb) = (0.0, 0.0, 0.0);
    for (a, b) in vectors {
        aa += (a - mean_a).powi(2) / n;
        ab += (a - mean_a) * (b - mean_b) / n;
        bb += (b - mean_b).powi(2) / n;
    }
    (aa, ab, bb)
}

/// Mean over visits of the dispersion across the band at tan z = 1 over the FWHM; `None` where
/// either is unknown.
fn per_tan_z_and_fwhm(visits: &[VisitInspection]) -> Option<f64> {
    let ratios: Vec<f64> = visits
        .iter()
        .filter_map(|visit| Some(visit.dispersion_mas_per_tan_z? / (1000.0 * visit.psf?.fwhm_arcsec)))
        .collect();
    (!ratios.is_empty()).then(|| ratios.iter().sum::<f64>() / ratios.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::{Place, Psf};

    /// A visit in g at seeing 0.75″ on a good mountain.
    fn visit(airmass: f64, q: f64) -> VisitInspection {
        let altitude_deg = (1.0 / airmass).asin().to_degrees();
        let place = Place { airmass, altitude_deg, parallactic_angle_deg: q, parallactic_angle_icrs_deg: q };
        VisitInspection {
            centre: Some(place),
            dispersion_mas_per_tan_z: Some(722.0),
            psf: Some(Psf { fwhm_px: 3.75, fwhm_arcsec: 0.75 }),
            ..VisitInspection::default()
        }
    }

    fn spread(airmasses: [f64; 2], angles: &[f64]) -> Leverage {
        let step = |i: usize| airmasses[0] + (airmasses[1] - airmasses[0]) * i as f64 / 11.0;
        let visits: Vec<_> = (0..12).map(|i| visit(step(i), angles[i % angles.len()])).collect();
        Leverage::of(&visits).unwrap()
    }

    /// Small where the colour error of a bright star exceeds 0.2 mag.
    #[test]
    fn leverage_is_small_where_colours_are_bad() {
        let all_around = [0.0, 120.0, 240.0, 60.0, 180.0, 300.0];
        for (airmasses, angles, colour_error) in [
            ([1.0, 2.0], &[-60.0, 60.0][..], 0.071),
            ([1.0, 2.0], &[0.0, 180.0], 0.066),
            ([1.0, 2.0], &[180.0], 0.127),
            ([1.0, 1.15], &all_around, 0.173),
            ([1.0, 1.05], &all_around, 0.335),
            ([1.5, 1.5], &[60.0, -60.0], 0.069),
            ([1.5, 1.5], &[60.0], 0.519),
        ] {
            let leverage = spread(airmasses, angles);
            assert_eq!(leverage.is_small(), colour_error > 0.2, "{airmasses:?} {angles:?} {leverage:?}");
        }
    }

    #[test]
    fn leverage_has_the_direction_of_the_spread() {
        let leverage = spread([1.0, 2.0], &[30.0, 210.0]);
        assert!((leverage.direction_deg - 30.0).abs() < 1e-9);
        assert!((leverage.largest - leverage.tan_z).abs() < 1e-12);
    }

    #[test]
    fn leverage_needs_two_visits_with_a_zenith() {
        assert_eq!(Leverage::of(&[]), None);
        assert_eq!(Leverage::of(&[visit(1.2, 0.0)]), None);
        assert_eq!(Leverage::of(&[visit(1.2, 0.0), VisitInspection::default()]), None);
    }
}
