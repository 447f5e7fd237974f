//! Streaks as they come: curved, broad, dashed, crossing; and what is straight and none: spikes
//! that turn, galaxies seen from their edges, columns of overflowing charge.

use std::f64::consts::TAU;
use std::sync::LazyLock;

use dcr_coadd::config::AssembleConfig;
use dcr_image::header::Value;
use dcr_sim::{FieldConfig, SourceSettings, VisitSettings};
use ndarray::Array2;

use crate::field::{Bench, Warp, iterative, small_field, warps};
use crate::streaks::{CLIPPED, add, pixels};
use crate::tolerance::{BEYOND_SPIKES, GOOD_PIXELS_LOST, STREAK_FOUND};

const SHAPE: (usize, usize) = (360, 400);
const VISITS: usize = 10;
/// A place that trails pass, as (y, x).
const MIDDLE: (f64, f64) = (183.3, 194.8);
/// Where bright stars are added, or galaxies.
const PLACES: [(f64, f64); 3] = [(100.0, 120.0), (200.0, 250.0), (290.0, 90.0)];
/// A trail's σ across, in px.
const NARROW: f64 = 1.6;

/// Exposures without trouble.
static CLEAN: LazyLock<Vec<Warp>> = LazyLock::new(|| warps(&field([0.75, 0.75])));

fn field(seeing_arcsec: [f64; 2]) -> FieldConfig {
    let small = small_field(VISITS);
    FieldConfig {
        width: SHAPE.1,
        height: SHAPE.0,
        sources: SourceSettings { stars: 60, galaxies: 20, ..SourceSettings::default() },
        visits: VisitSettings { seeing_arcsec, ..small.visits },
        ..small
    }
}

/// Nothing is looked for pixel by pixel, nor is the solve of interest.
fn only_streaks() -> AssembleConfig {
    let mut config = iterative();
    config.artefacts.matched_rounds = vec![];
    (config.solver.iterative.max_iterations, config.solver.iterative.min_iterations) = (Some(1), Some(1));
    config
}

/// Light by the distance across and along a line through a place.
fn light_along(place: (f64, f64), angle_deg: f64, light: impl Fn(f64, f64) -> f64) -> Array2<f32> {
    let (sin, cos) = angle_deg.to_radians().sin_cos();
    Array2::from_shape_fn(SHAPE, |(y, x)| {
        let (dy, dx) = (y as f64 - place.0, x as f64 - place.1);
        light(dy * cos - dx * sin, dy * sin + dx * cos) as f32
    })
}

fn bell(x: f64) -> f64 {
    (-0.5 * x * x).exp()
}

/// What a run found.
struct Found {
    /// In each visit.
    pixels: Vec<usize>,
    /// The pixels that some visit loses.
    anywhere: Array2<bool>,
    /// The visits that are left in each pixel.
    left: Array2<f32>,
}

impl Found {
    fn by(config: &AssembleConfig, warps: &[Warp]) -> Self {
        let bench = Bench::new(warps);
        let summary = bench.run(config).unwrap();
        Self {
            pixels: pixels(&summary),
            anywhere: bench.read("run/coadd.fits").mask.mapv(|mask| mask & CLIPPED != 0),
            left: bench.n_image("run/plain.fits"),
        }
    }

    fn least_left(&self) -> f32 {
        self.left.iter().copied().fold(f32::INFINITY, f32::min)
    }

    /// The share of the pixels brighter than this that are found.
    fn share(&self, light: &Array2<f32>, least: f32) -> f64 {
        let inside = || light.iter().zip(&self.anywhere).filter(|(light, _)| **light > least);
        inside().filter(|(_, found)| **found).count() as f64 / inside().count() as f64
    }
}

/// What is found when one visit has this light, with a unit of so many σ.
fn found_in_one(light: &Array2<f32>, sigmas: f32) -> Found {
    let mut warps = CLEAN.clone();
    add(&mut warps[3], light, sigmas);
    Found::by(&only_streaks(), &warps)
}

#[test]
fn streak_curved_by_a_pixel_is_found() {
    let sagitta = |along: f64| (along / 125.0).powi(2);
    let trail = light_along(MIDDLE, 33.0, |across, along| bell((across - sagitta(along)) / NARROW));
    for sigmas in [0.8, 2.0] {
        let found = found_in_one(&trail, sigmas);
        assert!(found.share(&trail, 0.5) > STREAK_FOUND, "{sigmas}: {}", found.share(&trail, 0.5));
    }
}

/// Broad lines are found more than once, side by side: that must not look like many exposures.
#[test]
fn streak_out_of_focus_is_found() {
    for (wide, sigmas) in [(15.0, 0.5), (15.0, 5.0), (30.0, 1.0)] {
        let trail = light_along(MIDDLE, 33.0, |across, _| 1.0 / (1.0 + (2.0 * across / wide).powi(8)));
        let found = found_in_one(&trail, sigmas);
        let share = found.share(&trail, 0.5);
        assert!(share > STREAK_FOUND, "{wide} {sigmas}: {share} {:?}", found.pixels);
    }
}

