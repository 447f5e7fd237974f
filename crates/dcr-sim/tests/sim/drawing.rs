//! Drawn sources against closed forms: flux, position, width, and the integral over wavelength.

use dcr_physics::{RefractionModel, SkyPosition, Wavelength};
use dcr_sim::{
    Field, FieldConfig, GalaxyShape, Passband, PsfShape, Source, SourceShape, Spectrum, VisitPlan,
    VisitSettings,
};
use ndarray::Array2;

/// The integral over wavelength by Gauss quadrature against every cell, relative to the peak. The
/// worst seen is 7e-7 (u at airmass 2.2, seeing of 3 pixels); in g it is 2e-9.
const WAVELENGTHS: f64 = 2e-6;

/// Positions: pixels are integrated exactly, so the error comes from light cut off at the floor.
const POSITION_PX: f64 = 1e-6;

/// A pixel adds 1/12 px² to second moments; the floor cuts off a little of the rest.
const MOMENT_PX2: f64 = 1e-4;

fn quiet() -> FieldConfig {
    FieldConfig { psf: PsfShape::Gaussian, floor_electrons: 1e-8, ..FieldConfig::default() }
}

fn star(x: f64, y: f64, flux: f64, spectrum: Spectrum) -> Source {
    Source { id: 1, x, y, flux, shape: SourceShape::Point, spectrum }
}

fn one_star(config: &FieldConfig, spectrum: Spectrum) -> Field {
    Field::with_catalogue(config, vec![star(81.3, 76.6, 1e5, spectrum)]).unwrap()
}

/// A passband so narrow that it has one cell: light of 420 nm.
fn monochromatic() -> Passband {
    Passband { throughput: vec![[419.88, 0.0], [420.0, 1.0], [420.12, 0.0]], ..Passband::default() }
}

struct Moments {
    flux: f64,
    x: f64,
    y: f64,
    xx: f64,
    xy: f64,
    yy: f64,
}

fn moments(image: &Array2<f64>) -> Moments {
    let sum = |f: &dyn Fn(f64, f64) -> f64| -> f64 {
        image.indexed_iter().map(|((y, x), v)| v * f(x as f64, y as f64)).sum()
    };
    let flux = sum(&|_, _| 1.0);
    let (mx, my) = (sum(&|x, _| x) / flux, sum(&|_, y| y) / flux);
    Moments {
        flux,
        x: mx,
        y: my,
        xx: sum(&|x, _| (x - mx) * (x - mx)) / flux,
        xy: sum(&|x, y| (x - mx) * (y - my)) / flux,
        yy: sum(&|_, y| (y - my) * (y - my)) / flux,
    }
}

fn noiseless(field: &Field, plan: &VisitPlan) -> Array2<f64> {
    field.expose(plan).unwrap().noiseless
}

#[test]
fn flux_is_conserved_in_every_visit() {
    let spectra =
        [Spectrum::Flat, Spectrum::BlackBody { temperature_k: 3500.0 }, Spectrum::Quasar { redshift: 2.1 }];
    for spectrum in spectra {
        let field = one_star(&quiet(), spectrum);
        for plan in field.visits() {
            let flux = noiseless(&field, plan).sum();
            assert!((flux / 1e5 - 1.0).abs() < 1e-9, "{spectrum:?} {}: {flux}", plan.info.visit);
        }
    }
}

#[test]
fn monochromatic_star_moves_by_the_refraction_towards_the_zenith() {
    for (rotation_deg, east_left) in [(0.0, true), (25.0, true), (205.0, true), (25.0, false), (-70.0, false)]
    {
        let config = FieldConfig { passband: monochromatic(), rotation_deg, east_left, ..quiet() };
        let field = one_star(&config, Spectrum::Flat);
        for plan in field.visits() {
            let image = moments(&noiseless(&field, plan));
            let weather = plan.info.weather.complete_enough();
            let lift = RefractionModel::default()
                .at(&config.physical_site(), &weather)
                .differential(
                    field.catalogue().next().unwrap().1.mean(),
                    Wavelength::from_nm(478.5),
                    plan.info.altitude.unwrap(),
                )
                .unwrap()
                .arcsec();
            // By hand: the zenith at position angle q; +y at `rotation_deg`; East left means that position angles
            // grow counter-clockwise, from +y towards −x.
            let from_y = plan.info.parallactic_angle.unwrap().radians() - rotation_deg.to_radians();
            let sign = if east_left { -1.0 } else { 1.0 };
            let expected = [81.3 + sign * lift / 0.2 * from_y.sin(), 76.6 + lift / 0.2 * from_y.cos()];
            // The star stands 0.6″ from the boresight, whose altitude and angle were used here.
            assert!((image.x - expected[0]).abs() < 2e-5, "{} {}", image.x, expected[0]);
            assert!((image.y - expected[1]).abs() < 2e-5, "{} {}", image.y, expected[1]);
        }
    }
}

