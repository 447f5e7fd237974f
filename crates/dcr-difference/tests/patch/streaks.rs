//! Streaks along straight lines, in whole runs: those that no pixel shows, and nothing where there
//! are none.

use dcr_coadd::Summary;
use dcr_coadd::config::{AssembleConfig, FindArtefacts, Method, PixelsIn};
use dcr_image::{ExposureFile, OpenOptions};
use dcr_sim::{FieldConfig, SourceSettings};
use ndarray::Array2;

use crate::field::{Bench, Warp, iterative, small_field, warps};
use crate::tolerance::{GOOD_PIXELS_LOST, STREAK_FOUND};

/// The plane CLIPPED of a coadd.
pub(crate) const CLIPPED: i32 = 1 << 9;

fn field(visits: usize) -> FieldConfig {
    let sources = SourceSettings { stars: 40, galaxies: 12, ..SourceSettings::default() };
    FieldConfig { width: 260, height: 220, sources, ..small_field(visits) }
}

fn without_streaks(config: &AssembleConfig) -> AssembleConfig {
    let mut config = config.clone();
    config.artefacts.streaks = false;
    config
}

fn joint() -> AssembleConfig {
    let mut config = AssembleConfig::default();
    config.solver.method = Method::Joint;
    config
}

/// Light of a trail of σ 1.6 px through the middle, in units of its peak; `along` from the middle
/// in px tells where it is.
fn trail(shape: (usize, usize), angle_deg: f64, along: impl Fn(f64) -> bool) -> Array2<f32> {
    let (sin, cos) = angle_deg.to_radians().sin_cos();
    let middle = (shape.0 as f64 / 2.0 + 3.3, shape.1 as f64 / 2.0 - 5.2);
    Array2::from_shape_fn(shape, |(y, x)| {
        let (dy, dx) = (y as f64 - middle.0, x as f64 - middle.1);
        let across = (dy * cos - dx * sin) / 1.6;
        if along(dy * sin + dx * cos) { (-0.5 * across * across).exp() as f32 } else { 0.0 }
    })
}

/// Of the sky in a pixel.
fn sigma(warp: &Warp) -> f32 {
    let mut variances: Vec<f32> = warp.pixels.variance.iter().copied().filter(|v| v.is_finite()).collect();
    variances.sort_by(f32::total_cmp);
    variances[variances.len() / 2].sqrt()
}

/// Adds light, whose unit is so many σ of the sky.
pub(crate) fn add(warp: &mut Warp, light: &Array2<f32>, sigmas: f32) {
    let unit = sigmas * sigma(warp);
    warp.pixels.image.zip_mut_with(light, |value, share| *value += unit * share);
}

pub(crate) fn pixels(summary: &Summary) -> Vec<usize> {
    summary.visits.iter().map(|visit| visit.artefact_pixels).collect()
}

/// Which share of the pixels in which the trail is brighter than `least` of its peak are flagged.
fn share_found(bench: &Bench, run: &str, trail: &Array2<f32>, least: f32) -> f64 {
    let mask = bench.read(&format!("{run}/coadd.fits")).mask;
    let in_trail = || trail.iter().zip(&mask).filter(|(share, _)| **share > least);
    in_trail().filter(|(_, mask)| **mask & CLIPPED != 0).count() as f64 / in_trail().count() as f64
}

#[test]
fn streak_too_faint_for_pixels_is_found() {
    let mut warps = warps(&field(8));
    let trail = trail((220, 260), 33.0, |_| true);
    add(&mut warps[2], &trail, 0.8);
    let bench = Bench::new(&warps);
    for (name, config) in [("iterative", iterative()), ("joint", joint())] {
        let found = pixels(&bench.run_into(name, &config).unwrap());
        let share = share_found(&bench, name, &trail, 0.5);
        assert!(share > STREAK_FOUND, "{name}: {share} {found:?}");
        let area = trail.iter().filter(|share| **share > 0.01).count();
        assert!(found[2] < 2 * area && found.iter().sum::<usize>() - found[2] < 60, "{name}: {found:?}");
        let off = format!("{name}-off");
        bench.run_into(&off, &without_streaks(&config)).unwrap();
        assert!(share_found(&bench, &off, &trail, 0.5) < 0.1, "{name}");
    }
}

/// A bright trail is masked as far as its wings can be told from noise; one that begins in the
/// patch, from there.
#[test]
fn streak_is_as_wide_and_as_long_as_its_light() {
    let mut warps = warps(&field(8));
    let trail = trail((220, 260), 118.0, |along| along > -20.0);
    add(&mut warps[5], &trail, 12.0);
    let bench = Bench::new(&warps);
    bench.run_into("on", &iterative()).unwrap();
    bench.run_into("off", &without_streaks(&iterative())).unwrap();
    // Down to a quarter of a σ.
    let wings = 0.25 / 12.0;
    let (on, off) = (share_found(&bench, "on", &trail, wings), share_found(&bench, "off", &trail, wings));
    assert!(on > STREAK_FOUND && on > off, "{on} {off}");
    let beyond = self::trail((220, 260), 118.0, |along| along < -45.0);
    assert!(share_found(&bench, "on", &beyond, 0.1) < 0.05);
}

/// Neither in noise and sources, nor where light is missing, nor in what all exposures share, as
/// spikes of bright stars.
#[test]
fn streaks_are_not_found_where_there_are_none() {
    let clean = warps(&field(8));
    let spike = trail((220, 260), 80.0, |along| along.abs() < 70.0);
    let mut spiky = clean.clone();
    spiky.iter_mut().for_each(|warp| add(warp, &spike, 2.5));
    let mut dark = clean.clone();
    add(&mut dark[4], &trail((220, 260), 10.0, |_| true), -0.8);
    for (name, warps) in [("clean", clean), ("spiky", spiky), ("dark", dark)] {
        let bench = Bench::new(&warps);
        for (method, config) in [("iterative", iterative()), ("joint", joint())] {
            let of = |config: &AssembleConfig, run: &str| {
                pixels(&bench.run_into(&format!("{run}-{method}"), config).unwrap()).iter().sum::<usize>()
            };
            let (on, off) = (of(&config, "on"), of(&without_streaks(&config), "off"));
            assert!(
                (on as f64) <= off as f64 + GOOD_PIXELS_LOST * 8.0 * 220.0 * 260.0,
                "{name} {method}: {on} {off}"
            );
        }
    }
}

#[test]
fn streaks_do_not_depend_on_where_pixels_are_nor_on_threads() {
    let mut warps = warps(&field(5));
    add(&mut warps[1], &trail((220, 260), 64.0, |_| true), 1.0);
    let bench = Bench::new(&warps);
    let mut results = vec![];
    for (place, threads) in [(PixelsIn::Memory, 1), (PixelsIn::Memory, 3), (PixelsIn::Disk, 2)] {
        let mut config = iterative();
        config.artefacts.find = FindArtefacts::StaticSky;
        config.coadd.pixels_in = place;
        let name = format!("{place:?}-{threads}");
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let summary = pool.install(|| bench.run_into(&name, &config)).unwrap();
        let file =
            ExposureFile::open(&bench.path(&format!("{name}/plain.fits")), &OpenOptions::default()).unwrap();
        results.push((pixels(&summary), file.read(file.bbox()).unwrap().image));
    }
    assert!(
        results[0].0[1] > 500 && results[0] == results[1] && results[0] == results[2],
        "{:?}",
        results[0].0
    );
}
