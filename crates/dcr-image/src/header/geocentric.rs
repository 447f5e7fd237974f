//! Geocentric coordinates of a telescope (OBSGEO-X, -Y and -Z).

use dcr_physics::{Angle, Site};

/// Geodetic position for geocentric coordinates in m, on the WGS84 ellipsoid.
///
/// Bowring's formula; three iterations give millimetre accuracy anywhere on Earth.
pub(super) fn from_geocentric([x, y, z]: [f64; 3]) -> Option<Site> {
    const SEMI_MAJOR_M: f64 = 6_378_137.0;
    const FLATTENING: f64 = 1.0 / 298.257_223_563;
    const ECCENTRICITY2: f64 = FLATTENING * (2.0 - FLATTENING);
    let axis_distance = x.hypot(y);
    if !(6.2e6..6.5e6).contains(&axis_distance.hypot(z)) {
        return None;
    }
    let mut latitude = z.atan2(axis_distance * (1.0 - ECCENTRICITY2));
    let mut height = 0.0;
    for _ in 0..5 {
        let (sin, cos) = latitude.sin_cos();
        let normal = SEMI_MAJOR_M / (1.0 - ECCENTRICITY2 * sin * sin).sqrt();
        // This form is accurate at the poles and the equator alike.
        height = axis_distance * cos + z * sin - normal * (1.0 - ECCENTRICITY2 * sin * sin);
        latitude = z.atan2(axis_distance * (1.0 - ECCENTRICITY2 * normal / (normal + height)));
    }
    Some(Site {
        latitude: Angle::from_radians(latitude),
        longitude: Angle::from_radians(y.atan2(x)),
        elevation_m: height,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn geocentric_place_of_rubin() {
        // Cerro Pachón, as lsst-images files give it.
        let site = from_geocentric([1_818_938.94, -5_208_470.95, -3_195_172.08]).unwrap();
        assert!((site.latitude.degrees() + 30.244_639).abs() < 1e-5, "{}", site.latitude.degrees());
        assert!((site.longitude.degrees() + 70.749_417).abs() < 1e-5, "{}", site.longitude.degrees());
        assert!((site.elevation_m - 2663.0).abs() < 0.1, "{}", site.elevation_m);
        assert_eq!(from_geocentric([0.0; 3]), None);
        assert_eq!(from_geocentric([f64::NAN; 3]), None);
    }
}
