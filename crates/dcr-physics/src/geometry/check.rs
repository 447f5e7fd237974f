//! Comparison of the derived altitude with altitude and airmass in the header.

use serde::{Deserialize, Serialize};

use super::local_sky::{LocalSky, VisualRefraction, local_sky};
use super::origin::GeometryOrigin;
use super::ways;
use crate::{Angle, Assumption, Site, SkyPosition, VisitInfo};

/// Tolerance of the altitude in degrees, in addition to the motion during the exposure.
const ALTITUDE_DEG: f64 = 0.5;
/// Tolerance of the airmass, in addition to the motion during the exposure.
const AIRMASS: f64 = 0.02;
/// Tolerance in degrees for a header altitude compared at the image centre: the boresight of a
/// mosaic camera can be that far from a single detector. An altitude from a longitude of the wrong
/// sign differs by tens of degrees.
const CENTRE_DEG: f64 = 2.5;
/// Apparent rotation of the sky, in degrees per second.
const SKY_DEG_PER_S: f64 = 360.985_6 / 86_400.0;

/// Position at which altitude and airmass are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckedPlace {
    /// The pointing in the header.
    Boresight,
    /// Centre of the image, for headers without a pointing.
    ImageCentre,
}

impl CheckedPlace {
    /// Boresight of a visit, else the centre of its image.
    pub(super) fn of(visit: &VisitInfo) -> Option<(Self, SkyPosition)> {
        let boresight = ways::boresight(visit).map(|place| (Self::Boresight, place));
        boresight.or_else(|| Some((Self::ImageCentre, visit.image_centre?)))
    }

    const fn allowance_deg(self) -> f64 {
        match self {
            Self::Boresight => 0.0,
            Self::ImageCentre => CENTRE_DEG,
        }
    }
}

impl std::fmt::Display for CheckedPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Boresight => "the boresight",
            Self::ImageCentre => "the image centre",
        })
    }
}

/// Contradiction between a derived geometry and its header.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Disagreement {
    /// Source of the zenith.
    pub origin: GeometryOrigin,
    /// The position evaluated.
    pub at: CheckedPlace,
    /// Derived apparent altitude.
    pub altitude: Angle,
    /// Altitude in the header.
    pub header_altitude: Option<Angle>,
    /// Derived airmass, the secant of the zenith distance.
    pub airmass: f64,
    /// Airmass in the header.
    pub header_airmass: Option<f64>,
    /// Whether the header agrees with the opposite sign of the site's longitude.
    pub longitude_looks_west_positive: bool,
}

impl Disagreement {
    /// The contradiction as text.
    pub(super) fn assumption(&self) -> Assumption {
        let mut header = Vec::new();
        header.extend(self.header_altitude.map(|altitude| format!("altitude {:.2}°", altitude.degrees())));
        header.extend(self.header_airmass.map(|airmass| format!("airmass {airmass:.3}")));
        let hint = if self.longitude_looks_west_positive {
            " With the sign of the longitude changed they agree: the longitude seems to be west-positive."
        } else {
            ""
        };
        Assumption {
            quantity: "altitude".into(),
            text: format!(
                "According to {}, {} is at altitude {:.2}°, airmass {:.3}, but the header says {}.{hint}",
                self.origin,
                self.at,
                self.altitude.degrees(),
                self.airmass,
                header.join(", ")
            ),
            warning: true,
        }
    }
}

/// Contradiction between `sky`, derived for a position by `origin`, and the header, if any.
pub(super) fn disagreement(
    visit: &VisitInfo,
    origin: GeometryOrigin,
    (at, sky): (CheckedPlace, &LocalSky),
    other_sign: impl FnOnce() -> Option<LocalSky>,
) -> Option<Disagreement> {
    if agrees(visit, sky, at.allowance_deg()) {
        return None;
    }
    Some(Disagreement {
        origin,
        at,
        altitude: sky.altitude,
        header_altitude: ways::altitude(visit),
        airmass: sky.airmass,
        header_airmass: ways::airmass(visit),
        longitude_looks_west_positive: other_sign().is_some(),
    })
}

/// The local sky with the opposite sign of the site's longitude, if the source uses the longitude,
/// and if that sky is above the horizon and agrees with the header.
pub(super) fn with_other_longitude_sign(
    visit: &VisitInfo,
    origin: GeometryOrigin,
    air: &VisualRefraction,
    (at, place): (CheckedPlace, SkyPosition),
) -> Option<LocalSky> {
    if !matches!(origin, GeometryOrigin::Time | GeometryOrigin::EarthRotationAngle) {
        return None;
    }
    let site = ways::site(visit)?;
    let longitude = Angle::from_radians(-site.longitude.radians());
    let other = VisitInfo { site: Some(Site { longitude, ..site }), ..visit.clone() };
    let sky = local_sky(&ways::zenith(&other, origin, air).ok()?, air, place);
    (sky.altitude.radians() > 0.0 && agrees(visit, &sky, at.allowance_deg())).then_some(sky)
}

/// Whether `sky` is compatible with altitude and airmass in the header, which may refer to the
/// start of the exposure.
///
/// `allowance_deg` is added to the motion during the exposure. A header with neither is compatible.
fn agrees(visit: &VisitInfo, sky: &LocalSky, allowance_deg: f64) -> bool {
    let exposure_s = visit.exposure_s.filter(|s| s.is_finite() && *s > 0.0).unwrap_or(0.0);
    let motion_deg = SKY_DEG_PER_S * exposure_s / 2.0 + allowance_deg;
    let altitude_agrees = ways::altitude(visit).is_none_or(|altitude| {
        (altitude.degrees() - sky.altitude.degrees()).abs() <= ALTITUDE_DEG + motion_deg
    });
    let airmass_agrees = ways::airmass(visit).is_none_or(|airmass| {
        // d(sec z) = sec z tan z dz
        let motion = sky.airmass * (sky.airmass.powi(2) - 1.0).sqrt() * motion_deg.to_radians();
        (airmass - sky.airmass).abs() <= AIRMASS + motion
    });
    altitude_agrees && airmass_agrees
}
