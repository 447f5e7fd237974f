//! Content of an exposure: noise, variance, masks, artefacts, truth; and its reproducibility.

use dcr_sim::{ArtefactKind, ArtefactSettings, Field, FieldConfig, SimVisit, SourceSettings, VisitSettings};

fn spoilt() -> FieldConfig {
    FieldConfig {
        artefacts: Some(ArtefactSettings { streak_every: 2, ..ArtefactSettings::default() }),
        visits: VisitSettings {
            count: 4,
            seeing_arcsec: [0.6, 1.2],
            seeing_exponent: -0.2,
            weather_varies: true,
            jitter_arcsec: 0.01,
            ..VisitSettings::default()
        },
        ..FieldConfig::default()
    }
}

/// The bits of all planes, NaN included.
fn bits(visit: &SimVisit) -> Vec<u32> {
    let float = |plane: &ndarray::Array2<f32>| plane.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    let mut all = float(&visit.exposure.image);
    all.extend(float(&visit.exposure.variance));
    all.extend(float(&visit.psf));
    all.extend(visit.exposure.mask.iter().map(|&v| v as u32));
    all
}

#[test]
fn same_seed_gives_the_same_bytes() {
    for config in [FieldConfig::default(), spoilt()] {
        let (a, b) = (Field::draw(&config).unwrap(), Field::draw(&config).unwrap());
        // The second field draws its visits in another order.
        let later = b.expose(&b.visits()[3]).unwrap();
        assert_eq!(bits(&a.expose(&a.visits()[0]).unwrap()), bits(&b.expose(&b.visits()[0]).unwrap()));
        assert_eq!(bits(&a.expose(&a.visits()[3]).unwrap()), bits(&later));
    }
}

