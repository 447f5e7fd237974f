//! Metadata of one exposure: time, site, pointing, weather.
//!
//! Every quantity that a header may lack is an `Option`. Defaults, conversions and contradictions
//! are [`Assumption`]s, which `dcr inspect` and the summary report.

use serde::{Deserialize, Serialize};
use sofars::ts::{d2dtf, taiutc};

use crate::{Angle, SkyPosition};

/// A place on Earth.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Site {
    /// Geodetic latitude, north positive.
    pub latitude: Angle,
    /// Longitude, east positive.
    pub longitude: Angle,
    /// Height above sea level in m.
    pub elevation_m: f64,
}

/// The complete state of the air at the telescope.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Weather {
    /// Air temperature in °C.
    pub temperature_c: f64,
    /// Pressure at the telescope (not reduced to sea level) in Pa.
    pub pressure_pa: f64,
    /// Relative humidity in percent, 0 to 100.
    pub humidity_percent: f64,
}

/// Weather readings in a header; each field is finite and plausible, or `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WeatherReadings {
    /// Air temperature in °C.
    pub temperature_c: Option<f64>,
    /// Pressure at the telescope in Pa.
    pub pressure_pa: Option<f64>,
    /// Relative humidity in percent.
    pub humidity_percent: Option<f64>,
}

/// An instant on the TAI scale, as a two-part Julian date for full precision.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Instant {
    /// The larger part of the Julian date, in days TAI.
    pub jd1: f64,
    /// The smaller part, in days.
    pub jd2: f64,
}

impl Instant {
    /// The instant in UTC to the second, as `2018-11-04T07:25:50`; `None` before 1960 or if not a
    /// number.
    ///
    /// ```
    /// use dcr_physics::Instant;
    ///
    /// let instant = Instant { jd1: 2_458_426.5, jd2: 0.25 };
    /// assert_eq!(instant.utc().as_deref(), Some("2018-11-04T05:59:23"));
    /// ```
    #[must_use]
    pub fn utc(self) -> Option<String> {
        let (utc1, utc2) = taiutc(self.jd1, self.jd2).ok()?;
        let (year, month, day, [hour, minute, second, _]) = d2dtf("UTC", 0, utc1, utc2).ok()?;
        (year >= 1960).then(|| format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"))
    }

    /// The instant `seconds` later.
    #[must_use]
    pub const fn later(self, seconds: f64) -> Self {
        Self { jd1: self.jd1, jd2: self.jd2 + seconds / 86_400.0 }
    }
}

/// A default, conversion or contradiction in the metadata of a visit, as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assumption {
    /// The quantity: `longitude`, `pressure`, `altitude`, …
    pub quantity: String,
    /// Action and reason, a whole sentence.
    pub text: String,
    /// `true` for a warning that needs attention, `false` for a note.
    pub warning: bool,
}

/// Metadata of one exposure from its header, in canonical units and signs.
///
/// Angles of the pointing are those of the boresight. `altitude` and `azimuth` may refer to the
/// start of the exposure (many observatories); `mid_time` always refers to its middle.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct VisitInfo {
    /// Visit number; derived from the file name if the header has none.
    pub visit: u64,
    /// The instrument as named in the header.
    pub instrument: Option<String>,
    /// The physical filter as named in the header.
    pub filter: Option<String>,
    /// Middle of the exposure.
    pub mid_time: Option<Instant>,
    /// Exposure time in seconds.
    pub exposure_s: Option<f64>,
    /// Boresight, ICRS.
    pub boresight: Option<SkyPosition>,
    /// Centre of the image, ICRS. Replaces the boresight in checks of the altitude if the header
    /// has no pointing.
    pub image_centre: Option<SkyPosition>,
    /// Apparent (refracted) altitude of the boresight.
    pub altitude: Option<Angle>,
    /// Azimuth of the boresight, North through East.
    pub azimuth: Option<Angle>,
    /// Airmass in the header; used for verification, and as the last source of the altitude.
    pub airmass: Option<f64>,
    /// Hour angle of the boresight at mid-exposure, positive west of the meridian.
    pub hour_angle: Option<Angle>,
    /// Earth rotation angle at mid-exposure (without the site's longitude).
    pub earth_rotation_angle: Option<Angle>,
    /// Parallactic angle of the boresight in the header: position angle of the zenith, N through E.
    pub parallactic_angle: Option<Angle>,
    /// Position angle of the image's +y (afw's sky rotator angle), in the header.
    pub rotator_angle: Option<Angle>,
    /// Site of the observatory.
    pub site: Option<Site>,
    /// Weather readings.
    pub weather: WeatherReadings,
    /// Statement in the header about an atmospheric dispersion corrector in the beam, if any.
    pub dispersion_corrector: Option<String>,
    /// PSF FWHM in pixels, from the header.
    pub psf_fwhm_px: Option<f64>,
    /// Photometric zero point in mag of the stored pixel values: for the exposure if they are
    /// counts, for one second if they are counts per second.
    pub zero_point_mag: Option<f64>,
    /// Factor to the common flux scale from the header (FLXSCALE of SCAMP and SWarp); `None` means
    /// 1.
    pub flux_scale: Option<f64>,
    /// Assumptions made in reading the header.
    pub assumptions: Vec<Assumption>,
}

#[cfg(test)]
mod tests {
    use super::Instant;

    #[test]
    fn instant_in_utc_knows_leap_seconds_and_refuses_nonsense() {
        let utc = |jd1, jd2| Instant { jd1, jd2 }.utc();
        // 2016-12-31 ended with a leap second: TAI was 36 s ahead, then 37 s.
        assert_eq!(utc(2_457_754.5, 36.0 / 86_400.0).as_deref(), Some("2016-12-31T23:59:60"));
        assert_eq!(utc(2_457_754.5, 37.0 / 86_400.0).as_deref(), Some("2017-01-01T00:00:00"));
        assert_eq!(utc(2_488_000.5, 0.0).map(|text| text.len()), Some(19));
        assert_eq!((utc(f64::NAN, 0.0), utc(0.0, 0.0)), (None, None));
    }
}
