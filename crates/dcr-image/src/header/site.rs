//! The observatory: which way its longitude counts, shown by the rest of the header.

use dcr_physics::{Angle, Instant, Site, SkyPosition};

use super::angle::{self, Unit};
use super::interpret::Reading;
use super::profile::LongitudeSign;
use super::time::earth_rotation_angle;

/// Agreement of the hour angle or altitude with a longitude, in degrees: precession since 2000, a
/// few minutes of an exposure, an approximate pointing. A wrong sign is off by tens of degrees.
const AGREEMENT_DEG: f64 = 3.0;

/// What a longitude must agree with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Evidence {
    pub(super) mid_time: Option<Instant>,
    pub(super) boresight: Option<SkyPosition>,
    pub(super) hour_angle: Option<Angle>,
    pub(super) altitude: Option<Angle>,
}

impl Reading<'_> {
    /// The site from the header's cards, or the profile's own.
    pub(super) fn site(&mut self, evidence: Evidence) -> Option<Site> {
        let read = |card: &&'static str| {
            let value = self.header.get(card)?;
            Some((*card, angle::degrees(value, Unit::Degrees, Unit::Degrees)?))
        };
        let latitude = self.profile.latitude.iter().find_map(read).filter(|(_, value)| value.abs() <= 90.0);
        let longitude =
            self.profile.longitude.iter().find_map(read).filter(|(_, value)| value.abs() <= 360.0);
        let card = self.profile.elevation.iter().find_map(|card| self.header.f64(card));
        let elevation = card.filter(|elevation| (-500.0..=9000.0).contains(elevation));
        let known = self.profile.site;
        let (Some((_, latitude)), Some((card, longitude))) = (latitude, longitude) else {
            let site = known?;
            self.note("site", format!("The header gives no site; that of {} is used.", self.profile.name));
            return Some(Site {
                latitude: Angle::from_degrees(site.latitude),
                longitude: Angle::from_degrees(site.longitude),
                elevation_m: elevation.unwrap_or(site.elevation),
            });
        };
        let elevation_m = elevation.or_else(|| known.map(|site| site.elevation)).unwrap_or_else(|| {
            self.warn(
                "elevation",
                "The header does not give the elevation of the site; sea level is assumed.".into(),
            );
            0.0
        });
        let latitude = Angle::from_degrees(latitude);
        let longitude = self.east_longitude(card, longitude, latitude, evidence);
        Some(Site { latitude, longitude, elevation_m })
    }

    /// The longitude east, by the profile's sign unless the rest of the header contradicts it.
    fn east_longitude(&mut self, card: &str, value: f64, latitude: Angle, evidence: Evidence) -> Angle {
        let as_given = Angle::from_degrees(value).wrapped();
        let reversed = Angle::from_degrees(-value).wrapped();
        let (usual, other) = match self.profile.longitude_sign {
            LongitudeSign::West => (reversed, as_given),
            LongitudeSign::East | LongitudeSign::Unsure => (as_given, reversed),
        };
        let agrees = |longitude: Angle| evidence.agrees_with(latitude, longitude);
        let west = |longitude: Angle| longitude == reversed && value != 0.0;
        match (agrees(usual), agrees(other)) {
            (Some(false), Some(true)) => {
                let way = if west(other) { "west" } else { "east" };
                self.warn("longitude", format!("{card} = {value} counts {way}, as time and pointing show."));
                other
            }
            (Some(false), Some(false)) => {
                self.warn(
                    "longitude",
                    format!("{card} = {value} does not fit the header's time and pointing, east or west; one of them is wrong."),
                );
                usual
            }
            (agreement, _) => {
                if self.profile.longitude_sign == LongitudeSign::Unsure && agreement.is_none() {
                    self.warn(
                        "longitude",
                        format!("{card} = {value} is taken to count east; nothing in the header shows it."),
                    );
                } else if west(usual) {
                    self.note("longitude", format!("{card} = {value} counts west."));
                }
                usual
            }
        }
    }
}

impl Evidence {
    /// Whether hour angle or altitude come out as the header has them; `None` if it cannot be told.
    fn agrees_with(&self, latitude: Angle, longitude: Angle) -> Option<bool> {
        let (time, sky) = (self.mid_time?, self.boresight?);
        let sidereal = earth_rotation_angle(time).radians() + longitude.radians();
        let hour_angle = Angle::from_radians(sidereal - sky.ra.radians()).wrapped();
        if let Some(expected) = self.hour_angle {
            let off = Angle::from_radians(hour_angle.radians() - expected.radians()).wrapped();
            return Some((off.degrees() * sky.dec.radians().cos()).abs() < AGREEMENT_DEG);
        }
        let (sin_lat, cos_lat) = latitude.radians().sin_cos();
        let (sin_dec, cos_dec) = sky.dec.radians().sin_cos();
        let sin_alt = sin_lat * sin_dec + cos_lat * cos_dec * hour_angle.radians().cos();
        let off = sin_alt.clamp(-1.0, 1.0).asin().to_degrees() - self.altitude?.degrees();
        Some(off.abs() < AGREEMENT_DEG)
    }
}

/// Geodetic position of geocentric coordinates in m, on the WGS84 ellipsoid.
///
/// Iterates Bowring's formula; good to a millimetre anywhere on Earth after three rounds.
pub(super) fn from_geocentric([x, y, z]: [f64; 3]) -> Option<Site> {
    const SEMI_MAJOR_M: f64 = 6_378_137.0;
    const FLATTENING: f64 = 1.0 / 298.257_223_563;
    const ECCENTRICITY2: f64 = FLATTENING * (2.0 - FLATTENING);
    let axis_distance = x.hypot(y);
    if !(6.2e6..6.5e6).contains(&axis_distance.hypot(z)) {
        return None;
    }
    let mut latitude = z.atan2(axis_distance * (1.0 - ECCENTRICITY2));
    let mut height = 0.0;
    for _ in 0..5 {
        let (sin, cos) = latitude.sin_cos();
        let normal = SEMI_MAJOR_M / (1.0 - ECCENTRICITY2 * sin * sin).sqrt();
        // The form that is good at the poles and the equator alike.
        height = axis_distance * cos + z * sin - normal * (1.0 - ECCENTRICITY2 * sin * sin);
        latitude = z.atan2(axis_distance * (1.0 - ECCENTRICITY2 * normal / (normal + height)));
    }
    Some(Site {
        latitude: Angle::from_radians(latitude),
        longitude: Angle::from_radians(y.atan2(x)),
        elevation_m: height,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn geocentric_place_of_rubin() {
        // Cerro Pachón, as lsst-images files give it.
        let site = from_geocentric([1_818_938.94, -5_208_470.95, -3_195_172.08]).unwrap();
        assert!((site.latitude.degrees() + 30.244_639).abs() < 1e-5, "{}", site.latitude.degrees());
        assert!((site.longitude.degrees() + 70.749_417).abs() < 1e-5, "{}", site.longitude.degrees());
        assert!((site.elevation_m - 2663.0).abs() < 0.1, "{}", site.elevation_m);
        assert_eq!(from_geocentric([0.0; 3]), None);
        assert_eq!(from_geocentric([f64::NAN; 3]), None);
    }
}
