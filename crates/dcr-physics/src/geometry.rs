//! From a header to the zenith: altitude and parallactic angle of any place in a visit.
//!
//! Every way of telling where the zenith was ends in the same thing: a fixed direction in ICRS, the
//! *zenith point* of the visit at mid-exposure. For any place on the sky the true zenith distance
//! is then the distance to that point, and the parallactic angle `q` the position angle towards it,
//! North through East:
//!
//! ```text
//! (north, east) = (cos q, sin q)        tan q = sin H / (cos δ tan φ − sin δ cos H)
//! ```
//!
//! (`H` hour angle, `δ` declination, `φ` latitude). Refraction makes the *apparent* altitude of the
//! true one. The ways, and what each needs besides the boresight:
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
//! `Time` meets astropy's `AltAz` to 1e-4° in altitude and q, with the same Earth orientation
//! (`geometry_by_time_meets_astropy`); ignoring UT1 − UTC adds up to 13.5″ of hour angle. The ways
//! that mix ICRS with hour angles of date are off by the precession since 2000: by 2025 up to 0.1°
//! in altitude and 0.3° in q, or 0.5 % of the length of the dispersion and 0.3° of its direction.
//!
//! Altitudes convert between true and apparent with Stone's refraction at 550 nm. Below 5° the
//! refraction is held at its value there; dispersion is refused below anyway.
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

/// One way of deriving the zenith, and what the header lacks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedWay {
    /// The way.
    pub origin: GeometryOrigin,
    /// The quantities that are missing or impossible.
    pub lacks: Vec<String>,
}

/// A visit whose zenith cannot be told.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GeometryError {
    /// No way is open.
    #[error("cannot tell where the zenith was: {}", list(tried))]
    Insufficient {
        /// The ways that were tried, in order.
        tried: Vec<ClosedWay>,
    },
    /// The boresight comes out below the horizon.
    #[error(
        "by {origin} {at} is at altitude {altitude_deg:.2}°, below the horizon{}",
        hint(*altitude_with_other_longitude_sign_deg)
    )]
    BelowHorizon {
        /// What the zenith was derived from.
        origin: GeometryOrigin,
        /// The place that was looked at.
        at: CheckedPlace,
        /// The altitude.
        altitude_deg: f64,
        /// The altitude with the sign of the site's longitude changed, if that is possible and no
        /// worse than the header's own altitude and airmass.
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
            "; with the sign of the longitude changed it is at {altitude:.2}°: longitude looks west-positive"
        )
    })
}

/// Where the zenith was during a visit.
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
    /// Derives the zenith of a visit, and holds it against the header's altitude and airmass at the
    /// boresight, or at the middle of the image where the header gives no pointing.
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
    /// [`GeometryError::Insufficient`] when the header tells too little, with all that was tried;
    /// [`GeometryError::BelowHorizon`] when what it tells puts the boresight below the horizon.
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

    /// The sky at a place, in ICRS.
    #[must_use]
    pub fn at(&self, place: SkyPosition) -> LocalSky {
        local_sky(&self.zenith, &self.air, place)
    }

    /// The sky at the boresight, where the header gives one.
    #[must_use]
    pub fn boresight(&self) -> Option<LocalSky> {
        self.boresight.map(|place| self.at(place))
    }

    /// What the zenith was derived from.
    #[must_use]
    pub const fn origin(&self) -> GeometryOrigin {
        self.origin
    }

    /// What was assumed or doubted on the way.
    #[must_use]
    pub fn assumptions(&self) -> &[Assumption] {
        &self.assumptions
    }

    /// How the result contradicts the header's own altitude or airmass, if it does.
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
