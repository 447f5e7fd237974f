//! What other programs make of our files: astropy, sep and photutils (by the Python that DCR_PYTHON names), and fitsverify.

use std::process::Command;

use crate::fixture::{Fixture, testdata, text};

/// The results of a run on the test field.
fn run() -> Fixture {
    let fixture = Fixture::new();
    let field = testdata("field");
    let ended = fixture.run(&["assemble", text(&field), "-o", "run", "--set", "output.input_map=true"]);
    assert!(ended.starts_with("exit code 0"), "{ended}");
    fixture
}

#[test]
#[expect(clippy::print_stderr, reason = "says why nothing was tested")]
fn files_open_in_python_and_hold_the_truth() {
    let Ok(python) = std::env::var("DCR_PYTHON") else {
        eprintln!("skipped: DCR_PYTHON names no Python with astropy");
        return;
    };
    let fixture = run();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/open_coadds.py");
    let output = Command::new(python)
        .args([script, text(&fixture.path("run")), text(&testdata("catalogue.csv"))])
        .output()
        .expect("Python");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    eprint!("{said}");
}

/// fitsverify knows the standard better than any reader.
#[test]
#[expect(clippy::print_stderr, reason = "says why nothing was tested")]
fn files_pass_fitsverify() {
    if Command::new("fitsverify").arg("-h").output().is_err() {
        eprintln!("skipped: fitsverify is not installed (Debian has it as fitsverify)");
        return;
    }
    let fixture = run();
    let warp = testdata("heldout");
    let heldout =
        std::fs::read_dir(&warp).expect("test data").next().expect("an exposure").expect("its name").path();
    let gzipped = ["--overwrite", "--set", "output.compression=gzip"];
    let field = testdata("field");
    let mut again = vec!["assemble", text(&field), "-o", "gzipped"];
    again.extend(gzipped);
    for arguments in [
        again,
        vec!["assemble", text(&field), "-o", "joint", "--set", "solver.method=joint"],
        vec!["template", "run", "-e", text(&heldout), "-o", "templates"],
        vec!["subtract", "run", "-e", text(&heldout), "-o", "differences"],
    ] {
        let ended = fixture.run(&arguments);
        assert!(ended.starts_with("exit code 0"), "{ended}");
    }
    let mut verified = 0;
    for folder in ["run", "gzipped", "joint", "templates", "differences"] {
        for name in fixture.files(folder).into_iter().filter(|name| name.ends_with(".fits")) {
            let output = Command::new("fitsverify")
                .arg(fixture.path(folder).join(&name))
                .output()
                .expect("fitsverify");
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(said.contains("0 warning(s) and 0 error(s)"), "{folder}/{name}: {said}");
            verified += 1;
        }
    }
    assert!(verified >= 18, "{verified} files");
}
