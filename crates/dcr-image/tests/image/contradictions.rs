//! Headers whose cards of time, site and height contradict each other, or mean something else.

use std::path::Path;

use dcr_image::header::{Card, Given, Header, Value, VisitHeader, VisitSource};
use dcr_physics::{GeometrySource, SkyPosition, VisitInfo, ZenithGeometry};

use crate::headers::{degrees, header, text, visit_of, warned};

/// A night at Rubin: the middle of the exposure is at 04:55:23.6, the altitude 43.8°.
fn rubin(more: &[(&str, Value)]) -> Header {
    let mut all = header(&[
        ("DATE-OBS", text("2000-01-03T04:55:08.608")),
        ("EXPTIME", Value::Float(30.0)),
        ("RA", Value::Float(53.0)),
        ("DEC", Value::Float(-25.0)),
        ("OBS-LAT", Value::Float(-30.244639)),
        ("OBS-LONG", Value::Float(-70.749417)),
        ("OBS-ELEV", Value::Float(2663.0)),
    ]);
    for (keyword, value) in more {
        all.set(keyword, value.clone());
    }
    all
}

/// The same without some cards.
fn without(header: &Header, cards: &[&str]) -> Header {
    header.iter().filter(|card| !cards.contains(&card.keyword.as_str())).cloned().collect()
}

fn utc(visit: &VisitInfo) -> String {
    visit.mid_time.and_then(|time| time.utc()).unwrap()
}

fn texts(visit: &VisitInfo, quantity: &str) -> Vec<String> {
    let of = visit.assumptions.iter().filter(|note| note.quantity == quantity);
    of.map(|note| note.text.clone()).collect()
}

fn at_centre(header: &Header, given: &Given) -> VisitInfo {
    let source = VisitSource {
        path: Path::new("made_up.fits"),
        tree: None,
        image_centre: Some(SkyPosition::from_degrees(53.0, -25.0)),
        given,
    };
    VisitHeader::read_with(header, &source).visit
}

#[test]
fn time_good_headers_are_not_doubted() {
    for more in [
        vec![],
        vec![("TIME-OBS", text("04:55:08.608")), ("MJD-OBS", Value::Float(51_546.204_960))],
        vec![("DATE-END", text("2000-01-03T04:55:41.0"))],
        vec![("UT", text("04:55:08")), ("MJD", Value::Int(51_546)), ("JD", Value::Float(2_451_546.705))],
        // A date alone beside it.
        vec![("MJD-OBS", Value::Float(51_546.0))],
    ] {
        let visit = visit_of(&rubin(&more));
        assert_eq!(utc(&visit), "2000-01-03T04:55:24", "{more:?}");
        assert!(!warned(&visit, "time"), "{more:?}: {:?}", texts(&visit, "time"));
    }
}

#[test]
fn time_at_midnight_beside_a_time_of_day_uses_both() {
    for (card, time) in [
        ("TIME-OBS", text("04:55:08.608")),
        ("UT", text("04:55:08.6")),
        ("UTC-OBS", text("04:55:08.6")),
        ("UTSTART", text("04:55:08.6")),
        ("UT-OBS", text("2000-01-03T04:55:08.608")),
        ("UT", Value::Float(4.919_057)),
        ("UTC", Value::Float(17_708.6)),
    ] {
        for midnight in ["2000-01-03T00:00:00", "2000-01-03T00:00:00.000"] {
            let visit = visit_of(&rubin(&[("DATE-OBS", text(midnight)), (card, time.clone())]));
            assert_eq!(utc(&visit), "2000-01-03T04:55:24", "{card}");
            assert!(warned(&visit, "time"), "{card}");
        }
    }
    // Two cards that say midnight mean it.
    let both = visit_of(&rubin(&[("DATE-OBS", text("2000-01-03T00:00:00")), ("UT", text("00:00:00"))]));
    assert_eq!(utc(&both), "2000-01-03T00:00:15");
    assert!(!warned(&both, "time"), "{:?}", texts(&both, "time"));
}

#[test]
fn time_of_day_that_is_a_number_completes_a_date() {
    for (card, time) in [("UT", 4.919_057), ("TIME-OBS", 17_708.6), ("UTC", 4.919_057)] {
        let visit = visit_of(&rubin(&[("DATE-OBS", text("2000-01-03")), (card, Value::Float(time))]));
        assert_eq!(utc(&visit), "2000-01-03T04:55:24", "{card}");
        let told = texts(&visit, "time").join(" ");
        assert!(told.contains("DATE-OBS") && told.contains(card) && told.contains("4.919"), "{told}");
    }
    let alone = visit_of(&rubin(&[("DATE-OBS", text("2000-01-03"))]));
    assert!(alone.mid_time.is_none() && warned(&alone, "time"));
    // Hours of the next day or seconds, too many seconds, and none of either.
    for (card, time) in [("UT", 25.5), ("UT", 47.0), ("UT", 90_000.0), ("UT", -1.0)] {
        let visit = visit_of(&rubin(&[("DATE-OBS", text("2000-01-03")), (card, Value::Float(time))]));
        assert!(visit.mid_time.is_none() && warned(&visit, "time"), "{card} {time}");
    }
}

