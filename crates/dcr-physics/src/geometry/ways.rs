//! Derivation of the zenith point from header quantities.

use std::f64::consts::FRAC_PI_2;

use super::local_sky::VisualRefraction;
use super::origin::{GeometryOrigin, GeometrySource};
use crate::astrometry::{Zenith, zenith_at};
use crate::atmosphere::HEIGHTS_M;
use crate::sphere::{ICRS_POLE, direction, towards};
use crate::{Angle, Assumption, Instant, Site, SkyPosition, VisitInfo};

/// Maximum plausible airmass, about 4° altitude.
const LARGEST_AIRMASS: f64 = 15.0;
/// Minimum airmass, with rounding at the zenith.
const SMALLEST_AIRMASS: f64 = 0.99;

/// The sources to try, in order.
pub(super) const fn order(source: GeometrySource) -> &'static [GeometryOrigin] {
    use GeometryOrigin::{
        AirmassAzimuth, AirmassParallacticAngle, AltitudeAzimuth, AltitudeParallacticAngle,
        EarthRotationAngle, HourAngle, Time,
    };
    match source {
        GeometrySource::Auto => &[
            EarthRotationAngle,
            Time,
            HourAngle,
            AltitudeAzimuth,
            AltitudeParallacticAngle,
            AirmassAzimuth,
            AirmassParallacticAngle,
        ],
        GeometrySource::Time => &[Time, EarthRotationAngle],
        GeometrySource::Header => {
            &[AltitudeParallacticAngle, AltitudeAzimuth, AirmassParallacticAngle, AirmassAzimuth, HourAngle]
        }
    }
}

/// The zenith from one source, or the missing quantities.
pub(super) fn zenith(
    visit: &VisitInfo,
    origin: GeometryOrigin,
    air: &VisualRefraction,
) -> Result<Zenith, Vec<String>> {
    let mut header = Header { visit, lacks: Vec::new() };
    let zenith = match origin {
        GeometryOrigin::EarthRotationAngle => header.by_earth_rotation_angle(),
        GeometryOrigin::Time => header.by_time(),
        GeometryOrigin::HourAngle => header.by_hour_angle(),
        GeometryOrigin::AltitudeAzimuth => {
            let altitude = header.altitude();
            header.by_altitude_and_azimuth(altitude, air)
        }
        GeometryOrigin::AltitudeParallacticAngle => {
            let altitude = header.altitude();
            header.by_altitude_and_parallactic_angle(altitude, air)
        }
        GeometryOrigin::AirmassAzimuth => {
            let altitude = header.altitude_from_airmass();
            header.by_altitude_and_azimuth(altitude, air)
        }
        GeometryOrigin::AirmassParallacticAngle => {
            let altitude = header.altitude_from_airmass();
            header.by_altitude_and_parallactic_angle(altitude, air)
        }
    };
    zenith.ok_or(header.lacks)
}

/// Assumptions of a source.
pub(super) fn assumptions(origin: GeometryOrigin) -> Vec<Assumption> {
    let (quantity, text, warning) = match origin {
        GeometryOrigin::EarthRotationAngle => (
            "zenith",
            "The zenith is from the header's Earth rotation angle, without precession since 2000: \
             altitude is good to 0.1°, the parallactic angle to 0.3°.",
            false,
        ),
        GeometryOrigin::Time => (
            "zenith",
            "The zenith is from the time and the site, with UT1 taken for UTC: good to 13.5″ of hour angle.",
            false,
        ),
        GeometryOrigin::HourAngle => (
            "zenith",
            "The zenith is from the header's hour angle and the latitude, as if both were in ICRS: altitude is \
             good to 0.1°, the parallactic angle to 0.3°.",
            false,
        ),
        GeometryOrigin::AltitudeAzimuth => (
            "zenith",
            "The zenith is from the header's altitude and azimuth; where those are of the start of the \
             exposure, so is the zenith.",
            false,
        ),
        GeometryOrigin::AltitudeParallacticAngle => {
            ("zenith", "The zenith is from the header's altitude and parallactic angle.", false)
        }
        GeometryOrigin::AirmassAzimuth => (
            "altitude",
            "The altitude is from the header's airmass, the direction from its azimuth (an airmass off by \
             0.01 is 10 mas of refraction across g at airmass 1.5).",
            true,
        ),
        GeometryOrigin::AirmassParallacticAngle => (
            "altitude",
            "The altitude is from the header's airmass, the direction from its parallactic angle (an airmass \
             off by 0.01 is 10 mas of refraction across g at airmass 1.5).",
            true,
        ),
    };
    vec![Assumption { quantity: quantity.into(), text: text.into(), warning }]
}

/// The boresight, if it is a valid sky position.
pub(super) fn boresight(visit: &VisitInfo) -> Option<SkyPosition> {
    visit.boresight.filter(|place| place.ra.radians().is_finite() && is_latitude(place.dec))
}

/// The site, if it is on Earth; an impossible elevation counts as sea level.
pub(super) fn site(visit: &VisitInfo) -> Option<Site> {
    let site =
        visit.site.filter(|site| site.longitude.radians().is_finite() && is_latitude(site.latitude))?;
    let possible = HEIGHTS_M.contains(&site.elevation_m);
    Some(Site { elevation_m: if possible { site.elevation_m } else { 0.0 }, ..site })
}

/// The apparent altitude in the header, if it is above the horizon.
pub(super) fn altitude(visit: &VisitInfo) -> Option<Angle> {
    visit.altitude.filter(|altitude| altitude.degrees() > 0.0 && altitude.degrees() <= 90.0 + 1e-9)
}

