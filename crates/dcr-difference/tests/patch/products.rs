//! What pipelines expect of a run beside the images: masks, weights, calibration, selections, maps.

use std::collections::BTreeMap;

use dcr_coadd::config::{AssembleConfig, Statistic, ZeroPoint};
use dcr_coadd::regions::parse_regions;
use dcr_image::fits::PlaneFile;
use dcr_image::{ExposureFile, OpenOptions};
use ndarray::s;

use crate::field::{Bench, Warp, iterative, peak, small_field, warps};
use crate::tolerance::{RMS_OF_RESIDUALS, ROUNDING};

fn bits(bench: &Bench, name: &str, planes: &[&str]) -> i32 {
    let file = ExposureFile::open(&bench.path(name), &OpenOptions::default()).unwrap();
    file.mask_planes().bits_of(planes)
}

fn flag(warp: &mut Warp, plane: &str, at: (usize, usize)) {
    let bit = 1 << warp.planes.insert(plane).unwrap();
    warp.pixels.mask[at] |= bit;
}

#[test]
fn mask_planes_propagate_by_threshold_or_by_any_good_pixel() {
    let mut warps = warps(&small_field(5));
    // SAT is bad and has a threshold of 0.1: one of five has it.
    flag(&mut warps[0], "SAT", (10, 10));
    // CR is neither: passed on as it is.
    flag(&mut warps[1], "CR", (10, 14));
    flag(&mut warps[2], "BAD", (10, 18));
    flag(&mut warps[3], "EDGE", (10, 22));
    flag(&mut warps[4], "CLIPPED", (10, 26));
    flag(&mut warps[4], "MY_PLANE", (10, 30));
    let bench = Bench::new(&warps);
    let mut config = iterative();
    config.coadd.mask_propagation_thresholds.insert("MY_PLANE".into(), 0.3);
    bench.run(&config).unwrap();
    for name in ["run/coadd.fits", "run/subfilter_1.fits", "run/plain.fits"] {
        let mask = bench.read(name).mask;
        let has = |x: usize, planes: &[&str]| {
            let detected = bits(&bench, name, &["DETECTED"]);
            assert_eq!(mask[[10, x]] & !detected, bits(&bench, name, planes), "{name} at {x}: {planes:?}");
        };
        has(10, &["SAT", "REJECTED", "INEXACT_PSF"]);
        has(14, &["CR"]);
        has(18, &["REJECTED", "INEXACT_PSF"]);
        has(26, &["CLIPPED", "INEXACT_PSF"]);
        has(30, &[]);
        has(34, &[]);
        // EDGE itself is removed from the coadds of the model.
        assert_ne!(mask[[10, 22]] & bits(&bench, name, &["SENSOR_EDGE"]), 0);
    }
    let mut config = iterative();
    config.coadd.mask_propagation_thresholds.insert("SAT".into(), 0.5);
    bench.run_into("other", &config).unwrap();
    assert_eq!(bench.read("other/coadd.fits").mask[[10, 10]] & bits(&bench, "other/coadd.fits", &["SAT"]), 0);
}

#[test]
fn mean_of_visits_one_by_one_is_that_of_all_at_once() {
    let mut warps = warps(&small_field(5));
    flag(&mut warps[0], "SAT", (10, 10));
    flag(&mut warps[1], "NO_DATA", (20, 20));
    for warp in &mut warps {
        flag(warp, "BAD", (30, 30));
    }
    let bench = Bench::new(&warps);
    let with = |statistic| {
        let mut config = iterative();
        config.coadd.statistic = statistic;
        config.coadd.clip_iterations = 0;
        config
    };
    bench.run_into("running", &with(Statistic::Mean)).unwrap();
    // Without passes of rejection the clipped mean is the mean, made in strips of all visits.
    bench.run_into("strips", &with(Statistic::ClippedMean)).unwrap();
    bench.run_into("median", &with(Statistic::Median)).unwrap();
    let (running, strips) = (bench.read("running/plain.fits"), bench.read("strips/plain.fits"));
    assert!(running.image[[30, 30]].is_nan() && strips.image[[30, 30]].is_nan());
    let same = |a: &ndarray::Array2<f32>, b: &ndarray::Array2<f32>| {
        a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()))
    };
    assert!(same(&running.image, &strips.image) && same(&running.variance, &strips.variance));
    assert_eq!(running.mask, strips.mask);
    let median = bench.read("median/plain.fits");
    assert!(median.variance[[50, 5]] > 1.4 * running.variance[[50, 5]]);
    assert!((median.image[[50, 5]] - running.image[[50, 5]]).abs() < 5.0 * median.variance[[50, 5]].sqrt());
}