#[test]
fn streak_that_flashes_is_found() {
    for (sigmas, period) in [(1.0, 20.0), (1.0, 40.0), (3.0, 40.0), (2.0, 100.0)] {
        let trail = light_along(MIDDLE, 33.0, |across, along| {
            bell(across / NARROW) * f64::midpoint(1.0, (TAU * along / period).cos())
        });
        let found = found_in_one(&trail, sigmas);
        assert!(found.share(&trail, 0.5) > STREAK_FOUND, "{period}: {:?}", found.pixels);
    }
}

#[test]
fn streaks_that_cross_are_both_found() {
    let one = light_along(MIDDLE, 33.0, |across, _| bell(across / NARROW));
    let other = light_along((150.0, 230.0), 120.0, |across, _| bell(across / NARROW));
    for visits in [[3, 3], [3, 4]] {
        let mut warps = CLEAN.clone();
        add(&mut warps[visits[0]], &one, 1.0);
        add(&mut warps[visits[1]], &other, 1.0);
        let found = Found::by(&only_streaks(), &warps);
        let shares = [&one, &other].map(|trail| found.share(trail, 0.5));
        assert!(shares.iter().all(|share| *share > STREAK_FOUND), "{visits:?}: {shares:?}");
    }
}

/// With an alt-azimuth telescope spikes turn with the field. They are artefacts, as far as they can
/// be seen; the stars are not, though every exposure has spikes there.
#[test]
fn streaks_of_spikes_that_turn_spare_their_stars() {
    for brightness in [300.0, 3000.0] {
        let mut warps = CLEAN.clone();
        let mut spikes = Array2::<f32>::zeros(SHAPE);
        for (visit, warp) in warps.iter_mut().enumerate() {
            for place in PLACES {
                add(warp, &light_along(place, 0.0, |y, x| bell(y.hypot(x) / 2.0)), 400.0);
                for arm in [0.0, 90.0] {
                    let light = light_along(place, 12.0 + arm + 7.0 * visit as f64, |across, along| {
                        bell(across / 1.5) / (1.0 + (along / 4.0).powi(2))
                    });
                    add(warp, &light, brightness);
                    spikes.zip_mut_with(&light, |most, light| *most = most.max(light * brightness));
                }
            }
        }
        let found = Found::by(&only_streaks(), &warps);
        assert!(found.least_left() >= 8.0, "{}", found.least_left());
        let all = found.anywhere.iter().filter(|found| **found).count() as f64;
        let beyond =
            found.anywhere.iter().zip(&spikes).filter(|(found, spike)| **found && **spike < 0.05).count();
        assert!(all > 1e4 && (beyond as f64) < BEYOND_SPIKES * all, "{brightness}: {beyond} of {all}");
    }
}

/// Galaxies seen from their edges, long and thin, under seeing that varies.
#[test]
fn streaks_are_not_galaxies() {
    let seeing = warps(&field([0.6, 1.3]));
    for (clean, peak, scale) in
        [(&*CLEAN, 50.0, 50.0), (&seeing, 5.0, 25.0), (&seeing, 500.0, 25.0), (&seeing, 50.0, 50.0)]
    {
        let mut warps = clean.clone();
        for warp in &mut warps {
            let Some(Value::Float(fwhm)) = warp.header.get("PSF-FWHM") else { panic!("a width") };
            let width = 1.2_f64.hypot(fwhm / 2.355);
            for (place, angle) in PLACES.into_iter().zip([20.0, 75.0, -40.0]) {
                let disc = light_along(place, angle, |across, along| {
                    2.0 / width * bell(across / width) * (-(along / scale).hypot(0.7)).exp()
                });
                add(warp, &disc, peak);
            }
        }
        let found = Found::by(&only_streaks(), &warps);
        assert_eq!(found.pixels, [0; VISITS], "{peak} {scale}");
    }
}

/// A column of charge that overflowed from a bright star: an artefact in one exposure, and no
/// farther than it goes; nothing to be told from the sky in all of them.
#[test]
fn streak_of_overflowing_charge_ends_where_it_does() {
    let place = PLACES[0];
    let star = light_along(place, 0.0, |y, x| bell(y.hypot(x) / 2.0));
    let column = light_along(place, 90.0, |across, along| {
        f64::from(u8::from(across.abs() < 0.6 && along.abs() < 70.0))
    });
    for all in [false, true] {
        let mut warps = CLEAN.clone();
        for (visit, warp) in warps.iter_mut().enumerate() {
            add(warp, &star, 400.0);
            if all || visit == 3 {
                add(warp, &column, 20.0);
            }
        }
        let found = Found::by(&iterative(), &warps);
        let good = (SHAPE.0 * SHAPE.1 * VISITS) as f64;
        if all {
            assert!(
                (found.pixels.iter().sum::<usize>() as f64) < GOOD_PIXELS_LOST * good,
                "{:?}",
                found.pixels
            );
        } else {
            // The star itself hides some of it.
            assert!(found.share(&column, 0.5) > 0.8, "{}", found.share(&column, 0.5));
            assert!(found.pixels[3] < 140 * 12, "{:?}", found.pixels);
        }
    }
}
