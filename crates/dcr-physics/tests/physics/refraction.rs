//! Stone's expansion: closed forms, numbers of the reference, and refused input.

use dcr_physics::{
    Angle, Ciddor, RayIntegral, Refraction, RefractionError, RefractionModel, RefractiveIndex, Site,
    StoneOwens, Wavelength, Weather, WeatherReadings, ZenithExpansion,
};
use ndarray::{Array1, Array4};
use ndarray_npy::NpzReader;

use crate::inputs::{golden, golden_json, site};
use crate::tolerance;

const SITES: [(&str, f64, f64, f64); 3] = [
    ("LSST", -70.749_417, -30.244_639, 2663.0),
    ("MaunaKea", -155.4747, 19.8238, 4205.0),
    ("Greenwich", 0.0, 51.4769, 46.0),
];

/// The golden weathers; `None` is the standard atmosphere at the site.
const WEATHERS: [Option<Weather>; 4] = [
    Some(Weather { temperature_c: 20.0, pressure_pa: 73_892.0, humidity_percent: 40.0 }),
    Some(Weather { temperature_c: -5.0, pressure_pa: 61_500.0, humidity_percent: 8.0 }),
    Some(Weather { temperature_c: 25.0, pressure_pa: 101_325.0, humidity_percent: 90.0 }),
    None,
];

fn rubin() -> Site {
    let (_, longitude, latitude, elevation_m) = SITES[0];
    site(longitude, latitude, elevation_m)
}

fn standard_air(elevation_m: f64) -> Weather {
    WeatherReadings::default().complete(elevation_m).0
}

fn nm(nm: f64) -> Wavelength {
    Wavelength::from_nm(nm)
}

fn degrees(degrees: f64) -> Angle {
    Angle::from_degrees(degrees)
}

#[test]
fn golden_refraction_of_the_reference_is_met() {
    let mut archive = NpzReader::new(std::fs::File::open(golden("refraction.npz")).unwrap()).unwrap();
    let wavelengths: Array1<f64> = archive.by_name("wavelength_nm").unwrap();
    let elevations: Array1<f64> = archive.by_name("elevation_deg").unwrap();
    let lifts: Array4<f64> = archive.by_name("refraction_rad").unwrap();
    let differentials: Array4<f64> = archive.by_name("differential_rad").unwrap();

    for ((observatory, weather, elevation, wavelength), expected) in lifts.indexed_iter() {
        let (_, longitude, latitude, elevation_m) = SITES[observatory];
        let air = WEATHERS[weather].unwrap_or_else(|| standard_air(elevation_m));
        let model = ZenithExpansion::reference(&site(longitude, latitude, elevation_m), &air);
        let (altitude, wavelength_nm) = (degrees(elevations[elevation]), nm(wavelengths[wavelength]));

        let lift = model.refraction(wavelength_nm, altitude).unwrap().radians();
        approx::assert_relative_eq!(lift, *expected, max_relative = tolerance::REFERENCE_RELATIVE);

        let differential = model.differential(wavelength_nm, nm(476.31), altitude).unwrap().radians();
        let expected = differentials[(observatory, weather, elevation, wavelength)];
        let allowed =
            (expected.abs() * tolerance::REFERENCE_RELATIVE).max(lift * tolerance::REFERENCE_DIFFERENCE);
        assert!((differential - expected).abs() <= allowed, "{differential}, expected {expected}");
    }
}

#[test]
fn golden_intermediates_and_default_weather_are_met() {
    let golden = golden_json("refraction.json");
    for (_, at) in golden["intermediates_at_2663m_for_default"].as_object().unwrap() {
        let reading = |name: &str| at[name].as_f64().unwrap();
        let air = Weather {
            temperature_c: reading("airTemperature_C"),
            pressure_pa: reading("airPressure_Pa"),
            humidity_percent: reading("humidity_pct"),
        };
        for (wavelength, expected) in at["deltaN"].as_object().unwrap() {
            let got = StoneOwens::reference().refractivity(nm(wavelength.parse().unwrap()), &air).unwrap();
            approx::assert_relative_eq!(
                got * 1e8,
                expected.as_f64().unwrap(),
                max_relative = tolerance::REFERENCE_RELATIVE
            );
        }
    }
    for (elevation, expected) in golden["defaultWeather"].as_object().unwrap() {
        let air = standard_air(elevation.parse().unwrap());
        let got = [air.temperature_c, air.pressure_pa, air.humidity_percent];
        for (got, expected) in got.into_iter().zip(expected.as_array().unwrap()) {
            approx::assert_relative_eq!(
                got,
                expected.as_f64().unwrap(),
                max_relative = tolerance::REFERENCE_RELATIVE
            );
        }
    }
}

