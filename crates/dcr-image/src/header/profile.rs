//! Profile of an instrument: cards, units and signs of its headers.
//!
//! A profile is data; [`interpret`](super::interpret) applies it to a header. Lists are tried in
//! order, and the first card with a usable value counts.

use super::Header;
use super::angle::Unit;
use super::time::Scale;

/// Locations of the required quantities in the headers of an instrument.
#[derive(Clone, Copy, Debug)]
pub(super) struct Profile {
    /// Name of the instrument in messages.
    pub(super) name: &'static str,
    pub(super) instrument: &'static [&'static str],
    pub(super) filter: &'static [&'static str],
    /// Cards with the visit number: numbers, or strings with digits.
    pub(super) visit: &'static [&'static str],
    pub(super) time: &'static [Time],
    /// The scale of times without TIMESYS.
    pub(super) scale: Scale,
    pub(super) exposure: &'static [&'static str],
    pub(super) pointing: &'static [Pointing],
    pub(super) altitude: &'static [Altitude],
    pub(super) azimuth: &'static [&'static str],
    /// Origin of the azimuth.
    pub(super) azimuth_zero: AzimuthZero,
    pub(super) airmass: &'static [&'static str],
    pub(super) hour_angle: &'static [HourAngle],
    pub(super) earth_rotation_angle: &'static [&'static str],
    pub(super) parallactic_angle: &'static [&'static str],
    pub(super) rotator_angle: &'static [&'static str],
    pub(super) latitude: &'static [&'static str],
    pub(super) longitude: &'static [&'static str],
    pub(super) longitude_sign: LongitudeSign,
    pub(super) elevation: &'static [&'static str],
    /// Default site for headers without one.
    pub(super) site: Option<FixedSite>,
    pub(super) temperature: &'static [&'static str],
    pub(super) pressure: &'static [&'static str],
    pub(super) humidity: &'static [&'static str],
    pub(super) corrector: &'static [Corrector],
    pub(super) fwhm_px: &'static [&'static str],
    pub(super) zero_point: &'static [ZeroPointCard],
    /// Remark for the user that applies to all headers of this kind.
    pub(super) remark: Option<&'static str>,
}

impl Profile {
    /// A profile without cards.
    pub(super) const EMPTY: Self = Self {
        name: "",
        instrument: &["INSTRUME"],
        filter: &["FILTER"],
        visit: &[],
        time: &[],
        scale: Scale::Utc,
        exposure: &["EXPTIME"],
        pointing: &[],
        altitude: &[],
        azimuth: &[],
        azimuth_zero: AzimuthZero::North,
        airmass: &["AIRMASS"],
        hour_angle: &[],
        earth_rotation_angle: &[],
        parallactic_angle: &[],
        rotator_angle: &[],
        latitude: &[],
        longitude: &[],
        longitude_sign: LongitudeSign::East,
        elevation: &[],
        site: None,
        temperature: &[],
        pressure: &[],
        humidity: &[],
        corrector: &[],
        fwhm_px: &[],
        zero_point: &[],
        remark: None,
    };
}

/// A time card or combination of cards.
#[derive(Clone, Copy, Debug)]
pub(super) enum Time {
    /// ISO string, middle of the exposure.
    Mid(&'static str),
    /// Modified Julian date, middle.
    MidMjd(&'static str),
    /// Julian date, middle.
    MidJd(&'static str),
    /// ISO strings, start and end.
    BeginEnd(&'static str, &'static str),
    /// ISO string, start.
    Begin(&'static str),
    /// A date and a time of day, start.
    BeginParts(&'static str, &'static str),
    /// Modified Julian date, start.
    BeginMjd(&'static str),
    /// Julian date, start.
    BeginJd(&'static str),
    /// Seconds since MJD 0 on the TAI scale, start.
    BeginTaiSeconds(&'static str),
}

impl Time {
    /// Whether the end of the exposure is among the cards.
    pub(super) const fn has_end(&self) -> bool {
        matches!(self, Self::BeginEnd(..))
    }
}

/// Right ascension and declination.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pointing {
    pub(super) ra: &'static str,
    pub(super) dec: &'static str,
    /// Unit of a right ascension given as a number.
    pub(super) ra_number: Unit,
}

impl Pointing {
    pub(super) const fn degrees(ra: &'static str, dec: &'static str) -> Self {
        Self { ra, dec, ra_number: Unit::Degrees }
    }
}

/// A card of the altitude, or of its complement.
#[derive(Clone, Copy, Debug)]
pub(super) enum Altitude {
    Altitude(&'static str),
    ZenithDistance(&'static str),
}

/// A card of the hour angle; strings are hours.
#[derive(Clone, Copy, Debug)]
pub(super) struct HourAngle {
    pub(super) card: &'static str,
    /// Unit of a value given as a number.
    pub(super) number: Unit,
    /// Whether the value refers to the start of the exposure rather than the middle.
    pub(super) at_start: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AzimuthZero {
    /// North through East.
    North,
    /// South through West mirrored, as SDSS has it: azimuth = 180° − card.
    SdssSouth,
}

/// Sign convention of longitudes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LongitudeSign {
    East,
    West,
    /// Unknown: east, unless the rest of the header indicates west.
    Unsure,
}

/// A known site: degrees, degrees east, metres.
#[derive(Clone, Copy, Debug)]
pub(super) struct FixedSite {
    pub(super) latitude: f64,
    pub(super) longitude: f64,
    pub(super) elevation: f64,
}

/// Time that a zero point refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Per {
    /// The pixels as stored.
    Exposure,
    /// One second.
    Second,
}

/// A card of the photometric zero point.
#[derive(Clone, Copy, Debug)]
pub(super) struct ZeroPointCard {
    pub(super) keyword: &'static str,
    pub(super) per: Per,
    /// A card in mag per airmass, with the sign of its term for an airmass above 1.
    pub(super) extinction: Option<(&'static str, f64)>,
}

impl ZeroPointCard {
    /// A zero point for the whole exposure.
    pub(super) const fn exposure(keyword: &'static str) -> Self {
        Self { keyword, per: Per::Exposure, extinction: None }
    }

    /// A zero point for one second.
    pub(super) const fn second(keyword: &'static str) -> Self {
        Self { keyword, per: Per::Second, extinction: None }
    }

    /// The zero point with an extinction term.
    pub(super) const fn with_extinction(self, keyword: &'static str, sign: f64) -> Self {
        Self { extinction: Some((keyword, sign)), ..self }
    }
}

/// A card about a dispersion corrector in the beam.
#[derive(Clone, Copy, Debug)]
pub(super) struct Corrector {
    pub(super) card: &'static str,
    /// Values that mean no corrector, in upper case.
    pub(super) absent: &'static [&'static str],
}

/// The first of `cards` with a usable number.
pub(super) fn first_number(header: &Header, cards: &[&str]) -> Option<f64> {
    cards.iter().find_map(|card| header.f64(card))
}