#[test]
fn blue_light_is_lifted_and_red_light_is_lowered() {
    // Pole up: +y towards the North, a field South of the zenith at transit, so that the zenith is at +y.
    let config = FieldConfig {
        rotation_deg: 0.0,
        dec_deg: -60.0,
        visits: VisitSettings { count: 1, ..VisitSettings::default() },
        ..quiet()
    };
    let field = one_star(&config, Spectrum::Flat);
    let seen = |nm: f64| field.pixel_seen(&field.visits()[0], [80.0, 80.0], Wavelength::from_nm(nm)).unwrap();
    assert!(seen(410.0)[1] > 80.5 && seen(550.0)[1] < 79.5);
    assert!((seen(478.5)[1] - 80.0).abs() < POSITION_PX);
}

#[test]
fn centroid_is_the_mean_over_the_spectrum() {
    for spectrum in [Spectrum::Flat, Spectrum::Break { wavelength_nm: 470.0, ratio: 5.0, width_nm: 1.0 }] {
        let field = one_star(&quiet(), spectrum);
        let plan = field.visits().last().unwrap();
        let image = moments(&noiseless(&field, plan));
        let (_, seen) = field.catalogue().next().unwrap();
        let mut mean = [0.0; 2];
        let mut spread = [0.0; 3];
        let places: Vec<([f64; 2], f64)> =
            seen.fine().iter().map(|&(l, w)| (field.pixel_seen(plan, [81.3, 76.6], l).unwrap(), w)).collect();
        for ([x, y], w) in &places {
            mean = [mean[0] + w * x, mean[1] + w * y];
        }
        for ([x, y], w) in &places {
            let (dx, dy) = (x - mean[0], y - mean[1]);
            spread = [spread[0] + w * dx * dx, spread[1] + w * dx * dy, spread[2] + w * dy * dy];
        }
        assert!((image.x - mean[0]).abs() < POSITION_PX && (image.y - mean[1]).abs() < POSITION_PX);
        // The PSF's own width, the pixel's, and the spread of the light.
        let sigma = 3.75 / (8.0 * 2_f64.ln()).sqrt();
        let round = sigma * sigma + 1.0 / 12.0;
        assert!((image.xx - round - spread[0]).abs() < MOMENT_PX2);
        assert!((image.xy - spread[1]).abs() < MOMENT_PX2);
        assert!((image.yy - round - spread[2]).abs() < MOMENT_PX2);
    }
}

#[test]
fn drawing_at_nodes_meets_all_wavelengths() {
    let u = Passband { name: "u".to_owned(), low_nm: 320.0, high_nm: 400.0, throughput: Vec::new() };
    let real = Passband {
        throughput: vec![
            [388.0, 0.0],
            [402.0, 0.2],
            [420.0, 0.75],
            [470.0, 0.85],
            [545.0, 0.9],
            [568.0, 0.0],
        ],
        ..Passband::default()
    };
    let spectra = [
        Spectrum::Flat,
        Spectrum::BlackBody { temperature_k: 3000.0 },
        Spectrum::EmissionLine { wavelength_nm: 391.3, equivalent_width_nm: 100.0, sigma_nm: 0.8 },
        Spectrum::EmissionLine { wavelength_nm: 520.0, equivalent_width_nm: 100.0, sigma_nm: 0.8 },
        Spectrum::Quasar { redshift: 1.9 },
        Spectrum::Break { wavelength_nm: 430.0, ratio: 6.0, width_nm: 1.0 },
    ];
    for (passband, highest) in [(Passband::default(), 2.0), (u, 2.2), (real, 2.0)] {
        let visits = VisitSettings {
            count: 1,
            airmass: [highest, highest],
            seeing_arcsec: [0.6, 0.6],
            seeing_exponent: -0.2,
            ..VisitSettings::default()
        };
        for spectrum in spectra {
            let config = FieldConfig {
                passband: passband.clone(),
                visits: visits.clone(),
                psf: PsfShape::Kolmogorov,
                ..quiet()
            };
            let field = one_star(&config, spectrum);
            let plan = &field.visits()[0];
            let exact = field.noiseless_from_all_wavelengths(plan).unwrap();
            let peak = exact.iter().copied().fold(0.0, f64::max);
            let worst = (noiseless(&field, plan) - &exact).iter().fold(0.0_f64, |m, d| m.max(d.abs()));

            assert!(worst < WAVELENGTHS * peak, "{} {spectrum:?}: {}", passband.name, worst / peak);
        }
    }
}

#[test]
fn seeing_follows_its_power_of_wavelength() {
    let visits = VisitSettings { seeing_exponent: -0.2, count: 1, ..VisitSettings::default() };
    let config = FieldConfig { passband: monochromatic(), visits, ..quiet() };
    let field = one_star(&config, Spectrum::Flat);
    let image = moments(&noiseless(&field, &field.visits()[0]));
    let wavelength = field.catalogue().next().unwrap().1.mean().nm();
    let sigma = 3.75 * (wavelength / 478.5_f64).powf(-0.2) / (8.0 * 2_f64.ln()).sqrt();
    assert!((image.xx - sigma * sigma - 1.0 / 12.0).abs() < MOMENT_PX2);
}

