//! Whether variances are those of the noise.

use dcr_coadd::Unmonitored;
use dcr_coadd::config::{AssembleConfig, TemplateConfig};
use dcr_difference::{TemplateRequest, matched_templates};
use dcr_image::MaskedImage;
use dcr_sim::{ArtefactSettings, Field, FieldConfig, SourceSettings};
use ndarray::{Array2, Zip};

use crate::field::{Bench, iterative, small_field, warp_again, without_calibration};
use crate::tolerance::{
    JOINT_NOISE, JOINT_NOISE_OF_PLANES, NOISE_AROUND, NOISE_OF_LIT_SKY, NOISE_OF_TEMPLATES, NOISE_ON_SOURCES,
};

/// Times that the field is taken.
const DRAWS: u64 = 32;
/// The plane's bit in the masks of dcr-sim and of runs alike.
const DETECTED: i32 = 1 << 5;
/// Where no visit has data, …
const NO_DATA: i32 = 1 << 8;
/// … and where so little that variances are only roughly known, in the masks of joint runs.
const LOW_COVERAGE: i32 = 1 << 13;

/// Of many images of the same: the variance over draws over the mean variance that is written,
/// where `counts`.
fn ratio(images: &[MaskedImage], counts: impl Fn(i32) -> bool) -> f64 {
    let n = images.len() as f32;
    let mut mean = Array2::<f32>::zeros(images[0].image.dim());
    let mut stated = mean.clone();
    for image in images {
        mean.scaled_add(n.recip(), &image.image);
        stated.scaled_add(n.recip(), &image.variance);
    }
    let mut scatter = Array2::<f32>::zeros(mean.dim());
    for image in images {
        Zip::from(&mut scatter)
            .and(&image.image)
            .and(&mean)
            .for_each(|s, v, m| *s += (v - m).powi(2) / (n - 1.0));
    }
    let (mut sum, mut count) = (0.0, 0.0);
    Zip::indexed(&scatter).and(&stated).for_each(|at, scatter, stated| {
        let (y, x) = at;
        let inside = (8..mean.nrows() - 8).contains(&y) && (8..mean.ncols() - 8).contains(&x);
        if inside && counts(images[0].mask[at]) && scatter.is_finite() {
            sum += f64::from(scatter / stated);
            count += 1.0;
        }
    });
    sum / count
}

/// The field's coadds and one template, from many draws of its noise.
struct Drawn {
    subfilters: Vec<Vec<MaskedImage>>,
    sums: Vec<MaskedImage>,
    templates: Vec<MaskedImage>,
}

fn drawn(settings: &AssembleConfig) -> Drawn {
    let bright = SourceSettings { flux_electrons: [1e4, 3e5], ..small_field(8).sources };
    let config = FieldConfig { sources: bright, ..small_field(8) };
    let field = Field::draw(&config).unwrap();
    let exposure = warp_again(&field, &field.held_out()[0], 0);
    let mut out = Drawn { subfilters: vec![vec![]; 3], sums: vec![], templates: vec![] };
    for draw in 0..DRAWS {
        let warps: Vec<_> = field.visits().iter().map(|plan| warp_again(&field, plan, draw)).collect();
        let bench = Bench::new(&warps);
        bench.run(settings).unwrap();
        out.subfilters.iter_mut().zip(bench.subfilters("run", 3)).for_each(|(all, one)| all.push(one));
        out.sums.push(bench.read("run/coadd.fits"));
        exposure.write(&bench.path("exposure.fits"));
        let request = TemplateRequest {
            coadds: vec![bench.path("run")],
            exposures: vec![bench.path("exposure.fits")],
            output: bench.path("template.fits"),
            overwrite: false,
        };
        let mut config: TemplateConfig = settings.into();
        // The exposure's own noise would move and scale it.
        config.template.register = false;
        without_calibration(&mut config.template);
        matched_templates(&request, &config, &Unmonitored).unwrap();
        out.templates.push(bench.read("template.fits"));
    }
    out
}

#[test]
fn variance_meets_the_scatter_of_noise() {
    let Drawn { subfilters, sums, templates } = drawn(&iterative());
    let (source, sky) = (|mask| mask & DETECTED != 0, |mask| mask & DETECTED == 0);
    for images in subfilters.iter().chain([&sums]) {
        let on_sources = ratio(images, source);
        assert!(NOISE_ON_SOURCES.contains(&on_sources), "{on_sources}");
        let around = ratio(images, sky);
        assert!(NOISE_AROUND.contains(&around), "{around}");
    }
    for counts in [source, sky] {
        let ratio = ratio(&templates, counts);
        assert!(NOISE_OF_TEMPLATES.contains(&ratio), "{ratio}");
    }
}

