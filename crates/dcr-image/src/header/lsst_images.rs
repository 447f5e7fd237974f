//! Headers of lsst-images files, which hold a JSON tree (`obs_info`) in place of cards.

use dcr_physics::{Angle, Assumption, Instant, SkyPosition, VisitInfo, WeatherReadings};
use serde_json::Value as Json;

use super::reading::Reading;
use super::{Header, geocentric, profiles, weather};

/// The description of the observation in the tree, if there is one.
pub(super) fn observation(tree: &Json) -> Option<&Json> {
    tree.get("obs_info").filter(|observation| observation.is_object())
}

/// The visit described by an `obs_info`. Angles are in degrees, times two-part Julian dates TAI,
/// temperatures in K, pressures in hPa, the location geocentric in m; altitude and azimuth refer to
/// the start.
pub(super) fn visit_info(observation: &Json) -> VisitInfo {
    let number = |key: &str| observation[key].as_f64().filter(|value| value.is_finite());
    let pair = |key: &str| {
        let values = observation[key].as_array()?;
        Some((values.first()?.as_f64()?, values.get(1)?.as_f64()?))
    };
    let text = |key: &str| observation[key].as_str().map(str::to_owned);
    let empty = Header::new();
    let mut reading = Reading::new(&empty, &profiles::GENERIC);

    let begin = pair("datetime_begin");
    let mid_time = begin.map(|(jd1, jd2)| {
        let half = match pair("datetime_end") {
            Some((end1, end2)) => ((end1 - jd1) + (end2 - jd2)) / 2.0,
            None => number("exposure_time").unwrap_or(0.0) / 2.0 / 86_400.0,
        };
        Instant { jd1, jd2: jd2 + half }
    });
    let location = observation["location"].as_array().and_then(|values| {
        let [x, y, z] = values.as_slice() else { return None };
        geocentric::from_geocentric([x.as_f64()?, y.as_f64()?, z.as_f64()?])
    });
    let elevation = location.map(|site| site.elevation_m);
    let weather = WeatherReadings {
        temperature_c: number("temperature").and_then(|value| weather::celsius(&mut reading, value)),
        pressure_pa: number("pressure").and_then(|value| weather::pascal(&mut reading, value, elevation)),
        humidity_percent: number("relative_humidity").and_then(|value| weather::percent(&mut reading, value)),
    };
    let boresight = pair("tracking_radec").map(|(ra, dec)| SkyPosition::from_degrees(ra, dec));
    if boresight.is_none() || mid_time.is_none() || location.is_none() {
        reading.warn(
            "pointing",
            "The JSON tree lacks one of datetime_begin, tracking_radec and location in its obs_info."
                .to_owned(),
        );
    }
    let altaz = pair("altaz_begin");
    let notes: Vec<Assumption> = reading.notes;
    VisitInfo {
        visit: ["visit_id", "exposure_id"].iter().find_map(|key| observation[*key].as_u64()).unwrap_or(0),
        instrument: text("instrument"),
        filter: text("physical_filter"),
        mid_time,
        exposure_s: number("exposure_time"),
        boresight,
        altitude: altaz.map(|(_, altitude)| Angle::from_degrees(altitude)),
        azimuth: altaz.map(|(azimuth, _)| Angle::from_degrees(azimuth.rem_euclid(360.0))),
        airmass: number("boresight_airmass").filter(|airmass| *airmass >= 0.99),
        rotator_angle: number("boresight_rotation_angle")
            .filter(|_| observation["boresight_rotation_coord"] == "sky")
            .map(Angle::from_degrees),
        site: location,
        weather,
        assumptions: notes,
        ..VisitInfo::default()
    }
}
