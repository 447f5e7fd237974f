//! Horizon coordinates of a sky position at a site and instant, and the instant of a given airmass.
//!
//! With the Earth rotation angle `θ`, east longitude `l`, latitude `φ` and hour angle `H = θ + l −
//! RA`:
//!
//! ```text
//! sin a = sin φ sin δ + cos φ cos δ cos H,   q = atan2(sin H, cos δ tan φ − sin δ cos H)
//! ```
//!
//! Precession, nutation and aberration are neglected. Fields are therefore dated within a year of
//! J2000.0, where these are below 0.02°: readers of the headers that apply them, from the date,
//! agree with readers that do not, from the Earth rotation angle. UT1 is approximated by UTC.
//!
//! # References
//!
//! - N. Capitaine, B. Guinot, D. McCarthy, 2000, A&A 355, 398: the Earth rotation angle.

use dcr_physics::{Angle, Instant, Refraction, RefractionError, Site, SkyPosition, Wavelength};

/// J2000.0 as a Julian date.
const J2000: f64 = 2_451_545.0;

/// TAI − UTC from 1999 to 2005, in days.
const TAI_MINUS_UTC: f64 = 32.0 / 86_400.0;

/// Turns of the Earth per day of UT1.
const TURNS_PER_DAY: f64 = 1.002_737_811_911_354_6;

/// The Earth's rotation at J2000.0 in turns.
const TURNS_AT_J2000: f64 = 0.779_057_273_264;

/// Horizon coordinates of a sky position.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sighting {
    pub(crate) hour_angle: Angle,
    /// Apparent (refracted) altitude.
    pub(crate) altitude: Angle,
    pub(crate) azimuth: Angle,
    pub(crate) parallactic_angle: Angle,
}

impl Sighting {
    /// Horizon coordinates of `place` at `site` and Earth rotation angle `rotation`, with
    /// refraction at the `reference` wavelength.
    pub(crate) fn new(
        place: SkyPosition,
        site: &Site,
        rotation: Angle,
        air: &dyn Refraction,
        reference: Wavelength,
    ) -> Result<Self, RefractionError> {
        let hour_angle =
            Angle::from_radians(rotation.radians() + site.longitude.radians() - place.ra.radians()).wrapped();
        let (sin_h, cos_h) = libm::sincos(hour_angle.radians());
        let (sin_dec, cos_dec) = libm::sincos(place.dec.radians());
        let (sin_lat, cos_lat) = libm::sincos(site.latitude.radians());
        let up = sin_lat * sin_dec + cos_lat * cos_dec * cos_h;
        let north = cos_lat * sin_dec - sin_lat * cos_dec * cos_h;
        let east = -cos_dec * sin_h;
        let turn = std::f64::consts::TAU;
        let azimuth = libm::atan2(east, north);
        Ok(Self {
            hour_angle,
            altitude: lifted(Angle::from_radians(libm::atan2(up, libm::hypot(north, east))), air, reference)?,
            azimuth: Angle::from_radians(if azimuth < 0.0 { azimuth + turn } else { azimuth }),
            parallactic_angle: Angle::from_radians(libm::atan2(
                sin_h,
                cos_dec * sin_lat / cos_lat - sin_dec * cos_h,
            )),
        })
    }

    /// Airmass of the apparent altitude: `sec z`.
    pub(crate) fn airmass(&self) -> f64 {
        1.0 / libm::sin(self.altitude.radians())
    }
}

/// Apparent altitude for the true altitude `altitude`.
fn lifted(altitude: Angle, air: &dyn Refraction, reference: Wavelength) -> Result<Angle, RefractionError> {
    let mut apparent = altitude;
    // The refraction changes by less than 1/500 of the lift: each iteration gains a factor of 500.
    for _ in 0..5 {
        let lift = air.refraction(reference, apparent)?;
        apparent =
            Angle::from_radians((altitude.radians() + lift.radians()).min(std::f64::consts::FRAC_PI_2));
    }
    Ok(apparent)
}

/// The nonnegative hour angle at which declination `dec` has the airmass `sec z`, for the true
/// altitude.
///
/// 0 (transit) if that airmass is never reached.
pub(crate) fn hour_angle_of_airmass(airmass: f64, dec: Angle, latitude: Angle) -> Angle {
    let (sin_dec, cos_dec) = libm::sincos(dec.radians());
    let (sin_lat, cos_lat) = libm::sincos(latitude.radians());
    let cos_h = (1.0 / airmass - sin_lat * sin_dec) / (cos_lat * cos_dec);
    Angle::from_radians(libm::acos(cos_h.clamp(-1.0, 1.0)))
}

