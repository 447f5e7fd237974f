//! The sky at one place under a zenith, through refraction and aberration.

use serde::{Deserialize, Serialize};

use crate::astrometry::Zenith;
use crate::index::StoneOwens;
use crate::refraction::{LOWEST_ALTITUDE_DEG, Refraction, ZenithExpansion};
use crate::sphere::{aberrated, angle_from_pole, combine, direction, dot, position_angle, separation};
use crate::{Angle, Site, SkyPosition, VisitInfo, Wavelength};

/// The sky at one place as the telescope sees it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LocalSky {
    /// Apparent (refracted) altitude; negative below the horizon.
    pub altitude: Angle,
    /// Secant of the apparent zenith distance; infinite at the horizon and below.
    pub airmass: f64,
    /// Position angle of the zenith in ICRS, North through East, in [−180°, 180°]: what images
    /// need, whose WCS are in ICRS.
    pub parallactic_angle: Angle,
    /// The same from the hour circle of date, at the apparent place: the parallactic angle of
    /// textbooks, observers and headers. Equal to the former where the zenith is known without
    /// precession.
    pub parallactic_angle_of_date: Angle,
}

/// The sky at `place` under the zenith `zenith`.
pub(super) fn local_sky(zenith: &Zenith, air: &VisualRefraction, place: SkyPosition) -> LocalSky {
    let seen = aberrated(direction(place), zenith.velocity);
    let altitude = air.apparent(std::f64::consts::FRAC_PI_2 - separation(seen, zenith.direction));
    // The direction towards the zenith, as the telescope sees it, brought back to ICRS a little way along.
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

/// Length of the step towards the zenith, in radians: short against the curvature of aberration
/// (1e-4 per radian), long against rounding.
const UPWARD_STEP: f64 = 1e-5;

/// Refraction as pointing models have it: for visible light.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct VisualRefraction {
    model: ZenithExpansion<StoneOwens>,
}

impl VisualRefraction {
    const WAVELENGTH: Wavelength = Wavelength::from_nm(550.0);

    /// In the air of a visit at its site, as far as they are known; the rest is a standard
    /// atmosphere.
    pub(super) fn of(visit: &VisitInfo, site: Option<Site>) -> Self {
        // Without a site, any will do: what is not known cancels between true and apparent at the boresight.
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

    /// The apparent altitude of a true one, in radians.
    pub(super) fn apparent(&self, true_altitude: f64) -> f64 {
        // The lift changes by at most 1/25 of a change of altitude, at 5°: each pass gains a digit or more.
        let mut apparent = true_altitude;
        for _ in 0..12 {
            apparent = true_altitude + self.lift(apparent);
        }
        apparent.min(std::f64::consts::FRAC_PI_2)
    }

    /// The true altitude of an apparent one, in radians.
    pub(super) fn true_altitude(&self, apparent: f64) -> f64 {
        apparent - self.lift(apparent)
    }
}
