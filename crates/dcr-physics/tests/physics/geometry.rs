//! From headers to the zenith: comparison with astropy, real headers, and between sources.

use dcr_physics::{
    Angle, GeometryError, GeometryOrigin, GeometrySource, Instant, LocalSky, Site, SkyPosition, VisitInfo,
    WeatherReadings, ZenithGeometry,
};
use proptest::prelude::*;

use crate::inputs::{shared, site};
use crate::tolerance;

fn degrees(degrees: f64) -> Angle {
    Angle::from_degrees(degrees)
}

fn apart_deg(a: Angle, b: Angle) -> f64 {
    Angle::from_radians(a.radians() - b.radians()).wrapped().degrees().abs()
}

fn boresight(visit: &VisitInfo, source: GeometrySource) -> LocalSky {
    ZenithGeometry::resolve(visit, source).expect("a zenith").boresight().expect("a boresight")
}

/// A modified Julian date on the TAI scale.
fn tai_mjd(mjd: f64) -> Instant {
    Instant { jd1: 2_400_000.5, jd2: mjd }
}

/// DECam exposure c4d_181104_072440 at a number of seconds after its start, 2018-11-04T07:24:40.377
/// UTC.
fn decam(seconds: f64) -> VisitInfo {
    let utc_mjd = 58_426.0 + (7.0 * 3600.0 + 24.0 * 60.0 + 40.377) / 86_400.0;
    VisitInfo {
        mid_time: Some(tai_mjd(utc_mjd + (37.0 + seconds) / 86_400.0)),
        exposure_s: Some(140.0),
        boresight: Some(SkyPosition {
            ra: Angle::from_hours(7.0 + 20.0 / 60.0 + 54.229 / 3600.0),
            dec: degrees(23.0 + 47.0 / 60.0 + 8.398 / 3600.0),
        }),
        altitude: Some(degrees(90.0 - 59.72)),
        azimuth: Some(degrees(28.541)),
        airmass: Some(1.98),
        site: Some(site(-70.814_89, -30.166_06, 2215.0)),
        weather: WeatherReadings {
            temperature_c: Some(11.2),
            pressure_pa: Some(77_800.0),
            humidity_percent: Some(46.0),
        },
        ..VisitInfo::default()
    }
}

/// The HSC exposure of calexp_hsc_i.fits, 2013-11-02T06:01:31.7885 TAI.
fn hsc() -> VisitInfo {
    VisitInfo {
        mid_time: Some(tai_mjd(56_598.0 + (6.0 * 3600.0 + 60.0 + 31.7885) / 86_400.0)),
        exposure_s: Some(30.0),
        boresight: Some(SkyPosition::from_degrees(320.249_908_333_333, 0.250_025)),
        altitude: Some(degrees(65.012_027_05)),
        azimuth: Some(degrees(220.540_402_56)),
        airmass: Some(1.103_050_789_760_26),
        earth_rotation_angle: Some(degrees(131.735_873_543_55)),
        site: Some(site(-155.476_667, 19.825_556, 4139.0)),
        weather: WeatherReadings {
            temperature_c: Some(-0.7),
            pressure_pa: Some(62_160.0),
            humidity_percent: Some(42.0),
        },
        ..VisitInfo::default()
    }
}

#[test]
fn geometry_by_time_meets_astropy() {
    let table = include_str!("../../testdata/altaz.csv");
    let mut rows = 0;
    let mut worst = (0.0_f64, 0.0_f64);
    for line in table.lines().skip(1) {
        let row: Vec<f64> = line.split(',').map(|field| field.parse().unwrap()).collect();
        let [jd1, jd2, longitude, latitude, height, temperature, pressure, humidity, ra, dec, altitude, _, q] =
            row[..]
        else {
            panic!("13 columns: {line}");
        };
        let visit = VisitInfo {
            mid_time: Some(Instant { jd1, jd2 }),
            boresight: Some(SkyPosition::from_degrees(ra, dec)),
            site: Some(site(longitude, latitude, height)),
            weather: WeatherReadings {
                temperature_c: Some(temperature),
                pressure_pa: Some(pressure),
                humidity_percent: Some(humidity),
            },
            ..VisitInfo::default()
        };
        let sky = boresight(&visit, GeometrySource::Auto);
        worst.0 = worst.0.max(apart_deg(sky.altitude, degrees(altitude)));
        worst.1 = worst.1.max(apart_deg(sky.parallactic_angle, degrees(q)));
        rows += 1;
    }
    assert_eq!(rows, 40);
    assert!(worst.0 < tolerance::ASTROPY_DEG, "altitude {}°", worst.0);
    assert!(worst.1 < tolerance::ASTROPY_DEG, "parallactic angle {}°", worst.1);
}