/// The numbers of the reference are reproduced; where it raises an error or gives NaN, the model
/// refuses or gives a valid result.
#[test]
fn golden_edge_cases_are_met() {
    let golden = golden_json("refraction.json");
    let edge = &golden["edge_cases_LSST_el45_unless_named_default_weather"];
    // Humidities other than the default's were run at 10 °C and 740 hPa.
    let lift = |wavelength: f64, altitude: f64, humidity: Option<f64>| {
        let air = humidity.map_or_else(
            || standard_air(2663.0),
            |humidity_percent| Weather { temperature_c: 10.0, pressure_pa: 74_000.0, humidity_percent },
        );
        RefractionModel::Reference.at(&rubin(), &air).refraction(nm(wavelength), degrees(altitude))
    };
    for (name, answer) in [
        ("wl_230.2", lift(230.2, 45.0, None)),
        ("wl_2058.6", lift(2058.6, 45.0, None)),
        ("el_90", lift(476.31, 90.0, None)),
        ("el_5", lift(476.31, 5.0, None)),
        ("el_-10", lift(476.31, -10.0, None)),
        ("humidity_100", lift(476.31, 45.0, Some(100.0))),
        ("humidity_120", lift(476.31, 45.0, Some(120.0))),
    ] {
        let expected = edge[name]["radians"].as_f64().unwrap();
        approx::assert_relative_eq!(
            answer.unwrap().radians(),
            expected,
            max_relative = tolerance::REFERENCE_RELATIVE
        );
    }
    assert_eq!(lift(230.1, 45.0, None), Err(RefractionError::Wavelength { got_nm: 230.1 }));
    assert_eq!(lift(2058.7, 45.0, None), Err(RefractionError::Wavelength { got_nm: 2058.7 }));
    assert!(lift(476.31, 45.0, Some(0.0)).unwrap().radians() > 0.0);
    assert!(matches!(lift(476.31, 45.0, Some(-1.0)), Err(RefractionError::Weather { got: -1.0, .. })));
    assert!(matches!(lift(476.31, 45.0, Some(f64::NAN)), Err(RefractionError::Weather { .. })));
}

#[test]
fn refraction_tan3_term_is_subtracted() {
    let air = standard_air(2663.0);
    let (ours, theirs) = (
        ZenithExpansion::published(StoneOwens::reference(), &rubin(), &air),
        ZenithExpansion::reference(&rubin(), &air),
    );
    let excess = |airmass: f64| {
        let altitude = Angle::from_radians((1.0 / airmass).asin());
        let lift =
            |model: &dyn Refraction| model.differential(nm(405.0), nm(552.0), altitude).unwrap().arcsec();
        lift(&theirs) - lift(&ours)
    };
    assert!((0.006..0.012).contains(&excess(2.0)), "{}″", excess(2.0));
    assert!(excess(1.0).abs() < 1e-12);
}

#[test]
fn refraction_is_zero_at_the_zenith_and_lifts_blue_above_red() {
    for model in [
        RefractionModel::StoneOwens,
        RefractionModel::StonePublished,
        RefractionModel::Ciddor,
        RefractionModel::Reference,
    ] {
        let model = model.at(&rubin(), &standard_air(2663.0));
        assert!(model.refraction(nm(500.0), degrees(90.0)).unwrap().radians() < 1e-18);
        let lift = |wavelength: f64| model.refraction(nm(wavelength), degrees(40.0)).unwrap();
        assert!(lift(350.0) > lift(500.0) && lift(500.0) > lift(900.0));
        assert!(model.differential(nm(350.0), nm(500.0), degrees(40.0)).unwrap().radians() > 0.0);
        assert_eq!(model.differential(nm(500.0), nm(500.0), degrees(40.0)).unwrap().radians(), 0.0);
    }
}

