//! Templates on pixel grids that are not the coadd's, held to exposures drawn there.

use std::path::PathBuf;

use dcr_coadd::Unmonitored;
use dcr_coadd::config::{AssembleConfig, TemplateConfig, ZeroPoint};
use dcr_difference::DifferenceError;
use dcr_difference::{TemplateRequest, TemplateSummary, matched_templates};
use dcr_image::{ExposureFile, MaskedImage, OpenOptions};
use ndarray::Zip;

use crate::field::{Bench, Warp, iterative};
use crate::sky::{Grid, Sky};
use crate::tolerance::{MATCHED, STAR_FLUX};

const NO_DATA: i32 = 1 << 8;

/// Two patches side by side, 24″ wide together, which overlap by 6″.
const PATCHES: [Grid; 2] = [
    Grid { east: -6.0, north: 0.0, size: (90, 96), rotation_deg: 0.0, scale: 0.2 },
    Grid { east: 6.0, north: 0.0, size: (90, 96), rotation_deg: 0.0, scale: 0.2 },
];

fn templates(
    bench: &Bench,
    runs: &[&str],
    exposure: &str,
    output: &str,
    config: &TemplateConfig,
) -> Result<TemplateSummary, DifferenceError> {
    let request = TemplateRequest {
        coadds: runs.iter().map(|run| bench.path(run)).collect(),
        exposures: vec![bench.path(exposure)],
        output: bench.path(output),
        overwrite: true,
    };
    matched_templates(&request, config, &Unmonitored)
}

/// Mean squared difference on sources, in units of both variances.
fn chi2(exposure: &Warp, template: &MaskedImage) -> f64 {
    let detected = exposure.planes.bits_of(["DETECTED"]);
    let (mut sum, mut count) = (0.0, 0.0);
    Zip::indexed(&exposure.pixels.image).and(&template.image).for_each(|at, s, t| {
        if t.is_finite() && exposure.pixels.mask[at] & detected != 0 {
            sum += f64::from((s - t).powi(2) / (exposure.pixels.variance[at] + template.variance[at]));
            count += 1.0;
        }
    });
    assert!(count > 100.0, "{count}");
    sum / count
}

#[test]
fn template_is_right_on_any_grid() {
    let sky = Sky::new(40);
    let bench = Bench::new(&sky.warps(&Grid::own(), 6));
    bench.run(&iterative()).unwrap();
    let own = Grid::own();
    let grids = [
        ("moved by 0.3 px", Grid { east: 0.06, north: -0.03, ..own }),
        ("turned", Grid { rotation_deg: 47.0, size: (80, 80), ..own }),
        ("upside down, elsewhere", Grid { rotation_deg: 205.0, east: 3.0, north: 2.0, ..own }),
        ("coarser", Grid { scale: 0.26, size: (90, 70), rotation_deg: 30.0, ..own }),
        ("finer", Grid { scale: 0.14, size: (100, 90), rotation_deg: -60.0, ..own }),
    ];
    for (name, grid) in grids {
        let exposure = sky.exposure(&grid);
        exposure.write(&bench.path("exposure.fits"));
        let summary =
            templates(&bench, &["run"], "exposure.fits", "template.fits", &TemplateConfig::default())
                .unwrap();
        assert!(summary.templates[0].warped, "{name}");
        let template = bench.read("template.fits");
        assert_eq!(template.bbox, exposure.pixels.bbox);
        let matched = chi2(&exposure, &template);
        assert!(matched < MATCHED, "{name}: {matched}");
        let file = ExposureFile::open(&bench.path("template.fits"), &OpenOptions::default()).unwrap();
        let fwhm = file.psf().unwrap().fwhm_px(0.0, 0.0).unwrap();
        assert!((fwhm * grid.scale / 0.8 - 1.0).abs() < 0.03, "{name}: {fwhm}");
        assert_eq!(file.header().f64("PSF-FWHM").map(|card| (card - fwhm).abs() < 0.01), Some(true));
    }
}

