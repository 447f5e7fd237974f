//! What bad input says, in one line each.

use crate::fixture::{Fixture, testdata, text};

#[test]
fn errors_of_paths() {
    let fixture = Fixture::new();
    std::fs::create_dir(fixture.path("empty")).unwrap();
    insta::assert_snapshot!("missing_file", fixture.run(&["inspect", "nowhere.fits"]));
    insta::assert_snapshot!("unexpanded_glob", fixture.run(&["inspect", "nowhere/*.fits"]));
    insta::assert_snapshot!("empty_directory", fixture.run(&["inspect", "empty"]));
}

#[test]
fn errors_of_files() {
    let fixture = Fixture::new();
    fixture.write("text.fits", "no FITS at all");
    fixture.copy("field/warp_1001.fits", "short.fits", Some(20_000));
    insta::assert_snapshot!("not_fits", fixture.run(&["inspect", "text.fits"]));
    insta::assert_snapshot!("truncated", fixture.run(&["inspect", "short.fits"]));
}

#[test]
fn errors_of_settings() {
    let fixture = Fixture::new();
    fixture.write("typo.toml", "[model]\n# one letter too few\nsubfilter = 3\n");
    fixture.write("kind.toml", "[coadd]\nsubregion_size = 512\n");
    fixture.write("value.toml", "[solver]\n\nbase_gain = -1\n");
    fixture.write("table.toml", "[modle]\nsubfilters = 3\n");
    fixture.write("syntax.toml", "[model\n");
    for (name, arguments) in [
        ("unknown_setting", ["--config", "typo.toml"]),
        ("unknown_table", ["--config", "table.toml"]),
        ("wrong_kind", ["--config", "kind.toml"]),
        ("wrong_value", ["--config", "value.toml"]),
        ("no_toml", ["--config", "syntax.toml"]),
        ("no_configuration", ["--config", "nowhere.toml"]),
        ("set_without_value", ["--set", "model.subfilters"]),
        ("set_unknown", ["--set", "model.subfiltres=3"]),
        ("set_wrong_value", ["--set", "model.subfilters=0"]),
        ("set_joint_solver", ["--set", "solver.method=joint"]),
        ("set_curve_that_is_not_there", ["--set", "band.throughput=nowhere.dat"]),
        ("preset_unknown", ["--preset", "theirs"]),
    ] {
        insta::assert_snapshot!(name, fixture.run(&[&["config"][..], &arguments].concat()));
    }
}

#[test]
fn errors_of_settings_come_before_those_of_files() {
    let shown = Fixture::new().run(&["inspect", text(&testdata("nowhere")), "--set", "zebra.stripes=3"]);
    assert!(shown.starts_with("exit code 2\n"), "{shown}");
}
