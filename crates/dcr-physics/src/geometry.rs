//! Altitude and parallactic angle of any position in a visit, from its header.
//!
//! Every source of information yields a fixed direction in ICRS, the *zenith point* of the visit at
//! mid-exposure. For any sky position, the true zenith distance is the distance to that point, and
//! the parallactic angle `q` is the position angle towards it, North through East:
//!
//! ```text
//! (north, east) = (cos q, sin q)        tan q = sin H / (cos δ tan φ − sin δ cos H)
//! ```
//!
//! with hour angle `H`, declination `δ` and latitude `φ`. Refraction converts the true altitude to
//! the *apparent* one. The sources, with the quantities required besides the boresight:
//!
//! | [`GeometryOrigin`] | needs | zenith point |
//! |---|---|---|
//! | `EarthRotationAngle` | Earth rotation angle, site | RA = ERA + longitude, Dec = latitude |
//! | `Time` | time, site | as SOFA has it, with precession, nutation, aberration |
//! | `HourAngle` | hour angle, latitude | RA = RA + H, Dec = latitude |
//! | `AltitudeAzimuth` | altitude, azimuth, latitude | H and δ from them, then q; then as the next |
//! | `AltitudeParallacticAngle` | altitude, parallactic angle | at distance z from the boresight, towards q |
//! | `AirmassAzimuth`, `AirmassParallacticAngle` | airmass instead of altitude | sec z = airmass |
//!
//! # Accuracy
//!
//! `Time` agrees with `AltAz` of astropy to 1e-4° in altitude and q, for the same Earth orientation
//! (`geometry_by_time_meets_astropy`); neglecting UT1 − UTC adds up to 13.5″ of hour angle. Sources
//! that mix ICRS with hour angles of date are off by the precession since 2000: by 2025 up to 0.1°
//! in altitude and 0.3° in q, or 0.5 % of the length of the dispersion and 0.3° of its direction.
//!
//! Conversions between true and apparent altitude use Stone's refraction at 550 nm. Below 5° the
//! refraction is held constant; dispersion is refused there anyway.
//!
//! # References
//!
//! - IAU SOFA Board, 2023, *SOFA Tools for Earth Attitude* and *SOFA Astrometry Tools*.

mod check;
mod local_sky;
mod origin;
mod ways;

pub use self::check::{CheckedPlace, Disagreement};
pub use self::local_sky::LocalSky;
use self::local_sky::{VisualRefraction, local_sky};
pub use self::origin::{GeometryOrigin, GeometrySource};
use crate::astrometry::Zenith;
use crate::{Assumption, SkyPosition, VisitInfo};

/// A source of the zenith, and the quantities missing for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedWay {
    /// The source.
    pub origin: GeometryOrigin,
    /// Quantities that are missing or impossible.
    pub lacks: Vec<String>,
}

/// A visit without a usable zenith.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GeometryError {
    /// No source is usable.
    #[error("cannot determine the zenith: {}", list(tried))]
    Insufficient {
        /// The sources tried, in order.
        tried: Vec<ClosedWay>,
    },
    /// The boresight would be below the horizon.
    #[error(
        "according to {origin}, {at} is at altitude {altitude_deg:.2}°, below the horizon{}",
        hint(*altitude_with_other_longitude_sign_deg)
    )]
    BelowHorizon {
        /// Source of the zenith.
        origin: GeometryOrigin,
        /// The position evaluated.
        at: CheckedPlace,
        /// Its altitude.
        altitude_deg: f64,
        /// Altitude with the opposite sign of the site's longitude, if possible and no worse than
        /// the header's own altitude and airmass.
        altitude_with_other_longitude_sign_deg: Option<f64>,
    },
}

fn list(tried: &[ClosedWay]) -> String {
    let ways: Vec<String> =
        tried.iter().map(|way| format!("by {} lacks {}", way.origin, way.lacks.join(", "))).collect();
    ways.join("; ")
}

fn hint(altitude_with_other_longitude_sign_deg: Option<f64>) -> String {
    altitude_with_other_longitude_sign_deg.map_or_else(String::new, |altitude| {
        format!(
            "; with the sign of the longitude changed it is at {altitude:.2}°: the longitude seems to be west-positive"
        )
    })
}

