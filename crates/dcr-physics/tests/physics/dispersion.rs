//! Bands, subfilters, and their dispersion.

use std::f64::consts::PI;

use dcr_physics::{
    Angle, Band, BandError, ReferenceWavelength, Refraction, RefractionError, RefractionModel, StoneOwens,
    SubfilterDispersion, Throughput, Wavelength, Weather, ZenithExpansion, subfilter_dispersion,
};
use serde_json::Value;

use crate::inputs::{golden_json, shared, site};
use crate::tolerance;

fn band(effective_nm: f64, bandwidth_nm: f64) -> Band {
    Band::new("test", Wavelength::from_nm(effective_nm), bandwidth_nm).expect("a band")
}

fn pachon_air() -> Box<dyn Refraction + Send + Sync> {
    RefractionModel::StoneOwens.at(&site(-70.75, -30.24, 2663.0), &Weather::standard(2663.0))
}

/// Displacement proportional to wavelength, whose moments have closed forms.
struct Linear;

impl Refraction for Linear {
    fn refraction(&self, wavelength: Wavelength, _altitude: Angle) -> Result<Angle, RefractionError> {
        Ok(Angle::from_radians(-wavelength.nm()))
    }
}

#[test]
fn golden_subfilter_edges_are_met() {
    let golden = golden_json("wavelengthGenerator.json");
    let cases = golden.as_array().unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        let number = |name: &str| case[name].as_f64().unwrap();
        let band = band(number("effectiveWavelength"), number("bandwidth"));
        let ranges = band.subfilters(case["n"].as_u64().unwrap() as usize).unwrap();
        let expected = case["out"].as_array().unwrap();
        assert_eq!(ranges.len(), expected.len());
        for (range, expected) in ranges.iter().zip(expected) {
            for (got, expected) in [range.lo, range.hi].into_iter().zip(expected.as_array().unwrap()) {
                approx::assert_relative_eq!(
                    got.nm(),
                    expected.as_f64().unwrap(),
                    max_relative = tolerance::REFERENCE_RELATIVE
                );
            }
        }
    }
}

/// The shifts of the reference: edges only, along parallactic angle − rotator angle, East along +x.
#[test]
fn golden_shifts_of_the_reference_are_met() {
    let golden = golden_json("calculateDcr.json");
    let numbers = |value: &Value| -> Vec<f64> {
        value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
    };
    let mut compared = 0;
    for case in golden["cases"].as_array().unwrap() {
        if !case["error"].is_null() {
            continue;
        }
        let visit = &golden["visits"][case["visit"].as_u64().unwrap() as usize];
        let of_visit = |name: &str| visit[name].as_f64().unwrap();
        let place = numbers(&golden["observatories"][visit["obs"].as_str().unwrap()]);
        let place = site(place[0], place[1], place[2]);
        let air = Weather {
            temperature_c: of_visit("temp"),
            pressure_pa: of_visit("press"),
            humidity_percent: of_visit("hum"),
        };
        let model = RefractionModel::Reference.at(&place, &air);
        let filter = numbers(&golden["filters"][case["filter"].as_str().unwrap()]);
        let band = band(filter[0], filter[1]);
        let grid = band.wavelength_grid(case["n"].as_u64().unwrap() as usize).unwrap();
        let altitude = Angle::from_degrees(of_visit("alt"));
        let planes = subfilter_dispersion(&grid, model.as_ref(), altitude, band.effective()).unwrap();

        let at = if case["bbox"].is_null() { "origin" } else { "bboxCentre" };
        let arcsec_per_px = golden["pixelScale_arcsec"][at].as_f64().unwrap();
        let theta = Angle::from_degrees(of_visit("parang") - of_visit("rotang")).radians();
        let shift_yx = |lift: Angle| {
            let pixels = lift.arcsec() / arcsec_per_px;
            [pixels * theta.cos(), pixels * theta.sin()]
        };
        // Differences of two numbers have fewer significant digits.
        let full_lift = model.refraction(band.effective(), altitude).unwrap().arcsec() / arcsec_per_px;
        let allowed = full_lift * tolerance::REFERENCE_RELATIVE;
        let check = |lift: Angle, expected: &Value| {
            for (got, expected) in shift_yx(lift).into_iter().zip(numbers(expected)) {
                assert!((got - expected).abs() <= allowed, "{got}, expected {expected}: {case}");
            }
        };
        let expected = case["shift_yx"].as_array().unwrap();
        assert_eq!(planes.len(), expected.len());
        for (plane, expected) in planes.iter().zip(expected) {
            if case["split"].as_bool().unwrap() {
                let [bluer, redder] = plane.edge_split();
                check(bluer, &expected[0]);
                check(redder, &expected[1]);
            } else {
                check(plane.edge_mean(), expected);
            }
            compared += 1;
        }
    }
    assert!(compared > 1000, "{compared}");
}

