//! `dcr assemble` and `dcr template` on the test field, whole and damaged.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::fixture::{Fixture, testdata, text, with_card, without_pixels};

#[test]
fn assemble_and_template_the_test_field() {
    let fixture = Fixture::new();
    let field = testdata("field");
    insta::assert_snapshot!("assemble", fixture.run(&["assemble", text(&field), "-o", "coadds"]));
    let files = fixture.files("coadds");
    assert_eq!(
        files,
        [
            "coadd.fits",
            "model.fits",
            "plain.fits",
            "subfilter_0.fits",
            "subfilter_1.fits",
            "subfilter_2.fits",
            "summary.json"
        ]
    );
    let summary = std::fs::read_to_string(fixture.path("coadds/summary.json")).unwrap();
    let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
    assert_eq!(summary["visits"].as_array().unwrap().len(), 10);

    let exposures = testdata("heldout");
    let shown = fixture.run(&["template", "coadds", "-e", text(&exposures), "-o", "templates"]);
    insta::assert_snapshot!("template", shown);
    assert!(!fixture.files("templates").is_empty());

    // A second run into the same folder is refused, and leaves it unchanged.
    insta::assert_snapshot!("output_not_empty", fixture.run(&["assemble", text(&field), "-o", "coadds"]));
    assert_eq!(fixture.files("coadds"), files);
    let again = fixture.run(&["assemble", text(&field), "-o", "coadds", "--overwrite"]);
    assert!(again.starts_with("exit code 0\n"), "{again}");
}

/// Errors for damaged warps. No run leaves files behind.
#[test]
fn assemble_refuses_warps_that_do_not_belong_together() {
    type Damage = fn(Vec<u8>) -> Vec<u8>;
    let damages: [(&str, Damage); 5] = [
        ("same_visit", |warp| {
            with_card(warp, "VISIT   =                 1003", "VISIT   =                 1002")
        }),
        ("other_grid", |warp| {
            with_card(warp, "CRVAL1  =                 53.0", "CRVAL1  =                 53.1")
        }),
        ("other_unit", |warp| with_card(warp, "BUNIT   = 'electron'", "BUNIT   = 'adu     '")),
        ("other_filter", |warp| with_card(warp, "FILTER  = 'g       '", "FILTER  = 'r       '")),
        ("altitude_disagrees", |warp| {
            with_card(warp, "54.911584042 / [deg] refr", "44.911584042 / [deg] refr")
        }),
    ];
    for (name, damage) in damages {
        let fixture = Fixture::new();
        fixture.field("warps", |visit, warp| if visit == 1003 { damage(warp) } else { warp });
        insta::assert_snapshot!(name, fixture.run(&["assemble", "warps", "-o", "coadds"]));
        assert!(fixture.files("coadds").is_empty(), "{name}");
    }
}

#[test]
fn assemble_drops_a_warp_without_pixels() {
    let fixture = Fixture::new();
    fixture.field("warps", |visit, warp| if visit == 1003 { without_pixels(warp) } else { warp });
    insta::assert_snapshot!(fixture.run(&["assemble", "warps", "-o", "coadds"]));
}

#[test]
fn assemble_refuses_a_truncated_warp() {
    let fixture = Fixture::new();
    fixture.field("warps", |visit, warp| if visit == 1003 { warp[..20_000].to_vec() } else { warp });
    insta::assert_snapshot!(fixture.run(&["assemble", "warps", "-o", "coadds"]));
    assert!(fixture.files("coadds").is_empty());
}

#[test]
fn template_needs_the_results_of_a_run() {
    let fixture = Fixture::new();
    std::fs::create_dir(fixture.path("empty")).unwrap();
    let exposure = testdata("field/warp_1001.fits");
    insta::assert_snapshot!(fixture.run(&["template", "empty", "-e", text(&exposure), "-o", "out"]));
    assert!(fixture.files("out").is_empty());
}

/// A file-size limit acts like a full disk: the write fails.
#[cfg(unix)]
#[test]
fn assemble_on_a_full_disk_leaves_nothing() {
    let fixture = Fixture::new();
    let dcr = assert_cmd::cargo::cargo_bin("dcr");
    let script = format!(
        "trap '' XFSZ; ulimit -f 40; exec {} assemble {} -o {}",
        dcr.display(),
        testdata("field").display(),
        fixture.path("coadds").display()
    );
    let output = Command::new("sh").args(["-c", &script]).output().expect("a shell");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.starts_with("error: ") && said.lines().count() == 1, "{said}");
    assert!(fixture.files("coadds").is_empty(), "{:?}", fixture.files("coadds"));
}

#[cfg(unix)]
#[test]
fn assemble_interrupted_leaves_nothing() {
    let fixture = Fixture::new();
    let mut run = Command::new(assert_cmd::cargo::cargo_bin("dcr"))
        .args(["assemble", text(&testdata("field")), "-o", text(&fixture.path("coadds"))])
        .args(["--set", "solver.min_iterations=100000", "--set", "solver.max_iterations=100000"])
        .args(["--set", "solver.use_convergence=false"])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("a run");
    // Late enough for the run to have started; it would take minutes to finish.
    std::thread::sleep(Duration::from_millis(1500));
    let asked = Command::new("kill").args(["-INT", &run.id().to_string()]).status().expect("kill");
    assert!(asked.success());
    let status = run.wait().expect("an end");
    assert_eq!(status.code(), Some(130));
    assert!(fixture.files("coadds").is_empty(), "{:?}", fixture.files("coadds"));
}