/// The airmass in the header, if it is valid.
pub(super) fn airmass(visit: &VisitInfo) -> Option<f64> {
    visit.airmass.filter(|airmass| (SMALLEST_AIRMASS..=LARGEST_AIRMASS).contains(airmass))
}

fn is_latitude(angle: Angle) -> bool {
    angle.degrees().abs() <= 90.0 + 1e-9
}

/// Lookup of header quantities that records the missing ones.
struct Header<'a> {
    visit: &'a VisitInfo,
    lacks: Vec<String>,
}

impl Header<'_> {
    /// RA of the zenith = Earth rotation angle + longitude, as in `lsst.afw`.
    fn by_earth_rotation_angle(&mut self) -> Option<Zenith> {
        let rotation = self.angle("Earth rotation angle", self.visit.earth_rotation_angle);
        let site = self.site();
        let (rotation, site) = (rotation?, site?);
        let ra = Angle::from_radians(rotation.radians() + site.longitude.radians());
        Some(at_rest(SkyPosition { ra, dec: site.latitude }))
    }

    fn by_time(&mut self) -> Option<Zenith> {
        let time = self.known("time", self.visit.mid_time, self.visit.mid_time);
        let site = self.site();
        let (time, site) = (time?, site?);
        let zenith = zenith_at(time, &site);
        let Instant { jd1, jd2 } = time;
        if zenith.is_none() {
            self.lacks.push(format!("time (Julian date {} is not between 1960 and 2100)", jd1 + jd2));
        }
        zenith
    }

    fn by_hour_angle(&mut self) -> Option<Zenith> {
        let hour_angle = self.angle("hour angle", self.visit.hour_angle);
        let boresight = self.boresight();
        let latitude = self.latitude();
        let ra = Angle::from_radians(boresight?.ra.radians() + hour_angle?.radians());
        Some(at_rest(SkyPosition { ra, dec: latitude? }))
    }

    fn by_altitude_and_azimuth(&mut self, altitude: Option<Angle>, air: &VisualRefraction) -> Option<Zenith> {
        let azimuth = self.angle("azimuth", self.visit.azimuth);
        let boresight = self.boresight();
        let latitude = self.latitude();
        let true_altitude = air.true_altitude(altitude?.radians());
        let q = parallactic_angle(true_altitude, azimuth?.radians(), latitude?.radians());
        Some(at_distance(boresight?, true_altitude, Angle::from_radians(q)))
    }

    fn by_altitude_and_parallactic_angle(
        &mut self,
        altitude: Option<Angle>,
        air: &VisualRefraction,
    ) -> Option<Zenith> {
        let q = self.angle("parallactic angle", self.visit.parallactic_angle);
        let boresight = self.boresight();
        let true_altitude = air.true_altitude(altitude?.radians());
        Some(at_distance(boresight?, true_altitude, q?))
    }

    fn altitude(&mut self) -> Option<Angle> {
        let given = self.visit.altitude;
        self.known("altitude", given.map(Angle::degrees), altitude(self.visit))
    }

    fn altitude_from_airmass(&mut self) -> Option<Angle> {
        let airmass = self.known("airmass", self.visit.airmass, airmass(self.visit))?;
        Some(Angle::from_radians((1.0 / airmass.max(1.0)).asin()))
    }

    fn boresight(&mut self) -> Option<SkyPosition> {
        self.known("boresight", self.visit.boresight, boresight(self.visit))
    }

    fn site(&mut self) -> Option<Site> {
        self.known("site", self.visit.site, site(self.visit))
    }

    fn latitude(&mut self) -> Option<Angle> {
        let usable = self.visit.site.map(|site| site.latitude).filter(|latitude| is_latitude(*latitude));
        self.known("latitude of the site", self.visit.site, usable)
    }

    fn angle(&mut self, name: &str, given: Option<Angle>) -> Option<Angle> {
        self.known(name, given.map(Angle::degrees), given.filter(|angle| angle.radians().is_finite()))
    }

    /// `usable`; records the quantity as missing if there is none.
    fn known<G: std::fmt::Debug, T>(&mut self, name: &str, given: Option<G>, usable: Option<T>) -> Option<T> {
        if usable.is_none() {
            self.lacks.push(match given {
                None => name.into(),
                Some(given) => format!("a possible {name} (given is {given:?})"),
            });
        }
        usable
    }
}

/// A zenith point without the motion of the Earth.
fn at_rest(point: SkyPosition) -> Zenith {
    Zenith { direction: direction(point), velocity: [0.0; 3], pole: ICRS_POLE }
}

/// The zenith point at its zenith distance from the boresight, towards `q`.
fn at_distance(boresight: SkyPosition, true_altitude: f64, q: Angle) -> Zenith {
    let direction = towards(boresight, q, FRAC_PI_2 - true_altitude);
    Zenith { direction, velocity: [0.0; 3], pole: ICRS_POLE }
}

/// Parallactic angle for a true altitude and azimuth (North through East), from the spherical
/// triangle of zenith, pole and star; all in radians.
fn parallactic_angle(altitude: f64, azimuth: f64, latitude: f64) -> f64 {
    let (sin_alt, cos_alt) = altitude.sin_cos();
    let (sin_az, cos_az) = azimuth.sin_cos();
    let (sin_lat, cos_lat) = latitude.sin_cos();
    (-sin_az * cos_lat).atan2(sin_lat * cos_alt - cos_lat * sin_alt * cos_az)
}
