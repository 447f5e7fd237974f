//! Middle of an exposure, from all time cards of a header.
//!
//! The cards of the profile are tried in order. The first usable one counts, with these rules:
//!
//! - A date at exactly midnight has no time of day. A card with the time of day completes it. Any
//!   other card with date and time takes precedence over it.
//! - A date without a time is completed by a card with the time of day as a number, if no other
//!   card has date and time.
//! - Start and end take precedence over start and exposure time if these differ by more than a
//!   minute and half the exposure time: EXPTIME then refers to one frame of a stack.
//! - Every other time card is compared with the result. A difference above the exposure time, and
//!   of at least a minute, is a warning.

use dcr_physics::Instant;

use super::profile::Time;
use super::reading::Reading;
use super::time::{Date, Scale};

/// Minimum difference in seconds between two cards that causes a warning.
const SLACK_S: f64 = 60.0;
/// Maximum duration of an exposure or stack, in seconds.
const LONGEST_S: f64 = 86_400.0;

/// Cards with a time of day that completes the date of another card.
const TIMES_OF_DAY: [&str; 18] = [
    "TIME-OBS", "TIME_OBS", "TIMEOBS", "TIME-BEG", "UT-OBS", "UTC-OBS", "UTCOBS", "UT", "UTC", "UTSTART",
    "UT-START", "UTCSTART", "UTC-STAR", "UT-STR", "UTSHUT", "UTOPEN", "UT_START", "TIME",
];

/// Time cards that are compared with the result, besides those of the profile. JD is not among
/// them: some instruments with known profiles write another instant to it.
const COMPARED: [Time; 14] = [
    Time::Mid("DATE-AVG"),
    Time::MidMjd("MJD-AVG"),
    Time::MidMjd("MJD-MID"),
    Time::Begin("DATE-BEG"),
    Time::Begin("DATE-OBS"),
    Time::BeginParts("DATE-OBS", "TIME-OBS"),
    Time::BeginParts("DATE-OBS", "UT-OBS"),
    Time::BeginParts("DATE-OBS", "UTC-OBS"),
    Time::BeginParts("DATE-OBS", "UT"),
    Time::BeginParts("DATE-OBS", "UTC"),
    Time::BeginParts("DATE-OBS", "UTSTART"),
    Time::BeginMjd("MJD-BEG"),
    Time::BeginMjd("MJD-OBS"),
    Time::BeginMjd("MJD"),
];

/// Cards for the end of an exposure: ISO strings, modified Julian dates, and times of day.
const ENDS: [&str; 4] = ["DATE-END", "DATE_END", "DATEEND", "TAI-END"];
const ENDS_MJD: [&str; 2] = ["MJD-END", "MJDEND"];
const ENDS_OF_DAY: [&str; 8] =
    ["TIME-END", "TIME_END", "UT-END", "UTC-END", "UTEND", "UTCEND", "UTSTOP", "UT-STOP"];

/// Middle of the exposure, and its offset from the start.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MidTime {
    pub(super) instant: Option<Instant>,
    pub(super) after_start_s: f64,
}

/// A time from one or two cards.
#[derive(Clone, Debug)]
struct CardTime {
    cards: String,
    date: Date,
    scale: Scale,
    is_middle: bool,
}

impl CardTime {
    fn start(cards: impl Into<String>, date: Date, scale: Scale) -> Self {
        Self { cards: cards.into(), date, scale, is_middle: false }
    }

    /// The corresponding middle of the exposure.
    fn middle(&self, exposure_s: f64) -> Instant {
        let date = if self.is_middle { self.date } else { self.date.plus_seconds(exposure_s / 2.0) };
        date.on(self.scale)
    }
}