/// Both patches at full depth, and a star on the edge of each: its flux and form are those that one
/// patch alone gives.
#[test]
fn patches_join_without_a_seam() {
    // The patches end 3″ from the middle, on either side.
    let sky = Sky::new(60).with_star(3.0, 4.0, 1e6).with_star(-3.0, -4.0, 1e6).with_star(0.0, 0.0, 1e6);
    let whole = Grid { east: 0.0, size: (150, 96), ..PATCHES[0] };
    let bench = Bench::new(&sky.warps(&whole, 6));
    bench.run_into("whole", &iterative()).unwrap();
    for (name, grid) in [("left", PATCHES[0]), ("right", PATCHES[1])] {
        Bench::new(&sky.warps(&grid, 6)).run_to(&bench.path(name), &iterative()).unwrap();
    }
    let grid = Grid { rotation_deg: 12.0, size: (100, 70), ..whole };
    let exposure = sky.exposure(&grid);
    exposure.write(&bench.path("exposure.fits"));
    let config = TemplateConfig::default();
    templates(&bench, &["whole"], "exposure.fits", "whole.fits", &config).unwrap();
    let summary = templates(&bench, &["right", "left"], "exposure.fits", "joined.fits", &config).unwrap();
    assert_eq!(summary.templates[0].patches.len(), 2);
    assert_eq!(summary.runs.len(), 2);
    let (whole, joined) = (bench.read("whole.fits"), bench.read("joined.fits"));
    assert!(summary.templates[0].covered > 0.98);
    assert!(chi2(&exposure, &joined) < MATCHED);
    let wcs = exposure.wcs;
    for (east, north) in [(3.0, 4.0), (-3.0, -4.0), (0.0, 0.0)] {
        let (x, y) = wcs.sky_to_pixel(sky.place(east, north)).unwrap();
        let flux = |image: &MaskedImage| {
            let near = |at: (usize, usize)| (at.1 as f64 - x).hypot(at.0 as f64 - y) < 7.0;
            image.image.indexed_iter().filter(|(at, _)| near(*at)).map(|(_, v)| f64::from(*v)).sum::<f64>()
        };
        let (one, two) = (flux(&whole), flux(&joined));
        assert!((two / one - 1.0).abs() < STAR_FLUX, "{east}: {two}, not {one}");
    }
}

/// On the pixels of a patch nothing is interpolated, whatever other patches there are.
#[test]
fn template_on_a_patch_is_the_same_with_other_patches_and_any_threads() {
    let sky = Sky::new(30);
    let bench = Bench::new(&sky.warps(&PATCHES[0], 4));
    bench.run_into("left", &iterative()).unwrap();
    Bench::new(&sky.warps(&PATCHES[1], 4)).run_to(&bench.path("right"), &iterative()).unwrap();
    sky.exposure(&PATCHES[0]).write(&bench.path("exposure.fits"));
    sky.exposure(&Grid { rotation_deg: 9.0, ..PATCHES[0] }).write(&bench.path("turned.fits"));
    let on = |threads: usize, runs: &[&str], exposure: &str, output: &str| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let make = || templates(&bench, runs, exposure, output, &TemplateConfig::default());
        pool.install(make).unwrap();
        bench.read(output)
    };
    let bits = |image: &MaskedImage| image.image.mapv(f32::to_bits);
    let alone = on(1, &["left"], "exposure.fits", "alone.fits");
    let among = on(3, &["right", "left"], "exposure.fits", "among.fits");
    assert_eq!((bits(&alone), &alone.mask), (bits(&among), &among.mask));
    let one = on(1, &["right", "left"], "turned.fits", "one.fits");
    let four = on(4, &["right", "left"], "turned.fits", "four.fits");
    assert_eq!((bits(&one), &one.mask), (bits(&four), &four.mask));
}

#[test]
fn template_keeps_masks_and_holes() {
    let sky = Sky::new(30);
    let mut warps = sky.warps(&Grid::own(), 4);
    for warp in &mut warps {
        let (sat, bad) = (warp.planes.bits_of(["SAT"]), warp.planes.bits_of(["BAD"]));
        warp.pixels.mask.slice_mut(ndarray::s![40..48, 50..60]).mapv_inplace(|mask| mask | sat);
        warp.pixels.mask.slice_mut(ndarray::s![.., 80..84]).mapv_inplace(|mask| mask | bad);
        warp.pixels.image.slice_mut(ndarray::s![.., 80..84]).fill(f32::NAN);
    }
    let bench = Bench::new(&warps);
    bench.run(&iterative()).unwrap();
    let grid = Grid { rotation_deg: 31.0, size: (90, 90), ..Grid::own() };
    let exposure = sky.exposure(&grid);
    exposure.write(&bench.path("exposure.fits"));
    templates(&bench, &["run"], "exposure.fits", "template.fits", &TemplateConfig::default()).unwrap();
    let template = bench.read("template.fits");
    let (_, own) = sky.on(&Grid::own(), 1);
    for ((row, col), mask) in template.mask.indexed_iter() {
        let (value, variance) = (template.image[[row, col]], template.variance[[row, col]]);
        assert_eq!(mask & NO_DATA != 0, value.is_nan());
        assert!(value.is_nan() == variance.is_nan() && (variance.is_nan() || variance > 0.0));
        let (x, y) = own.sky_to_pixel(exposure.wcs.pixel_to_sky(col as f64, row as f64).unwrap()).unwrap();
        let in_hole = (51.0..58.0).contains(&x) && (41.0..46.0).contains(&y) || (80.5..82.5).contains(&x);
        assert!(!in_hole || value.is_nan(), "({x}, {y})");
        if (51.0..58.0).contains(&x) && (48.5..50.0).contains(&y) {
            assert!(mask & 2 != 0 || value.is_nan(), "({x}, {y})");
        }
        // Beyond the reach of interpolation and refraction all is whole.
        if (20.0..40.0).contains(&x) && (20.0..75.0).contains(&y) {
            assert!(value.is_finite(), "({x}, {y})");
        }
    }
}