#[test]
fn geometry_of_a_decam_exposure_by_time() {
    let start = boresight(&decam(0.0), GeometrySource::Auto);
    let middle = ZenithGeometry::resolve(&decam(70.0), GeometrySource::Auto).unwrap();
    assert_eq!(middle.origin(), GeometryOrigin::Time);
    assert_eq!(middle.disagreement(), None);
    // FORMATS §6: 30.322° without refraction, −153.29° and −153.55° from the hour circle of date.
    let middle = middle.boresight().unwrap();
    assert!(apart_deg(start.parallactic_angle_of_date, degrees(-153.29)) < tolerance::TWO_DECIMALS_DEG);
    assert!(apart_deg(middle.parallactic_angle_of_date, degrees(-153.55)) < tolerance::TWO_DECIMALS_DEG);
    // astropy 8.0.2, for the apparent altitude and for a step towards the zenith in ICRS.
    assert!(apart_deg(start.altitude, degrees(30.342_69)) < tolerance::UT1_ALTITUDE_DEG);
    assert!(apart_deg(start.parallactic_angle, degrees(-153.398_99)) < tolerance::UT1_PARALLACTIC_ANGLE_DEG);
    assert!(apart_deg(middle.parallactic_angle, degrees(-153.657_13)) < tolerance::UT1_PARALLACTIC_ANGLE_DEG);
}

/// The header's comment says east, its number is west.
#[test]
fn geometry_with_a_west_positive_longitude_is_below_the_horizon_and_says_why() {
    let mut visit = decam(70.0);
    visit.site = Some(site(70.814_89, -30.166_06, 2215.0));
    let error = ZenithGeometry::resolve(&visit, GeometrySource::Auto).unwrap_err();
    let GeometryError::BelowHorizon { altitude_deg, altitude_with_other_longitude_sign_deg, .. } = error
    else {
        panic!("{error}");
    };
    assert!((altitude_deg + 32.0).abs() < 1.0, "{altitude_deg}");
    assert!((altitude_with_other_longitude_sign_deg.unwrap() - 30.3).abs() < 0.5);
    assert!(error.to_string().contains("longitude seems to be west-positive"), "{error}");
}

#[test]
fn geometry_with_a_west_positive_longitude_above_the_horizon_disagrees() {
    let mut visit = hsc();
    visit.site = Some(site(155.476_667, 19.825_556, 4139.0));
    let geometry = ZenithGeometry::resolve(&visit, GeometrySource::Auto).unwrap();
    let disagreement = geometry.disagreement().expect("a disagreement");
    assert!(disagreement.longitude_looks_west_positive);
    assert!(geometry.assumptions().iter().any(|a| a.warning && a.text.contains("west-positive")));
}

#[test]
fn geometry_of_an_hsc_exposure_by_its_own_earth_rotation_angle() {
    let geometry = ZenithGeometry::resolve(&hsc(), GeometrySource::Auto).unwrap();
    assert_eq!(geometry.origin(), GeometryOrigin::EarthRotationAngle);
    assert_eq!(geometry.disagreement(), None);
    let sky = geometry.boresight().unwrap();
    assert!(apart_deg(sky.altitude, degrees(64.92)) < tolerance::TWO_DECIMALS_DEG);
    assert!(apart_deg(sky.parallactic_angle, degrees(37.74)) < tolerance::TWO_DECIMALS_DEG);
    assert!(apart_deg(sky.parallactic_angle, sky.parallactic_angle_of_date) < tolerance::SAME_ZENITH_DEG);

    // The precession since 2000 separates the two sources.
    let by_time = boresight(&hsc(), GeometrySource::Time);
    assert!(apart_deg(by_time.altitude, sky.altitude) < tolerance::PRECESSION_ALTITUDE_DEG);
    let q_apart = apart_deg(by_time.parallactic_angle, sky.parallactic_angle);
    assert!(q_apart < tolerance::PRECESSION_PARALLACTIC_ANGLE_DEG);
}

