//! The refraction integral against published numbers and its own convergence, and the expansion
//! against it.

use dcr_physics::{
    Angle, Ciddor, RayIntegral, Refraction, RefractionError, RefractionModel, Site, StoneOwens, Wavelength,
    Weather, ZenithExpansion,
};

use crate::inputs::site;
use crate::tolerance;

/// Pairs of blue and red wavelengths in nm: the three reference pairs, and one towards the red.
const PAIRS: [(f64, f64); 4] = [(405.0, 552.0), (320.0, 400.0), (420.0, 460.0), (550.0, 700.0)];

const AIRMASSES: [f64; 3] = [1.2, 1.5, 2.0];

/// Reference values of docs/algorithm.md §1 for the first three pairs: arcsec at each airmass.
const YARDSTICK: [[f64; 3]; 3] =
    [[0.4795, 0.8075, 1.2486], [0.6405, 1.0786, 1.6679], [0.1622, 0.2731, 0.4224]];

/// Site and air of the reference values.
fn pachon() -> (Site, Weather) {
    (site(-70.749_417, -30.24, 2663.0), air(10.0, 74_300.0, 30.0))
}

/// Sites and air with different gravity, elevation, temperature and humidity.
fn all_skies() -> Vec<(Site, Weather)> {
    vec![
        pachon(),
        (site(-70.75, -30.24, 2663.0), air(-3.0, 74_000.0, 5.0)),
        (site(-155.47, 19.82, 4205.0), air(0.0, 61_600.0, 20.0)),
        (site(-116.86, 33.36, 1707.0), air(15.0, 83_300.0, 60.0)),
        (site(0.0, 51.48, 46.0), air(12.0, 101_000.0, 80.0)),
        (site(100.0, 5.0, 10.0), air(30.0, 101_000.0, 90.0)),
    ]
}

fn air(temperature_c: f64, pressure_pa: f64, humidity_percent: f64) -> Weather {
    Weather { temperature_c, pressure_pa, humidity_percent }
}

/// The altitude of an airmass: secant of the apparent zenith distance.
fn altitude(airmass: f64) -> Angle {
    Angle::from_radians((1.0 / airmass).asin())
}

fn dispersion_arcsec(model: &(impl Refraction + ?Sized), (blue, red): (f64, f64), airmass: f64) -> f64 {
    model
        .differential(Wavelength::from_nm(blue), Wavelength::from_nm(red), altitude(airmass))
        .expect("within the model's range")
        .arcsec()
}

/// The largest difference of dispersion between two models over all pairs and airmasses, in arcsec.
fn worst_arcsec(one: &(impl Refraction + ?Sized), other: &impl Refraction) -> f64 {
    let mut worst = 0.0_f64;
    for pair in PAIRS {
        for airmass in AIRMASSES {
            let difference = dispersion_arcsec(one, pair, airmass) - dispersion_arcsec(other, pair, airmass);
            worst = worst.max(difference.abs());
        }
    }
    worst
}

#[test]
fn ray_meets_the_yardstick() {
    let (site, air) = pachon();
    let ray = RayIntegral::new(Ciddor::default(), &site, &air);
    let expansion = ZenithExpansion::hydrostatic(StoneOwens::new(), &site, &air);
    for (pair, expected) in PAIRS.into_iter().zip(YARDSTICK) {
        for (airmass, expected) in AIRMASSES.into_iter().zip(expected) {
            let traced = dispersion_arcsec(&ray, pair, airmass);
            approx::assert_abs_diff_eq!(traced, expected, epsilon = tolerance::YARDSTICK_RAY_ARCSEC);
            let expanded = dispersion_arcsec(&expansion, pair, airmass);
            approx::assert_abs_diff_eq!(expanded, expected, epsilon = tolerance::YARDSTICK_EXPANSION_ARCSEC);
        }
    }
}

#[test]
fn ray_quadrature_is_converged() {
    let (site, air) = pachon();
    let ray = RayIntegral::new(Ciddor::default(), &site, &air);
    for degrees in [5.0, 10.0, 30.0, 60.0, 89.0] {
        let lift = |ray: &RayIntegral<Ciddor>| {
            ray.refraction(Wavelength::from_nm(400.0), Angle::from_degrees(degrees)).unwrap().arcsec()
        };
        approx::assert_abs_diff_eq!(
            lift(&ray),
            lift(&ray.refined(4)),
            epsilon = tolerance::QUADRATURE_ARCSEC
        );
    }
}