#[test]
fn refraction_refuses_what_it_cannot_answer() {
    let model = RefractionModel::default().at(&rubin(), &standard_air(2663.0));
    for altitude in [0.0, -1.0, 4.9, 90.1, f64::NAN, f64::INFINITY] {
        let answer = model.refraction(nm(500.0), degrees(altitude));
        assert!(matches!(answer, Err(RefractionError::Altitude { .. })), "{altitude}°: {answer:?}");
    }
    for wavelength in [0.0, -500.0, 230.1, 2058.7, f64::NAN] {
        let answer = model.refraction(nm(wavelength), degrees(45.0));
        assert!(matches!(answer, Err(RefractionError::Wavelength { .. })), "{wavelength} nm: {answer:?}");
    }
    let message = model.refraction(nm(500.0), degrees(-3.0)).unwrap_err().to_string();
    assert_eq!(message, "altitude -3.000° is outside the valid range 5–90°");
}

#[test]
fn refraction_refuses_sites_that_are_not_on_earth() {
    for nowhere in [
        site(0.0, f64::NAN, 0.0),
        site(0.0, 91.0, 0.0),
        site(0.0, 0.0, f64::NAN),
        site(0.0, 0.0, 36_000_000.0),
    ] {
        let air = standard_air(0.0);
        for answer in [
            RefractionModel::default().at(&nowhere, &air).refraction(nm(500.0), degrees(45.0)),
            RayIntegral::new(StoneOwens::new(), &nowhere, &air).refraction(nm(500.0), degrees(45.0)),
        ] {
            assert!(matches!(answer, Err(RefractionError::Site { .. })), "{nowhere:?}: {answer:?}");
        }
    }
}

#[test]
fn refraction_model_names_are_those_of_configurations() {
    for (name, model) in [
        ("\"stone_owens\"", RefractionModel::StoneOwens),
        ("\"stone_published\"", RefractionModel::StonePublished),
        ("\"ciddor\"", RefractionModel::Ciddor),
        ("\"reference\"", RefractionModel::Reference),
    ] {
        assert_eq!(serde_json::from_str::<RefractionModel>(name).unwrap(), model);
        assert_eq!(serde_json::to_string(&model).unwrap(), name);
    }
}

/// Dry air with 450 ppm of carbon dioxide at 633 nm, Ciddor (1996), table 1.
#[test]
fn index_of_ciddor_meets_his_table() {
    for (temperature_c, pressure_pa, expected) in [
        (20.0, 80_000.0, 21_458.0),
        (20.0, 100_000.0, 26_824.4),
        (20.0, 120_000.0, 32_191.6),
        (10.0, 100_000.0, 27_774.7),
        (30.0, 100_000.0, 25_937.2),
    ] {
        let air = Weather { temperature_c, pressure_pa, humidity_percent: 0.0 };
        let got = 1e8 * Ciddor::default().refractivity(nm(633.0), &air).unwrap();
        approx::assert_abs_diff_eq!(got, expected, epsilon = tolerance::CIDDOR_TABLE);
    }
}

#[test]
fn index_refuses_impossible_air() {
    let fine = standard_air(0.0);
    for air in [
        Weather { temperature_c: f64::NAN, ..fine },
        Weather { temperature_c: -300.0, ..fine },
        Weather { pressure_pa: 0.0, ..fine },
        Weather { pressure_pa: f64::INFINITY, ..fine },
        Weather { humidity_percent: -0.1, ..fine },
    ] {
        for answer in
            [StoneOwens::new().refractivity(nm(500.0), &air), Ciddor::default().refractivity(nm(500.0), &air)]
        {
            assert!(matches!(answer, Err(RefractionError::Weather { .. })), "{air:?}: {answer:?}");
        }
    }
}