#[test]
fn patches_that_disagree_are_refused() {
    let sky = Sky::new(20);
    let bench = Bench::new(&sky.warps(&PATCHES[0], 3));
    bench.run_into("left", &iterative()).unwrap();
    sky.exposure(&PATCHES[0]).write(&bench.path("exposure.fits"));
    let other = |name: &str, change: fn(&mut AssembleConfig), spoil: fn(&mut Warp)| {
        let mut warps = sky.warps(&PATCHES[1], 3);
        warps.iter_mut().for_each(spoil);
        let mut config = iterative();
        change(&mut config);
        Bench::new(&warps).run_to(&bench.path(name), &config).unwrap();
        let made = templates(&bench, &["left", name], "exposure.fits", "no.fits", &TemplateConfig::default());
        let message = made.unwrap_err().to_string();
        assert!(message.contains(&format!("{name}/model.fits: the ")), "{message}");
        assert!(message.contains("left/model.fits has "), "{message}");
        message
    };
    let none: fn(&mut Warp) = |_| ();
    let message = other("five", |config| config.model.subfilters = 5, none);
    assert!(
        message.contains("number of subfilters is 5") && message.contains("model.subfilters"),
        "{message}"
    );
    let message = other("nanojansky", |_| (), |warp| warp.unit = Some("nJy".into()));
    assert!(message.contains("(BUNIT) is nJy, but") && message.contains("has electron;"), "{message}");
    let message = other("red", |_| (), |warp| warp.set("FILTER", "r"));
    assert!(message.contains("band is r, but"), "{message}");
    let wide = |config: &mut AssembleConfig| {
        config.band.effective_wavelength_nm = Some(478.5);
        config.band.bandwidth_nm = Some(140.0);
    };
    let message = other("wide", wide, none);
    assert!(message.contains("± 70 nm, but"), "{message}");
    assert!(!bench.path("no.fits").exists());

    // One unit, but not of one brightness. A run that scaled nothing does not say, and is believed.
    let scaled = |name: &str, patch: usize, zero_point: f64| {
        let mut warps = sky.warps(&PATCHES[patch], 3);
        warps.iter_mut().for_each(|warp| warp.set("MAGZERO", zero_point));
        let mut config = AssembleConfig::default();
        config.input.zero_point = ZeroPoint::Header;
        Bench::new(&warps).run_to(&bench.path(name), &config).unwrap();
    };
    scaled("left_27", 0, 27.0);
    scaled("right_27", 1, 27.0);
    scaled("right_25", 1, 25.0);
    let made = |patches: &[&str]| {
        templates(
            &bench,
            patches,
            "exposure.fits",
            &format!("{}.fits", patches[1]),
            &TemplateConfig::default(),
        )
    };
    let message = made(&["left_27", "right_25"]).unwrap_err().to_string();
    assert!(
        message.contains("zero point is 25.0000 mag, but") && message.contains("27.0000 mag"),
        "{message}"
    );
    made(&["left_27", "right_27"]).unwrap();
    made(&["left", "right_25"]).unwrap();
}

#[test]
fn exposure_elsewhere_is_refused_with_its_place() {
    let sky = Sky::new(20);
    let bench = Bench::new(&sky.warps(&PATCHES[0], 3));
    bench.run_into("left", &iterative()).unwrap();
    for (name, east) in [("beside", 40.0), ("far", 7200.0)] {
        sky.exposure(&Grid { east, ..PATCHES[0] }).write(&bench.path("elsewhere.fits"));
        let made = templates(&bench, &["left"], "elsewhere.fits", "no.fits", &TemplateConfig::default());
        let message = made.unwrap_err().to_string();
        assert!(
            message.contains("overlaps none of the patches given") && message.contains("left"),
            "{name}: {message}"
        );
        assert!(
            message.contains("give those that cover RA 5") && message.contains("Dec -25.0000"),
            "{message}"
        );
    }
    let none: PathBuf = bench.path("no.fits");
    assert!(!none.exists());
    let message = templates(&bench, &[], "elsewhere.fits", "no.fits", &TemplateConfig::default());
    assert!(message.unwrap_err().to_string().contains("no run was given"));
}