/// FORMATS §1: HSC visit 36434, without refraction.
#[test]
fn geometry_by_earth_rotation_angle_is_that_of_afw() {
    let visit = VisitInfo {
        boresight: Some(SkyPosition::from_degrees(337.252_15, 0.997_49)),
        earth_rotation_angle: Some(degrees(97.423_54)),
        site: Some(site(-155.476_67, 19.825_56, 4139.0)),
        ..VisitInfo::default()
    };
    let sky = boresight(&visit, GeometrySource::Auto);
    assert!(apart_deg(sky.altitude, degrees(50.6695)) < tolerance::TWO_DECIMALS_DEG);
    assert!(apart_deg(sky.parallactic_angle, degrees(-59.0723)) < 1e-4);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Every set of header quantities gives the same zenith, and the same sky near the boresight.
    #[test]
    fn geometry_is_the_same_by_every_way(
        ra in 0.0..360.0_f64, dec in -85.0..85.0_f64, latitude in -80.0..80.0_f64, hour_angle in -180.0..180.0_f64,
    ) {
        let site = site(-70.0, latitude, 2000.0);
        let known = VisitInfo {
            boresight: Some(SkyPosition::from_degrees(ra, dec)),
            site: Some(site),
            ..VisitInfo::default()
        };
        let by_hour_angle = VisitInfo { hour_angle: Some(degrees(hour_angle)), ..known.clone() };
        let Ok(geometry) = ZenithGeometry::resolve(&by_hour_angle, GeometrySource::Auto) else {
            return Ok(());
        };
        let sky = geometry.boresight().unwrap();
        // Where refraction is held fixed, and where q is ill defined, the ways need not be inverses.
        prop_assume!((6.0..89.5).contains(&sky.altitude.degrees()));

        // q as docs/algorithm.md §2 has it.
        let (h, d, l) = (hour_angle.to_radians(), dec.to_radians(), latitude.to_radians());
        let q = h.sin().atan2(d.cos() * l.tan() - d.sin() * h.cos());
        prop_assert!(apart_deg(sky.parallactic_angle, Angle::from_radians(q)) < tolerance::SAME_ZENITH_DEG);

        let azimuth = (-d.cos() * h.sin()).atan2(d.sin() * l.cos() - d.cos() * h.cos() * l.sin());
        let era = ra + hour_angle + 70.0;
        let ways = [
            (GeometryOrigin::EarthRotationAngle,
             VisitInfo { earth_rotation_angle: Some(degrees(era)), ..known.clone() }),
            (GeometryOrigin::AltitudeAzimuth,
             VisitInfo { altitude: Some(sky.altitude), azimuth: Some(Angle::from_radians(azimuth)), ..known.clone() }),
            (GeometryOrigin::AltitudeParallacticAngle,
             VisitInfo { altitude: Some(sky.altitude), parallactic_angle: Some(sky.parallactic_angle), ..known.clone() }),
            (GeometryOrigin::AirmassAzimuth,
             VisitInfo { airmass: Some(sky.airmass), azimuth: Some(Angle::from_radians(azimuth)), ..known.clone() }),
            (GeometryOrigin::AirmassParallacticAngle,
             VisitInfo { airmass: Some(sky.airmass), parallactic_angle: Some(sky.parallactic_angle), ..known.clone() }),
        ];
        let aside = SkyPosition::from_degrees(ra + 0.5, dec - 0.3);
        let expected = geometry.at(aside);
        for (origin, visit) in ways {
            let geometry = ZenithGeometry::resolve(&visit, GeometrySource::Auto).unwrap();
            prop_assert_eq!(geometry.origin(), origin);
            prop_assert_eq!(geometry.disagreement(), None);
            let got = geometry.at(aside);
            prop_assert!(apart_deg(got.altitude, expected.altitude) < tolerance::SAME_ZENITH_DEG, "{origin:?}");
            let q_apart = apart_deg(got.parallactic_angle, expected.parallactic_angle);
            prop_assert!(q_apart * expected.altitude.radians().cos() < tolerance::SAME_ZENITH_DEG, "{origin:?} {q_apart}");
        }
    }
}

#[test]
fn geometry_order_of_sources_is_as_documented() {
    let visit =
        VisitInfo { hour_angle: Some(degrees(10.0)), parallactic_angle: Some(degrees(40.0)), ..hsc() };
    let origin = |visit: &VisitInfo, source| ZenithGeometry::resolve(visit, source).unwrap().origin();
    assert_eq!(origin(&visit, GeometrySource::Auto), GeometryOrigin::EarthRotationAngle);
    assert_eq!(origin(&visit, GeometrySource::Time), GeometryOrigin::Time);
    assert_eq!(origin(&visit, GeometrySource::Header), GeometryOrigin::AltitudeParallacticAngle);
    let without_era = VisitInfo { earth_rotation_angle: None, ..visit.clone() };
    assert_eq!(origin(&without_era, GeometrySource::Auto), GeometryOrigin::Time);
    let without_time = VisitInfo { mid_time: None, ..without_era };
    assert_eq!(origin(&without_time, GeometrySource::Auto), GeometryOrigin::HourAngle);
    let without_hour_angle = VisitInfo { hour_angle: None, ..without_time };
    assert_eq!(origin(&without_hour_angle, GeometrySource::Auto), GeometryOrigin::AltitudeAzimuth);
    let without_site = VisitInfo { site: None, ..without_hour_angle };
    assert_eq!(origin(&without_site, GeometrySource::Auto), GeometryOrigin::AltitudeParallacticAngle);
    let without_altitude = VisitInfo { altitude: Some(degrees(f64::NAN)), ..without_site };
    assert_eq!(origin(&without_altitude, GeometrySource::Auto), GeometryOrigin::AirmassParallacticAngle);
}

