//! The sky at one place under a zenith, through refraction and aberration.

use serde::{Deserialize, Serialize};

use crate::astrometry::Zenith;
use crate::index::StoneOwens;
use crate::refraction::{LOWEST_ALTITUDE_DEG, Refraction, ZenithExpansion};
use crate::sphere::{aberrated, angle_from_pole, combine, direction, dot, position_angle, separation};
use crate::{Angle, Site, SkyPosition, VisitInfo, Wavelength};

/// The local sky as seen by the telescope.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LocalSky {
    /// Apparent (refracted) altitude; negative below the horizon.
    pub altitude: Angle,
    /// Secant of the apparent zenith distance; infinite at the horizon and below.
    pub airmass: f64,
    /// Position angle of the zenith in ICRS, North through East, in [−180°, 180°]: what images
    /// need, whose WCS are in ICRS.
    pub parallactic_angle: Angle,
    /// The parallactic angle at the apparent place, from the hour circle of date, as in textbooks
    /// and headers. Equal to the position angle above where the zenith is known without precession.
    pub parallactic_angle_of_date: Angle,
}

/// The sky at `place` under the zenith `zenith`.
pub(super) fn local_sky(zenith: &Zenith, air: &VisualRefraction, place: SkyPosition) -> LocalSky {
    let seen = aberrated(direction(place), zenith.velocity);
    let altitude = air.apparent(std::f64::consts::FRAC_PI_2 - separation(seen, zenith.direction));
    // The direction towards the zenith in ICRS, from a small step along the apparent direction.
    let upwards = combine(1.0, zenith.direction, -dot(seen, zenith.direction), seen);
    let length = dot(upwards, upwards).sqrt();
    let parallactic_angle = if length > 0.0 {
        let nearer = combine(1.0, seen, UPWARD_STEP / length, upwards);
        let norm = dot(nearer, nearer).sqrt();
        let nearer = aberrated(nearer.map(|x| x / norm), zenith.velocity.map(|v| -v));
        position_angle(place, nearer)
    } else {
        Angle::from_radians(0.0)
    };
    let airmass = if altitude > 0.0 { 1.0 / altitude.sin() } else { f64::INFINITY };
    LocalSky {
        altitude: Angle::from_radians(altitude),
        airmass,
        parallactic_angle,
        parallactic_angle_of_date: angle_from_pole(seen, zenith.pole, zenith.direction),
    }
}

/// Length of the step towards the zenith, in radians: short compared to the curvature of aberration
/// (1e-4 per radian), long compared to rounding.
const UPWARD_STEP: f64 = 1e-5;

/// Refraction for visible light, as in pointing models.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct VisualRefraction {
    model: ZenithExpansion<StoneOwens>,
}

impl VisualRefraction {
    const WAVELENGTH: Wavelength = Wavelength::from_nm(550.0);

    /// The air over the site of a visit, with unknown quantities from a standard atmosphere.
    pub(super) fn of(visit: &VisitInfo, site: Option<Site>) -> Self {
        // Without a site any will do: the error cancels between true and apparent altitude at the
        // boresight.
        let anywhere = Site { latitude: Angle::default(), longitude: Angle::default(), elevation_m: 0.0 };
        let site = site.unwrap_or(anywhere);
        let (weather, _) = visit.weather.complete(site.elevation_m);
        Self { model: ZenithExpansion::hydrostatic(StoneOwens::new(), &site, &weather) }
    }

    /// The refraction at an apparent altitude, held constant below the range of the model; in
    /// radians.
    fn lift(&self, apparent: f64) -> f64 {
        let lowest = LOWEST_ALTITUDE_DEG.to_radians();
        let altitude = Angle::from_radians(apparent.clamp(lowest, std::f64::consts::FRAC_PI_2));
        match self.model.refraction(Self::WAVELENGTH, altitude) {
            Ok(lift) => lift.radians(),
            Err(error) => unreachable!("altitude and completed weather are within range: {error}"),
        }
    }

    /// The apparent altitude for a true one, in radians.
    pub(super) fn apparent(&self, true_altitude: f64) -> f64 {
        // The refraction changes by at most 1/25 of a change of altitude, at 5°: each iteration
        // gains a digit or more.
        let mut apparent = true_altitude;
        for _ in 0..12 {
            apparent = true_altitude + self.lift(apparent);
        }
        apparent.min(std::f64::consts::FRAC_PI_2)
    }

    /// The true altitude for an apparent one, in radians.
    pub(super) fn true_altitude(&self, apparent: f64) -> f64 {
        apparent - self.lift(apparent)
    }
}
