//! Whether variances are those of the noise.

use dcr_coadd::config::AssembleConfig;
use dcr_coadd::{TemplateRequest, Unmonitored, matched_templates};
use dcr_image::MaskedImage;
use dcr_sim::{Field, FieldConfig, SourceSettings};
use ndarray::{Array2, Zip};

use crate::field::{Bench, small_field, warp_again};
use crate::tolerance::{NOISE_AROUND, NOISE_OF_TEMPLATES, NOISE_ON_SOURCES};

/// Times that the field is taken.
const DRAWS: u64 = 16;
/// The plane's bit in the masks of dcr-sim and of runs alike.
const DETECTED: i32 = 1 << 5;

/// Of many images of the same: the variance over draws over the mean variance that is written, where `counts`.
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

#[test]
fn variance_meets_the_scatter_of_noise() {
    let bright = SourceSettings { flux_electrons: [1e4, 3e5], ..small_field(8).sources };
    let config = FieldConfig { sources: bright, ..small_field(8) };
    let field = Field::draw(&config).unwrap();
    let exposure = warp_again(&field, &field.held_out()[0], 0);
    let (mut subfilters, mut sums, mut templates) = (vec![vec![]; 3], vec![], vec![]);
    for draw in 0..DRAWS {
        let warps: Vec<_> = field.visits().iter().map(|plan| warp_again(&field, plan, draw)).collect();
        let bench = Bench::new(&warps);
        bench.run(&AssembleConfig::default()).unwrap();
        subfilters.iter_mut().zip(bench.subfilters("run", 3)).for_each(|(all, one)| all.push(one));
        sums.push(bench.read("run/coadd.fits"));
        exposure.write(&bench.path("exposure.fits"));
        let request = TemplateRequest {
            coadds: vec![bench.path("run")],
            exposures: vec![bench.path("exposure.fits")],
            output: bench.path("template.fits"),
            overwrite: false,
        };
        matched_templates(&request, &(&AssembleConfig::default()).into(), &Unmonitored).unwrap();
        templates.push(bench.read("template.fits"));
    }
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

#[test]
fn joint_noise_probe() {
    let bright = SourceSettings { flux_electrons: [1e4, 3e5], ..small_field(8).sources };
    let config = FieldConfig { sources: bright, ..small_field(8) };
    let field = Field::draw(&config).unwrap();
    let exposure = warp_again(&field, &field.held_out()[0], 0);
    let mut settings = AssembleConfig::default();
    settings.solver.method = dcr_coadd::config::Method::Joint;
    let (mut subfilters, mut sums, mut templates) = (vec![vec![]; 3], vec![], vec![]);
    for draw in 0..DRAWS {
        let warps: Vec<_> = field.visits().iter().map(|plan| warp_again(&field, plan, draw)).collect();
        let bench = Bench::new(&warps);
        bench.run(&settings).unwrap();
        subfilters.iter_mut().zip(bench.subfilters("run", 3)).for_each(|(all, one)| all.push(one));
        sums.push(bench.read("run/coadd.fits"));
        exposure.write(&bench.path("exposure.fits"));
        let request = TemplateRequest {
            coadds: vec![bench.path("run")],
            exposures: vec![bench.path("exposure.fits")],
            output: bench.path("template.fits"),
            overwrite: false,
        };
        let mut t: dcr_coadd::config::TemplateConfig = (&settings).into();
        t.template.register = false;
        matched_templates(&request, &t, &Unmonitored).unwrap();
        templates.push(bench.read("template.fits"));
    }
    let all = subfilters.iter().chain([&sums, &templates]);
    let mean = {
        let mut m = Array2::<f32>::zeros(sums[0].image.dim());
        for i in &sums {
            m.scaled_add(1.0 / DRAWS as f32, &i.image);
        }
        m
    };
    for images in all {
        let classes: [(f32, f32); 6] =
            [(-1e9, 10.0), (10.0, 30.0), (30.0, 100.0), (100.0, 300.0), (300.0, 1000.0), (1000.0, 1e9)];
        let mut line = String::new();
        for (low, high) in classes {
            let marked: Vec<MaskedImage> = images
                .iter()
                .map(|i| {
                    let mut i = i.clone();
                    Zip::from(&mut i.mask).and(&mean).for_each(|m, v| *m = i32::from(*v > low && *v <= high));
                    i
                })
                .collect();
            line += &format!(" {:.2}", ratio(&marked, |m| m == 1));
        }
        eprintln!("{line}");
    }
}