#[test]
fn geometry_without_enough_says_what_is_missing() {
    let visit = VisitInfo {
        altitude: Some(degrees(45.0)),
        airmass: Some(0.0),
        boresight: Some(SkyPosition::from_degrees(10.0, 20.0)),
        ..VisitInfo::default()
    };
    let error = ZenithGeometry::resolve(&visit, GeometrySource::Auto).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot determine the zenith: \
         by Earth rotation angle lacks Earth rotation angle, site; \
         by time lacks time, site; \
         by hour angle lacks hour angle, latitude of the site; \
         by altitude and azimuth lacks azimuth, latitude of the site; \
         by altitude and parallactic angle lacks parallactic angle; \
         by airmass and azimuth lacks a possible airmass (given is 0.0), azimuth, latitude of the site; \
         by airmass and parallactic angle lacks a possible airmass (given is 0.0), parallactic angle"
    );
}

#[test]
fn geometry_refuses_numbers_that_cannot_be() {
    let nan = degrees(f64::NAN);
    let nowhere = Site { latitude: degrees(95.0), longitude: degrees(0.0), elevation_m: 0.0 };
    for visit in [
        VisitInfo::default(),
        VisitInfo { site: Some(nowhere), ..hsc() },
        VisitInfo { earth_rotation_angle: Some(nan), mid_time: Some(tai_mjd(f64::NAN)), ..hsc() },
        VisitInfo { earth_rotation_angle: None, mid_time: Some(tai_mjd(1e9)), ..hsc() },
    ] {
        let visit = VisitInfo { azimuth: None, ..visit };
        let answer = ZenithGeometry::resolve(&visit, GeometrySource::Auto);
        assert!(matches!(answer, Err(GeometryError::Insufficient { .. })), "{answer:?}");
    }
    let high = VisitInfo { site: Some(Site { elevation_m: f64::NAN, ..hsc().site.unwrap() }), ..hsc() };
    assert!(boresight(&high, GeometrySource::Time).altitude.degrees().is_finite());
}

#[test]
fn geometry_at_the_zenith_and_below_the_horizon_is_finite() {
    let visit = VisitInfo {
        hour_angle: Some(degrees(0.0)),
        site: Some(site(0.0, 20.0, 0.0)),
        boresight: Some(SkyPosition::from_degrees(10.0, 20.0)),
        ..VisitInfo::default()
    };
    let geometry = ZenithGeometry::resolve(&visit, GeometrySource::Auto).unwrap();
    let zenith = geometry.boresight().unwrap();
    assert!(apart_deg(zenith.altitude, degrees(90.0)) < 1e-6 && (zenith.airmass - 1.0).abs() < 1e-12);
    assert!(zenith.parallactic_angle.degrees().is_finite());
    let nadir = geometry.at(SkyPosition::from_degrees(190.0, -20.0));
    assert!(nadir.altitude.degrees() < -89.0 && nadir.airmass == f64::INFINITY);
    assert!(nadir.parallactic_angle.degrees().is_finite());
}

#[test]
fn geometry_disagreement_is_told_but_motion_during_the_exposure_is_allowed() {
    let truth = boresight(&hsc(), GeometrySource::Auto).altitude.degrees();
    let resolve = |altitude: f64, exposure_s: f64| {
        let visit = VisitInfo {
            altitude: Some(degrees(altitude)),
            airmass: None,
            exposure_s: Some(exposure_s),
            ..hsc()
        };
        ZenithGeometry::resolve(&visit, GeometrySource::Auto).unwrap()
    };
    assert_eq!(resolve(truth + 0.49, 0.0).disagreement(), None);
    assert_eq!(resolve(truth + 1.6, 600.0).disagreement(), None);
    let off = resolve(truth + 0.51, 0.0);
    let disagreement = off.disagreement().expect("half a degree off");
    assert!(!disagreement.longitude_looks_west_positive);
    let warning = off.assumptions().iter().find(|a| a.warning).expect("a warning");
    assert!(warning.text.contains("but the header says altitude 65.4"), "{}", warning.text);

    let wrong_airmass = VisitInfo { airmass: Some(1.13), ..hsc() };
    let geometry = ZenithGeometry::resolve(&wrong_airmass, GeometrySource::Auto).unwrap();
    assert!(geometry.disagreement().is_some());
}