#[test]
fn zero_points_bring_visits_to_one_scale_and_to_nanojanskys() {
    let plain = warps(&small_field(4));
    let reference = Bench::new(&plain);
    reference.run(&iterative()).unwrap();
    let expected = reference.read("run/coadd.fits");
    // The same sky in counts of visits with other zero points.
    let mut warps = plain;
    for (i, warp) in warps.iter_mut().enumerate() {
        let zero_point = 27.0 + 0.4 * i as f64;
        let factor = 10_f32.powf(0.4 * (0.4 * i as f32));
        warp.set("MAGZERO", zero_point);
        warp.unit = Some("adu".into());
        warp.pixels.image *= factor;
        warp.pixels.variance *= factor * factor;
    }
    let bench = Bench::new(&warps);
    let mut config = iterative();
    config.input.zero_point = ZeroPoint::Header;
    let summary = bench.run(&config).unwrap();
    let scales: Vec<f64> = summary.visits.iter().map(|visit| visit.scale).collect();
    assert!((scales[3] - 10_f64.powf(-0.48)).abs() < 1e-6, "{scales:?}");
    let coadd = bench.read("run/coadd.fits");
    let worst = (&coadd.image - &expected.image).iter().fold(0.0_f32, |worst, d| worst.max(d.abs()));
    assert!(worst < 1e-4 * peak(&expected.image), "{worst}");
    let header = |name: &str| {
        let file = ExposureFile::open(&bench.path(name), &OpenOptions::default()).unwrap();
        (file.unit().map(str::to_owned), file.visit().zero_point_mag)
    };
    assert_eq!(header("run/coadd.fits"), (Some("adu".into()), Some(27.0)));

    config.input.common_zero_point_mag = Some(31.4);
    bench.run_into("njy", &config).unwrap();
    assert_eq!(header("njy/subfilter_0.fits"), (Some("nJy".into()), Some(31.4)));
    let njy = bench.read("njy/coadd.fits");
    let factor = 10_f32.powf(0.4 * 4.4);
    let worst = (&njy.image / factor - &expected.image).iter().fold(0.0_f32, |worst, d| worst.max(d.abs()));
    assert!(worst < 1e-4 * peak(&expected.image), "{worst}");

    warps[2].set("MAGZERO", "unknown");
    let missing = Bench::new(&warps).failure(&config);
    assert!(missing.contains("warp_2.fits"), "{missing}");
}

#[test]
fn visits_are_selected_by_number() {
    let bench = Bench::new(&warps(&small_field(4)));
    let mut config = iterative();
    let all = bench.run_into("all", &config).unwrap();
    let numbers: Vec<u64> = all.visits.iter().map(|visit| visit.visit).collect();
    config.input.visits = Some(vec![numbers[2], numbers[0], 999_999]);
    let some = bench.run_into("some", &config).unwrap();
    assert_eq!(some.visits.iter().map(|visit| visit.visit).collect::<Vec<_>>(), [numbers[0], numbers[2]]);
    config.input.visits = Some(vec![999_999]);
    assert!(bench.failure(&config).contains("none of the 4 exposures is of one of the 1 visits"));
}

