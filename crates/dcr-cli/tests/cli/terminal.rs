//! Control sequences in headers and file names must not reach a terminal.

use std::process::{Command, Stdio};

use crate::fixture::{Fixture, testdata, with_card};

/// A title, a cleared screen, a line that is overwritten or made up, reversed text, and C1
/// controls.
const SEQUENCES: [&str; 7] =
    ["\u{1b}]0;t\u{7}", "\u{1b}[2J", "a\rb", "a\nerror: b", "r\u{202e}l", "\u{9b}2J", "\u{200b}\u{7f}"];

/// Output of a run on both streams, unmodified.
fn written(fixture: &Fixture, arguments: &[&str]) -> (String, String) {
    let output = Command::new(assert_cmd::cargo::cargo_bin("dcr"))
        .current_dir(fixture.path("."))
        .args(arguments)
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .output()
        .expect("an end");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (text(output.stdout), text(output.stderr))
}

fn assert_harmless(text: &str, about: &str) {
    let obeyed = |c: char| c != '\n' && (c.is_control() || ['\u{202e}', '\u{200b}', '\u{2066}'].contains(&c));
    assert!(!text.contains(obeyed), "{about}: {text:?}");
    assert!(!text.lines().skip(1).any(|line| line == "error: b"), "{about}: a line of its own: {text:?}");
}

#[test]
fn header_strings_are_shown_and_not_obeyed() {
    for sequence in SEQUENCES {
        let fixture = Fixture::new();
        // Non-ASCII bytes of a card appear as converted by the reader.
        let bytes = sequence.len();
        let card = |key: &str, value: &str| format!("{key:<8}= '{value}{}'", " ".repeat(20 - bytes));
        let change = |warp: Vec<u8>, key: &str| {
            let from = warp.windows(8).position(|w| w == format!("{key:<8}").as_bytes()).expect("the card");
            let mut warp = warp;
            let line = format!("{:<80}", card(key, sequence));
            warp[from..from + 80].copy_from_slice(&line.as_bytes()[..80]);
            warp
        };
        fixture.field("warps", |_, warp| change(change(warp, "FILTER"), "BUNIT"));
        for arguments in [
            &["inspect", "warps"][..],
            &["inspect", "warps", "--json"],
            &["assemble", "warps", "-o", "out", "-v"],
            &["assemble", "warps", "-o", "out2", "--log-format", "json"],
        ] {
            let (stdout, stderr) = written(&fixture, arguments);
            assert_harmless(&stdout, &format!("{sequence:?}, {arguments:?}, stdout"));
            assert_harmless(&stderr, &format!("{sequence:?}, {arguments:?}, stderr"));
        }
    }
}

#[test]
fn file_names_are_shown_and_not_obeyed() {
    for sequence in SEQUENCES.iter().filter(|sequence| !sequence.contains('/')) {
        let fixture = Fixture::new();
        let name = format!("{sequence} 1001.fits");
        fixture.copy("field/warp_1001.fits", &name, None);
        let short = format!("{sequence} 7.fits");
        fixture.copy("field/warp_1001.fits", &short, Some(20_000));
        let (name, short) = (name.as_str(), short.as_str());
        for arguments in [
            &["inspect", name][..],
            &["inspect", name, "--json"],
            &["inspect", short],
            &["assemble", short, "-o", "out"],
            &["assemble", short, "-o", "out", "--log-format", "json"],
            &["report", name],
            &["template", name, "-e", name, "-o", "out"],
        ] {
            let (stdout, stderr) = written(&fixture, arguments);
            assert_harmless(&stdout, &format!("{sequence:?}, {arguments:?}, stdout"));
            assert_harmless(&stderr, &format!("{sequence:?}, {arguments:?}, stderr"));
            assert!(!(stdout + &stderr).is_empty());
        }
    }
}

/// If stderr is closed, the run ends as usual.
#[cfg(unix)]
#[test]
fn closed_or_full_streams_are_no_crash() {
    let fixture = Fixture::new();
    let dcr = assert_cmd::cargo::cargo_bin("dcr");
    let field = testdata("field");
    for (redirect, code) in [(">/dev/full 2>/dev/full", 1), ("2>/dev/full", 0), ("2>&-", 0)] {
        let script = format!(
            "{} assemble {} -o {} -vv --overwrite {redirect}",
            dcr.display(),
            field.display(),
            fixture.path("coadds").display()
        );
        let status =
            Command::new("sh").args(["-c", &script]).stdout(Stdio::null()).status().expect("a shell");
        assert_eq!(status.code(), Some(code), "{redirect}");
        assert!(fixture.path("coadds/summary.json").exists());
    }
}

/// An error names the value of the card that makes another HDU unreadable.
#[test]
fn error_of_a_header_is_one_line() {
    let fixture = Fixture::new();
    let warp = std::fs::read(testdata("field/warp_1001.fits")).expect("test data");
    let warp = with_card(warp, "EXTNAME = 'VARIANCE'", "EXTNAME = 'VA\u{1b}[2JCE'");
    let warp = with_card(warp, "EXTNAME = 'MASK    '", "EXTNAME = 'M\r\n\u{7}    '");
    fixture.write("warp_1001.fits", warp);
    let (_, stderr) = written(&fixture, &["assemble", "warp_1001.fits", "-o", "out"]);
    assert_harmless(&stderr, "stderr");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}