mod needs_shared {
    use super::*;

    /// The simulated fields carry Earth rotation angle and time as well as altitude and parallactic
    /// angle.
    #[test]
    #[ignore = "needs the simulated fields of ../shared"]
    fn geometry_of_simulated_headers_agrees_with_itself() {
        let mut count = 0;
        for entry in std::fs::read_dir(shared("sim/g_constant")).unwrap() {
            let path = entry.unwrap().path();
            if !path.file_name().unwrap().to_string_lossy().starts_with("warp_") {
                continue;
            }
            let cards = primary_header(&path);
            let number = |name: &str| cards.get(name).and_then(|text| text.parse::<f64>().ok());
            let visit = VisitInfo {
                boresight: Some(SkyPosition::from_degrees(
                    number("BORE-RA").unwrap(),
                    number("BORE-DEC").unwrap(),
                )),
                altitude: number("BORE-ALT").map(degrees),
                azimuth: number("BORE-AZ").map(degrees),
                airmass: number("BORE-AIRMASS"),
                parallactic_angle: number("BORE-PARANG").map(degrees),
                earth_rotation_angle: number("ERA").map(degrees),
                hour_angle: number("BORE-HA").map(degrees),
                mid_time: Some(tai_of_iso(&cards["DATE-AVG"])),
                site: Some(site(
                    number("OBS-LONG").unwrap(),
                    number("OBS-LAT").unwrap(),
                    number("OBS-ELEV").unwrap(),
                )),
                ..VisitInfo::default()
            };
            let header = boresight(&visit, GeometrySource::Header);
            assert!(apart_deg(header.altitude, visit.altitude.unwrap()) < tolerance::SAME_ZENITH_DEG);
            // The header's angles are from its own ERA, and its altitude is without refraction.
            let era = boresight(&visit, GeometrySource::Auto);
            assert!(apart_deg(era.altitude, header.altitude) < tolerance::TWO_DECIMALS_DEG);
            assert!(apart_deg(era.parallactic_angle, header.parallactic_angle) < tolerance::ERA_DEG);
            let time = boresight(&visit, GeometrySource::Time);
            assert!(apart_deg(time.altitude, header.altitude) < tolerance::PRECESSION_ALTITUDE_DEG);
            let q_apart = apart_deg(time.parallactic_angle, header.parallactic_angle);
            assert!(q_apart < tolerance::PRECESSION_PARALLACTIC_ANGLE_DEG);
            count += 1;
        }
        assert_eq!(count, 12);
    }

    /// The cards of a primary header, values without quotes and comments.
    fn primary_header(path: &std::path::Path) -> std::collections::HashMap<String, String> {
        let bytes = std::fs::read(path).unwrap();
        let mut cards = std::collections::HashMap::new();
        for card in bytes.chunks(80) {
            let card = String::from_utf8_lossy(card).into_owned();
            if card.starts_with("END ") {
                break;
            }
            if let Some((name, value)) = card.split_once('=') {
                let name = name.trim_start_matches("HIERARCH").trim();
                let value = value.split(" / ").next().unwrap_or_default().trim().trim_matches('\'').trim();
                cards.insert(name.into(), value.into());
            }
        }
        cards
    }

    /// `2023-09-13T12:03:50.305` on the TAI scale.
    fn tai_of_iso(text: &str) -> Instant {
        let parts: Vec<f64> = text.split(['-', 'T', ':']).map(|part| part.parse().unwrap()).collect();
        let [year, month, day, hour, minute, second] = parts[..] else { panic!("{text}") };
        // Fliegel & Van Flandern's Julian day number, good for every date since 1582.
        let shift = ((month - 14.0) / 12.0).trunc();
        let jdn = (1461.0 * (year + 4800.0 + shift) / 4.0).floor()
            + (367.0 * (month - 2.0 - 12.0 * shift) / 12.0).floor()
            - (3.0 * ((year + 4900.0 + shift) / 100.0).floor() / 4.0).floor()
            + day
            - 32_075.0;
        Instant { jd1: jdn - 0.5, jd2: (hour * 3600.0 + minute * 60.0 + second) / 86_400.0 }
    }
}