#[test]
fn band_grid_of_a_top_hat_is_even_and_fine() {
    for (count, bandwidth) in [(1, 147.0), (3, 147.0), (5, 46.3), (6, 300.0)] {
        let grid = band(500.0, bandwidth).wavelength_grid(count).unwrap();
        let width = bandwidth / count as f64;
        for (subfilter, range) in grid.subfilters().iter().enumerate() {
            let points: Vec<_> = grid.points().iter().filter(|p| p.subfilter == subfilter).collect();
            assert!(points.len() >= 8 && width / points.len() as f64 <= 6.0);
            assert!(points.iter().all(|p| p.wavelength > range.lo && p.wavelength < range.hi));
        }
        for fraction in grid.fractions() {
            approx::assert_relative_eq!(fraction, 1.0 / count as f64, max_relative = 1e-12);
        }
        approx::assert_relative_eq!(grid.mean_wavelength().nm(), 500.0, max_relative = 1e-12);
    }
}

#[test]
fn band_grid_with_a_throughput_takes_the_wings() {
    // Trapezium: full from 420 to 540 nm, nothing below 380 and above 580.
    let curve = Throughput::parse("380 0\n420 1\n540 1\n580 0").unwrap();
    let g = band(480.0, 140.0).with_throughput(curve).unwrap();
    let grid = g.wavelength_grid(3).unwrap();
    let points = grid.points();
    assert!(points[0].wavelength.nm() > 380.0 && points[0].wavelength.nm() < 426.0);
    approx::assert_abs_diff_eq!(grid.fractions().iter().sum::<f64>(), 1.0, epsilon = 1e-12);
    approx::assert_abs_diff_eq!(grid.mean_wavelength().nm(), 480.0, epsilon = 1e-9);

    // The first and last point above 3e-3 of the peak are 420 and 540, inside the band.
    let shares = grid.fractions();
    approx::assert_abs_diff_eq!(shares[0], shares[2], epsilon = 1e-12);
    let centroids = grid.centroids();
    assert!(centroids[0].nm() > 410.0 && centroids[0] < centroids[1] && centroids[1] < centroids[2]);

    // With the wing sampled, the outer subfilters reach down it.
    let text: String = (380..=580)
        .map(|nm| {
            let t = f64::min(1.0, f64::min((f64::from(nm) - 380.0) / 40.0, (580.0 - f64::from(nm)) / 40.0));
            format!("{nm} {t}\n")
        })
        .collect();
    let sampled = band(480.0, 140.0).with_throughput(Throughput::parse(&text).unwrap()).unwrap();
    let grid = sampled.wavelength_grid(3).unwrap();
    assert!(grid.points()[0].wavelength.nm() < 385.0);
    // Areas of the trapezium: 160 in all, 46.67 in the middle third.
    approx::assert_abs_diff_eq!(grid.fractions()[1], 140.0 / 3.0 / 160.0, epsilon = 1e-3);
}

#[test]
fn band_of_impossible_figures_is_refused() {
    let new = |effective, width| Band::new("x", Wavelength::from_nm(effective), width);
    for (effective, width) in
        [(f64::NAN, 100.0), (500.0, 0.0), (500.0, -1.0), (500.0, f64::INFINITY), (0.0, 1.0)]
    {
        let answer = new(effective, width);
        assert!(matches!(answer, Err(BandError::NotPositive { .. })), "{effective} {width}: {answer:?}");
    }
    let angstrom = new(4785.0, 1470.0).unwrap_err().to_string();
    assert!(angstrom.contains("4050 to 5520 nm") && angstrom.contains("are in nm"), "{angstrom}");
    assert_eq!(band(500.0, 100.0).subfilters(0), Err(BandError::NoSubfilters));
    let elsewhere = Throughput::parse("700 1\n800 1").unwrap();
    let dark = band(500.0, 100.0).with_throughput(elsewhere).unwrap().wavelength_grid(3).unwrap_err();
    assert!(matches!(dark, BandError::DarkSubfilter { subfilter: 0, .. }), "{dark}");
}

#[test]
fn dispersion_has_the_moments_of_the_smear() {
    let band = band(500.0, 120.0);
    let grid = band.wavelength_grid(3).unwrap();
    let planes = subfilter_dispersion(&grid, &Linear, Angle::from_degrees(45.0), band.effective()).unwrap();
    let mean: Vec<f64> = planes.iter().map(|plane| plane.mean.radians()).collect();
    for (got, expected) in mean.iter().zip([40.0, 0.0, -40.0]) {
        approx::assert_abs_diff_eq!(*got, expected, epsilon = 1e-9);
    }
    // A uniform smear of width 40 has the standard deviation 40/√12, less the grid's own steps.
    let spread = planes[1].spread.radians();
    approx::assert_relative_eq!(spread, 40.0 / 12.0_f64.sqrt(), max_relative = tolerance::GRID_RELATIVE);
    let [bluer, redder] = planes[0].split();
    approx::assert_abs_diff_eq!((bluer.radians() + redder.radians()) / 2.0, 40.0, epsilon = 1e-9);
    assert!(bluer > redder);
    assert_eq!(planes[0].edge_split().map(|a| a.radians().round()), [50.0, 30.0]);
}