#[test]
fn time_at_midnight_gives_way_to_any_other_and_is_doubted_alone() {
    let midnight = ("DATE-OBS", text("2000-01-03T00:00:00"));
    let visit = visit_of(&rubin(&[midnight.clone(), ("MJD-OBS", Value::Float(51_546.204_960_7))]));
    assert_eq!(utc(&visit), "2000-01-03T04:55:24");
    assert!(warned(&visit, "time"));
    let alone = visit_of(&rubin(&[midnight]));
    assert_eq!(utc(&alone), "2000-01-03T00:00:15");
    assert!(warned(&alone, "time"));
}

#[test]
fn time_that_another_card_contradicts_is_warned_of_with_both() {
    for (card, value) in [
        ("MJD-OBS", Value::Float(51_546.45)),
        ("JD", Value::Float(2_451_546.3)),
        ("TIME-OBS", text("06:55:08")),
        ("DATE-BEG", text("2000-01-02T04:55:08")),
        ("MJD-AVG", Value::Float(51_546.3)),
    ] {
        let visit = visit_of(&rubin(&[(card, value)]));
        let doubt = texts(&visit, "time").join(" ");
        assert!(
            warned(&visit, "time") && doubt.contains(card) && doubt.contains("DATE-OBS"),
            "{card}: {doubt}"
        );
    }
}

#[test]
fn time_of_a_stack_is_the_middle_of_start_and_end() {
    for (card, value) in [
        ("DATE-END", text("2000-01-03T06:55:08.608")),
        ("MJD-END", Value::Float(51_546.288_294_1)),
        ("UT-END", text("06:55:08.6")),
        ("TIME-END", text("06:55:08.6")),
    ] {
        let visit = visit_of(&rubin(&[(card, value)]));
        assert_eq!(utc(&visit), "2000-01-03T05:55:09", "{card}");
        let doubt = texts(&visit, "time").join(" ");
        assert!(warned(&visit, "time") && doubt.contains(card) && doubt.contains("7200"), "{card}: {doubt}");
    }
    // Past midnight.
    let late = [("DATE-OBS", text("2000-01-03T23:30:00")), ("UT-END", text("00:30:00"))];
    assert_eq!(utc(&visit_of(&rubin(&late))), "2000-01-04T00:00:00");
    // An end before the start says nothing.
    let before = visit_of(&rubin(&[("DATE-END", text("2000-01-03T03:00:00"))]));
    assert_eq!(utc(&before), "2000-01-03T04:55:24");
}

#[test]
fn site_with_sign_and_letter_is_read_once() {
    let bare = without(&rubin(&[]), &["OBS-LAT", "OBS-LONG"]);
    for (latitude, longitude) in [
        ("30.244639 S", "70.749417 W"),
        ("-30.244639 S", "-70.749417 W"),
        ("30.244639S", "W70.749417"),
        ("-30 14 40.7", "-70 44 57.9"),
        ("30:14:40.7 S", "70:44:57.9 W"),
        ("-30:14:40.7 S", "-70:44:57.9 W"),
        ("30d14m40.7sS", "70d44m57.9sW"),
    ] {
        let mut cards = bare.clone();
        cards.set("LATITUDE", latitude);
        cards.set("LONGITUD", longitude);
        let site = visit_of(&cards).site.unwrap();
        assert!((site.latitude.degrees() + 30.244_639).abs() < 1e-4, "{latitude}: {site:?}");
        assert!((site.longitude.degrees() + 70.749_417).abs() < 1e-4, "{longitude}: {site:?}");
        let both = latitude.starts_with('-') && latitude.contains('S');
        assert_eq!(warned(&visit_of(&cards), "latitude"), both, "{latitude}");
    }
}

