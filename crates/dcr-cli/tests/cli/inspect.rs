//! `dcr inspect`: on the test data, and on real files whose angles are known.

use crate::fixture::{Fixture, testdata, text};

#[test]
fn inspect_table_of_the_test_field() {
    insta::assert_snapshot!(Fixture::new().run(&["inspect", text(&testdata("field"))]));
}

#[test]
fn inspect_without_leverage_warns() {
    let visit = testdata("field/warp_1004.fits");
    let other = testdata("field/warp_1006.fits");
    insta::assert_snapshot!(Fixture::new().run(&["inspect", text(&visit), text(&other)]));
}

#[test]
fn inspect_as_json_has_what_the_table_has() {
    let shown = Fixture::new().run(&["inspect", "--json", text(&testdata("field"))]);
    let json: serde_json::Value =
        serde_json::from_str(shown.split_once("--- stdout\n").unwrap().1).expect("JSON on stdout");
    assert_eq!(json["visits"].as_array().unwrap().len(), 10);
    let last = &json["visits"][9];
    assert_eq!(last["visit"], 1010);
    assert!((last["dispersion"]["px"].as_f64().unwrap() - 6.25).abs() < 0.01);
    assert!(json["leverage"]["tan_z"].as_f64().unwrap() > 1.0);
}

#[test]
fn inspect_goes_on_past_files_that_cannot_be_read() {
    let fixture = Fixture::new();
    fixture.write("text.fits", "no FITS at all");
    let shown = fixture.run(&["inspect", text(&testdata("field/warp_1001.fits")), "text.fits"]);
    assert!(shown.starts_with("exit code 3\n"), "{shown}");
    assert!(shown.contains("unreadable: text.fits: "), "{shown}");
    assert!(fixture.run(&["inspect", "text.fits"]).starts_with("exit code 1\n"));
}

/// A list of files from `*.fits` contains weights and PSFs beside the exposures.
#[test]
fn inspect_leaves_out_files_that_belong_to_exposures() {
    let fixture = Fixture::new();
    let names = ["a.fits", "a.noise.fits", "a.psf.fits", "a.weight.fits"];
    for name in names {
        fixture.copy("field/warp_1001.fits", name, None);
    }
    let pattern = ["--set", "input.masks={dir}/{stem}.noise.fits[MASK]"];
    let shown = fixture.run(&[&["inspect"][..], &names, &pattern].concat());
    let note = "note: 1 PSF file, 1 mask and 1 weight file among the paths belong to exposures and are not exposures\n";
    assert!(shown.starts_with("exit code 0\n") && shown.contains(note), "{shown}");
    assert!(shown.contains("\n1 visit"), "{shown}");
    assert!(!fixture.run(&[&["inspect", "-q"][..], &names, &pattern].concat()).contains("note: 1 PSF"));
}

mod needs_shared {
    use super::*;

    /// Altitudes and angles of FORMATS §6 are given to 0.1°.
    const PUBLISHED_DEG: f64 = 0.1;

    /// File (under realdata/), altitude at the start, parallactic angle at start and middle, and a
    /// required note.
    const KNOWN: [(&str, f64, f64, f64, &str); 2] = [
        ("afw/calexp_hsc_i.fits", 64.96, 37.63, 37.74, "dispersion corrector"),
        (
            "decam_cp_legacypipe/testcase6/images/decam/CP/V4.8.2a/CP20181103/c4d_181104_072440_ooi_g_ls9.S4.fits",
            30.32,
            -153.29,
            -153.55,
            "counts west",
        ),
    ];

    #[test]
    #[ignore = "needs the real files of ../shared"]
    fn inspect_real_files_shows_the_known_angles() {
        let realdata = testdata("../../shared/realdata");
        for (name, altitude, start, middle, said) in KNOWN {
            let file = realdata.join(name);
            let shown = Fixture::new().run(&["inspect", "--json", text(&file)]);
            let json: serde_json::Value =
                serde_json::from_str(shown.split_once("--- stdout\n").unwrap().1).expect("JSON on stdout");
            let visit = &json["visits"][0];
            let near = |place: &str, key: &str, known: f64| {
                let got = visit[place][key].as_f64().unwrap();
                assert!((got - known).abs() < PUBLISHED_DEG, "{name}: {place} {key} {got}, known {known}");
            };
            near("boresight_at_start", "altitude_deg", altitude);
            near("boresight_at_start", "parallactic_angle_deg", start);
            near("boresight", "parallactic_angle_deg", middle);
            assert!(shown.contains(said), "{name}: {shown}");
        }
    }

    /// Files with the varieties of headers found in practice.
    #[test]
    #[ignore = "needs the real and simulated files of ../shared"]
    fn inspect_reads_every_kind_of_file() {
        let shared = testdata("../../shared");
        let mut files = Vec::new();
        for folder in
            ["sim", "golden/run_small", "realdata/decam_cp_legacypipe", "realdata/mosaic_bok_cp_legacypipe"]
        {
            gather(&shared.join(folder), &mut files);
        }
        files.retain(|file| {
            let name = file.file_name().unwrap().to_string_lossy();
            let of_pipeline = name.contains("_ooi_") && !file.iter().any(|folder| folder == "calib");
            name.starts_with("warp_") || name.starts_with("noise2_") || of_pipeline
        });
        for folder in ["realdata/swarp_psfex", "realdata/lsst_images"] {
            files.push(shared.join(folder));
        }
        assert!(files.len() > 50, "{} files", files.len());
        let arguments: Vec<&str> =
            std::iter::once("inspect").chain(files.iter().map(|file| text(file))).collect();
        let shown = Fixture::new().run(&arguments);
        assert!(shown.starts_with("exit code 0\n"), "{shown}");
    }

    /// All files below a folder.
    fn gather(folder: &std::path::Path, files: &mut Vec<std::path::PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("a folder of ../shared") {
            let path = entry.unwrap().path();
            if path.is_dir() { gather(&path, files) } else { files.push(path) }
        }
        files.sort();
    }
}
