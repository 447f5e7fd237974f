//! Artefacts that no mask tells of, in whole runs: what spoils one exposure goes, what is in the
//! sky stays.

use dcr_coadd::Summary;
use dcr_coadd::config::{AssembleConfig, FindArtefacts, Method, PixelsIn};
use dcr_image::MaskedImage;
use dcr_sim::{ArtefactKind, Field, FieldConfig, SourceSettings, VisitSettings};
use ndarray::{Array2, Zip, s};

use crate::field::{Bench, Warp, small_field, unmarked_artefacts, warps};
use crate::tolerance::{ARTEFACTS_FOUND, FOUND_IN_STATIC_SKY, GOOD_PIXELS_LOST};

const CLIPPED: i32 = 1 << 9;

fn finding(find: FindArtefacts) -> AssembleConfig {
    let mut config = AssembleConfig::default();
    config.solver.method = Method::Iterative;
    config.artefacts.find = find;
    config
}

/// Every way to find them.
fn ways() -> [(&'static str, AssembleConfig); 3] {
    let mut joint = AssembleConfig::default();
    joint.solver.method = Method::Joint;
    [
        ("matched", finding(FindArtefacts::Matched)),
        ("static sky", finding(FindArtefacts::StaticSky)),
        ("joint", joint),
    ]
}

/// Whether nothing was found in other visits than one. The static sky takes stars that refraction
/// displaces for artefacts.
fn only_in(visit: usize, found: &[usize], way: &str) -> bool {
    way == "static sky" || found.iter().sum::<usize>() == found[visit]
}

fn pixels(summary: &Summary) -> Vec<usize> {
    summary.visits.iter().map(|visit| visit.artefact_pixels).collect()
}

/// Stars of strong colours, far from the zenith.
fn bright_field(visits: usize) -> FieldConfig {
    let field = small_field(visits);
    FieldConfig {
        visits: VisitSettings { airmass: [1.0, 2.2], ..field.visits },
        sources: SourceSettings { flux_electrons: [2e4, 6e5], ..field.sources },
        ..field
    }
}

fn add(warp: &mut Warp, at: (usize, usize), light: f32) {
    warp.pixels.image[at] += light;
}

#[test]
fn artefact_of_four_pixels_is_found_and_flagged() {
    let mut warps = warps(&small_field(10));
    for at in [(30, 50), (30, 51), (31, 50), (31, 51)] {
        add(&mut warps[3], at, 5000.0);
    }
    let bench = Bench::new(&warps);
    for (name, config) in ways() {
        let summary = bench.run_into(name, &config).unwrap();
        let found = pixels(&summary);
        assert!((4..=120).contains(&found[3]) && only_in(3, &found, name), "{name}: {found:?}");
        let mask = bench.read(&format!("{name}/coadd.fits")).mask;
        assert!(mask[[30, 50]] & CLIPPED != 0 && mask[[60, 20]] & CLIPPED == 0, "{name}");
    }
    let without = bench.run_into("off", &finding(FindArtefacts::Off)).unwrap();
    assert_eq!(pixels(&without), [0; 10]);
}

#[test]
fn artefacts_without_rounds_are_none() {
    let mut warps = warps(&small_field(4));
    add(&mut warps[1], (30, 50), 5000.0);
    let mut config = finding(FindArtefacts::Matched);
    config.artefacts.matched_rounds = vec![];
    assert_eq!(pixels(&Bench::new(&warps).run(&config).unwrap()), [0; 4]);
}

/// A single pixel is found by all but the static sky, which wants four that touch.
#[test]
fn artefact_of_one_pixel_is_found() {
    let mut warps = warps(&small_field(10));
    add(&mut warps[6], (70, 33), 3000.0);
    let bench = Bench::new(&warps);
    for (name, config) in ways().into_iter().filter(|(name, _)| *name != "static sky") {
        let found = pixels(&bench.run_into(name, &config).unwrap());
        assert!((1..=9).contains(&found[6]), "{name}: {found:?}");
        assert_eq!(found.iter().sum::<usize>(), found[6], "{name}: {found:?}");
    }
}

#[test]
fn artefact_through_all_columns_is_found() {
    let mut warps = warps(&small_field(8));
    let cols = warps[0].pixels.image.ncols();
    for col in 0..cols {
        for (row, light) in [(39, 120.0), (40, 400.0), (41, 400.0), (42, 120.0)] {
            add(&mut warps[2], (row, col), light);
        }
    }
    let bench = Bench::new(&warps);
    for (name, config) in ways() {
        let found = pixels(&bench.run_into(name, &config).unwrap());
        assert!(found[2] as f64 > 3.0 * ARTEFACTS_FOUND * cols as f64, "{name}: {found:?}");
        assert!(only_in(2, &found, name), "{name}: {found:?}");
    }
}

#[test]
fn visit_that_loses_much_is_talked_of() {
    let mut warps = warps(&small_field(8));
    warps[5].pixels.image.slice_mut(s![10..40, 10..80]).mapv_inplace(|v| v + 500.0);
    let bench = Bench::new(&warps);
    let summary = bench.run(&finding(FindArtefacts::Matched)).unwrap();
    let told = |text: &str| summary.warnings.iter().any(|warning| warning.text.contains(text));
    assert!(told("contradict the other visits"), "{:?} {:?}", pixels(&summary), summary.warnings);
}

/// A star that is there in every other exposure only.
#[test]
fn variable_star_stays() {
    let mut warps = warps(&small_field(10));
    for warp in warps.iter_mut().step_by(2) {
        for dy in -4_isize..=4 {
            for dx in -4_isize..=4 {
                let light = 3000.0 * (-((dy * dy + dx * dx) as f32) / 5.0).exp();
                add(warp, (48_usize.strict_add_signed(dy), 60_usize.strict_add_signed(dx)), light);
            }
        }
    }
    let bench = Bench::new(&warps);
    let summary = bench.run_into("matched", &finding(FindArtefacts::Matched)).unwrap();
    assert_eq!(pixels(&summary), [0; 10]);
    bench.run_into("static", &finding(FindArtefacts::StaticSky)).unwrap();
    assert_eq!(bench.read("static/coadd.fits").mask[[48, 60]] & CLIPPED, 0);
}

/// What the static sky takes for an artefact, as refraction displaces it, the matched prediction
/// explains; at the patch's edge as well.
#[test]
fn displaced_stars_stay() {
    let bench = Bench::new(&warps(&bright_field(12)));
    let found =
        |way| pixels(&bench.run_into(&format!("{way:?}"), &finding(way)).unwrap()).iter().sum::<usize>();
    let (naive, ours) = (found(FindArtefacts::StaticSky), found(FindArtefacts::Matched));
    assert!(naive > 100, "{naive}");
    let good = 12 * 112 * 96;
    assert!((ours as f64) < GOOD_PIXELS_LOST * f64::from(good), "{ours}");
}

/// Cosmic rays and a streak as dcr-sim draws them, in variable seeing.
#[test]
fn artefacts_of_a_field_are_found() {
    let field = small_field(12);
    let field = FieldConfig {
        visits: VisitSettings { seeing_arcsec: [0.6, 1.1], ..field.visits },
        artefacts: Some(unmarked_artefacts(0)),
        ..field
    };
    let bench = Bench::new(&warps(&field));
    let drawn = Field::draw(&field).unwrap();
    for (name, config) in ways() {
        bench.run_into(name, &config).unwrap();
        let clipped = bench.read(&format!("{name}/coadd.fits")).mask.mapv(|mask| mask & CLIPPED != 0);
        let (mut found, mut all) = (0, 0);
        for plan in drawn.visits() {
            let visit = drawn.expose(plan).unwrap();
            let no_data = visit.planes.bits_of(["NO_DATA"]);
            let rays = visit.artefacts.iter().filter(|a| a.kind == ArtefactKind::CosmicRay);
            for at in rays.flat_map(|ray| &ray.pixels).filter(|at| visit.exposure.mask[**at] & no_data == 0) {
                all += 1;
                found += usize::from(clipped[*at]);
            }
        }
        // The mean of exposures far from each other in seeing and refraction hides some.
        let share = if name == "static sky" { FOUND_IN_STATIC_SKY } else { ARTEFACTS_FOUND };
        assert!(all > 200 && found as f64 >= share * f64::from(all), "{name}: {found} of {all}");
    }
}

#[test]
fn artefacts_are_not_looked_for_in_one_or_two_visits() {
    for visits in [1, 2] {
        let mut warps = warps(&small_field(visits));
        add(&mut warps[0], (40, 40), 5000.0);
        let bench = Bench::new(&warps);
        for way in [FindArtefacts::Matched, FindArtefacts::StaticSky] {
            let summary = bench.run_into(&format!("{way:?}"), &finding(way)).unwrap();
            assert_eq!(pixels(&summary), vec![0; visits]);
            let warning = summary.warnings.iter().find(|warning| warning.subject == "artefacts").unwrap();
            assert!(warning.text.contains("cannot show which is wrong"), "{warning:?}");
        }
    }
}

#[test]
fn artefacts_are_not_looked_for_with_one_subfilter() {
    let bench = Bench::new(&warps(&small_field(5)));
    let mut config = finding(FindArtefacts::Matched);
    config.model.subfilters = 1;
    let summary = bench.run(&config).unwrap();
    assert_eq!(pixels(&summary), [0; 5]);
    assert!(summary.warnings.iter().any(|warning| warning.text.contains("one subfilter")));
}

#[test]
fn artefacts_are_found_without_psfs() {
    let mut warps = warps(&small_field(8));
    for warp in &mut warps {
        warp.psf = None;
        warp.set("PSF-FWHM", -1.0);
    }
    for at in [(30, 50), (30, 51), (31, 50), (31, 51)] {
        add(&mut warps[3], at, 5000.0);
    }
    let bench = Bench::new(&warps);
    for way in [FindArtefacts::Matched, FindArtefacts::StaticSky] {
        let summary = bench.run_into(&format!("{way:?}"), &finding(way)).unwrap();
        let found = pixels(&summary);
        assert!(found[3] >= 4 && found.iter().sum::<usize>() < found[3] + 50, "{way:?} {found:?}");
        assert!(
            summary
                .warnings
                .iter()
                .any(|warning| warning.text.contains("The PSF is unknown, and so is its width"))
        );
    }
}

/// Visits without a good pixel are dropped; pixels that are not numbers are no artefacts.
#[test]
fn artefacts_among_missing_pixels() {
    let mut warps = warps(&small_field(7));
    let bad = warps[0].planes.bits_of(["BAD"]);
    warps[0].pixels.mask.fill(bad);
    for warp in &mut warps[1..] {
        warp.pixels.image.slice_mut(s![20..28, 30..40]).fill(f32::NAN);
    }
    warps[4].pixels.image.slice_mut(s![60..64, 30..40]).fill(f32::NAN);
    let bench = Bench::new(&warps);
    let summary = bench.run_into("matched", &finding(FindArtefacts::Matched)).unwrap();
    assert_eq!(pixels(&summary), [0; 6]);
    let summary = bench.run_into("static", &finding(FindArtefacts::StaticSky)).unwrap();
    assert!(pixels(&summary).iter().sum::<usize>() < 60, "{:?}", pixels(&summary));
}

/// Bit for bit the same from disk as from memory, on any number of threads.
#[test]
fn artefacts_do_not_depend_on_where_pixels_are_nor_on_threads() {
    let mut warps = warps(&small_field(9));
    for at in [(30, 50), (30, 51), (31, 50), (31, 51)] {
        add(&mut warps[3], at, 5000.0);
    }
    let bench = Bench::new(&warps);
    for way in [FindArtefacts::Matched, FindArtefacts::StaticSky] {
        let mut results = vec![];
        for (place, threads) in [(PixelsIn::Memory, 1), (PixelsIn::Memory, 3), (PixelsIn::Disk, 2)] {
            let mut config = finding(way);
            config.coadd.pixels_in = place;
            let name = format!("{way:?}-{place:?}-{threads}");
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let summary = pool.install(|| bench.run_into(&name, &config)).unwrap();
            let subfilters = bench.subfilters(&name, 3);
            results.push((
                pixels(&summary),
                subfilters.into_iter().map(|s| (s.image, s.mask)).collect::<Vec<_>>(),
            ));
        }
        assert!(results[0].0[3] > 0 && results[0] == results[1] && results[0] == results[2], "{way:?}");
    }
}

/// The standard coadd, and what the iterative method starts from, are those of visits whose masks
/// had told of the trail.
#[test]
fn artefacts_leave_the_plain_coadd() {
    let mut warps = warps(&small_field(8));
    let clean = Bench::new(&warps);
    clean.run_into("off", &finding(FindArtefacts::Off)).unwrap();
    let cols = warps[0].pixels.image.ncols();
    for col in 0..cols {
        for (row, light) in [(39, 30.0), (40, 90.0), (41, 90.0), (42, 30.0)] {
            add(&mut warps[2], (row, col), light);
        }
    }
    let bench = Bench::new(&warps);
    bench.run_into("off", &finding(FindArtefacts::Off)).unwrap();
    let plain = |bench: &Bench, run: &str| bench.read(&format!("{run}/plain.fits"));
    let trail = |coadd: &MaskedImage| {
        let rows = s![40..42, 5..cols - 5];
        let (coadd, clean) = (coadd.image.slice(rows), plain(&clean, "off"));
        let sum: f32 = coadd.iter().zip(clean.image.slice(rows)).map(|(a, b)| a - b).sum();
        sum / coadd.len() as f32
    };
    let before = trail(&plain(&bench, "off"));
    assert!(before > 3.0, "{before}");
    for (name, mut config) in ways().into_iter().filter(|(name, _)| *name != "static sky") {
        // Weights would follow the masks.
        config.coadd.weight_visits = false;
        let found = pixels(&bench.run_into(name, &config).unwrap());
        let without = plain(&bench, name);
        assert!(trail(&without).abs() < 0.1 * before, "{name}: {} {before}", trail(&without));
        let clipped = bench.read(&format!("{name}/coadd.fits")).mask.mapv(|mask| mask & CLIPPED != 0);
        assert_eq!(found, [0, 0, clipped.iter().filter(|c| **c).count(), 0, 0, 0, 0, 0], "{name}");
        // Bit for bit.
        let mut masked = warps.clone();
        let bad = masked[2].planes.bits_of(["BAD"]);
        Zip::from(&mut masked[2].pixels.mask).and(&clipped).for_each(|mask, clipped| {
            *mask |= if *clipped { bad } else { 0 };
        });
        let masked_bench = Bench::new(&masked);
        let mut off = finding(FindArtefacts::Off);
        off.coadd.weight_visits = false;
        masked_bench.run_into("off", &off).unwrap();
        let expected = plain(&masked_bench, "off");
        assert!(
            same(&without.image, &expected.image) && same(&without.variance, &expected.variance),
            "{name}"
        );
        // Either is said of the pixel, but not the same: it is left out as an artefact, or as bad.
        let marked = without.mask.mapv(|mask| mask & CLIPPED != 0);
        assert_eq!(marked, clipped, "{name}");
        if name == "matched" {
            let (a, b) = (bench.subfilters(name, 3), masked_bench.subfilters("off", 3));
            assert!(a.iter().zip(&b).all(|(a, b)| same(&a.image, &b.image)));
        }
    }
}

fn same(a: &Array2<f32>, b: &Array2<f32>) -> bool {
    a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}
