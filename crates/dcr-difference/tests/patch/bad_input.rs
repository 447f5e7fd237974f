//! Input that cannot be coadded, and what is said of it.

use dcr_coadd::config::OnDisagreement;
use dcr_coadd::{CoaddError, Monitor, Outcome, Unmonitored, assemble};
use dcr_image::{BBox, MaskPlanes};
use dcr_sim::Field;

use crate::field::{Bench, Warp, iterative, small_field, warps, wcs};

fn four() -> Vec<Warp> {
    warps(&small_field(4))
}

/// What is said when the third of four warps is changed.
fn message(change: impl FnOnce(&mut Warp)) -> String {
    let mut warps = four();
    change(&mut warps[2]);
    Bench::new(&warps).failure(&iterative())
}

#[test]
fn bad_warps_none_at_all() {
    let bench = Bench::new(&[]);
    assert!(bench.failure(&iterative()).contains("no exposures were given"));
}

#[test]
fn bad_grid_of_another_size() {
    let message = message(|warp| {
        warp.pixels = warp.pixels.sub_image(BBox::new(0, 0, 100, 90)).unwrap();
    });
    let expected =
        "/warp_2.fits: its grid is not that of /warp_0.fits: it covers the pixels [0:100, 0:90] (100 × 90)";
    assert!(message.starts_with(expected), "{message}");
}

#[test]
fn bad_grid_moved_on_the_sky_tells_by_how_much() {
    let message = message(|warp| warp.wcs = wcs(&Field::draw(&small_field(4)).unwrap(), 0.25));
    assert!(message.contains("/warp_2.fits") && message.contains("up to 0.250 px away"), "{message}");
    // A hundredth of a pixel and less is one grid.
    let mut warps = four();
    warps[2].wcs = wcs(&Field::draw(&small_field(4)).unwrap(), 0.005);
    assert!(Bench::new(&warps).run(&iterative()).is_ok());
}

