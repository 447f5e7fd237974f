//! Error messages for bad input, one line each.

use crate::fixture::{Fixture, testdata, text, with_card};

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

/// Errors for warps with missing parts; each ends with the remedy.
#[test]
fn errors_of_headers() {
    type Damage = fn(Vec<u8>) -> Vec<u8>;
    let damages: [(&str, Damage); 5] = [
        ("no_variance", |warp| {
            let masked = with_card(warp, "EXTNAME = 'VARIANCE'", "EXTNAME = 'LEFTOVER'");
            with_card(masked, "EXTNAME = 'MASK    '", "EXTNAME = 'OTHER   '")
        }),
        ("no_wcs", |warp| with_card(warp, "CTYPE1  =", "WAS_TYPE=")),
        ("no_unit", |warp| with_card(warp, "BUNIT   =", "WAS_UNIT=")),
        ("no_band", |warp| with_card(with_card(warp, "EFFWAVE =", "WAS_WAVE="), "BANDWID =", "WAS_BAND=")),
        ("no_filter", |warp| {
            let warp = with_card(with_card(warp, "EFFWAVE =", "WAS_WAVE="), "BANDWID =", "WAS_BAND=");
            with_card(warp, "FILTER  =", "WAS_FILT=")
        }),
    ];
    for (name, damage) in damages {
        let fixture = Fixture::new();
        let warp = std::fs::read(testdata("field/warp_1003.fits")).expect("test data");
        fixture.write("warp.fits", damage(warp));
        insta::assert_snapshot!(name, fixture.run(&["assemble", "warp.fits", "-o", "out"]));
        assert!(fixture.files("out").is_empty(), "{name}");
    }
    let fixture = Fixture::new();
    let field = testdata("field");
    let misspelt = ["assemble", text(&field), "-o", "out", "--set", "band.name=lsst_g"];
    insta::assert_snapshot!("band_misspelt", fixture.run(&misspelt));
}

#[test]
fn errors_of_matched_warps() {
    let fixture = Fixture::new();
    let (field, one) = (testdata("field"), testdata("field/warp_1001.fits"));
    let given = ["assemble", text(&field), "--matched", text(&one), "-o", "out"];
    insta::assert_snapshot!("matched_of_one_visit", fixture.run(&given));
    let unused = [&given[..], &["--set", "artefacts.find=off"]].concat();
    insta::assert_snapshot!("matched_unused", fixture.run(&unused));
    assert!(fixture.files("out").is_empty());
}

/// An unknown mask plane would silently leave its pixels good.
#[test]
fn errors_of_mask_planes() {
    let fixture = Fixture::new();
    let field = testdata("field");
    let misspelt = "coadd.bad_mask_planes=[\"NO_DATA\", \"BAD\", \"SATT\"]";
    let shown = fixture.run(&["assemble", text(&field), "-o", "out", "--set", misspelt]);
    assert!(shown.starts_with("exit code 1\n"), "{shown}");
    assert!(
        shown
            .contains("error: coadd.bad_mask_planes names SATT, which no file's mask has; did you mean SAT?"),
        "{shown}"
    );
    assert!(fixture.files("out").is_empty());
}

#[test]
fn errors_of_outputs() {
    let fixture = Fixture::new();
    let field = testdata("field");
    fixture.write("file", "");
    insta::assert_snapshot!("output_is_a_file", fixture.run(&["assemble", text(&field), "-o", "file"]));
    let many = ["template", "coadds", "-e", text(&field), "-o", "one.fits"];
    insta::assert_snapshot!("output_is_one_file", fixture.run(&many));
    assert!(fixture.files("one.fits").is_empty());
}

#[cfg(unix)]
#[test]
fn errors_of_permissions() {
    use std::os::unix::fs::PermissionsExt;
    let fixture = Fixture::new();
    let file = fixture.copy("field/warp_1001.fits", "locked.fits", None);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o000)).expect("permissions");
    // Permissions do not bind the superuser; the program then runs as the user nobody.
    let shown = if std::fs::File::open(&file).is_ok() {
        fixture.run_as_nobody(&["inspect", "locked.fits"])
    } else {
        fixture.run(&["inspect", "locked.fits"])
    };
    insta::assert_snapshot!("locked", shown);
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
        ("set_wrong_kind", ["--set", "model.subfilters=3.5"]),
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