#[test]
fn weights_are_those_given() {
    let bench = Bench::new(&warps(&small_field(3)));
    let mut config = iterative();
    let numbers: Vec<u64> =
        bench.run_into("all", &config).unwrap().visits.iter().map(|visit| visit.visit).collect();
    config.visit_weights = Some(BTreeMap::from([(numbers[0], 1.0), (numbers[1], 2.0), (numbers[2], 3.0)]));
    let summary = bench.run_into("given", &config).unwrap();
    assert_eq!(summary.visits.iter().map(|visit| visit.weight).collect::<Vec<_>>(), [0.5, 1.0, 1.5]);
    config.visit_weights = Some(BTreeMap::from([(numbers[0], 1.0), (numbers[1], 0.0)]));
    let error = bench.failure(&config);
    assert!(error.contains(&format!("no weight above 0 for visit {}", numbers[1])), "{error}");
}

#[test]
fn bright_objects_are_flagged_and_left_out_if_they_are_bad() {
    let bench = Bench::new(&warps(&small_field(3)));
    let bright_objects = parse_regions("image; circle(31, 41, 4.5)").unwrap();
    let mut config = AssembleConfig { bright_objects, ..iterative() };
    bench.run_into("flagged", &config).unwrap();
    for name in ["coadd", "subfilter_0", "plain"] {
        let name = format!("flagged/{name}.fits");
        let (mask, bit) = (bench.read(&name).mask, bits(&bench, &name, &["BRIGHT_OBJECT"]));
        assert_ne!(bit, 0, "{name}");
        let count = mask.iter().filter(|mask| *mask & bit != 0).count();
        assert!(mask[[40, 30]] & bit != 0 && mask[[40, 36]] & bit == 0);
        assert_eq!(count, 69, "{name}");
    }
    config.coadd.bad_mask_planes.push("BRIGHT_OBJECT".into());
    bench.run_into("bad", &config).unwrap();
    assert!(bench.read("bad/plain.fits").image.slice(s![38..43, 28..33]).iter().all(|value| value.is_nan()));
}

#[test]
fn input_map_tells_the_visits_of_each_pixel() {
    let mut warps = warps(&small_field(3));
    flag(&mut warps[1], "BAD", (12, 34));
    flag(&mut warps[2], "NO_DATA", (12, 34));
    let bench = Bench::new(&warps);
    let mut config = iterative();
    config.output.input_map = true;
    let summary = bench.run(&config).unwrap();
    assert!(summary.files.iter().any(|file| file.ends_with("input_map.fits")));
    let map = PlaneFile::open(&bench.path("run/input_map.fits"), "BITS_0").unwrap().read_all().unwrap();
    assert_eq!((map[[12, 34]], map[[12, 35]]), (1.0, 7.0));
    // Without the setting, a later run leaves none of an earlier one.
    let mut request = bench.request("run");
    request.overwrite = true;
    dcr_coadd::assemble(&request, &iterative(), &dcr_coadd::Unmonitored).unwrap();
    assert!(!bench.path("run/input_map.fits").exists());
}

#[test]
fn summary_tells_times_scales_and_noise() {
    let bench = Bench::new(&warps(&small_field(3)));
    let summary = bench.run(&iterative()).unwrap();
    for visit in &summary.visits {
        assert!((visit.scale - 1.0).abs() < ROUNDING && visit.exposure_s == Some(30.0));
        assert!(visit.metric.is_some());
        let rms = visit.residual_rms.unwrap();
        assert!(RMS_OF_RESIDUALS.contains(&rms), "{rms}");
    }
    let noise = summary.noise_correlation.unwrap();
    assert!(noise.x.abs() < 0.1 && noise.y.abs() < 0.1, "{noise:?}");
    assert!((noise.scatter - 1.0).abs() < 0.25, "{noise:?}");
}
