//! Output files read by other programs: astropy, sep and photutils (with the Python of DCR_PYTHON),
//! and fitsverify.

use std::process::Command;

use crate::fixture::{Fixture, testdata, text};

const METHODS: [&str; 2] = ["iterative", "joint"];

/// Results of runs on the test field by both solvers, in folders with their names.
fn run() -> Fixture {
    let fixture = Fixture::new();
    let field = testdata("field");
    for name in METHODS {
        let method = format!("solver.method={name}");
        let set = ["--set", &method, "--set", "output.input_map=true"];
        let ended = fixture.run(&[&["assemble", text(&field), "-o", name], &set[..]].concat());
        assert!(ended.starts_with("exit code 0"), "{ended}");
    }
    fixture
}

mod needs_python {
    use super::*;

    #[test]
    #[ignore = "needs Python with astropy, sep and photutils: set DCR_PYTHON"]
    #[expect(clippy::print_stderr, reason = "shows what Python measured")]
    fn files_open_in_python_and_hold_the_truth() {
        let python = std::env::var("DCR_PYTHON").expect("DCR_PYTHON names a Python with astropy");
        let fixture = run();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/open_coadds.py");
        for name in METHODS {
            let output = Command::new(&python)
                .args([script, text(&fixture.path(name)), text(&testdata("catalogue.csv"))])
                .output()
                .expect("Python");
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{name}: {said}{}", String::from_utf8_lossy(&output.stderr));
            eprint!("{said}");
        }
    }
}

mod needs_fitsverify {
    use super::*;

    /// fitsverify is stricter than any reader.
    #[test]
    #[ignore = "needs the program fitsverify"]
    fn files_pass_fitsverify() {
        let fixture = run();
        let warp = testdata("heldout");
        let heldout = std::fs::read_dir(&warp)
            .expect("test data")
            .next()
            .expect("an exposure")
            .expect("its name")
            .path();
        let gzipped = ["--overwrite", "--set", "output.compression=gzip"];
        let field = testdata("field");
        let mut again = vec!["assemble", text(&field), "-o", "gzipped"];
        again.extend(gzipped);
        for arguments in [
            again,
            vec!["template", "joint", "-e", text(&heldout), "-o", "templates"],
            vec!["subtract", "iterative", "-e", text(&heldout), "-o", "differences"],
        ] {
            let ended = fixture.run(&arguments);
            assert!(ended.starts_with("exit code 0"), "{ended}");
        }
        let mut verified = 0;
        for folder in ["iterative", "joint", "gzipped", "templates", "differences"] {
            for name in fixture.files(folder).into_iter().filter(|name| name.ends_with(".fits")) {
                let output = Command::new("fitsverify")
                    .arg(fixture.path(folder).join(&name))
                    .output()
                    .expect("fitsverify (Debian has it as fitsverify)");
                let said = String::from_utf8_lossy(&output.stdout).into_owned();
                assert!(said.contains("0 warning(s) and 0 error(s)"), "{folder}/{name}: {said}");
                verified += 1;
            }
        }
        assert!(verified >= 18, "{verified} files");
    }
}
