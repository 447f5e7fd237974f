//! Reads a header by a profile, and notes what had to be assumed, converted or doubted.

use dcr_physics::{Angle, Assumption, SkyPosition, VisitInfo, WeatherReadings};

use super::Header;
use super::angle::{self, Unit};
use super::profile::{Altitude, AzimuthZero, Profile, Time, first_number};
use super::site;
use super::time::{Date, Scale};
use super::weather;

/// Degrees that the Earth turns in a second of time.
const DEGREES_PER_SECOND: f64 = 360.985_647 / 86_400.0;
/// Largest difference between sec z and the AIRMASS card that rounding and the mean over an exposure
/// explain.
const AIRMASS_TOLERANCE: f64 = 0.02;

/// What a header says of a visit, and the notes made on the way.
pub(super) struct Reading<'a> {
    pub(super) header: &'a Header,
    pub(super) profile: &'a Profile,
    pub(super) notes: Vec<Assumption>,
}

impl Reading<'_> {
    /// All that the profile's cards tell.
    pub(super) fn visit_info(mut self) -> VisitInfo {
        if let Some(remark) = self.profile.remark {
            self.warn("instrument", remark.to_owned());
        }
        let exposure_s = first_number(self.header, self.profile.exposure).filter(|seconds| *seconds > 0.0);
        let mid_time = self.mid_time(exposure_s);
        let boresight = self.boresight();
        let altitude = self.altitude();
        let azimuth = self.azimuth();
        let airmass = self.airmass();
        let hour_angle = self.hour_angle(exposure_s);
        let site = self.site(site::Evidence { mid_time, boresight, hour_angle, altitude });
        let elevation = site.map(|site| site.elevation_m);
        let weather = self.weather(elevation);
        self.compare_airmass(altitude, airmass);
        if altitude.is_none()
            && airmass.is_none()
            && (mid_time.is_none() || boresight.is_none() || site.is_none())
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
        VisitInfo {
            visit: 0,
            instrument: self.text(self.profile.instrument),
            filter: self.text(self.profile.filter),
            mid_time,
            exposure_s,
            boresight,
            altitude,
            azimuth,
            airmass,
            hour_angle,
            earth_rotation_angle: degrees(self.profile.earth_rotation_angle),
            parallactic_angle: degrees(self.profile.parallactic_angle),
            rotator_angle: degrees(self.profile.rotator_angle),
            site,
            weather,
            dispersion_corrector,
            psf_fwhm_px: first_number(self.header, self.profile.fwhm_px).filter(|fwhm| *fwhm > 0.0),
            zero_point_mag: first_number(self.header, self.profile.zero_point),
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

    fn mid_time(&mut self, exposure_s: Option<f64>) -> Option<dcr_physics::Instant> {
        let header = self.header;
        let parsed = |card: &str| header.text(card).and_then(Date::parse);
        let mjd = |card: &str, zero: f64| header.f64(card).and_then(|value| Date::from_mjd(value - zero));
        let scale = self.scale();
        let scale_of = |card: &str| if card.contains("TAI") { Scale::Tai } else { scale };
        for way in self.profile.time {
            let (start, scale) = match *way {
                Time::Mid(card) => match parsed(card) {
                    Some(date) => return Some(date.on(scale)),
                    None => continue,
                },
                Time::MidMjd(card) => match mjd(card, 0.0) {
                    Some(date) => return Some(date.on(scale)),
                    None => continue,
                },
                Time::MidJd(card) => match mjd(card, 2_400_000.5) {
                    Some(date) => return Some(date.on(scale)),
                    None => continue,
                },
                Time::BeginEnd(begin, end) => match (parsed(begin), parsed(end)) {
                    (Some(begin), Some(end)) if (0.0..86_400.0).contains(&begin.seconds_until(end)) => {
                        return Some(begin.middle(end).on(scale));
                    }
                    _ => continue,
                },
                Time::Begin(card) => (parsed(card), scale),
                Time::BeginParts(date, time) => {
                    let date = header.text(date).zip(header.text(time));
                    (date.and_then(|(date, time)| Date::from_parts(date, time)), scale_of(time))
                }
                Time::BeginMjd(card) => (mjd(card, 0.0), scale),
                Time::BeginJd(card) => (mjd(card, 2_400_000.5), scale),
                Time::BeginTaiSeconds(card) => {
                    (header.f64(card).and_then(|seconds| Date::from_mjd(seconds / 86_400.0)), Scale::Tai)
                }
            };
            let Some(start) = start else { continue };
            return Some(match exposure_s {
                Some(seconds) => start.plus_seconds(seconds / 2.0).on(scale),
                None => {
                    self.warn(
                        "time",
                        "The exposure time is not given; the time of its start is taken for its middle."
                            .into(),
                    );
                    start.on(scale)
                }
            });
        }
        let tried = self.profile.time.iter().map(cards_of).collect::<Vec<_>>().join(", ");
        self.warn("time", format!("No date with a time was found; tried {tried}."));
        None
    }

    /// The time scale of the header's dates.
    fn scale(&mut self) -> Scale {
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
                        "TIMESYS = '{text}' is no time scale known here; {:?} is assumed.",
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

    fn hour_angle(&self, exposure_s: Option<f64>) -> Option<Angle> {
        self.profile.hour_angle.iter().find_map(|way| {
            let degrees = angle::degrees(self.header.get(way.card)?, Unit::Hours, way.number)?;
            let later = if way.at_start { exposure_s.unwrap_or(0.0) / 2.0 * DEGREES_PER_SECOND } else { 0.0 };
            (degrees.abs() <= 360.0).then(|| Angle::from_degrees(degrees + later).wrapped())
        })
    }

    fn weather(&mut self, elevation_m: Option<f64>) -> WeatherReadings {
        let (header, profile) = (self.header, self.profile);
        let temperature_c =
            first_number(header, profile.temperature).and_then(|value| weather::celsius(self, value));
        let pressure_pa = first_number(header, profile.pressure)
            .and_then(|value| weather::pascal(self, value, elevation_m));
        let humidity_percent =
            first_number(header, profile.humidity).and_then(|value| weather::percent(self, value));
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

fn cards_of(way: &Time) -> String {
    match *way {
        Time::BeginEnd(a, b) | Time::BeginParts(a, b) => format!("{a} with {b}"),
        Time::Mid(card)
        | Time::MidMjd(card)
        | Time::MidJd(card)
        | Time::Begin(card)
        | Time::BeginMjd(card)
        | Time::BeginJd(card)
        | Time::BeginTaiSeconds(card) => card.to_owned(),
    }
}