#[test]
fn first_pixels_are_these_on_every_machine() {
    // Recorded by this test; a change here changes every synthetic field.
    let field = Field::draw(&FieldConfig::default()).unwrap();
    let visit = field.expose(&field.visits()[9]).unwrap();
    let hash = bits(&visit).iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &word| {
        (hash ^ u64::from(word)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    assert_eq!(hash, PIXELS_OF_VISIT_1010, "{hash:#x}");
}

/// FNV-1a, by words, of the planes of the default field's last visit.
const PIXELS_OF_VISIT_1010: u64 = 0x1ac4_c20b_7bf5_71c5;

#[test]
fn other_seeds_give_other_visits() {
    let field = |seed: u64| Field::draw(&FieldConfig { seed, ..FieldConfig::default() }).unwrap();
    let (a, b) = (field(1), field(2));
    assert_ne!(a.catalogue().next().unwrap().0, b.catalogue().next().unwrap().0);
    assert_ne!(bits(&a.expose(&a.visits()[0]).unwrap()), bits(&b.expose(&b.visits()[0]).unwrap()));
}

#[test]
fn other_noise_leaves_the_light_alone() {
    let field = Field::draw(&spoilt()).unwrap();
    let plan = &field.held_out()[0];
    let (first, second) = (field.expose(plan).unwrap(), field.expose_again(plan, 1).unwrap());
    assert_eq!(first.noiseless, second.noiseless);
    assert_eq!(first.artefacts, second.artefacts);
    assert_ne!(first.exposure.image, second.exposure.image);
}

#[test]
fn noise_has_the_variance_that_the_plane_says() {
    let field = Field::draw(&FieldConfig { width: 200, height: 200, ..FieldConfig::default() }).unwrap();
    let visit = field.expose(&field.visits()[0]).unwrap();
    let chi: Vec<f64> = visit
        .exposure
        .image
        .iter()
        .zip(&visit.exposure.variance)
        .zip(&visit.noiseless)
        .map(|((&v, &variance), &truth)| (f64::from(v) - truth) / f64::from(variance).sqrt())
        .collect();
    let n = chi.len() as f64;
    let mean = chi.iter().sum::<f64>() / n;
    let variance = chi.iter().map(|c| c * c).sum::<f64>() / n;
    // Five standard errors of 40 000 draws.
    assert!(mean.abs() < 0.025, "{mean}");
    assert!((variance - 1.0).abs() < 0.036, "{variance}");
    let faintest = visit.exposure.variance.iter().copied().fold(f32::INFINITY, f32::min);
    assert!((faintest - 581.0).abs() < 2.0, "sky 500, read noise 81: {faintest}");
}

#[test]
fn subfilters_sum_to_the_whole_sky() {
    let field = Field::draw(&FieldConfig::default()).unwrap();
    let whole = &field.truth_subfilters(1, 0.75)[0];
    let peak = whole.iter().copied().fold(0.0, f64::max);
    for n in [2, 3, 5] {
        let planes = field.truth_subfilters(n, 0.75);
        assert_eq!(planes.len(), n);
        let sum = planes.iter().skip(1).fold(planes[0].clone(), |sum, plane| sum + plane);
        let worst = (&sum - whole).iter().fold(0.0_f64, |m, d| m.max(d.abs()));
        assert!(worst < 1e-9 * peak, "{n}: {worst}");
    }
}

#[test]
fn subfilters_hold_the_flux_of_the_catalogue() {
    let sources = SourceSettings { margin_px: 0.0, stars: 3, galaxies: 0, ..SourceSettings::default() };
    let field =
        Field::draw(&FieldConfig { sources, width: 400, height: 400, ..FieldConfig::default() }).unwrap();
    let planes = field.truth_subfilters(3, 0.75);
    for (a, plane) in planes.iter().enumerate() {
        let expected: f64 = field.catalogue().map(|(source, seen)| source.flux * seen.fractions(3)[a]).sum();
        assert!((plane.sum() / expected - 1.0).abs() < 0.02, "wings may leave the image");
    }
}

#[test]
fn geometry_agrees_with_the_settings() {
    let config = FieldConfig::default();
    let field = Field::draw(&config).unwrap();
    for (i, plan) in field.visits().iter().enumerate() {
        let info = &plan.info;
        let wanted = (1.0 + i as f64 / 9.0).max(1.0042);
        assert!((info.airmass.unwrap() - wanted).abs() < 2e-3, "{:?}", info.airmass);
        assert!((info.airmass.unwrap() - 1.0 / info.altitude.unwrap().radians().sin()).abs() < 1e-12);
        // The field turns West after transit, and the zenith is East of it then.
        let (hour_angle, q) = (info.hour_angle.unwrap().degrees(), info.parallactic_angle.unwrap().degrees());
        if i > 0 {
            assert_eq!(hour_angle > 0.0, i % 2 == 0, "visits alternate between the sides of the meridian");
            assert_eq!(q > 0.0, hour_angle > 0.0);
        }
    }
}

#[test]
fn mask_knows_the_sources_and_the_artefacts_it_is_told() {
    let field = Field::draw(&spoilt()).unwrap();
    let mut kinds = Vec::new();
    for plan in field.visits() {
        let visit = field.expose(plan).unwrap();
        let (mask, planes) = (&visit.exposure.mask, &visit.planes);
        let detected = planes.bits_of(["DETECTED"]);
        for ((pixel, &light), &bits) in visit.noiseless.indexed_iter().zip(mask) {
            assert!(light < 50.0 || bits & detected != 0, "{pixel:?} of {light} electrons is not DETECTED");
        }
        let share = mask.iter().filter(|&&bits| bits & detected != 0).count() as f64 / mask.len() as f64;
        assert!((0.1..0.6).contains(&share), "{share}");
        for artefact in &visit.artefacts {
            kinds.push((artefact.kind, artefact.flagged));
            let bit = match artefact.kind {
                ArtefactKind::CosmicRay | ArtefactKind::Streak => planes.bits_of(["CR"]),
                ArtefactKind::BadColumn => planes.bits_of(["BAD"]),
                ArtefactKind::NoData => planes.bits_of(["NO_DATA"]),
                ArtefactKind::Saturation => planes.bits_of(["SAT"]),
            };
            assert!(!artefact.flagged || artefact.pixels.iter().all(|&pixel| mask[pixel] & bit != 0));
        }
        let no_data = planes.bits_of(["NO_DATA"]);
        for (pixel, value) in visit.exposure.image.indexed_iter() {
            assert_eq!(value.is_nan(), mask[pixel] & no_data != 0);
        }
    }
    for kind in
        [(ArtefactKind::CosmicRay, true), (ArtefactKind::CosmicRay, false), (ArtefactKind::Streak, false)]
    {
        assert!(kinds.contains(&kind), "{kind:?}");
    }
    assert!(
        kinds.contains(&(ArtefactKind::Saturation, true)) && kinds.contains(&(ArtefactKind::NoData, true))
    );
}

#[test]
fn held_out_visits_have_the_changes() {
    let sources = SourceSettings { variables: 2, transients: 3, ..SourceSettings::default() };
    let config = FieldConfig { sources, width: 400, height: 400, ..FieldConfig::default() };
    let field = Field::draw(&config).unwrap();
    assert!(field.visits().iter().all(|plan| plan.variables.is_empty() && plan.transients.is_empty()));
    let held_out = field.held_out();
    let ids = |i: usize| held_out[i].variables.iter().map(|(id, _)| *id).collect::<Vec<_>>();
    assert_eq!(ids(0), ids(1));
    assert_ne!(held_out[0].transients[0].id, held_out[1].transients[0].id);
    let mut plain = held_out[0].clone();
    plain.variables.clear();
    plain.transients.clear();
    let added =
        (field.expose(&held_out[0]).unwrap().noiseless - field.expose(&plain).unwrap().noiseless).sum();
    let flux = |id: u32| field.catalogue().find(|(s, _)| s.id == id).unwrap().0;
    let mut changes: Vec<f64> = held_out[0].transients.iter().map(|source| source.flux).collect();
    changes.extend(held_out[0].variables.iter().map(|(id, factor)| (factor - 1.0) * flux(*id).flux));
    let expected: f64 = changes.iter().sum();
    let size: f64 = changes.iter().map(|change| change.abs()).sum();
    // Some light is lost beyond the edges.
    assert!((added - expected).abs() < 0.05 * size, "{added} {expected} {changes:?}");
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    let base = FieldConfig::default;
    let cases = [
        ("width", FieldConfig { width: 0, ..base() }),
        ("scale_arcsec", FieldConfig { scale_arcsec: f64::NAN, ..base() }),
        ("dec_deg", FieldConfig { dec_deg: 90.0, ..base() }),
        (
            "visits.airmass",
            FieldConfig {
                visits: VisitSettings { airmass: [2.0, 1.0], ..VisitSettings::default() },
                ..base()
            },
        ),
        ("visits.seeing_arcsec", FieldConfig { scale_arcsec: 0.5, ..base() }),
        ("sky_electrons", FieldConfig { sky_electrons: -1.0, ..base() }),
    ];
    for (setting, config) in cases {
        let error = Field::draw(&config).unwrap_err().to_string();
        assert!(error.contains(setting), "{setting}: {error}");
    }
}

#[test]
fn one_pixel_and_one_visit_are_a_field() {
    let config = FieldConfig {
        width: 1,
        height: 1,
        visits: VisitSettings { count: 1, held_out: 0, ..VisitSettings::default() },
        ..spoilt()
    };
    let field = Field::draw(&config).unwrap();
    assert_eq!(field.expose(&field.visits()[0]).unwrap().exposure.image.len(), 1);
}

#[test]
fn settings_survive_json_and_refuse_unknown_keys() {
    let config = spoilt();
    let text = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<FieldConfig>(&text).unwrap(), config);
    assert_eq!(serde_json::from_str::<FieldConfig>("{}").unwrap(), FieldConfig::default());
    assert!(serde_json::from_str::<FieldConfig>("{\"widht\": 3}").is_err());
}