#[test]
fn galaxy_has_its_ellipse() {
    let angle: f64 = 0.6;
    let shape = SourceShape::Galaxy {
        shape: GalaxyShape::Exponential,
        half_light_radius_px: 3.0,
        axis_ratio: 0.5,
        angle_rad: angle,
    };
    let config = FieldConfig { passband: monochromatic(), ..quiet() };
    let source = Source { shape, ..star(80.0, 80.0, 1e5, Spectrum::Flat) };
    let field = Field::with_catalogue(&config, vec![source]).unwrap();
    let image = moments(&noiseless(&field, &field.visits()[0]));
    // ⟨x²⟩ of the mixture along the major axis: Σ share · variance, times the half-light radius squared.
    let variance = 9.0
        * [
            (1.994_859_77e-4, 1.200_789_65e-3),
            (2.616_126_79e-3, 8.845_264_93e-3),
            (1.897_266_55e-2, 3.914_630_84e-2),
            (1.001_865_44e-1, 1.399_768_17e-1),
            (3.685_344_84e-1, 4.609_625_00e-1),
            (5.094_906_94e-1, 1.501_595_66),
        ]
        .iter()
        .map(|(share, variance): &(f64, f64)| share * variance)
        .sum::<f64>();
    let sigma = 3.75 / (8.0 * 2_f64.ln()).sqrt();
    let round = sigma * sigma + 1.0 / 12.0;
    let (sin, cos) = angle.sin_cos();
    assert!((image.flux / 1e5 - 1.0).abs() < 1e-5);
    assert!((image.xx - round - variance * (cos * cos + 0.25 * sin * sin)).abs() < MOMENT_PX2);
    assert!((image.yy - round - variance * (sin * sin + 0.25 * cos * cos)).abs() < MOMENT_PX2);
    assert!((image.xy - variance * 0.75 * sin * cos).abs() < MOMENT_PX2);
}

#[test]
fn mirrored_field_is_the_mirror_image() {
    // With +y North, swapping East and West mirrors the sky about the meridian; a field at transit is
    // refracted along it, so that its image is mirrored too.
    let visits = VisitSettings { count: 1, airmass: [1.0, 1.0], ..VisitSettings::default() };
    let config = FieldConfig { rotation_deg: 0.0, visits, ..quiet() };
    let source = star(60.0, 90.0, 1e5, Spectrum::Flat);
    let mirrored = Source { x: 159.0 - source.x, ..source };
    let plain = Field::with_catalogue(&config, vec![source]).unwrap();
    let other = FieldConfig { east_left: false, ..config };
    let other = Field::with_catalogue(&other, vec![mirrored]).unwrap();
    let image = noiseless(&plain, &plain.visits()[0]);
    let mut mirror = noiseless(&other, &other.visits()[0]);
    mirror.invert_axis(ndarray::Axis(1));
    let worst = (&image - &mirror).iter().fold(0.0_f64, |m, d| m.max(d.abs()));
    assert!(worst < 1e-2, "{worst} of {}", image.iter().copied().fold(0.0, f64::max));
}

#[test]
fn catalogue_that_cannot_be_drawn_is_refused() {
    let config = quiet();
    let good = star(80.0, 80.0, 1.0, Spectrum::Flat);
    let galaxy = |half_light_radius_px: f64, axis_ratio: f64| Source {
        shape: SourceShape::Galaxy {
            shape: GalaxyShape::DeVaucouleurs,
            half_light_radius_px,
            axis_ratio,
            angle_rad: 0.0,
        },
        ..good
    };
    for bad in [
        Source { x: f64::NAN, ..good },
        Source { flux: f64::INFINITY, ..good },
        galaxy(f64::NAN, 0.5),
        galaxy(3.0, f64::INFINITY),
    ] {
        assert!(Field::with_catalogue(&config, vec![bad]).is_err(), "{bad:?}");
    }
    assert!(Field::with_catalogue(&config, Vec::new()).is_ok());
    assert!(Field::with_catalogue(&config, vec![galaxy(0.0, 1.0)]).is_ok());
}

/// The weather of a plan, which always has all readings.
trait CompleteEnough {
    fn complete_enough(&self) -> dcr_physics::Weather;
}

impl CompleteEnough for dcr_physics::WeatherReadings {
    fn complete_enough(&self) -> dcr_physics::Weather {
        dcr_physics::Weather {
            temperature_c: self.temperature_c.unwrap(),
            pressure_pa: self.pressure_pa.unwrap(),
            humidity_percent: self.humidity_percent.unwrap(),
        }
    }
}

#[test]
fn sky_position_of_the_middle_is_the_configured_one() {
    let field = one_star(&quiet(), Spectrum::Flat);
    assert_eq!(field.visits()[0].info.boresight, Some(SkyPosition::from_degrees(53.0, -25.0)));
}
