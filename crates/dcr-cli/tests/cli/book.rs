//! The book: its marked commands are run, and its page of settings is that of the program.
//!
//! Blocks marked with `<!-- run -->` are run in page order, in a folder with the test data: lines
//! that begin with `$ ` by a shell, Python blocks by the Python of DCR_PYTHON. The output must
//! contain the lines of the block in order, up to numbers, which depend on the solver; `…` matches
//! any lines.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::fixture::{Fixture, testdata};

/// Marker of a block that is run.
const RUN: &str = "<!-- run -->";
/// Placeholder for any lines.
const ANY_LINES: &str = "…";

fn pages() -> Vec<PathBuf> {
    let folder = testdata("../docs/book/src");
    let entries = std::fs::read_dir(&folder).expect("the book");
    let mut pages: Vec<PathBuf> = entries.map(|entry| entry.expect("a page").path()).collect();
    pages.sort();
    pages
}

/// Language and text of each marked block of a page.
fn marked_blocks(page: &str) -> Vec<(String, String)> {
    let block = |after: &str| {
        let (language, rest) = after.trim_start().strip_prefix("```")?.split_once('\n')?;
        Some((language.trim().to_owned(), rest.split_once("\n```")?.0.to_owned()))
    };
    page.split(RUN).skip(1).map(|after| block(after).expect("a block after its mark")).collect()
}

/// Runs the marked blocks of a page in order, Python blocks only if a Python is given; returns
/// their number.
#[cfg(unix)]
fn run_page(page: &Path, text: &str, python: Option<&str>) -> usize {
    let fixture = Fixture::new();
    std::os::unix::fs::symlink(testdata(""), fixture.path("testdata")).expect("a link");
    let name = page.file_name().unwrap_or_default().display().to_string();
    let mut run = 0;
    for (language, block) in marked_blocks(text) {
        match (language.as_str(), python) {
            ("console", _) => session(&fixture, &block, &name),
            ("python", Some(python)) => {
                let output = Command::new(python).args(["-c", &block]).current_dir(fixture.path("")).output();
                let output = output.expect("Python");
                assert!(output.status.success(), "{name}: {block}\n{output:?}");
            }
            ("python", None) => continue,
            (other, _) => panic!("{name}: nothing runs blocks of {other:?}"),
        }
        run += 1;
    }
    run
}

#[cfg(unix)]
#[test]
fn book_runs_as_it_says() {
    let text = |page: &Path| std::fs::read_to_string(page).expect("a page");
    let run: usize = pages().iter().map(|page| run_page(page, &text(page), None)).sum();
    assert!(run > 5, "the book has blocks to run");
}

#[cfg(unix)]
mod needs_python {
    use super::*;

    #[test]
    #[ignore = "needs Python with astropy: set DCR_PYTHON"]
    fn book_runs_its_python() {
        let python = std::env::var("DCR_PYTHON").expect("DCR_PYTHON names a Python with astropy");
        let mut run = 0;
        for page in pages() {
            let text = std::fs::read_to_string(&page).expect("a page");
            if marked_blocks(&text).iter().any(|(language, _)| language == "python") {
                run += run_page(&page, &text, Some(&python));
            }
        }
        assert!(run > 0, "the book has blocks of Python");
    }
}

/// Runs the commands of a block and compares their output with the block.
fn session(fixture: &Fixture, block: &str, page: &str) {
    let mut commands = block.split("$ ").skip(1);
    assert!(block.starts_with("$ "), "{page}: a session begins with a command");
    commands.by_ref().for_each(|part| {
        let (command, shown) = part.split_once('\n').unwrap_or((part, ""));
        let program = assert_cmd::cargo::cargo_bin("dcr");
        let folder = program.parent().expect("a folder").display().to_string();
        let path = std::env::var("PATH").unwrap_or_default();
        let output = Command::new("sh")
            .args(["-c", command])
            .env("PATH", format!("{folder}:{path}"))
            .env_remove("RUST_LOG")
            .env("NO_COLOR", "1")
            .current_dir(fixture.path(""))
            .output()
            .expect("a shell");
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{page}: {command}\n{output:?}");
        if let Err(missing) = shows(&printed, shown) {
            panic!(
                "{page}: $ {command}\nshows a line that is not printed: {missing}\nprinted is:\n{printed}"
            );
        }
    });
}

/// Whether `printed` has the lines of `shown`, up to numbers; the error is the first missing line.
fn shows(printed: &str, shown: &str) -> Result<(), String> {
    let mut lines = printed.lines().map(without_numbers);
    let mut skipping = false;
    for line in shown.lines() {
        if line == ANY_LINES {
            skipping = true;
            continue;
        }
        let wanted = without_numbers(line);
        let found = if skipping { lines.any(|line| line == wanted) } else { lines.next() == Some(wanted) };
        if !found {
            return Err(line.to_owned());
        }
        skipping = false;
    }
    if skipping || shown.is_empty() { Ok(()) } else { lines.next().map_or(Ok(()), Err) }
}

/// Words, with numbers and run identifiers replaced by `#`.
fn without_numbers(line: &str) -> String {
    let word = |word: &str| {
        let numeric = word.chars().any(|c| c.is_ascii_digit());
        if numeric && !word.contains(['/', '=']) { "#".to_owned() } else { word.to_owned() }
    };
    line.split_whitespace().map(word).collect::<Vec<_>>().join(" ")
}

#[test]
fn book_page_of_settings_is_in_step() {
    let shown = Fixture::new().run(&["config", "--markdown"]);
    let printed = shown.split_once("--- stdout\n").expect("a page").1;
    let path: &Path = &testdata("../docs/book/src/settings.md");
    let page = std::fs::read_to_string(path).expect("the page");
    assert!(
        page == printed,
        "docs/book/src/settings.md is not what `dcr config --markdown` prints; write it anew"
    );
}

#[test]
fn shown_lines_are_compared_up_to_numbers() {
    let printed = "a 1\nb 2.5 px\nc\n";
    for shown in ["a 7\nb 3 px\nc", "…\nc", "a 1\n…", "", "…\nb 9 px\n…"] {
        assert_eq!(shows(printed, shown), Ok(()), "{shown}");
    }
    for shown in ["a 7", "b 1 px\n…", "…\nd", "a 1\nc\n…"] {
        assert!(shows(printed, shown).is_err(), "{shown}");
    }
}
