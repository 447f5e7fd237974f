//! `dcr template` on other grids and `dcr subtract`, on the test field.

use crate::fixture::{Fixture, testdata, text, with_card};

/// Assembles the test field into a folder.
fn assemble(fixture: &Fixture, folder: &str, settings: &[&str]) {
    let field = testdata("field");
    let shown = fixture.run(&[&["assemble", text(&field), "-o", folder][..], settings].concat());
    assert!(shown.starts_with("exit code 0\n"), "{shown}");
}

#[test]
fn subtract_the_test_field() {
    let fixture = Fixture::new();
    assemble(&fixture, "coadds", &[]);
    let exposures = testdata("heldout");
    let shown = fixture.run(&["subtract", "coadds", "-e", text(&exposures), "-o", "differences"]);
    insta::assert_snapshot!("subtract", shown);
    insta::assert_snapshot!("subtract_files", fixture.files("differences").join("\n"));
    let table = std::fs::read_to_string(fixture.path("differences/residuals_5001.ecsv")).unwrap();
    assert!(table.starts_with("# %ECSV 1.0\n"), "{table}");
    let summary = std::fs::read_to_string(fixture.path("differences/summary.json")).unwrap();
    let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
    let count = |of: &str| summary[of]["detections"].as_u64().unwrap();
    assert!(count("plain") > 5 * count("matched").max(1), "{summary}");

    // Existing templates give the same result; repeating into the same folder needs permission.
    fixture.run(&["template", "coadds", "-e", text(&exposures), "-o", "templates"]);
    let given = ["subtract", "-t", "templates", "-e", text(&exposures), "-o", "differences"];
    insta::assert_snapshot!("subtract_into_results", fixture.run(&given));
    let again = fixture.run(&[&given[..], &["--overwrite", "--csv"]].concat());
    insta::assert_snapshot!("subtract_given_templates", again);
    assert!(fixture.files("differences").contains(&"residuals_5001.csv".to_owned()));
    assert!(!fixture.files("differences").contains(&"residuals_5001.ecsv".to_owned()));

    let matched = fixture.run(&["subtract", "coadds", "-e", text(&exposures), "-o", "matched", "--match"]);
    insta::assert_snapshot!("subtract_match", matched);
}

#[test]
fn subtract_and_template_say_what_is_wrong() {
    let fixture = Fixture::new();
    assemble(&fixture, "coadds", &[]);
    let exposure = testdata("heldout/warp_5001.fits");
    let other = testdata("field/warp_1001.fits");
    fixture.copy("heldout/warp_5001.fits", "adu.fits", None);
    let content = std::fs::read(fixture.path("adu.fits")).unwrap();
    fixture.write("adu.fits", with_card(content, "BUNIT   = 'electron'", "BUNIT   = 'adu     '"));
    fixture.run(&["template", "coadds", "-e", text(&other), "-o", "templates"]);
    for (name, arguments) in [
        ("subtract_nothing", vec!["-e", text(&exposure), "-o", "out"]),
        ("subtract_no_template", vec!["-t", "templates", "-e", text(&exposure), "-o", "out"]),
        ("subtract_other_unit", vec!["coadds", "-e", "adu.fits", "-o", "out"]),
        ("subtract_same_visit", vec!["coadds", "-e", text(&exposure), text(&exposure), "-o", "out"]),
        ("subtract_no_run", vec!["templates", "-e", text(&exposure), "-o", "out"]),
    ] {
        insta::assert_snapshot!(name, fixture.run(&[&["subtract"], &arguments[..]].concat()));
        assert!(fixture.files("out").is_empty(), "{name}");
    }

    // An exposure beside the coadd's pixels, and one elsewhere.
    let exposure = std::fs::read(exposure).unwrap();
    let moved = |ra: &str| {
        with_card(exposure.clone(), "CRVAL1  =                 53.0", &format!("CRVAL1  = {ra:>20}"))
    };
    fixture.write("beside.fits", moved("53.001"));
    fixture.write("elsewhere.fits", moved("54.0"));
    for name in ["beside", "elsewhere"] {
        let (file, out) = (format!("{name}.fits"), format!("template_{name}.fits"));
        let shown = fixture.run(&["template", "coadds", "-e", &file, "-o", &out]);
        insta::assert_snapshot!(format!("template_{name}"), shown);
    }
    assemble(&fixture, "five", &["--set", "model.subfilters=5"]);
    let shown = fixture.run(&["template", "coadds", "five", "-e", "beside.fits", "-o", "out"]);
    insta::assert_snapshot!("template_of_patches_that_disagree", shown);
    assert!(fixture.files("out").is_empty());
}
