//! The observatory: its position, and the sign convention of its longitude, inferred from the rest
//! of the header.

use dcr_physics::{Angle, Instant, Site, SkyPosition};

use super::coordinate::{Coordinate, coordinate};
use super::geocentric::from_geocentric;
use super::given::distance_km;
use super::profile::LongitudeSign;
use super::profiles::{LATITUDES, LONGITUDES};
use super::reading::Reading;
use super::time::earth_rotation_angle;

/// Tolerance in degrees between hour angle or altitude and a longitude: precession since 2000, a
/// few minutes of exposure, an approximate pointing. A wrong sign differs by tens of degrees.
const AGREEMENT_DEG: f64 = 3.0;
/// Error of an airmass through rounding and averaging over the exposure.
const AIRMASS_ERROR: f64 = 0.02;
/// Distance in km above which two positions are different sites.
const SAME_SITE_KM: f64 = 2.0;
/// Distance in km from the known telescope of an instrument that causes a note.
const SAME_OBSERVATORY_KM: f64 = 100.0;

/// Quantities that a longitude must agree with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Evidence {
    pub(super) mid_time: Option<Instant>,
    /// Boresight, or centre of the image.
    pub(super) pointing: Option<SkyPosition>,
    pub(super) hour_angle: Option<Angle>,
    pub(super) altitude: Option<Angle>,
    pub(super) airmass: Option<f64>,
}

/// A site, and whether its elevation is known rather than assumed to be sea level.
#[derive(Clone, Copy, Debug)]
pub(super) struct FoundSite {
    pub(super) site: Site,
    pub(super) elevation_known: bool,
}