#[test]
fn bad_unit_missing_or_other() {
    let message_of_other = message(|warp| warp.unit = Some("adu".into()));
    assert!(
        message_of_other.contains(r#"BUNIT is "adu", but /warp_0.fits has "electron""#),
        "{message_of_other}"
    );
    let message_of_none = message(|warp| warp.unit = None);
    assert!(
        message_of_none.contains("/warp_2.fits: the header has no unit (card BUNIT)"),
        "{message_of_none}"
    );
}

#[test]
fn bad_visit_number_twice() {
    let message = message(|warp| warp.set("VISIT", 1001_i64));
    assert!(
        message.starts_with("/warp_0.fits and /warp_2.fits both have the visit number 1001"),
        "{message}"
    );
}

#[test]
fn bad_filter_among_warps_or_against_the_band() {
    let other = message(|warp| warp.set("FILTER", "r"));
    assert!(other.contains(r#"/warp_2.fits: the filter is "r", but /warp_0.fits has "g""#), "{other}");
    let mut config = iterative();
    config.band.name = Some("lsst-r".into());
    let against = Bench::new(&four()).failure(&config);
    assert!(against.contains(r#"the filter is "g", but band.name is "lsst-r""#), "{against}");
}

#[test]
fn bad_altitude_contradicts_the_time() {
    let message = message(|warp| warp.set("BORE-ALT", 30.0));
    assert!(message.contains("/warp_2.fits") && message.contains("altitude 30.00°"), "{message}");
    assert!(message.contains("input.geometry"), "{message}");
    let mut warps = four();
    warps[2].set("BORE-ALT", 30.0);
    let mut config = iterative();
    config.input.on_disagreement = OnDisagreement::Warn;
    let summary = Bench::new(&warps).run(&config).unwrap();
    assert!(summary.warnings.iter().any(|w| w.subject == "visit 1003" && w.text.contains("30.00°")));
}

#[test]
fn bad_file_truncated_or_no_fits() {
    let bench = Bench::new(&four());
    std::fs::write(&bench.warps[1], b"not a FITS file").unwrap();
    assert!(bench.failure(&iterative()).contains("/warp_1.fits"));
    let bytes = std::fs::read(&bench.warps[0]).unwrap();
    std::fs::write(&bench.warps[1], &bytes[..bytes.len() / 3]).unwrap();
    assert!(bench.failure(&iterative()).contains("/warp_1.fits"));
}

#[test]
fn bad_zenith_that_nobody_tells() {
    let message = message(|warp| {
        for keyword in ["ERA", "BORE-ALT", "BORE-AIRMASS"] {
            warp.header = warp.header.iter().filter(|card| card.keyword != keyword).cloned().collect();
        }
    });
    assert!(message.contains("/warp_2.fits: cannot determine the zenith"), "{message}");
    assert!(message.contains("input.geometry"), "{message}");
}

#[test]
fn dropped_if_all_nan_or_masked_or_without_variance() {
    for spoil in [
        (|warp| warp.pixels.image.fill(f32::NAN)) as fn(&mut Warp),
        |warp| warp.pixels.mask.fill(warp.planes.bits_of(["SAT"])),
        |warp| warp.pixels.variance.fill(0.0),
        |warp| warp.pixels.variance.fill(-1.0),
    ] {
        let mut warps = four();
        spoil(&mut warps[2]);
        let summary = Bench::new(&warps).run(&iterative()).unwrap();
        assert_eq!(summary.outcome, Outcome::DoneWithRemarks);
        assert_eq!((summary.visits.len(), summary.dropped.len()), (3, 1));
        assert!(summary.remarks[0].contains("visit 1003") && summary.remarks[0].contains("dropped"));
    }
}

#[test]
fn dropped_all_is_an_error() {
    let mut warps = four();
    warps.iter_mut().for_each(|warp| warp.pixels.image.fill(f32::NAN));
    let message = Bench::new(&warps).failure(&iterative());
    assert!(message.contains("none of the 4 warps has a usable pixel"), "{message}");
}

/// Masks mean the same whatever their bits.
#[test]
fn mask_dictionaries_may_differ() {
    let mut plain = four();
    let (sat, cr) = (plain[1].planes.bits_of(["SAT"]), plain[1].planes.bits_of(["CR"]));
    plain[1].pixels.mask[[40, 50]] |= sat;
    plain[1].pixels.mask[[41, 50]] |= cr;
    let mut other = plain.clone();
    let mut planes = MaskPlanes::new();
    for (bit, (name, _)) in (0..).zip(plain[1].planes.iter().collect::<Vec<_>>().into_iter().rev()) {
        planes.insert_at(name, bit).unwrap();
    }
    dcr_image::remap(&mut other[1].pixels.mask, &plain[1].planes, &planes).unwrap();
    other[1].planes = planes;
    let (a, b) = (Bench::new(&plain), Bench::new(&other));
    a.run(&iterative()).unwrap();
    b.run(&iterative()).unwrap();
    for (a, b) in a.subfilters("run", 3).iter().zip(b.subfilters("run", 3)) {
        assert_eq!((&a.image, &a.mask), (&b.image, &b.mask));
    }
}

#[test]
fn output_that_is_not_empty_is_left_alone() {
    let bench = Bench::new(&four());
    std::fs::create_dir(bench.path("run")).unwrap();
    std::fs::write(bench.path("run/notes.txt"), "mine").unwrap();
    let error = bench.run(&iterative()).unwrap_err().to_string();
    assert!(error.contains("notes.txt"), "{error}");
    assert_eq!(std::fs::read_dir(bench.path("run")).unwrap().count(), 1);
    let request = dcr_coadd::AssembleRequest { overwrite: true, ..bench.request("run") };
    let summary = assemble(&request, &iterative(), &Unmonitored).unwrap();
    assert!(summary.files.iter().all(|file| file.exists()));
    assert_eq!(std::fs::read_dir(bench.path("run")).unwrap().count(), 1 + summary.files.len());
}

/// Asks to stop when so many steps have been done.
struct StopAfter {
    steps: usize,
    done: std::sync::atomic::AtomicUsize,
}

impl Monitor for StopAfter {
    fn advance(&self, _steps: u64, _message: &str) {
        self.done.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }

    fn cancelled(&self) -> bool {
        self.done.load(std::sync::atomic::Ordering::Relaxed) >= self.steps
    }
}

#[test]
fn stopped_at_any_time_leaves_nothing() {
    let bench = Bench::new(&four());
    // While opening, while solving, while writing.
    for steps in [0, 3, 6, 9, 14] {
        let monitor = StopAfter { steps, done: 0.into() };
        let result = assemble(&bench.request("run"), &iterative(), &monitor);
        assert!(matches!(result, Err(CoaddError::Cancelled)), "{steps}: {result:?}");
        assert!(!bench.path("run").exists());
    }
}
