//! Values that the user supplies for exposures; they take precedence over every header.

use dcr_physics::{Angle, Assumption, Site, VisitInfo, WeatherReadings};

/// User values that take precedence over header cards and the known site of an instrument.
///
/// Latitude and longitude go together; all other values are independent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Given {
    /// Geodetic latitude in degrees, north positive.
    pub latitude_deg: Option<f64>,
    /// Longitude in degrees, east positive.
    pub longitude_deg: Option<f64>,
    /// Height of the telescope above sea level in m.
    pub elevation_m: Option<f64>,
    /// Pressure at the telescope, not reduced to sea level, in hPa.
    pub pressure_hpa: Option<f64>,
    /// Air temperature in °C.
    pub temperature_c: Option<f64>,
    /// Relative humidity in percent.
    pub humidity_percent: Option<f64>,
    /// Unit of the pixel values.
    pub unit: Option<String>,
    /// Time that the zero point in the header refers to.
    pub zero_point_of: ZeroPointOf,
}

/// Time that a zero point refers to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ZeroPointOf {
    /// By the profile of the instrument, the comment of the card and the unit of the pixels.
    #[default]
    Auto,
    /// One second: 2.5 log10 of the exposure time is added for pixels in counts.
    Second,
    /// The exposure time: the value of the card is used unchanged.
    Exposure,
}

impl Given {
    /// Latitude and longitude, if both are given.
    pub(super) fn position(&self) -> Option<(Angle, Angle)> {
        Some((Angle::from_degrees(self.latitude_deg?), Angle::from_degrees(self.longitude_deg?)))
    }

    /// Weather values from the user, with a note on each.
    pub(super) fn of_the_air(&self, notes: &mut Vec<Assumption>) -> WeatherReadings {
        let mut noted = |quantity: &str, setting: &str, value: Option<f64>, unit: &str| {
            let text = |value: f64| format!("The {quantity} is that of {setting}, {value} {unit}.");
            notes.extend(value.map(|value| Assumption {
                quantity: quantity.to_owned(),
                text: text(value),
                warning: false,
            }));
            value
        };
        WeatherReadings {
            temperature_c: noted("temperature", "input.temperature_c", self.temperature_c, "°C"),
            pressure_pa: noted("pressure", "input.pressure_hpa", self.pressure_hpa, "hPa")
                .map(|hpa| 100.0 * hpa),
            humidity_percent: noted("humidity", "input.humidity_percent", self.humidity_percent, "%"),
        }
    }

    /// Replaces the corresponding values of a visit that does not come from cards.
    pub(super) fn replace_in(&self, visit: &mut VisitInfo) {
        let mut notes = Vec::new();
        let air = self.of_the_air(&mut notes);
        visit.weather.temperature_c = air.temperature_c.or(visit.weather.temperature_c);
        visit.weather.pressure_pa = air.pressure_pa.or(visit.weather.pressure_pa);
        visit.weather.humidity_percent = air.humidity_percent.or(visit.weather.humidity_percent);
        let own = visit.site;
        if let Some((latitude, longitude)) = self.position() {
            let elevation_m = own.map_or(0.0, |site| site.elevation_m);
            visit.site = Some(Site { latitude, longitude, elevation_m });
        }
        if let (Some(site), Some(elevation_m)) = (&mut visit.site, self.elevation_m) {
            site.elevation_m = elevation_m;
        }
        if visit.site != own {
            let far = own.zip(visit.site).map(|(own, new)| distance_km(&own, &new)).filter(|km| *km > 2.0);
            notes.push(Assumption {
                quantity: "site".to_owned(),
                text: match far {
                    Some(km) => format!("input.site is {km:.0} km from the file's own site; it is used."),
                    None => "The values in input.site replace those of the site.".to_owned(),
                },
                warning: far.is_some(),
            });
        }
        visit.assumptions.append(&mut notes);
    }
}

/// Distance between two sites along the surface of the Earth, in km.
pub(super) fn distance_km(a: &Site, b: &Site) -> f64 {
    const EARTH_RADIUS_KM: f64 = 6371.0;
    let (lat_a, lat_b) = (a.latitude.radians(), b.latitude.radians());
    let half = |x: f64, y: f64| ((x - y) / 2.0).sin().powi(2);
    let haversine =
        half(lat_a, lat_b) + lat_a.cos() * lat_b.cos() * half(a.longitude.radians(), b.longitude.radians());
    2.0 * EARTH_RADIUS_KM * haversine.sqrt().min(1.0).asin()
}
