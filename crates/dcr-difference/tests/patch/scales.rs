//! Exposures that their headers put on one scale: FLXSCALE, zero points of a second, units of many
//! spellings.

use dcr_coadd::Summary;
use dcr_coadd::config::{AssembleConfig, SiteConfig, ZeroPoint, ZeroPointOf};
use ndarray::Array2;

use crate::field::{Bench, Warp, iterative, peak, small_field, warps};

/// Multiplies the pixels of a warp.
fn multiply(warp: &mut Warp, factor: f32) {
    warp.pixels.image *= factor;
    warp.pixels.variance *= factor * factor;
}

fn scales(summary: &Summary) -> Vec<f64> {
    summary.visits.iter().map(|visit| visit.scale).collect()
}

fn warned(summary: &Summary, words: &str) -> bool {
    summary.warnings.iter().any(|warning| format!("{warning:?}").contains(words))
}

/// The coadd of warps as they come, and of some that were changed.
fn compared(
    change: impl Fn(usize, &mut Warp),
    config: &AssembleConfig,
) -> (Array2<f32>, Array2<f32>, Summary) {
    let mut all = warps(&small_field(4));
    let plain = Bench::new(&all);
    plain.run(&iterative()).unwrap();
    let expected = plain.read("run/coadd.fits").image;
    all.iter_mut().enumerate().for_each(|(i, warp)| change(i, warp));
    let bench = Bench::new(&all);
    let summary = bench.run(config).unwrap();
    (expected, bench.read("run/coadd.fits").image, summary)
}

fn worst(a: &Array2<f32>, b: &Array2<f32>) -> f32 {
    (a - b).iter().fold(0.0_f32, |worst, d| worst.max(d.abs())) / peak(a)
}

#[test]
fn flxscale_is_applied_to_pixels_that_are_without_it() {
    let factors = [1.0, 0.25, 0.5, 2.0];
    let change = |i: usize, warp: &mut Warp| {
        warp.set("FLXSCALE", factors[i]);
        multiply(warp, 1.0 / factors[i] as f32);
    };
    let (expected, got, summary) = compared(change, &iterative());
    assert!(worst(&expected, &got) < 1e-4, "{}", worst(&expected, &got));
    assert_eq!(scales(&summary), factors);
}

#[test]
fn flxscale_beside_zero_points_is_not_applied_twice() {
    let change = |i: usize, warp: &mut Warp| {
        let factor = if i == 1 { 0.25 } else { 1.0 };
        warp.set("FLXSCALE", factor);
        warp.set("MAGZERO", 27.0 - 2.5 * factor.log10());
        multiply(warp, 1.0 / factor as f32);
    };
    let mut config = iterative();
    config.input.zero_point = ZeroPoint::Header;
    let (expected, got, summary) = compared(change, &config);
    assert!(worst(&expected, &got) < 1e-4 && warned(&summary, "FLXSCALE"));
    // By FLXSCALE alone the zero points become one as well.
    let (expected, got, summary) = compared(change, &iterative());
    assert!(worst(&expected, &got) < 1e-4 && !warned(&summary, "zero point"));
}

/// Counts of 30 and 300 s with one number as the zero point.
fn of_a_second(i: usize, warp: &mut Warp) {
    let exposure = if i.is_multiple_of(2) { 30.0 } else { 300.0 };
    warp.set("EXPTIME", exposure);
    warp.set("MAGZERO", 26.46);
    warp.unit = Some("adu".into());
    multiply(warp, exposure as f32 / 30.0);
}