/// The instant, near local midnight and the opposition next to J2000.0, at which `place` has the
/// `hour_angle`.
///
/// One hour of hour angle is a night 15 days later, as in a survey that observes around midnight;
/// `nights` adds further nights. Rounded to a millisecond, as in headers.
pub(crate) fn instant_of_hour_angle(
    hour_angle: Angle,
    place: SkyPosition,
    site: &Site,
    nights: f64,
) -> Instant {
    let at_midnight = |night: i32| {
        let midnight = J2000 + f64::from(night) + 0.5 - site.longitude.degrees() / 360.0;
        let angle = earth_rotation(midnight).radians() + site.longitude.radians() - place.ra.radians();
        (midnight, Angle::from_radians(angle).wrapped())
    };
    let (opposition, offset) = (-183..183)
        .map(at_midnight)
        .min_by(|a, b| a.1.radians().abs().total_cmp(&b.1.radians().abs()))
        .expect("a year has nights");
    // Sidereal time gains one turn on solar time in 365.2422 days.
    let turns = (hour_angle.radians() - offset.radians()) / std::f64::consts::TAU;
    let sidereal_days = libm::round(turns * 365.2422 + nights);
    let tai = opposition + (turns + sidereal_days) / TURNS_PER_DAY + TAI_MINUS_UTC;
    let jd1 = libm::floor(tai) + 0.5;
    Instant { jd1, jd2: libm::round((tai - jd1) * 86_400_000.0) / 86_400_000.0 }
}

/// The Earth rotation angle at an instant between 1999 and 2005.
pub(crate) fn earth_rotation_at(instant: Instant) -> Angle {
    earth_rotation(instant.jd1 + (instant.jd2 - TAI_MINUS_UTC))
}

/// The Earth rotation angle in [0, 2π) at a Julian date of UT1.
fn earth_rotation(jd: f64) -> Angle {
    let days = jd - J2000;
    let turns = TURNS_AT_J2000 + TURNS_PER_DAY * days;
    Angle::from_radians((turns - libm::floor(turns)) * std::f64::consts::TAU)
}

#[cfg(test)]
mod tests {
    use dcr_physics::{RefractionModel, Weather};

    use super::*;

    fn site() -> Site {
        Site {
            latitude: Angle::from_degrees(-30.244_639),
            longitude: Angle::from_degrees(-70.749_417),
            elevation_m: 2663.0,
        }
    }

    fn air() -> Box<dyn Refraction + Send + Sync> {
        let weather = Weather { temperature_c: 10.0, pressure_pa: 74_400.0, humidity_percent: 40.0 };
        RefractionModel::StoneOwens.at(&site(), &weather)
    }

    fn sighting(hour_angle: f64) -> Sighting {
        let place = SkyPosition::from_degrees(53.0, -25.0);
        let instant = instant_of_hour_angle(Angle::from_degrees(hour_angle), place, &site(), 0.0);
        let rotation = earth_rotation_at(instant);
        Sighting::new(place, &site(), rotation, &*air(), Wavelength::from_nm(478.5)).unwrap()
    }

    #[test]
    fn earth_rotation_meets_erfa() {
        // pyerfa 2.0.1.5 `era00(2451545.0, 0.0)` and `era00(2451500.5, 0.25)`, in radians.
        assert!((earth_rotation(J2000).radians() - 4.894_961_212_823_756).abs() < 1e-9);
        assert!((earth_rotation(2_451_500.75).radians() - ERA_1999).abs() < 1e-8);
    }

    const ERA_1999: f64 = 2.562_968_439_824_326;

    #[test]
    fn instant_brings_the_hour_angle() {
        for hour_angle in [-65.0, -20.0, 0.0, 33.0, 64.0] {
            let got = sighting(hour_angle).hour_angle.degrees();
            // A millisecond is 4e-6 degrees.
            assert!((got - hour_angle).abs() < 1e-5, "{got}");
        }
    }

    #[test]
    fn instant_is_near_local_midnight() {
        for hour_angle in [-65.0, -20.0, 0.0, 33.0, 64.0] {
            let place = SkyPosition::from_degrees(53.0, -25.0);
            let instant = instant_of_hour_angle(Angle::from_degrees(hour_angle), place, &site(), 0.0);
            let local = (instant.jd1 + instant.jd2 + 0.5 - 70.749_417 / 360.0).rem_euclid(1.0);
            assert!(!(0.01..0.99).contains(&local), "{local}");
            assert!((instant.jd1 - J2000).abs() < 366.0);
        }
    }

    #[test]
    fn airmass_is_the_one_wanted() {
        let dec = Angle::from_degrees(-25.0);
        for airmass in [1.1, 1.5, 2.0] {
            let hour_angle = hour_angle_of_airmass(airmass, dec, site().latitude);
            for sign in [-1.0, 1.0] {
                // The air lifts the field by up to 80″.
                let got = sighting(sign * hour_angle.degrees()).airmass();
                assert!((got - airmass).abs() < 2e-3, "{got}");
            }
        }
        assert_eq!(hour_angle_of_airmass(1.0, dec, site().latitude).degrees(), 0.0);
    }

    #[test]
    fn zenith_is_east_of_a_field_in_the_west() {
        // After transit (H > 0) the field has gone West, and the zenith lies East of it: q > 0.
        assert!(sighting(40.0).parallactic_angle.degrees() > 0.0);
        assert!(sighting(40.0).azimuth.degrees() > 180.0);
        assert!(sighting(-40.0).parallactic_angle.degrees() < 0.0);
        assert!(sighting(-40.0).azimuth.degrees() < 180.0);
    }

    #[test]
    fn zenith_is_south_of_a_field_north_of_it() {
        // At transit the field at −25° is north of the zenith at −30.2°.
        let transit = sighting(0.0);
        assert!((transit.parallactic_angle.degrees().abs() - 180.0).abs() < 1e-3);
        assert!((90.0 - transit.altitude.degrees() - 5.244_639).abs() < 2e-3);
    }
}