#[test]
fn site_cards_of_mounts_archives_and_the_standard() {
    let bare = without(&rubin(&[]), &["OBS-LAT", "OBS-LONG", "OBS-ELEV"]);
    let sites: [&[(&str, Value)]; 6] = [
        &[
            ("SITELAT", text("-30 14 40.7")),
            ("SITELON", text("-70 44 57.9")),
            ("SITEELEV", Value::Float(2663.0)),
        ],
        &[("SITELAT", text("-30 14 40.7")), ("SITELONG", text("-70 44 57.9")), ("ALT-OBS", text("2663 m"))],
        &[
            ("OBSGEO-X", Value::Float(1_818_938.94)),
            ("OBSGEO-Y", Value::Float(-5_208_470.95)),
            ("OBSGEO-Z", Value::Float(-3_195_172.08)),
        ],
        &[
            ("OBSGEO-B", Value::Float(-30.244_639)),
            ("OBSGEO-L", Value::Float(-70.749_417)),
            ("OBSGEO-H", Value::Float(2663.0)),
        ],
        &[
            ("GEOLAT", Value::Float(-30.244_639)),
            ("GEOLON", Value::Float(-70.749_417)),
            ("GEOALT", Value::Float(2663.0)),
        ],
        &[
            ("OBSLAT", Value::Float(-30.244_639)),
            ("OBSLON", Value::Float(-70.749_417)),
            ("ALTITUDE", Value::Float(2663.0)),
        ],
    ];
    for cards in sites {
        let mut all = bare.clone();
        cards.iter().for_each(|(keyword, value)| all.set(keyword, value.clone()));
        let visit = visit_of(&all);
        let site = visit.site.unwrap_or_else(|| panic!("{cards:?}"));
        assert!((site.latitude.degrees() + 30.244_639).abs() < 1e-4, "{cards:?} {site:?}");
        assert!((site.longitude.degrees() + 70.749_417).abs() < 1e-4, "{cards:?} {site:?}");
        assert!((site.elevation_m - 2663.0).abs() < 0.5, "{cards:?} {site:?}");
        assert!(!warned(&visit, "elevation"), "{cards:?}");
    }
    // Placeholders, and geocentric coordinates that contradict.
    let unset = visit_of(&rubin(&[("OBS-LAT", Value::Float(0.0)), ("OBS-LONG", Value::Float(0.0))]));
    assert!(unset.site.is_none() && warned(&unset, "site"));
    let mut other =
        rubin(&[("OBSGEO-X", Value::Float(-5_464_468.0)), ("OBSGEO-Y", Value::Float(-2_493_053.0))]);
    other.set("OBSGEO-Z", 2_150_943.0);
    assert!(warned(&visit_of(&other), "site"));
}

#[test]
fn height_in_feet_and_height_that_is_an_angle() {
    let height = |cards: &[(&str, Value)]| {
        let visit =
            visit_of(&without(&rubin(cards), if cards[0].0 == "OBS-ELEV" { &[] } else { &["OBS-ELEV"] }));
        (visit.site.unwrap().elevation_m, warned(&visit, "elevation"))
    };
    let close = |got: (f64, bool), m: f64| assert!((got.0 - m).abs() < 1.0 && got.1, "{got:?}");
    close(height(&[("OBS-ELEV", Value::Float(8737.0))]), 2663.0);
    close(height(&[("OBS-ELEV", Value::Float(8737.0)), ("PRESSURE", Value::Float(744.0))]), 2663.0);
    // Feet that the pressure contradicts, and heights that are none.
    close(height(&[("OBS-ELEV", Value::Float(8737.0)), ("PRESSURE", Value::Float(101_300.0))]), 0.0);
    close(height(&[("OBS-ELEV", Value::Float(-9999.0))]), 0.0);
    close(height(&[("OBS-ELEV", Value::Float(26_630.0))]), 0.0);
    assert_eq!(height(&[("OBS-ELEV", text("8737 ft"))]), (8737.0 * 0.3048, false));
    assert_eq!(height(&[("OBS-ELEV", text("2.663 km"))]), (2663.0, false));
    // A unit in the comment: of two that in brackets counts, else neither. Of a number that may be in
    // km nobody can tell.
    for (number, comment, expected) in [
        (8737.0, "[ft] height", (2663.0, true)),
        (4921.0, "Observatory elevation (feet)", (1500.0, true)),
        (2.663, "elevation in km", (2663.0, true)),
        (8737.0, "[ft] height (2663 m)", (2663.0, true)),
        (2663.0, "[m] above sea level (8737 ft)", (2663.0, false)),
        (4921.0, "4 m telescope, elevation in feet", (4921.0, true)),
        (2.663, "", (2.663, true)),
    ] {
        let mut cards = rubin(&[]);
        cards.set("OBS-ELEV", number);
        let cards = cards.iter().map(|card| match card.keyword.as_str() {
            "OBS-ELEV" => Card { comment: comment.to_owned(), ..card.clone() },
            _ => card.clone(),
        });
        let visit = visit_of(&cards.collect());
        let (elevation_m, told) = (visit.site.unwrap().elevation_m, warned(&visit, "elevation"));
        assert!(
            (elevation_m - expected.0).abs() < 1.0 && told == expected.1,
            "{comment}: {elevation_m} {told}"
        );
    }
    // The altitude of the pointing, by its value or by its form.
    close(height(&[("ELEVATIO", Value::Float(43.83))]), 0.0);
    close(height(&[("ELEVATIO", text("43:49:12"))]), 0.0);
    assert_eq!(height(&[("ELEVATIO", Value::Float(60.0))]), (60.0, false));
    assert_eq!(height(&[("ELEVATIO", Value::Float(2663.0))]), (2663.0, false));
}