impl Reading<'_> {
    /// Middle of the exposure, from the cards of the profile.
    pub(super) fn mid_time(&mut self, exposure_s: Option<f64>) -> MidTime {
        let scale = self.scale();
        let found: Vec<CardTime> =
            self.profile.time.iter().filter_map(|way| self.found(way, scale)).collect();
        let Some(chosen) = self.choose(&found, scale).or_else(|| self.date_and_number(scale)) else {
            let tried = self.profile.time.iter().map(cards_of).collect::<Vec<_>>().join(", ");
            self.warn("time", format!("The header has no date with a time; cards tried: {tried}."));
            return MidTime::default();
        };
        let length_s = self.length(&chosen, exposure_s);
        if length_s.is_none() && !chosen.is_middle {
            self.warn(
                "time",
                "The header has no exposure time; the start of the exposure is used as its middle.".into(),
            );
        }
        let length_s = length_s.unwrap_or(0.0);
        self.compare(&chosen, &found, length_s, exposure_s, scale);
        MidTime { instant: Some(chosen.middle(length_s)), after_start_s: length_s / 2.0 }
    }

    /// The time by one way, if its cards are usable.
    fn found(&self, way: &Time, scale: Scale) -> Option<CardTime> {
        let header = self.header;
        let parsed = |card: &str| header.text(card).and_then(Date::parse);
        let mjd = |card: &str, zero: f64| header.f64(card).and_then(|value| Date::from_mjd(value - zero));
        let scale_of = |card: &str| if card.contains("TAI") { Scale::Tai } else { scale };
        let (date, scale, is_middle) = match *way {
            Time::Mid(card) => (parsed(card), scale, true),
            Time::MidMjd(card) => (mjd(card, 0.0), scale, true),
            Time::MidJd(card) => (mjd(card, 2_400_000.5), scale, true),
            Time::BeginEnd(begin, end) => {
                let both = parsed(begin).zip(parsed(end));
                let both = both.filter(|(begin, end)| (0.0..LONGEST_S).contains(&begin.seconds_until(*end)));
                // The middle is computed from the end as for every start.
                (both.map(|(begin, _)| begin), scale, false)
            }
            Time::Begin(card) => (parsed(card), scale, false),
            Time::BeginParts(date, time) => {
                let parts = header.text(date).zip(header.text(time));
                (parts.and_then(|(date, time)| Date::from_parts(date, time)), scale_of(time), false)
            }
            Time::BeginMjd(card) => (mjd(card, 0.0), scale, false),
            Time::BeginJd(card) => (mjd(card, 2_400_000.5), scale, false),
            Time::BeginTaiSeconds(card) => {
                let date = header.f64(card).and_then(|seconds| Date::from_mjd(seconds / 86_400.0));
                (date, Scale::Tai, false)
            }
        };
        Some(CardTime { cards: cards_of(way), date: date?, scale, is_middle })
    }

    /// The first time with a time of day, else the first.
    fn choose(&mut self, found: &[CardTime], scale: Scale) -> Option<CardTime> {
        let first = found.first()?;
        if !first.date.is_midnight() {
            return Some(first.clone());
        }
        if let Some((card, date)) = self.time_of_day(first.date) {
            // If both cards state midnight, midnight is meant.
            if !date.is_midnight() {
                self.warn(
                    "time",
                    format!(
                        "{} is exactly midnight, and {card} has another time of day; its date is used with the time \
                         of {card}.",
                        first.cards
                    ),
                );
            }
            return Some(CardTime::start(format!("{} with {card}", first.cards), date, scale));
        }
        let other = found.iter().find(|found| !found.date.is_midnight());
        match other {
            Some(other) => self.warn(
                "time",
                format!(
                    "{} is exactly midnight, like a date without a time; {} is used.",
                    first.cards, other.cards
                ),
            ),
            None => self.warn(
                "time",
                format!(
                    "{} is exactly midnight, and no other card has a time of day; it is used unchanged.",
                    first.cards
                ),
            ),
        }
        Some(other.unwrap_or(first).clone())
    }

    /// A date without a time, completed by a numeric time of day, which [`Self::found`] does not
    /// accept.
    fn date_and_number(&mut self, scale: Scale) -> Option<CardTime> {
        let date_card = self.profile.time.iter().find_map(|way| match *way {
            Time::Begin(card) | Time::BeginParts(card, _) => {
                Some((card, self.header.text(card).and_then(Date::midnight_of)?))
            }
            _ => None,
        });
        let (date_card, midnight) = date_card?;
        let (card, date) = self.time_of_day(midnight)?;
        let seconds = midnight.seconds_until(date);
        self.warn(
            "time",
            format!(
                "{date_card} has a date only; {card} is used as the time of day, {:.5} h.",
                seconds / 3600.0
            ),
        );
        Some(CardTime::start(format!("{date_card} with {card}"), date, scale))
    }

    /// The time of day on the day of `date`, from its own card: a string, possibly with a date,
    /// hours below 24, or seconds from 48 on.
    fn time_of_day(&self, date: Date) -> Option<(&'static str, Date)> {
        TIMES_OF_DAY.iter().find_map(|&card| {
            let value = self.header.get(card)?;
            if let Some(complete) = value.as_text().and_then(Date::parse) {
                return Some((card, complete));
            }
            let seconds = match value.as_text() {
                Some(text) if text.contains(':') => Date::seconds_of_day(text)?,
                _ => match value.as_f64()? {
                    hours @ 0.0..24.0 => hours * 3600.0,
                    // Between are hours of the next day as well as seconds.
                    seconds @ 48.0..86_400.0 => seconds,
                    _ => return None,
                },
            };
            Some((card, date.plus_seconds(seconds)))
        })
    }

    /// Seconds from start to end: the exposure time, unless the end contradicts it.
    fn length(&mut self, chosen: &CardTime, exposure_s: Option<f64>) -> Option<f64> {
        if chosen.is_middle {
            return exposure_s;
        }
        let Some((card, span_s)) = self.until_end(chosen) else { return exposure_s };
        match exposure_s {
            Some(exposure_s) if (span_s - exposure_s).abs() <= SLACK_S.max(exposure_s / 2.0) => {
                // The end card of a single exposure is written after readout.
                let exact =
                    self.profile.time.iter().any(|way| cards_of(way) == chosen.cards && way.has_end());
                Some(if exact { span_s } else { exposure_s })
            }
            Some(exposure_s) => {
                self.warn(
                    "time",
                    format!(
                        "The exposure time is {exposure_s} s, but {} and {card} are {span_s:.0} s apart, as in \
                         stacks; the middle between start and end is used.",
                        chosen.cards
                    ),
                );
                Some(span_s)
            }
            None => Some(span_s),
        }
    }

    /// The card of the end, and the seconds from the start to it.
    fn until_end(&self, chosen: &CardTime) -> Option<(&'static str, f64)> {
        let header = self.header;
        let iso = ENDS.iter().map(|&card| (card, header.text(card).and_then(Date::parse)));
        let mjd = ENDS_MJD.iter().map(|&card| (card, header.f64(card).and_then(Date::from_mjd)));
        let of_day = ENDS_OF_DAY.iter().map(|&card| {
            let seconds = header.text(card).and_then(Date::seconds_of_day);
            (card, seconds.map(|seconds| chosen.date.next_at(seconds)))
        });
        iso.chain(mjd).chain(of_day).find_map(|(card, end)| {
            let end = end.filter(|end| !end.is_midnight())?;
            let span = if card.contains("TAI") && chosen.scale != Scale::Tai {
                seconds_between(chosen.date.on(chosen.scale), end.on(Scale::Tai))
            } else {
                chosen.date.seconds_until(end)
            };
            (span > 0.0 && span < LONGEST_S).then_some((card, span))
        })
    }

    /// Warns of the first card that contradicts the result.
    fn compare(
        &mut self,
        chosen: &CardTime,
        found: &[CardTime],
        length_s: f64,
        exposure_s: Option<f64>,
        scale: Scale,
    ) {
        let used = chosen.middle(length_s);
        let tolerance = SLACK_S.max(length_s).max(exposure_s.unwrap_or(0.0));
        let others = found.iter().cloned().chain(COMPARED.iter().filter_map(|way| self.found(way, scale)));
        let contradiction = others
            .filter(|other| other.cards != chosen.cards && !other.date.is_midnight())
            .map(|other| (seconds_between(used, other.middle(length_s)), other))
            .find(|(seconds, _)| seconds.abs() > tolerance);
        let Some((seconds, other)) = contradiction else { return };
        let shown = |instant: Instant| instant.utc().unwrap_or_else(|| "another time".to_owned());
        self.warn(
            "time",
            format!(
                "{} puts the middle of the exposure at {} UTC, {} at {}, {} away; the former is used.",
                chosen.cards,
                shown(used),
                other.cards,
                shown(other.middle(length_s)),
                in_words(seconds.abs())
            ),
        );
    }
}

fn seconds_between(a: Instant, b: Instant) -> f64 {
    ((b.jd1 - a.jd1) + (b.jd2 - a.jd2)) * 86_400.0
}

fn in_words(seconds: f64) -> String {
    match seconds {
        s if s < 600.0 => format!("{s:.0} s"),
        s if s < 86_400.0 => format!("{:.1} h", s / 3600.0),
        s => format!("{:.1} days", s / 86_400.0),
    }
}

fn cards_of(way: &Time) -> String {
    match *way {
        Time::BeginEnd(a, b) | Time::BeginParts(a, b) => format!("{a} with {b}"),
        Time::Mid(card)
        | Time::MidMjd(card)
        | Time::MidJd(card)
        | Time::Begin(card)
        | Time::BeginMjd(card)
        | Time::BeginJd(card)
        | Time::BeginTaiSeconds(card) => card.to_owned(),
    }
}
