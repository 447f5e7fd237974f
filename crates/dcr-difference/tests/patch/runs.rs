//! Whole runs on synthetic fields: borders of what can be coadded, and what a result must not
//! depend on.

use dcr_coadd::Unmonitored;
use dcr_coadd::config::{AssembleConfig, ByteSize, PixelsIn};
use dcr_difference::{TemplateRequest, matched_templates};
use dcr_image::MaskedImage;
use dcr_physics::Throughput;
use dcr_sim::{FieldConfig, SourceSettings, VisitSettings};
use ndarray::{Array2, Zip, s};

use crate::field::{Bench, held_out, iterative, peak, small_field, warps, whole};
use crate::tolerance::{COADD_OF_ONE, MATCHED, SUBREGIONS};

fn finite(images: &[MaskedImage]) -> bool {
    images.iter().all(|image| image.image.iter().all(|v| v.is_finite()))
}

fn largest_difference(a: &Array2<f32>, b: &Array2<f32>) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn run_of_one_visit() {
    let bench = Bench::new(&warps(&small_field(1)));
    let summary = bench.run(&iterative()).unwrap();
    assert!(
        summary.warnings.iter().any(|w| w.text.contains("colours in the subfilters come from the prior"))
    );
    assert!(finite(&bench.subfilters("run", 3)));
}

/// One subfilter is the plain weighted coadd.
#[test]
fn run_with_one_subfilter_is_the_plain_coadd() {
    let warps = warps(&small_field(5));
    let bench = Bench::new(&warps);
    let mut config = iterative();
    config.model.subfilters = 1;
    let summary = bench.run(&config).unwrap();
    let mut mean = Array2::<f32>::zeros(whole(&warps[0]).shape());
    let total: f64 = summary.visits.iter().map(|visit| visit.weight).sum();
    for (warp, visit) in warps.iter().zip(&summary.visits) {
        mean.scaled_add((visit.weight / total) as f32, &warp.pixels.image);
    }
    let inside = s![6..90, 6..106];
    let coadd = bench.read("run/coadd.fits").image.slice(inside).to_owned();
    let difference = largest_difference(&coadd, &mean.slice(inside).to_owned());
    assert!(difference < COADD_OF_ONE * peak(&mean), "{difference} of {}", peak(&mean));
}

#[test]
fn run_without_spread_in_airmass_says_where_colours_come_from() {
    let same_place = VisitSettings { count: 4, airmass: [1.0, 1.0], ..VisitSettings::default() };
    let bench = Bench::new(&warps(&FieldConfig { visits: same_place, ..small_field(4) }));
    let summary = bench.run(&iterative()).unwrap();
    assert!(summary.warnings.iter().any(|w| w.subject == "colours"), "{:?}", summary.warnings);
    assert!(finite(&bench.subfilters("run", 3)));
}

#[test]
fn run_without_sources_is_the_template_in_equal_parts() {
    let none = SourceSettings { stars: 0, galaxies: 0, ..SourceSettings::default() };
    let bench = Bench::new(&warps(&FieldConfig { sources: none, ..small_field(4) }));
    let summary = bench.run(&iterative()).unwrap();
    assert!(summary.warnings.iter().any(|w| w.text.contains("No source is detected")));
    let subfilters = bench.subfilters("run", 3);
    assert!(finite(&subfilters));
    assert_eq!(subfilters[0].image, subfilters[2].image);
}

#[test]
fn run_with_every_pixel_detected() {
    let warps = warps(&small_field(4));
    let bench = Bench::new(&warps);
    let mut template = warps[0].clone();
    template.pixels.mask |= template.planes.bits_of(["DETECTED"]);
    template.write(&bench.path("template.fits"));
    let mut request = bench.request("run");
    request.template = Some(bench.path("template.fits"));
    dcr_coadd::assemble(&request, &iterative(), &Unmonitored).unwrap();
    assert!(finite(&bench.subfilters("run", 3)));
}

#[test]
fn run_does_not_depend_on_threads_or_memory() {
    let bench = Bench::new(&warps(&small_field(5)));
    let mut config = iterative();
    config.coadd.subregion_size = [40, 40];
    let on = |threads: usize, output: &str, config: &AssembleConfig| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let summary = pool.install(|| bench.run_into(output, config)).unwrap();
        (bench.subfilters(output, 3), summary)
    };
    let (one, _) = on(1, "one", &config);
    let (four, in_memory) = on(4, "four", &config);
    config.coadd.pixels_in = PixelsIn::Disk;
    let (from_disk, on_disk) = on(4, "disk", &config);
    assert!(in_memory.in_memory && !on_disk.in_memory);
    for ((one, four), disk) in one.iter().zip(&four).zip(&from_disk) {
        assert_eq!((&one.image, &one.mask, &one.variance), (&four.image, &four.mask, &four.variance));
        assert_eq!((&one.image, &one.mask, &one.variance), (&disk.image, &disk.mask, &disk.variance));
    }
}