/// Sky, then brighter and brighter pixels: the limits of the mean of the coadds, in units of the
/// sky's noise in it.
const BRIGHTNESS: [f32; 5] = [f32::NEG_INFINITY, 1.0, 10.0, 100.0, f32::INFINITY];

#[test]
fn variance_of_the_joint_method_meets_the_scatter_of_noise() {
    let settings = AssembleConfig::default();
    let Drawn { mut subfilters, mut sums, mut templates } = drawn(&settings);
    let shape = sums[0].image.dim();
    let mean = sums.iter().fold(Array2::<f32>::zeros(shape), |mean, sum| mean + &sum.image / DRAWS as f32);
    let mut noise: Vec<f32> = sums[0].variance.iter().copied().collect();
    noise.sort_unstable_by(f32::total_cmp);
    let sigma = noise[noise.len() / 2].sqrt();
    // The mask of the first tells which pixels are of which brightness.
    let class =
        mean.mapv(|value| BRIGHTNESS[1..4].iter().filter(|limit| value > **limit * sigma).count() as i32);
    for images in subfilters.iter_mut().chain([&mut sums, &mut templates]) {
        images[0].mask = class.clone();
    }
    let found = |images: &[MaskedImage]| [0, 1, 2, 3].map(|class| ratio(images, |own| own == class));
    for images in &subfilters {
        assert_all_within(found(images), JOINT_NOISE_OF_PLANES);
    }
    assert_all_within(found(&sums), JOINT_NOISE);
    assert_all_within(found(&templates), JOINT_NOISE);
}

/// The core of a star saturates every visit, and its halo has up to a hundred times the sky's
/// noise.
#[test]
fn variance_holds_around_a_star_that_saturates() {
    let sources = SourceSettings { flux_electrons: [1e3, 1e4], stars: 4, ..small_field(8).sources };
    let artefacts = ArtefactSettings {
        bad_columns: 0,
        edge_px: 0,
        cosmic_rays: 0,
        streak_every: 0,
        saturated_flux_electrons: 4e6,
        saturation_electrons: 5e4,
        ..ArtefactSettings::default()
    };
    let field = Field::draw(&FieldConfig { sources, artefacts: Some(artefacts), ..small_field(8) }).unwrap();
    let mut planes: Vec<Vec<MaskedImage>> = vec![vec![]; 4];
    for draw in 0..DRAWS {
        let warps: Vec<_> = field.visits().iter().map(|plan| warp_again(&field, plan, draw)).collect();
        let bench = Bench::new(&warps);
        bench.run(&AssembleConfig::default()).unwrap();
        let images = bench.subfilters("run", 3).into_iter().chain([bench.read("run/coadd.fits")]);
        planes.iter_mut().zip(images).for_each(|(all, one)| all.push(one));
    }
    let mask = planes[0][0].mask.clone();
    let hole: Vec<_> = mask.indexed_iter().filter(|(_, m)| **m & NO_DATA != 0).map(|(at, _)| at).collect();
    let away = |y: usize, x: usize| {
        let distances = hole.iter().map(|(hy, hx)| (y as f64 - *hy as f64).hypot(x as f64 - *hx as f64));
        distances.fold(f64::MAX, f64::min)
    };
    assert!(hole.len() > 10, "{}", hole.len());
    // As far as there is light to speak of, by whether the figure is said to be good.
    for images in &mut planes {
        images[0].mask = Array2::from_shape_fn(mask.dim(), |at| match away(at.0, at.1) {
            ..5.0 => 0,
            ..18.0 if mask[at] & LOW_COVERAGE == 0 => 2,
            ..18.0 => 1,
            _ => 0,
        });
        let found = [1, 2].map(|class| ratio(images, |own| own == class));
        assert!(
            NOISE_OF_LIT_SKY[0].contains(&found[0]) && NOISE_OF_LIT_SKY[1].contains(&found[1]),
            "{found:.3?}"
        );
    }
    let near = mask.indexed_iter().filter(|((y, x), _)| away(*y, *x) < 5.0);
    assert!(
        near.clone().all(|(_, m)| m & (LOW_COVERAGE | NO_DATA) != 0),
        "nothing is promised next to the hole"
    );
}

fn assert_all_within(found: [f64; 4], allowed: [std::ops::Range<f64>; 4]) {
    let good = found.iter().zip(&allowed).all(|(found, allowed)| allowed.contains(found));
    assert!(good, "{found:.3?}, {allowed:?}");
}