#[test]
fn dispersion_of_the_edges_is_off_the_mean_by_milliarcseconds() {
    let g = band(476.31, 147.0);
    let altitude = Angle::from_radians((1.0_f64 / 1.5).asin());
    let planes: Vec<SubfilterDispersion> =
        subfilter_dispersion(&g.wavelength_grid(3).unwrap(), pachon_air().as_ref(), altitude, g.effective())
            .unwrap();
    let off_mas = (planes[0].edge_mean().arcsec() - planes[0].mean.arcsec()) * 1e3;
    assert!((2.0..12.0).contains(&off_mas), "{off_mas} mas");
}

/// Doubling the resolution of the grid has no significant effect.
fn check_grid(g: &Band) {
    let altitude = Angle::from_degrees(30.0);
    let air = pachon_air();
    // Six subfilters have at least twice as many steps as three; summed by twos they are the same three.
    let coarse =
        subfilter_dispersion(&g.wavelength_grid(3).unwrap(), air.as_ref(), altitude, g.effective()).unwrap();
    let fine_grid = g.wavelength_grid(6).unwrap();
    let fine = subfilter_dispersion(&fine_grid, air.as_ref(), altitude, g.effective()).unwrap();
    let shares = fine_grid.fractions();
    for (a, coarse) in coarse.iter().enumerate() {
        let (left, right) = (2 * a, 2 * a + 1);
        let mean = (shares[left] * fine[left].mean.arcsec() + shares[right] * fine[right].mean.arcsec())
            / (shares[left] + shares[right]);
        approx::assert_abs_diff_eq!(coarse.mean.arcsec(), mean, epsilon = tolerance::GRID_ARCSEC);
    }
}

#[test]
fn dispersion_grid_is_fine_enough() {
    check_grid(&band(478.5, 147.0));
}

#[test]
fn dispersion_reference_wavelength_is_as_chosen() {
    let curve = Throughput::parse("400 0\n550 1\n551 0").unwrap();
    let g = band(476.0, 148.0).with_throughput(curve).unwrap();
    let choose = |choice: ReferenceWavelength| choice.in_band(&g).unwrap().nm();
    assert_eq!(choose(ReferenceWavelength::default()), 476.0);
    assert_eq!(choose(ReferenceWavelength::Nm(489.3)), 489.3);
    // The mean of a triangle lies two thirds of the way along.
    approx::assert_abs_diff_eq!(choose(ReferenceWavelength::FlatSpectrumMean), 500.0, epsilon = 0.5);
    let choice: ReferenceWavelength = serde_json::from_str(r#"{"nm": 489.3}"#).unwrap();
    assert_eq!(choice, ReferenceWavelength::Nm(489.3));
    let choice: ReferenceWavelength = serde_json::from_str(r#""flat_spectrum_mean""#).unwrap();
    assert_eq!(choice, ReferenceWavelength::FlatSpectrumMean);
}

#[test]
fn dispersion_refuses_what_refraction_refuses() {
    let g = band(478.5, 147.0);
    let grid = g.wavelength_grid(3).unwrap();
    for (altitude, reference) in [(2.0, 478.5), (f64::NAN, 478.5), (45.0, f64::NAN), (45.0, 4785.0)] {
        let answer = subfilter_dispersion(
            &grid,
            pachon_air().as_ref(),
            Angle::from_degrees(altitude),
            Wavelength::from_nm(reference),
        );
        assert!(answer.is_err(), "{altitude}° {reference} nm: {answer:?}");
    }
    // A quarter circle is fine: there is no refraction at the zenith.
    let zenith = Angle::from_radians(PI / 2.0);
    let model =
        ZenithExpansion::hydrostatic(StoneOwens::new(), &site(0.0, 0.0, 0.0), &Weather::standard(0.0));
    let planes = subfilter_dispersion(&grid, &model, zenith, g.effective()).unwrap();
    assert!(planes.iter().all(|plane| plane.mean.arcsec().abs() < 1e-12));
}

mod needs_shared {
    use super::*;

    #[test]
    #[ignore = "needs the throughput curves of ../shared"]
    fn dispersion_grid_is_fine_enough_with_a_curve() {
        let path = shared("realdata/atmos_throughputs/total_g.dat");
        let curve = Throughput::parse(&std::fs::read_to_string(path).unwrap()).unwrap();
        check_grid(&band(478.5, 147.0).with_throughput(curve).unwrap());
    }
}
