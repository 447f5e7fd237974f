//! The configuration as printed, and parsed again.

use crate::fixture::Fixture;

#[test]
fn config_default() {
    insta::assert_snapshot!(Fixture::new().run(&["config"]));
}

/// The changes of the preset; all other values are defaults.
#[test]
fn config_reference_differs_from_default() {
    let fixture = Fixture::new();
    let (ours, reference) = (fixture.run(&["config"]), fixture.run(&["config", "--preset", "reference"]));
    let changed: Vec<&str> =
        ours.lines().zip(reference.lines()).filter(|(a, b)| a != b).map(|(_, changed)| changed).collect();
    insta::assert_snapshot!(changed.join("\n"));
}

#[test]
fn config_is_read_back_exactly() {
    let fixture = Fixture::new();
    for preset in ["default", "reference"] {
        let printed = fixture.run(&["config", "--preset", preset]);
        let file = fixture
            .write("dcr.toml", printed.split_once("--- stdout\n").unwrap().1.replace("[VERSION]", "0"));
        assert_eq!(fixture.run(&["config", "--config", file.to_str().unwrap()]), printed);
    }
}

#[test]
fn config_precedence_is_preset_file_set() {
    let fixture = Fixture::new();
    fixture.write("dcr.toml", "[model]\nsubfilters = 4\nspectrum = \"smooth\"\n");
    let printed = fixture.run(&[
        "config",
        "--preset",
        "reference",
        "--config",
        "dcr.toml",
        "--set",
        "model.subfilters=5",
    ]);
    assert!(printed.contains("\nsubfilters = 5  # default: 3\n"), "{printed}");
    assert!(printed.contains("\nspectrum = \"smooth\"\n"), "{printed}");
    assert!(printed.contains("\nshift_rule = \"reference\"  # default: \"integrated\"\n"), "{printed}");
}
