//! `cargo xtask snapshots`: review, update and prune insta snapshots.
//!
//! A failing snapshot assertion leaves a file `NAME.snap.new` beside `NAME.snap`. A snapshot is
//! referenced if a source file beside its folder has an assertion of that name. A name is a string
//! of the source, a `format!` pattern, or that of the function for an assertion without one.

mod references;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use similar::TextDiff;

use crate::workspace::files_with_extension;
use references::References;

/// Extensions of accepted and pending snapshots.
const SNAPSHOT: &str = "snap";
const PENDING: &str = "new";

/// Action on snapshots.
#[derive(Subcommand)]
pub(crate) enum Action {
    /// Print the difference between each pending snapshot and the accepted one.
    Review,
    /// Accept all pending snapshots; with arguments, run `cargo test ARGUMENTS` and accept what it
    /// yields.
    Update {
        /// Arguments of `cargo test`, e.g. `-p dcr-cli --test cli help`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Delete snapshots that no test refers to.
    Prune,
}

/// Carries out one action in the repository at `root`.
#[expect(clippy::print_stdout, reason = "the differences are what the command is for")]
pub(crate) fn run(root: &Path, action: &Action) -> Result<()> {
    match action {
        Action::Review => println!("{}", review(root)?),
        Action::Update { arguments } if arguments.is_empty() => {
            for snapshot in accept(root)? {
                println!("accepted {}", snapshot.display());
            }
        }
        Action::Update { arguments } => {
            let status = Command::new("cargo")
                .arg("test")
                .args(arguments)
                .env("INSTA_UPDATE", "always")
                .current_dir(root)
                .status()
                .context("cargo test")?;
            if !status.success() {
                bail!("cargo test {} failed; snapshots are updated", arguments.join(" "));
            }
        }
        Action::Prune => {
            for snapshot in unreferenced(root)? {
                fs::remove_file(root.join(&snapshot))?;
                println!("removed {}", snapshot.display());
            }
        }
    }
    Ok(())
}

/// Differences of all pending snapshots as one text.
fn review(root: &Path) -> Result<String> {
    let mut out = vec![];
    for pending in pending(root)? {
        let accepted = pending.with_extension("");
        let old = if accepted.is_file() { body(&accepted)? } else { String::new() };
        let new = body(&pending)?;
        let name = accepted.strip_prefix(root)?.display().to_string();
        let diff = TextDiff::from_lines(&old, &new);
        out.push(diff.unified_diff().header(&name, "pending").to_string());
    }
    if out.is_empty() {
        out.push("No pending snapshots.".into());
    }
    Ok(out.join("\n"))
}

/// Renames pending snapshots to accepted ones, and returns those.
fn accept(root: &Path) -> Result<Vec<PathBuf>> {
    let mut out = vec![];
    for pending in pending(root)? {
        let accepted = pending.with_extension("");
        let text = read(&pending)?;
        // Accepted snapshots do not record the line of the assertion.
        let kept: String =
            text.split_inclusive('\n').filter(|line| !line.starts_with("assertion_line: ")).collect();
        fs::write(&accepted, kept).with_context(|| accepted.display().to_string())?;
        fs::remove_file(&pending).with_context(|| pending.display().to_string())?;
        out.push(accepted.strip_prefix(root)?.to_owned());
    }
    Ok(out)
}

/// Snapshots that no test refers to, relative to `root`.
pub(crate) fn unreferenced(root: &Path) -> Result<Vec<PathBuf>> {
    let mut out = vec![];
    for path in files_with_extension(root, SNAPSHOT)? {
        let Some(folder) = path.parent().and_then(Path::parent) else { continue };
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let mut is_referenced = false;
        for entry in fs::read_dir(folder)? {
            let source = entry?.path();
            if source.extension().is_some_and(|e| e == "rs") && may_hold(&source, &stem) {
                is_referenced |= References::of(&read(&source)?)
                    .with_context(|| source.display().to_string())?
                    .include(&stem);
            }
        }
        if !is_referenced {
            out.push(path.strip_prefix(root)?.to_owned());
        }
    }
    Ok(out)
}

/// Whether a snapshot name, `crate__module__name`, can come from a source file.
fn may_hold(source: &Path, stem: &str) -> bool {
    let module = source.file_stem().unwrap_or_default().to_string_lossy();
    matches!(&*module, "lib" | "main" | "mod") || stem.split("__").any(|part| part == module)
}

fn pending(root: &Path) -> Result<Vec<PathBuf>> {
    let mut out = files_with_extension(root, PENDING)?;
    out.retain(|path| path.with_extension("").extension().is_some_and(|e| e == SNAPSHOT));
    Ok(out)
}

/// The content of a snapshot without its header between two lines `---`.
fn body(path: &Path) -> Result<String> {
    let text = read(path)?;
    let after = text.strip_prefix("---\n").and_then(|rest| rest.split_once("\n---\n"));
    Ok(after.map_or(text.clone(), |(_, body)| body.to_owned()))
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A repository with one crate, one test file and these snapshots of it.
    fn repository(test: &str, snapshots: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let tests = root.path().join("crates/sample/tests");
        fs::create_dir_all(tests.join("snapshots")).unwrap();
        fs::write(tests.join("cli.rs"), test).unwrap();
        for (name, text) in snapshots {
            fs::write(tests.join("snapshots").join(name), text).unwrap();
        }
        root
    }

    #[test]
    fn snapshots_without_a_test_are_found_and_pruned() {
        let test = "#[test]\nfn help() { insta::assert_snapshot!(\"long\", run()); }\n";
        let root = repository(test, &[("cli__long.snap", ""), ("cli__gone.snap", "")]);
        let found = unreferenced(root.path()).unwrap();
        assert_eq!(found, [Path::new("crates/sample/tests/snapshots/cli__gone.snap")]);
        run(root.path(), &Action::Prune).unwrap();
        assert!(unreferenced(root.path()).unwrap().is_empty());
        assert!(root.path().join("crates/sample/tests/snapshots/cli__long.snap").is_file());
    }

    #[test]
    fn snapshots_that_wait_are_reviewed_and_accepted() {
        let old = "---\nsource: a.rs\n---\none\ntwo\n";
        let new = "---\nsource: a.rs\nassertion_line: 7\n---\none\nthree\n";
        let root = repository("", &[("cli__a.snap", old), ("cli__a.snap.new", new)]);
        let shown = review(root.path()).unwrap();
        assert!(shown.contains("-two\n+three\n"), "{shown}");
        assert!(!shown.contains("assertion_line"), "{shown}");
        accept(root.path()).unwrap();
        let path = root.path().join("crates/sample/tests/snapshots/cli__a.snap");
        assert_eq!(read(&path).unwrap(), "---\nsource: a.rs\n---\none\nthree\n");
        assert_eq!(review(root.path()).unwrap(), "No pending snapshots.");
    }
}