#[test]
fn run_is_refused_if_the_patch_does_not_fit() {
    let bench = Bench::new(&warps(&small_field(2)));
    let mut config = iterative();
    config.coadd.memory_limit = Some(ByteSize(1));
    let error = bench.run_into("run", &config).unwrap_err().to_string();
    assert!(error.contains("memory_limit"), "{error}");
    assert!(!bench.path("run").exists());
}

#[test]
fn run_hardly_depends_on_subregions() {
    let bench = Bench::new(&warps(&small_field(6)));
    let mut config = iterative();
    bench.run_into("whole", &config).unwrap();
    config.coadd.subregion_size = [64, 64];
    bench.run_into("parts", &config).unwrap();
    for (a, b) in bench.subfilters("whole", 3).iter().zip(bench.subfilters("parts", 3)) {
        let difference = largest_difference(&a.image, &b.image) / peak(&a.image);
        assert!(difference < SUBREGIONS, "{difference:e}");
    }
}

/// NaN in a warp, a saturated core in all, an edge without data: flagged, filled, and nothing else
/// harmed.
#[test]
fn pixels_without_data_are_flagged_and_filled() {
    let mut warps = warps(&small_field(5));
    for warp in &mut warps {
        let (sat, no_data) = (warp.planes.bits_of(["SAT"]), warp.planes.bits_of(["NO_DATA"]));
        warp.pixels.mask.slice_mut(s![30..34, 50..54]).mapv_inplace(|mask| mask | sat);
        warp.pixels.mask.slice_mut(s![.., ..5]).mapv_inplace(|mask| mask | no_data);
        warp.pixels.image.slice_mut(s![.., ..5]).fill(f32::NAN);
    }
    warps[1].pixels.image.slice_mut(s![60..70, 20..90]).fill(f32::NAN);
    let bench = Bench::new(&warps);
    bench.run(&iterative()).unwrap();
    let no_data = 1 << 8;
    for subfilter in bench.subfilters("run", 3) {
        assert!(subfilter.image.iter().all(|v| v.is_finite()));
        assert!(subfilter.mask.slice(s![.., ..4]).iter().all(|mask| mask & no_data != 0));
        let core = subfilter.mask.slice(s![31..33, 51..53]).to_owned();
        assert!(core.iter().all(|mask| mask & no_data != 0 && mask & 2 != 0), "{core}");
        assert!(subfilter.mask.slice(s![60..70, 30..80]).iter().all(|mask| mask & no_data == 0));
    }
    let mut config = iterative();
    config.coadd.interpolate = false;
    bench.run_into("holes", &config).unwrap();
    assert!(bench.read("holes/coadd.fits").image[[10, 1]].is_nan());
}

#[test]
fn headers_and_tables_tell_everything() {
    let bench = Bench::new(&warps(&small_field(4)));
    let summary = bench.run(&iterative()).unwrap();
    let file =
        dcr_image::ExposureFile::open(&bench.path("run/subfilter_1.fits"), &Default::default()).unwrap();
    let header = file.header();
    assert_eq!((header.i64("NSUBFILT"), header.i64("SUBFILT")), (Some(3), Some(1)));
    assert_eq!(header.text("DCRRUN"), Some(summary.run.as_str()));
    let edges = summary.band.subfilters_nm[1];
    assert_eq!((header.f64("SUBBLUE"), header.f64("SUBRED")), (Some(edges[0]), Some(edges[1])));
    let configuration: AssembleConfig = serde_json::from_str(header.text("DCRCONF").unwrap()).unwrap();
    assert_eq!(configuration, iterative());
    assert!((header.f64("PSF-FWHM").unwrap() - summary.psf_fwhm_px.unwrap()).abs() < 1e-9);
    let written: serde_json::Value =
        serde_json::from_slice(&std::fs::read(bench.path("run/summary.json")).unwrap()).unwrap();
    assert_eq!(written["outcome"], "done");
    assert_eq!(written["visits"].as_array().unwrap().len(), 4);
    assert_eq!(
        written["regions"][0]["iterations"].as_array().unwrap().len(),
        summary.regions[0].report.iterations.len()
    );
}

#[test]
fn template_matches_a_held_out_visit() {
    check_held_out_visit(&iterative());
}

