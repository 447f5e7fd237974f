//! The quantities of a header that the zenith is derived from.

use serde::{Deserialize, Serialize};

/// What to derive the zenith from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GeometrySource {
    /// The first way that the header allows, in the order of [`GeometryOrigin`].
    #[default]
    Auto,
    /// The time, or else the Earth rotation angle.
    Time,
    /// The angles in the header, for headers whose time is not to be trusted: altitude and
    /// parallactic angle first, then altitude and azimuth, the same with the airmass, and the hour
    /// angle.
    Header,
}

/// What the zenith was derived from, in the order of preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GeometryOrigin {
    /// The header's own Earth rotation angle, and the site.
    EarthRotationAngle,
    /// The time of mid-exposure, and the site.
    Time,
    /// The hour angle, and the site's latitude.
    HourAngle,
    /// Altitude and azimuth, and the site's latitude.
    AltitudeAzimuth,
    /// Altitude and parallactic angle.
    AltitudeParallacticAngle,
    /// Airmass and azimuth, and the site's latitude.
    AirmassAzimuth,
    /// Airmass and parallactic angle.
    AirmassParallacticAngle,
}

impl std::fmt::Display for GeometryOrigin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::EarthRotationAngle => "Earth rotation angle",
            Self::Time => "time",
            Self::HourAngle => "hour angle",
            Self::AltitudeAzimuth => "altitude and azimuth",
            Self::AltitudeParallacticAngle => "altitude and parallactic angle",
            Self::AirmassAzimuth => "airmass and azimuth",
            Self::AirmassParallacticAngle => "airmass and parallactic angle",
        })
    }
}