#[test]
fn ray_dispersion_hardly_knows_the_lapse_rate() {
    for (site, air) in all_skies() {
        let ray = RayIntegral::new(Ciddor::default(), &site, &air);
        for kelvin_per_km in [4.0, 9.0] {
            let worst = worst_arcsec(&ray, &ray.with_lapse_rate(kelvin_per_km));
            assert!(worst < tolerance::LAPSE_RATE_ARCSEC, "{worst}″ at {kelvin_per_km} K/km over {site:?}");
        }
    }
}

#[test]
fn ray_at_the_zenith_is_straight() {
    let (site, air) = pachon();
    let ray = RayIntegral::new(StoneOwens::new(), &site, &air);
    let lift = ray.refraction(Wavelength::from_nm(500.0), Angle::from_degrees(90.0)).unwrap();
    assert!(lift.arcsec().abs() < 1e-12, "{lift:?}");
}

#[test]
fn ray_refuses_the_horizon() {
    let (site, air) = pachon();
    let ray = RayIntegral::new(StoneOwens::new(), &site, &air);
    for degrees in [0.5, -10.0, 91.0, f64::NAN] {
        let answer = ray.refraction(Wavelength::from_nm(500.0), Angle::from_degrees(degrees));
        assert!(matches!(answer, Err(RefractionError::Altitude { .. })), "{degrees}°: {answer:?}");
    }
}

#[test]
fn refraction_expansion_meets_the_ray_integral_of_its_own_index() {
    for (site, air) in all_skies() {
        let owens = worst_arcsec(
            &ZenithExpansion::hydrostatic(StoneOwens::new(), &site, &air),
            &RayIntegral::new(StoneOwens::new(), &site, &air),
        );
        let ciddor = worst_arcsec(
            &ZenithExpansion::hydrostatic(Ciddor::default(), &site, &air),
            &RayIntegral::new(Ciddor::default(), &site, &air),
        );
        assert!(owens.max(ciddor) < tolerance::HYDROSTATIC_ARCSEC, "{owens}″, {ciddor}″ over {site:?}");
    }
}

#[test]
fn refraction_models_meet_the_ray_integral() {
    for (site, air) in all_skies() {
        let yardstick = RayIntegral::new(Ciddor::default(), &site, &air);
        let error = |model: RefractionModel| worst_arcsec(model.at(&site, &air).as_ref(), &yardstick);
        assert!(error(RefractionModel::Ciddor) < tolerance::HYDROSTATIC_ARCSEC, "Ciddor over {site:?}");
        let humid = air.humidity_percent > 85.0;
        let allowed = if humid { tolerance::OWENS_IN_THE_TROPICS_ARCSEC } else { tolerance::OWENS_ARCSEC };
        let (ours, published) = (error(RefractionModel::StoneOwens), error(RefractionModel::StonePublished));
        assert!(ours < allowed, "{ours}″ over {site:?}");
        assert!(published < tolerance::STONE_PUBLISHED_ARCSEC, "{published}″ over {site:?}");
    }
}

#[test]
fn refraction_degrades_towards_the_horizon_as_documented() {
    let (site, air) = pachon();
    let ray = RayIntegral::new(StoneOwens::new(), &site, &air);
    let expansion = ZenithExpansion::hydrostatic(StoneOwens::new(), &site, &air);
    for (degrees, allowed_arcsec) in
        [(45.0, 2e-4), (30.0, 3e-3), (20.0, 0.03), (15.0, 0.12), (10.0, 0.9), (5.0, 21.0)]
    {
        let lift = |model: &dyn Refraction| {
            model.refraction(Wavelength::from_nm(550.0), Angle::from_degrees(degrees)).unwrap().arcsec()
        };
        let error = lift(&expansion) - lift(&ray);
        assert!(error.abs() < allowed_arcsec, "{error}″ at {degrees}°");
    }
}