/// The field's own band as a curve of 8000 points: templates take it from the headers.
#[test]
fn template_takes_the_throughput_from_the_run() {
    let point = |i: i32| {
        let nm = 300.0 + 0.1 * f64::from(i);
        format!("{nm:.1} {}\n", u8::from((405.0..552.0).contains(&nm)))
    };
    let curve: String = (0..8000).map(point).collect();
    let throughput = Some(Throughput::parse(&curve).unwrap());
    check_held_out_visit(&AssembleConfig { throughput, ..iterative() });
}

/// The template leaves a held-out visit with noise alone.
fn check_held_out_visit(config: &AssembleConfig) {
    let bright = SourceSettings { flux_electrons: [2e4, 1e6], ..small_field(10).sources };
    let field = FieldConfig { sources: bright, ..small_field(10) };
    let exposure = held_out(&field);
    let bench = Bench::new(&warps(&field));
    bench.run(config).unwrap();
    exposure.write(&bench.path("exposure.fits"));
    let request = TemplateRequest {
        coadds: vec![bench.path("run")],
        exposures: vec![bench.path("exposure.fits")],
        output: bench.path("templates"),
        overwrite: false,
    };
    let config = config.into();
    matched_templates(&request, &config, &Unmonitored).unwrap();
    let template = bench.read("templates/template_5001.fits");
    let plain = bench.read("run/coadd.fits");
    let chi = |template: &Array2<f32>, variance: &Array2<f32>| {
        let detected = exposure.planes.bits_of(["DETECTED"]);
        let (mut sum, mut count) = (0.0, 0.0);
        Zip::indexed(&exposure.pixels.image).and(template).for_each(|at, s, t| {
            if t.is_finite() && exposure.pixels.mask[at] & detected != 0 {
                sum += f64::from((s - t).powi(2) / (exposure.pixels.variance[at] + variance[at]));
                count += 1.0;
            }
        });
        sum / count
    };
    let (matched, unmatched) = (chi(&template.image, &template.variance), chi(&plain.image, &plain.variance));
    assert!(matched < MATCHED && unmatched > 2.0 * matched, "{matched} {unmatched}");
    let again = matched_templates(&request, &config, &Unmonitored).unwrap_err().to_string();
    assert!(again.contains("template_5001.fits: the file exists"), "{again}");
}

#[test]
fn template_of_a_part_is_part_of_the_template() {
    let field = small_field(6);
    let exposure = held_out(&field);
    let bench = Bench::new(&warps(&field));
    bench.run(&iterative()).unwrap();
    exposure.write(&bench.path("whole.fits"));
    let mut part = exposure.clone();
    let bbox = dcr_image::BBox::new(20, 30, 60, 40);
    part.pixels = exposure.pixels.sub_image(bbox).unwrap();
    part.write(&bench.path("part.fits"));
    let template = |exposure: &str, output: &str| {
        let request = TemplateRequest {
            coadds: vec![bench.path("run")],
            exposures: vec![bench.path(exposure)],
            output: bench.path(output),
            overwrite: false,
        };
        matched_templates(&request, &(&iterative()).into(), &Unmonitored)
    };
    template("whole.fits", "whole_template.fits").unwrap();
    template("part.fits", "part_template.fits").unwrap();
    let (all, part_template) = (bench.read("whole_template.fits"), bench.read("part_template.fits"));
    let expected = all.sub_image(bbox).unwrap();
    assert_eq!((&part_template.bbox, &part_template.mask), (&bbox, &expected.mask));
    let difference = largest_difference(&part_template.image, &expected.image) / peak(&all.image);
    assert!(difference < 1e-6, "{difference:e}");

    let mut elsewhere = exposure.clone();
    elsewhere.pixels.bbox.x0 += 1;
    elsewhere.write(&bench.path("elsewhere.fits"));
    // Beyond the patch there is nothing; on it pixels are taken as they are.
    let beyond = template("elsewhere.fits", "elsewhere_template.fits").unwrap();
    assert!(beyond.templates[0].warped && beyond.templates[0].covered < 1.0);
    let inside = dcr_image::BBox::new(10, 10, 90, 80);
    let (got, expected) = (bench.read("elsewhere_template.fits"), all.sub_image(inside).unwrap());
    let got = got.sub_image(inside).unwrap();
    assert!(largest_difference(&got.image, &expected.image) / peak(&all.image) < 1e-6);
    assert_eq!(got.mask, expected.mask);
    let mut red = exposure;
    red.set("FILTER", "r");
    red.write(&bench.path("red.fits"));
    assert!(template("red.fits", "no.fits").unwrap_err().to_string().contains(r#"the filter is "r""#));
    std::fs::remove_file(bench.path("run/model.fits")).unwrap();
    let message = template("whole.fits", "no.fits").unwrap_err().to_string();
    assert!(
        message.contains("model.fits: there is no such file") && message.contains("assemble them again"),
        "{message}"
    );
    assert!(!bench.path("no.fits").exists());
}
