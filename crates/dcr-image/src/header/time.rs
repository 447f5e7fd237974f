//! Times in headers, converted to TAI.

use dcr_physics::{Angle, Instant};

/// Time scale of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    Utc,
    Tai,
    Tt,
}

/// TAI − UTC in seconds since each date (modified Julian date, UTC), from IERS Bulletin C. No later
/// leap second has been announced.
const LEAP_SECONDS: [(f64, f64); 28] = [
    (41_317.0, 10.0),
    (41_499.0, 11.0),
    (41_683.0, 12.0),
    (42_048.0, 13.0),
    (42_413.0, 14.0),
    (42_778.0, 15.0),
    (43_144.0, 16.0),
    (43_509.0, 17.0),
    (43_874.0, 18.0),
    (44_239.0, 19.0),
    (44_786.0, 20.0),
    (45_151.0, 21.0),
    (45_516.0, 22.0),
    (46_247.0, 23.0),
    (47_161.0, 24.0),
    (47_892.0, 25.0),
    (48_257.0, 26.0),
    (48_804.0, 27.0),
    (49_169.0, 28.0),
    (49_534.0, 29.0),
    (50_083.0, 30.0),
    (50_630.0, 31.0),
    (51_179.0, 32.0),
    (53_736.0, 33.0),
    (54_832.0, 34.0),
    (56_109.0, 35.0),
    (57_204.0, 36.0),
    (57_754.0, 37.0),
];
/// TT − TAI in seconds.
const TT_MINUS_TAI: f64 = 32.184;
const SECONDS_PER_DAY: f64 = 86_400.0;
/// Julian date of modified Julian date 0.
const MJD_ZERO: f64 = 2_400_000.5;
/// Plausible dates of observations: 1900 to 2200.
const PLAUSIBLE_MJD: std::ops::Range<f64> = 15_020.0..124_594.0;

/// A date as whole days and seconds of the day, without a time scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Date {
    /// Modified Julian date at midnight.
    day: f64,
    seconds: f64,
}

impl Date {
    /// From a modified Julian date.
    pub(super) fn from_mjd(mjd: f64) -> Option<Self> {
        PLAUSIBLE_MJD
            .contains(&mjd)
            .then(|| Self { day: mjd.floor(), seconds: (mjd - mjd.floor()) * SECONDS_PER_DAY })
    }

    /// Parses an ISO string with date and time, `2018-08-09T00:26:30.8`, with optional `Z` or
    /// offset from UTC (`-0700`). A date without a time is rejected.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (date, time) = text.trim().split_once(['T', ' '])?;
        Self::from_parts(date, time)
    }

    /// From a date and a time of day in two cards.
    pub(super) fn from_parts(date: &str, time: &str) -> Option<Self> {
        Some(Self::midnight_of(date)?.plus_seconds(Self::seconds_of_day(time)?))
    }

    /// Midnight at the beginning of a date, whatever time of day follows.
    pub(super) fn midnight_of(date: &str) -> Option<Self> {
        let date = date.trim().split(['T', ' ']).next()?;
        Some(Self { day: day_of(date)?, seconds: 0.0 })
    }

    /// Seconds into the day of a time such as `04:55:08.608`.
    pub(super) fn seconds_of_day(time: &str) -> Option<f64> {
        let (time, offset_hours) = split_offset(time.trim());
        let hours = super::angle::parse_sexagesimal(time).filter(|hours| (0.0..25.0).contains(hours))?;
        Some((hours - offset_hours) * 3600.0)
    }

    /// Whether this is exactly midnight, as for a date without a time.
    pub(super) fn is_midnight(self) -> bool {
        self.seconds == 0.0
    }

    /// The first instant from this one on with the given seconds of the day.
    pub(super) fn next_at(self, seconds: f64) -> Self {
        let same_day = Self { seconds, ..self };
        if same_day.seconds_until(self) > 0.0 { same_day.plus_seconds(SECONDS_PER_DAY) } else { same_day }
    }

    pub(super) fn plus_seconds(self, seconds: f64) -> Self {
        Self { seconds: self.seconds + seconds, ..self }.normalised()
    }

    pub(super) fn seconds_until(self, other: Self) -> f64 {
        (other.day - self.day) * SECONDS_PER_DAY + other.seconds - self.seconds
    }

    /// The instant on the TAI scale, for a date on `scale`.
    pub(super) fn on(self, scale: Scale) -> Instant {
        let tai = match scale {
            Scale::Tai => self,
            Scale::Tt => self.plus_seconds(-TT_MINUS_TAI),
            Scale::Utc => self.plus_seconds(tai_minus_utc(self.day + self.seconds / SECONDS_PER_DAY)),
        };
        Instant { jd1: MJD_ZERO + tai.day, jd2: tai.seconds / SECONDS_PER_DAY }
    }

    fn normalised(self) -> Self {
        let days = (self.seconds / SECONDS_PER_DAY).floor();
        Self { day: self.day + days, seconds: self.seconds - days * SECONDS_PER_DAY }
    }
}