/// Direction of the zenith during a visit.
#[derive(Clone, Debug, PartialEq)]
pub struct ZenithGeometry {
    zenith: Zenith,
    air: VisualRefraction,
    boresight: Option<SkyPosition>,
    origin: GeometryOrigin,
    assumptions: Vec<Assumption>,
    disagreement: Option<Disagreement>,
}

impl ZenithGeometry {
    /// Derives the zenith of a visit, and compares it with the header's altitude and airmass at the
    /// boresight, or at the image centre for a header without a pointing.
    ///
    /// ```
    /// use dcr_physics::{Angle, GeometrySource, SkyPosition, VisitInfo, ZenithGeometry};
    ///
    /// let visit = VisitInfo {
    ///     boresight: Some(SkyPosition::from_degrees(53.0, -25.0)),
    ///     altitude: Some(Angle::from_degrees(45.0)),
    ///     parallactic_angle: Some(Angle::from_degrees(90.0)),
    ///     ..VisitInfo::default()
    /// };
    /// let geometry = ZenithGeometry::resolve(&visit, GeometrySource::Auto)?;
    /// // The zenith is in the east: further east is nearer to it.
    /// let east = geometry.at(SkyPosition::from_degrees(54.0, -25.0));
    /// assert!(east.altitude.degrees() > 45.5);
    /// # Ok::<(), dcr_physics::GeometryError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`GeometryError::Insufficient`] with all sources tried, for missing quantities;
    /// [`GeometryError::BelowHorizon`] if the boresight would be below the horizon.
    pub fn resolve(visit: &VisitInfo, source: GeometrySource) -> Result<Self, GeometryError> {
        let air = VisualRefraction::of(visit, ways::site(visit));
        let mut tried = Vec::new();
        for &origin in ways::order(source) {
            match ways::zenith(visit, origin, &air) {
                Ok(zenith) => return Self::checked(visit, origin, zenith, air),
                Err(lacks) => tried.push(ClosedWay { origin, lacks }),
            }
        }
        Err(GeometryError::Insufficient { tried })
    }

    /// The local sky at a position in ICRS.
    #[must_use]
    pub fn at(&self, place: SkyPosition) -> LocalSky {
        local_sky(&self.zenith, &self.air, place)
    }

    /// The local sky at the boresight, if the header has one.
    #[must_use]
    pub fn boresight(&self) -> Option<LocalSky> {
        self.boresight.map(|place| self.at(place))
    }

    /// Source of the zenith.
    #[must_use]
    pub const fn origin(&self) -> GeometryOrigin {
        self.origin
    }

    /// Assumptions and contradictions.
    #[must_use]
    pub fn assumptions(&self) -> &[Assumption] {
        &self.assumptions
    }

    /// Contradiction with the altitude or airmass in the header, if any.
    #[must_use]
    pub const fn disagreement(&self) -> Option<&Disagreement> {
        self.disagreement.as_ref()
    }

    fn checked(
        visit: &VisitInfo,
        origin: GeometryOrigin,
        zenith: Zenith,
        air: VisualRefraction,
    ) -> Result<Self, GeometryError> {
        let boresight = ways::boresight(visit);
        let mut assumptions = ways::assumptions(origin);
        let mut disagreement = None;
        if let Some((at, place)) = CheckedPlace::of(visit) {
            let sky = local_sky(&zenith, &air, place);
            let other_sign = || check::with_other_longitude_sign(visit, origin, &air, (at, place));
            if sky.altitude.radians() <= 0.0 {
                return Err(GeometryError::BelowHorizon {
                    origin,
                    at,
                    altitude_deg: sky.altitude.degrees(),
                    altitude_with_other_longitude_sign_deg: other_sign().map(|sky| sky.altitude.degrees()),
                });
            }
            disagreement = check::disagreement(visit, origin, (at, &sky), other_sign);
            assumptions.extend(disagreement.as_ref().map(Disagreement::assumption));
        }
        Ok(Self { zenith, air, boresight, origin, assumptions, disagreement })
    }
}
