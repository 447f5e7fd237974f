//! Direction of the zenith in ICRS for a site and an instant, by the standard transformations of
//! the IAU.
//!
//! Precession, nutation and aberration are those of SOFA (`sofars`), to a microarcsecond. UT1 is
//! approximated by UTC (within 0.9 s), so that the zenith is up to 13.5″ off in right ascension,
//! and polar motion (0.6″) is neglected. After the last tabulated leap second, UTC continues
//! without further ones.

use sofars::astro::{IauAstrom, apco13, atoiq};
use sofars::ts::taiutc;
use sofars::vm::s2c;

use crate::sphere::Vector;
use crate::{Instant, Site};

/// Julian dates with a defined UTC and a known motion of the Earth: 1960 to 2100.
const DATES: std::ops::Range<f64> = 2_436_934.5..2_488_069.5;

/// Direction of a zenith in ICRS axes, with velocity and pole for the observer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Zenith {
    pub(crate) direction: Vector,
    /// Velocity of the observer in units of the speed of light.
    pub(crate) velocity: Vector,
    /// The celestial pole of date.
    pub(crate) pole: Vector,
}

/// The zenith of `site` at `instant`; `None` for a date before 1960, after 2100, or not a number.
pub(crate) fn zenith_at(instant: Instant, site: &Site) -> Option<Zenith> {
    if !DATES.contains(&(instant.jd1 + instant.jd2)) {
        return None;
    }
    let (utc1, utc2) = taiutc(instant.jd1, instant.jd2).ok()?;
    let (longitude, latitude) = (site.longitude.radians(), site.latitude.radians());
    let (ut1_minus_utc, pole_x, pole_y) = (0.0, 0.0, 0.0);
    // Zero pressure disables refraction, whatever the other readings.
    let (pressure, temperature, humidity, micrometres) = (0.0, 0.0, 0.0, 0.55);
    let mut star_independent = IauAstrom::default();
    let mut equation_of_origins = 0.0;
    apco13(
        utc1,
        utc2,
        ut1_minus_utc,
        longitude,
        latitude,
        site.elevation_m,
        pole_x,
        pole_y,
        pressure,
        temperature,
        humidity,
        micrometres,
        &mut star_independent,
        &mut equation_of_origins,
    )
    .ok()?;

    let (azimuth, zenith_distance) = (0.0, 0.0);
    let (ra, dec) = atoiq("A", azimuth, zenith_distance, &star_independent);
    let intermediate = s2c(ra, dec);
    // The matrix rotates ICRS axes to those of date; its transpose is the inverse.
    let to_date = star_independent.bpn;
    let direction = std::array::from_fn(|i| (0..3).map(|row| to_date[row][i] * intermediate[row]).sum());
    // The last row is the pole of date.
    Some(Zenith { direction, velocity: star_independent.v, pole: to_date[2] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Angle;

    fn site() -> Site {
        Site {
            latitude: Angle::from_degrees(-30.0),
            longitude: Angle::from_degrees(-70.0),
            elevation_m: 2000.0,
        }
    }

    #[test]
    fn zenith_of_impossible_dates_is_none() {
        for jd in [f64::NAN, f64::INFINITY, 0.0, 2_400_000.5, 3e6] {
            assert_eq!(zenith_at(Instant { jd1: jd, jd2: 0.0 }, &site()), None, "{jd}");
        }
    }

    /// The leap second table ends long before 2099; the answer must not.
    #[test]
    fn zenith_is_known_past_the_leap_second_table() {
        for jd1 in [2_437_000.5, 2_451_544.5, 2_461_400.5, 2_488_000.5] {
            let zenith = zenith_at(Instant { jd1, jd2: 0.3 }, &site()).expect("a date between 1960 and 2100");
            let length = crate::sphere::dot(zenith.direction, zenith.direction).sqrt();
            assert!((length - 1.0).abs() < 1e-12);
            // The Earth moves at a ten-thousandth of the speed of light.
            let speed = crate::sphere::dot(zenith.velocity, zenith.velocity).sqrt();
            assert!((0.9e-4..1.1e-4).contains(&speed), "{speed}");
        }
    }

    #[test]
    fn zenith_turns_once_a_sidereal_day() {
        let at = |jd2| zenith_at(Instant { jd1: 2_460_000.5, jd2 }, &site()).unwrap().direction;
        let sidereal_day = 0.997_269_566;
        assert!(crate::sphere::separation(at(0.1), at(0.1 + sidereal_day)) < 1e-5);
        assert!(crate::sphere::separation(at(0.1), at(0.1 + sidereal_day / 2.0)) > 1.0);
    }
}
