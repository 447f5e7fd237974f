//! All quantities in the metadata of a visit give the same geometry in `dcr-physics`.

use dcr_physics::{GeometrySource, VisitInfo, ZenithGeometry};
use dcr_sim::{Field, FieldConfig, VisitSettings};

/// By the same formula, the Earth rotation angle: the remainder is the wavelength of the refraction
/// at the boresight (550 nm there, the reference wavelength here), 1″ at airmass 2.
const SAME_FORMULA_DEG: f64 = 5e-4;

/// Altitude by the full astrometry of the date, within a year of J2000.0: precession (50″ a year),
/// nutation and aberration (20″ each).
const ALTITUDE_OF_DATE_DEG: f64 = 0.03;

/// The same for the parallactic angle, where it does not run through 180° in minutes.
const ANGLE_OF_DATE_DEG: f64 = 0.05;

fn plans() -> Vec<VisitInfo> {
    let visits = VisitSettings { held_out: 6, weather_varies: true, ..VisitSettings::default() };
    let field = Field::draw(&FieldConfig { visits, ..FieldConfig::default() }).unwrap();
    field.visits().iter().chain(field.held_out()).map(|plan| plan.info.clone()).collect()
}

/// Differences (altitude, parallactic angle) in degrees between the visit and the geometry from a
/// subset of its metadata.
fn differences(info: &VisitInfo, part: &VisitInfo, source: GeometrySource) -> (f64, f64) {
    let geometry = ZenithGeometry::resolve(part, source).unwrap();
    assert!(geometry.disagreement().is_none(), "{:?}", geometry.disagreement());
    let sky = geometry.boresight().unwrap();
    let q = info.parallactic_angle.unwrap().radians() - sky.parallactic_angle.radians();
    let q = dcr_physics::Angle::from_radians(q).wrapped();
    ((info.altitude.unwrap().degrees() - sky.altitude.degrees()).abs(), q.degrees().abs())
}

#[test]
fn geometry_by_earth_rotation_is_the_same() {
    for info in plans() {
        let (altitude, q) = differences(&info, &info, GeometrySource::Auto);
        assert!(altitude < SAME_FORMULA_DEG && q < SAME_FORMULA_DEG, "{}: {altitude} {q}", info.visit);
    }
}

#[test]
fn geometry_by_time_agrees() {
    for info in plans() {
        let part = VisitInfo { earth_rotation_angle: None, hour_angle: None, ..info.clone() };
        let (altitude, q) = differences(&info, &part, GeometrySource::Time);
        assert!(altitude < ALTITUDE_OF_DATE_DEG, "{}: {altitude}", info.visit);
        assert!(q < ANGLE_OF_DATE_DEG || info.airmass.unwrap() < 1.05, "{}: {q}", info.visit);
    }
}

#[test]
fn geometry_by_header_angles_is_the_same() {
    for info in plans() {
        let part = VisitInfo { earth_rotation_angle: None, hour_angle: None, mid_time: None, ..info.clone() };
        let (altitude, q) = differences(&info, &part, GeometrySource::Header);
        assert!(altitude < SAME_FORMULA_DEG && q < SAME_FORMULA_DEG, "{}: {altitude} {q}", info.visit);
        // Azimuth instead of the parallactic angle.
        let part = VisitInfo { parallactic_angle: None, ..part };
        let (altitude, q) = differences(&info, &part, GeometrySource::Auto);
        assert!(altitude < SAME_FORMULA_DEG && q < 2e-2, "{}: {altitude} {q}", info.visit);
    }
}