#[test]
fn pressure_is_not_taken_for_torr_where_the_height_is_not_known() {
    let visit = visit_of(&without(&rubin(&[("PRESSURE", Value::Float(744.0))]), &["OBS-ELEV"]));
    assert_eq!(visit.weather.pressure_pa, Some(74_400.0));
}

#[test]
fn longitude_west_is_found_without_a_pointing() {
    let west = without(&rubin(&[("OBS-LONG", Value::Float(70.749_417))]), &["RA", "DEC"]);
    for (card, value) in [("ALTITUDE", 43.825), ("AIRMASS", 1.444), ("ZD", 46.2)] {
        let mut cards = west.clone();
        cards.set(card, value);
        let visit = at_centre(&cards, &Given::default());
        assert!((visit.site.unwrap().longitude.degrees() + 70.749_417).abs() < 1e-9, "{card}");
        assert!(warned(&visit, "longitude"), "{card}");
        let geometry = ZenithGeometry::resolve(&visit, GeometrySource::Auto).unwrap();
        let altitude = geometry.at(SkyPosition::from_degrees(53.0, -25.0)).altitude.degrees();
        assert!((altitude - 43.83).abs() < 0.1, "{card} {altitude}");
    }
}

#[test]
fn altitude_is_checked_at_the_middle_of_the_image() {
    // The clock is three hours off, and no longitude mends that.
    let mut cards = without(&rubin(&[("DATE-OBS", text("2000-01-03T01:55:08"))]), &["RA", "DEC"]);
    cards.set("ALTITUDE", 43.8);
    let visit = at_centre(&cards, &Given::default());
    let geometry = ZenithGeometry::resolve(&visit, GeometrySource::Auto).unwrap();
    assert!(geometry.disagreement().is_some());
    // A single detector may lie off the boresight.
    cards.set("DATE-OBS", "2000-01-03T04:55:08");
    cards.set("ALTITUDE", 45.5);
    let visit = at_centre(&cards, &Given::default());
    assert!(ZenithGeometry::resolve(&visit, GeometrySource::Auto).unwrap().disagreement().is_none());
}

#[test]
fn what_is_given_by_hand_wins() {
    let given = Given {
        latitude_deg: Some(19.825),
        longitude_deg: Some(-155.469),
        elevation_m: Some(4204.0),
        pressure_hpa: Some(617.0),
        temperature_c: Some(-1.0),
        humidity_percent: Some(12.0),
        unit: Some("adu".into()),
        ..Given::default()
    };
    for instrument in ["DECam", "gpc1", "anything"] {
        let mut cards = rubin(&[("PRESSURE", Value::Float(744.0)), ("AIRTEMP", Value::Float(10.0))]);
        cards.set("INSTRUME", instrument);
        cards.set("BUNIT", "nJy");
        let source =
            VisitSource { path: Path::new("made_up.fits"), tree: None, image_centre: None, given: &given };
        let VisitHeader { visit, unit } = VisitHeader::read_with(&cards, &source);
        let site = visit.site.unwrap();
        assert_eq!((degrees(Some(site.latitude)), site.elevation_m), (19.825, 4204.0), "{instrument}");
        assert!((degrees(Some(site.longitude)) + 155.469).abs() < 1e-9, "{instrument}");
        let air = visit.weather;
        assert_eq!(
            (air.pressure_pa, air.temperature_c, air.humidity_percent),
            (Some(61_700.0), Some(-1.0), Some(12.0)),
            "{instrument}"
        );
        assert!(warned(&visit, "site"), "{instrument}");
        assert_eq!(unit.as_deref(), Some("adu"));
        assert_eq!(texts(&visit, "unit").len(), 1);
    }
    // The height alone, with the header's place; the pressure is then read for that height.
    let height = Given { elevation_m: Some(4204.0), ..Given::default() };
    let visit = at_centre(&rubin(&[("PRESSURE", Value::Float(617.0))]), &height);
    let site = visit.site.unwrap();
    assert_eq!((site.elevation_m, visit.weather.pressure_pa), (4204.0, Some(61_700.0)));
    assert!((degrees(Some(site.latitude)) + 30.244_639).abs() < 1e-9);
}