/// TAI − UTC at a date in UTC; before 1972, when it was fractional, its first value.
fn tai_minus_utc(mjd: f64) -> f64 {
    LEAP_SECONDS.iter().rev().find(|(from, _)| mjd >= *from).map_or(10.0, |(_, seconds)| *seconds)
}

/// Earth rotation angle with UT1 = UTC, accurate to 15″ (IAU 2000).
pub(super) fn earth_rotation_angle(instant: Instant) -> Angle {
    let utc_mjd = instant.jd1 - MJD_ZERO + instant.jd2;
    let utc = utc_mjd - tai_minus_utc(utc_mjd) / SECONDS_PER_DAY;
    let since_2000 = utc - 51_544.5;
    let turns = 0.779_057_273_264 + 0.002_737_811_911_354_48 * since_2000 + since_2000.rem_euclid(1.0);
    Angle::from_degrees(360.0 * turns.rem_euclid(1.0))
}

/// Splits `05:03:12.346-0700` into the time and its offset in hours.
fn split_offset(time: &str) -> (&str, f64) {
    let time = time.trim_end_matches('Z');
    let Some(at) = time.rfind(['+', '-']) else {
        return (time, 0.0);
    };
    let (clock, offset) = time.split_at(at);
    let digits: String = offset[1..].chars().filter(char::is_ascii_digit).collect();
    let (hours, minutes) = digits.split_at(digits.len().min(2));
    let hours = hours.parse().unwrap_or(0.0) + minutes.parse().unwrap_or(0.0) / 60.0;
    (clock, if offset.starts_with('-') { -hours } else { hours })
}

/// Modified Julian date of `2018-08-09`, or `09/08/18` as dates were written before 2000.
fn day_of(date: &str) -> Option<f64> {
    let numbers: Vec<i64> = date.split(['-', '/']).map(str::parse).collect::<Result<_, _>>().ok()?;
    let &[a, b, c] = numbers.as_slice() else { return None };
    let (year, month, day) = if date.contains('/') { (1900 + c, b, a) } else { (a, b, c) };
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Days since 1970-01-01 in the Gregorian calendar, years counted from March.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let mjd = (era * 146_097 + day_of_era - 719_468 + 40_587) as f64;
    PLAUSIBLE_MJD.contains(&mjd).then_some(mjd)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mjd_tai(date: Option<Date>, scale: Scale) -> f64 {
        let instant = date.unwrap().on(scale);
        instant.jd1 - MJD_ZERO + instant.jd2
    }

    #[test]
    fn date_without_a_time_is_no_time() {
        for text in [
            "2018-08-09",
            "",
            "T",
            "2018-13-01T00:00:00",
            "2018-08-09T",
            "0000-00-00T00:00:00",
            "nonsense T x",
        ] {
            assert_eq!(Date::parse(text), None, "{text}");
        }
        assert_eq!(Date::from_mjd(f64::NAN), None);
        assert_eq!(Date::from_mjd(0.0), None);
    }

    #[test]
    fn earth_rotation_angle_at_2000() {
        // 280.46061837° at 2000-01-01 12:00 UT1.
        let noon = Date::parse("2000-01-01T12:00:00").unwrap().on(Scale::Utc);
        assert!((earth_rotation_angle(noon).degrees() - 280.460_618_37).abs() < 1e-6);
    }

    #[test]
    fn scales_differ_by_leap_seconds() {
        let seconds = |text: &str, scale| {
            let date = Date::parse(text);
            (mjd_tai(date, scale) - mjd_tai(date, Scale::Tai)) * SECONDS_PER_DAY
        };
        assert!((seconds("2018-08-09T00:26:30.8", Scale::Utc) - 37.0).abs() < 1e-5);
        assert!((seconds("2016-12-31T23:59:59", Scale::Utc) - 36.0).abs() < 1e-5);
        assert!((seconds("2018-08-09T00:26:30.8", Scale::Tt) + 32.184).abs() < 1e-5);
    }

    #[test]
    fn times_in_their_many_forms() {
        let iso = Date::parse("2017-12-20T05:03:12.346");
        assert_eq!(Date::parse("2017-12-20T05:03:12.346Z"), iso);
        let local = Date::parse("2017-12-19T22:03:12.346-0700").unwrap();
        assert!(local.seconds_until(iso.unwrap()).abs() < 1e-6);
        assert_eq!(Date::from_parts("2017-12-20", "05:03:12.346"), iso);
        assert!(
            (mjd_tai(Date::parse("2018-08-09T00:26:30.798567"), Scale::Tai) - 58_339.018_412_02).abs() < 1e-7
        );
        assert!((mjd_tai(Date::from_parts("09/08/98", "12:00:00"), Scale::Tai) - 51_034.5).abs() < 1e-9);
        let (a, b) =
            (Date::parse("2020-01-01T23:59:50").unwrap(), Date::parse("2020-01-02T00:00:20").unwrap());
        assert_eq!(a.plus_seconds(a.seconds_until(b) / 2.0), Date::parse("2020-01-02T00:00:05").unwrap());
    }
}
