//! Header quantities from which the zenith is derived.

use serde::{Deserialize, Serialize};

/// Choice of the header quantities for the zenith.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GeometrySource {
    /// The first usable source, in the order of [`GeometryOrigin`].
    #[default]
    Auto,
    /// The time, else the Earth rotation angle.
    Time,
    /// The angles in the header, for headers with an unreliable time: altitude and parallactic
    /// angle, else altitude and azimuth, the same with airmass, else the hour angle.
    Header,
}

/// Source of the zenith, in order of preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GeometryOrigin {
    /// Earth rotation angle in the header, and site.
    EarthRotationAngle,
    /// Time of mid-exposure, and site.
    Time,
    /// Hour angle, and latitude of the site.
    HourAngle,
    /// Altitude and azimuth, and latitude of the site.
    AltitudeAzimuth,
    /// Altitude and parallactic angle.
    AltitudeParallacticAngle,
    /// Airmass and azimuth, and latitude of the site.
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
