//! Interpretation of a header by a profile, with notes on assumptions and contradictions.

use dcr_physics::{Angle, Assumption, SkyPosition, VisitInfo, WeatherReadings};

use super::angle::{self, Unit};
use super::profile::{Altitude, AzimuthZero, first_number};
use super::reading::Reading;
use super::site::{Evidence, FoundSite};
use super::time::Scale;
use super::weather;

/// Rotation of the Earth in degrees per second.
const DEGREES_PER_SECOND: f64 = 360.985_647 / 86_400.0;
/// Maximum difference between sec z and AIRMASS that rounding and averaging over the exposure
/// explain.
const AIRMASS_TOLERANCE: f64 = 0.02;

impl Reading<'_> {
    /// All values of the profile's cards; `unit` is the unit of the pixels.
    pub(super) fn visit_info(mut self, unit: Option<&str>) -> VisitInfo {
        if let Some(remark) = self.profile.remark {
            self.warn("instrument", remark.to_owned());
        }
        let exposure_s = first_number(self.header, self.profile.exposure).filter(|seconds| *seconds > 0.0);
        let mid_time = self.mid_time(exposure_s);
        let boresight = self.boresight();
        let altitude = self.altitude();
        let azimuth = self.azimuth();
        let airmass = self.airmass();
        let hour_angle = self.hour_angle(mid_time.after_start_s);
        let evidence = Evidence {
            mid_time: mid_time.instant,
            pointing: boresight.or(self.image_centre),
            hour_angle,
            altitude,
            airmass,
        };
        let site = self.site(evidence);
        let elevation = site.filter(|found| found.elevation_known).map(|found| found.site.elevation_m);
        let elevation = elevation.or(self.given.elevation_m);
        let weather = self.weather(elevation);
        self.compare_airmass(altitude, airmass);
        if altitude.is_none()
            && airmass.is_none()
            && (mid_time.instant.is_none() || boresight.is_none() || site.is_none())
        {
            self.warn(
                "pointing",
                "The header gives neither altitude nor airmass, nor all of time, position and site."
                    .to_owned(),
            );
        }
        let dispersion_corrector = self.dispersion_corrector();
        let degrees =
            |cards: &[&str]| first_number(self.header, cards).map(|value| Angle::from_degrees(value % 360.0));
        let (earth_rotation_angle, parallactic_angle, rotator_angle) = (
            degrees(self.profile.earth_rotation_angle),
            degrees(self.profile.parallactic_angle),
            degrees(self.profile.rotator_angle),
        );
        let zero_point_mag = self.zero_point(unit, exposure_s, best_airmass(&evidence, site));
        let flux_scale = self.flux_scale();
        VisitInfo {
            visit: 0,
            instrument: self.text(self.profile.instrument),
            filter: self.text(self.profile.filter),
            mid_time: mid_time.instant,
            exposure_s,
            boresight,
            image_centre: self.image_centre,
            altitude,
            azimuth,
            airmass,
            hour_angle,
            earth_rotation_angle,
            parallactic_angle,
            rotator_angle,
            site: site.map(|found| found.site),
            weather,
            dispersion_corrector,
            psf_fwhm_px: first_number(self.header, self.profile.fwhm_px).filter(|fwhm| *fwhm > 0.0),
            zero_point_mag,
            flux_scale,
            assumptions: self.notes,
        }
    }

    pub(super) fn note(&mut self, quantity: &str, text: String) {
        self.notes.push(Assumption { quantity: quantity.to_owned(), text, warning: false });
    }

    pub(super) fn warn(&mut self, quantity: &str, text: String) {
        self.notes.push(Assumption { quantity: quantity.to_owned(), text, warning: true });
    }

    fn text(&self, cards: &[&str]) -> Option<String> {
        cards.iter().find_map(|card| self.header.text(card)).map(str::to_owned)
    }

    /// Time scale of the dates in the header.
    pub(super) fn scale(&mut self) -> Scale {
        let Some(text) = self.header.text("TIMESYS").map(str::to_ascii_uppercase) else {
            return self.profile.scale;
        };
        match text.split_whitespace().next() {
            Some("TAI") => Scale::Tai,
            Some("UTC" | "UT" | "GMT" | "UT1") => Scale::Utc,
            Some("TT" | "TDT" | "ET" | "TDB") => Scale::Tt,
            _ => {
                self.warn(
                    "time",
                    format!(
                        "TIMESYS = '{text}' is an unknown time scale; {:?} is assumed.",
                        self.profile.scale
                    ),
                );
                self.profile.scale
            }
        }
    }

    fn boresight(&mut self) -> Option<SkyPosition> {
        for pointing in self.profile.pointing {
            let (Some(ra), Some(dec)) = (self.header.get(pointing.ra), self.header.get(pointing.dec)) else {
                continue;
            };
            let ra = angle::degrees(ra, Unit::Hours, pointing.ra_number);
            let dec = angle::degrees(dec, Unit::Degrees, Unit::Degrees);
            if let (Some(ra), Some(dec)) = (ra, dec)
                && (-360.0..=360.0).contains(&ra)
                && (-90.0..=90.0).contains(&dec)
            {
                // Telescopes that do not track write zeros.
                if ra == 0.0 && dec == 0.0 && self.header.f64("AMSTART") == Some(0.0) {
                    self.warn(
                        "pointing",
                        "The telescope did not track: RA, Dec and airmass are 0, and are not used.".into(),
                    );
                    return None;
                }
                return Some(SkyPosition::from_degrees(ra.rem_euclid(360.0), dec));
            }
        }
        None
    }

    fn altitude(&self) -> Option<Angle> {
        let altitude = self.profile.altitude.iter().find_map(|way| {
            let number = |card: &str| angle::degrees(self.header.get(card)?, Unit::Degrees, Unit::Degrees);
            match *way {
                Altitude::Altitude(card) => number(card),
                Altitude::ZenithDistance(card) => number(card).map(|distance| 90.0 - distance),
            }
            .filter(|altitude| *altitude > 0.0 && *altitude <= 90.0)
        })?;
        Some(Angle::from_degrees(altitude))
    }

    fn azimuth(&mut self) -> Option<Angle> {
        let read = |card: &&str| angle::degrees(self.header.get(card)?, Unit::Degrees, Unit::Degrees);
        let card = self.profile.azimuth.iter().find_map(read).filter(|value| value.abs() <= 720.0)?;
        let azimuth = match self.profile.azimuth_zero {
            AzimuthZero::North => card,
            AzimuthZero::SdssSouth => 180.0 - card,
        };
        Some(Angle::from_degrees(azimuth.rem_euclid(360.0)))
    }

    fn airmass(&self) -> Option<f64> {
        first_number(self.header, self.profile.airmass).filter(|airmass| (0.99..40.0).contains(airmass))
    }

    fn hour_angle(&self, after_start_s: f64) -> Option<Angle> {
        self.profile.hour_angle.iter().find_map(|way| {
            let degrees = angle::degrees(self.header.get(way.card)?, Unit::Hours, way.number)?;
            let later = if way.at_start { after_start_s * DEGREES_PER_SECOND } else { 0.0 };
            (degrees.abs() <= 360.0).then(|| Angle::from_degrees(degrees + later).wrapped())
        })
    }

    /// Weather from the user or from the header. Replaced readings are ignored.
    fn weather(&mut self, elevation_m: Option<f64>) -> WeatherReadings {
        let (header, profile) = (self.header, self.profile);
        let given = self.given.of_the_air(&mut self.notes);
        let temperature_c = given.temperature_c.or_else(|| {
            first_number(header, profile.temperature).and_then(|value| weather::celsius(self, value))
        });
        let pressure_pa = given.pressure_pa.or_else(|| {
            first_number(header, profile.pressure).and_then(|value| weather::pascal(self, value, elevation_m))
        });
        let humidity_percent = given.humidity_percent.or_else(|| {
            first_number(header, profile.humidity).and_then(|value| weather::percent(self, value))
        });
        WeatherReadings { temperature_c, pressure_pa, humidity_percent }
    }

    fn compare_airmass(&mut self, altitude: Option<Angle>, airmass: Option<f64>) {
        let (Some(altitude), Some(airmass)) = (altitude, airmass) else { return };
        let secant = altitude.radians().sin().recip();
        if (secant - airmass).abs() > AIRMASS_TOLERANCE {
            self.warn(
                "airmass",
                format!(
                    "The altitude of {:.2}° has sec z = {secant:.3}, but the header's airmass is {airmass:.3}; \
                     one of them is wrong, and the altitude is used.",
                    altitude.degrees()
                ),
            );
        }
    }

    fn dispersion_corrector(&mut self) -> Option<String> {
        for corrector in self.profile.corrector {
            let Some(value) = self.header.text(corrector.card) else { continue };
            if corrector.absent.contains(&value.to_ascii_uppercase().as_str()) {
                self.note(
                    "dispersion corrector",
                    format!("{} = '{value}': no dispersion corrector was in the beam.", corrector.card),
                );
                return None;
            }
            let text = format!("{} = '{value}'", corrector.card);
            self.warn(
                "dispersion corrector",
                format!(
                    "{text}: a dispersion corrector was in the beam; the refraction may be corrected already."
                ),
            );
            return Some(text);
        }
        None
    }
}

/// Airmass from the header, else from its altitude, else from time and position.
fn best_airmass(evidence: &Evidence, site: Option<FoundSite>) -> Option<f64> {
    let altitude_deg = || {
        let site = site?.site;
        evidence.altitude_deg(site.latitude, site.longitude)
    };
    let of_altitude = |degrees: f64| (degrees > 3.0).then(|| degrees.to_radians().sin().recip());
    evidence
        .airmass
        .or_else(|| of_altitude(evidence.altitude.map_or_else(altitude_deg, |angle| Some(angle.degrees()))?))
}