#[test]
fn zero_points_of_a_second_are_doubted_and_applied_on_request() {
    let (_, _, summary) = compared(of_a_second, &iterative());
    assert!(warned(&summary, "one second"), "{:?}", summary.warnings);
    let mut config = iterative();
    config.input.zero_point = ZeroPoint::Header;
    config.input.zero_point_of = ZeroPointOf::Second;
    let (expected, got, summary) = compared(of_a_second, &config);
    assert!(worst(&expected, &got) < 1e-4 && !warned(&summary, "one second"));
    let close = scales(&summary).iter().zip([1.0, 0.1, 1.0, 0.1]).all(|(a, b)| (a - b).abs() < 1e-6);
    assert!(close, "{:?}", scales(&summary));
    config.input.zero_point_of = ZeroPointOf::Exposure;
    let (_, _, summary) = compared(of_a_second, &config);
    assert!(!warned(&summary, "one second"), "the user has said it");
}

#[test]
fn zero_points_that_differ_are_said_where_nothing_is_scaled() {
    let change = |i: usize, warp: &mut Warp| warp.set("MAGZERO", 27.0 + 0.1 * i as f64);
    let (_, _, summary) = compared(change, &iterative());
    assert!(warned(&summary, "differ by 0.300 mag"), "{:?}", summary.warnings);
    let change = |i: usize, warp: &mut Warp| warp.set("MAGZERO", 27.0 + 0.01 * i as f64);
    let (_, _, summary) = compared(change, &iterative());
    assert!(!warned(&summary, "zero points of the headers"));
}

#[test]
fn units_compare_by_meaning_and_input_unit_wins() {
    let spelling = ["adu", "ADU", "counts", "DN"];
    let change = |i: usize, warp: &mut Warp| warp.unit = Some(spelling[i].into());
    let (expected, got, summary) = compared(change, &iterative());
    assert!(worst(&expected, &got) < 1e-6);
    assert_eq!(summary.unit, "adu");
    let mut all = warps(&small_field(4));
    // The others are in electrons.
    all[2].unit = Some("adu".into());
    let bench = Bench::new(&all);
    let message = bench.failure(&iterative());
    assert!(message.contains("electron") && message.contains("adu"), "{message}");
    assert!(message.contains("warp_2.fits") && message.contains("input.unit"), "{message}");
    let mut config = iterative();
    config.input.unit = Some("electron".into());
    assert_eq!(bench.run(&config).unwrap().unit, "electron");
}

#[test]
fn pixels_that_are_no_flux_are_refused() {
    for unit in ["mag", "mag/arcsec2", "log10(adu)"] {
        let mut all = warps(&small_field(4));
        all.iter_mut().for_each(|warp| warp.unit = Some(unit.into()));
        let message = Bench::new(&all).failure(&iterative());
        assert!(
            message.contains("warp_0.fits") && message.contains(unit) && message.contains("flux"),
            "{message}"
        );
    }
}

#[test]
fn site_and_air_by_hand_win_over_the_header() {
    let bench = Bench::new(&warps(&small_field(4)));
    let mut config = iterative();
    let pressure = |summary: &Summary| summary.visits[0].weather.pressure_pa;
    config.input.pressure_hpa = Some(650.0);
    assert_eq!(pressure(&bench.run(&config).unwrap()), 65_000.0);
    config.input.site = Some(SiteConfig { elevation_m: Some(4000.0), ..SiteConfig::default() });
    bench.run_into("high", &config).unwrap();
    for (site, expected) in [
        (SiteConfig { latitude_deg: Some(10.0), ..SiteConfig::default() }, "longitude_deg"),
        (SiteConfig { elevation_m: Some(8737.0), ..SiteConfig::default() }, "5700"),
        (SiteConfig::default(), "input.site"),
    ] {
        config.input.site = Some(site);
        let message = config.validate().unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
    for (key, value) in [("pressure", 7440.0), ("temperature", 300.0), ("humidity", -1.0)] {
        let mut config = iterative();
        match key {
            "pressure" => config.input.pressure_hpa = Some(value),
            "temperature" => config.input.temperature_c = Some(value),
            _ => config.input.humidity_percent = Some(value),
        }
        assert!(config.validate().unwrap_err().to_string().contains(key), "{key}");
    }
}