impl Reading<'_> {
    /// The site: from the user, else from the header cards, else from the profile.
    pub(super) fn site(&mut self, evidence: Evidence) -> Option<FoundSite> {
        let notes = self.notes.len();
        let of_header = self.position(evidence);
        let position = match self.given.position() {
            Some(given) => {
                // Notes about an unused position are dropped.
                self.notes.truncate(notes);
                Some(given)
            }
            None => of_header,
        };
        let altitude = evidence.altitude.map(Angle::degrees).or_else(|| {
            let (latitude, longitude) = position?;
            evidence.altitude_deg(latitude, longitude)
        });
        let known = self.profile.site.filter(|_| self.given.position().is_none());
        let from_card = self.elevation(self.profile.elevation, altitude, known.map(|site| site.elevation));
        let from_geocentric = self.geocentric().map(|site| site.elevation_m);
        let of_header_m = from_card.or(from_geocentric).or(known.map(|site| site.elevation));
        let elevation = self.given.elevation_m.or(of_header_m);
        let (latitude, longitude) = position?;
        let elevation_m = elevation.unwrap_or_else(|| {
            self.warn(
                "elevation",
                "The header does not give the elevation of the site; sea level is assumed.".into(),
            );
            0.0
        });
        let site = Site { latitude, longitude, elevation_m };
        self.compare_with_given(&site, of_header, of_header_m);
        Some(FoundSite { site, elevation_known: elevation.is_some() })
    }

    /// Latitude and longitude from the header cards, or from the profile.
    fn position(&mut self, evidence: Evidence) -> Option<(Angle, Angle)> {
        let known = self.profile.site;
        // A known instrument has its own cards; others may use any.
        let any = |own: &[&'static str], all: &[&'static str]| -> Vec<&'static str> {
            let others = if known.is_none() { all } else { &[] };
            own.iter().chain(others).copied().collect()
        };
        let latitude = self.card_of(&any(self.profile.latitude, LATITUDES), ('N', 'S'), 90.0);
        let longitude = self.card_of(&any(self.profile.longitude, LONGITUDES), ('E', 'W'), 360.0);
        let both = latitude.zip(longitude).filter(|((_, latitude), (_, longitude))| {
            let unset = latitude.degrees == 0.0 && longitude.degrees == 0.0;
            if unset {
                self.warn(
                    "site",
                    "The header's latitude and longitude are both 0; they are not used.".into(),
                );
            }
            !unset
        });
        let Some(((latitude_card, latitude), (longitude_card, longitude))) = both else {
            if let Some(site) = self.geocentric() {
                return Some((site.latitude, site.longitude));
            }
            let site = known?;
            self.note("site", format!("The header gives no site; that of {} is used.", self.profile.name));
            return Some((Angle::from_degrees(site.latitude), Angle::from_degrees(site.longitude)));
        };
        self.note_signs(latitude_card, &latitude, "latitude");
        self.note_signs(longitude_card, &longitude, "longitude");
        let latitude = Angle::from_degrees(latitude.degrees);
        let longitude = self.east_longitude(longitude_card, longitude, latitude, evidence);
        self.compare_with_known(latitude, longitude);
        Some((latitude, longitude))
    }

    /// The first card with a coordinate of at most `limit` degrees.
    fn card_of(
        &self,
        cards: &[&'static str],
        (positive, negative): (char, char),
        limit: f64,
    ) -> Option<(&'static str, Coordinate)> {
        let read = |card: &&'static str| {
            let value = coordinate(self.header.get(card)?, positive, negative)?;
            (value.degrees.abs() <= limit).then_some((*card, value))
        };
        cards.iter().find_map(read)
    }

    /// The site from OBSGEO-X, -Y and -Z.
    fn geocentric(&self) -> Option<Site> {
        let number = |card: &str| self.header.f64(card);
        from_geocentric([number("OBSGEO-X")?, number("OBSGEO-Y")?, number("OBSGEO-Z")?])
    }

    fn note_signs(&mut self, card: &str, value: &Coordinate, quantity: &str) {
        if value.signed_too {
            let written = self.header.get(card).map(ToString::to_string).unwrap_or_default();
            self.warn(
                quantity,
                format!(
                    "{card} = {written} has both a sign and a letter; it is read as {:.6}°, where both agree.",
                    value.degrees
                ),
            );
        }
    }

    /// Warns if geocentric coordinates or the profile contradict the site.
    fn compare_with_known(&mut self, latitude: Angle, longitude: Angle) {
        let site = Site { latitude, longitude, elevation_m: 0.0 };
        if let Some(other) = self.geocentric()
            && distance_km(&site, &other) > SAME_SITE_KM
        {
            let km = distance_km(&site, &other);
            self.warn(
                "site",
                format!(
                    "OBSGEO-X, -Y and -Z are {km:.0} km from the header's latitude and longitude, which are used."
                ),
            );
        }
        if let Some(known) = self.profile.site {
            let own = Site {
                latitude: Angle::from_degrees(known.latitude),
                longitude: Angle::from_degrees(known.longitude),
                elevation_m: 0.0,
            };
            let km = distance_km(&site, &own);
            if km > SAME_OBSERVATORY_KM {
                self.warn(
                    "site",
                    format!(
                        "The header's site is {km:.0} km from that of {}; it is used.",
                        self.profile.name
                    ),
                );
            }
        }
    }

    /// Notes the values replaced by the user's site and elevation.
    fn compare_with_given(&mut self, site: &Site, of_header: Option<(Angle, Angle)>, header_m: Option<f64>) {
        if self.given.position().is_some() {
            let other = of_header.map(|(latitude, longitude)| Site { latitude, longitude, elevation_m: 0.0 });
            match other.map(|other| distance_km(site, &other)) {
                Some(km) if km > SAME_SITE_KM => {
                    self.warn("site", format!("input.site is {km:.0} km from the header's site; it is used."))
                }
                Some(_) => self.note("site", "The site is that of input.site.".to_owned()),
                None => self.note("site", "The header has no site; that of input.site is used.".to_owned()),
            }
        }
        if let Some(given) = self.given.elevation_m {
            let text = match header_m {
                Some(other) => {
                    format!("The elevation is that of input.site, {given} m; the header's is {other:.0} m.")
                }
                None => format!("The elevation is that of input.site, {given} m."),
            };
            self.note("elevation", text);
        }
    }

    /// Longitude east, with the sign convention of the profile unless the rest of the header
    /// contradicts it.
    fn east_longitude(
        &mut self,
        card: &str,
        coordinate: Coordinate,
        latitude: Angle,
        evidence: Evidence,
    ) -> Angle {
        let value = coordinate.degrees;
        let as_given = Angle::from_degrees(value).wrapped();
        let reversed = Angle::from_degrees(-value).wrapped();
        // A letter takes precedence over the known convention of an instrument.
        let sign = if coordinate.lettered { LongitudeSign::East } else { self.profile.longitude_sign };
        let (usual, other) = match sign {
            LongitudeSign::West => (reversed, as_given),
            LongitudeSign::East | LongitudeSign::Unsure => (as_given, reversed),
        };
        let agrees = |longitude: Angle| evidence.agrees_with(latitude, longitude);
        let west = |longitude: Angle| longitude == reversed && value != 0.0;
        match (agrees(usual), agrees(other)) {
            (Some(false), Some(true)) => {
                let way = if west(other) { "west" } else { "east" };
                self.warn(
                    "longitude",
                    format!("{card} = {value} counts {way}, according to time and pointing."),
                );
                other
            }
            (Some(false), Some(false)) => {
                self.warn(
                    "longitude",
                    format!("{card} = {value} contradicts the header's time and pointing, whether east or west; one of them is wrong."),
                );
                usual
            }
            (agreement, other_agreement) => {
                // The horizon alone can exclude the other sign.
                let shown = agreement.is_some() || other_agreement == Some(false);
                if sign == LongitudeSign::Unsure && !shown {
                    self.warn(
                        "longitude",
                        format!(
                            "{card} = {value} is assumed to count east; the header has no further evidence."
                        ),
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
    /// Whether hour angle, altitude or airmass agree with the header, or else the pointing is above
    /// the horizon; `None` if unknown.
    fn agrees_with(&self, latitude: Angle, longitude: Angle) -> Option<bool> {
        if let (Some(expected), Some(sky)) = (self.hour_angle, self.pointing) {
            let hour_angle = self.hour_angle_at(longitude)?;
            let off = Angle::from_radians(hour_angle.radians() - expected.radians()).wrapped();
            return Some((off.degrees() * sky.dec.radians().cos()).abs() < AGREEMENT_DEG);
        }
        let altitude = self.altitude_deg(latitude, longitude)?;
        if let Some(expected) = self.altitude {
            return Some((altitude - expected.degrees()).abs() < AGREEMENT_DEG);
        }
        let Some(airmass) = self.airmass else {
            // Pointings below the horizon are impossible.
            return (altitude < -AGREEMENT_DEG).then_some(false);
        };
        // Near the zenith sec z hardly constrains the altitude: dz = d(sec z) / (sec z tan z).
        let airmass = airmass.max(1.0);
        let expected = airmass.recip().asin().to_degrees();
        let uncertain = (AIRMASS_ERROR / (airmass * (airmass * airmass - 1.0).sqrt()).max(1e-3)).to_degrees();
        Some((altitude - expected).abs() < AGREEMENT_DEG + uncertain.min(90.0 - expected + AGREEMENT_DEG))
    }

    /// The hour angle of the pointing.
    fn hour_angle_at(&self, longitude: Angle) -> Option<Angle> {
        let sidereal = earth_rotation_angle(self.mid_time?).radians() + longitude.radians();
        Some(Angle::from_radians(sidereal - self.pointing?.ra.radians()).wrapped())
    }

    /// Altitude of the pointing in degrees, without precession and refraction; accurate to 0.3°.
    pub(super) fn altitude_deg(&self, latitude: Angle, longitude: Angle) -> Option<f64> {
        let hour_angle = self.hour_angle_at(longitude)?;
        let (sin_lat, cos_lat) = latitude.radians().sin_cos();
        let (sin_dec, cos_dec) = self.pointing?.dec.radians().sin_cos();
        let sin_alt = sin_lat * sin_dec + cos_lat * cos_dec * hour_angle.radians().cos();
        Some(sin_alt.clamp(-1.0, 1.0).asin().to_degrees())
    }
}
