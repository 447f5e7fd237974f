//! `cargo xtask tidy`: the promises of docs/architecture.md and CONTRIBUTING.md, checked.
//!
//! Each check is a module with a `breaches` function; each breach is one message that names the
//! file, and the lines where it can. A breach is an error: there is no list of exceptions.

mod citations;
mod code_map;
mod cycles;
mod doc_lines;
mod files;
mod layers;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::{book, snapshots};

/// A Rust source file of the repository.
#[derive(Debug)]
struct Source {
    /// Path relative to the root, with `/` between folders.
    name: String,
    /// Its content.
    text: String,
}

/// Prints every breach and fails if there is one.
pub(crate) fn run(root: &Path) -> Result<()> {
    let breaches = breaches(root)?;
    if breaches.is_empty() {
        return Ok(());
    }
    bail!("{} breaches of the house rules:\n{}", breaches.len(), breaches.join("\n"));
}

/// All breaches of the repository at `root`, check by check.
fn breaches(root: &Path) -> Result<Vec<String>> {
    let sources = sources(root)?;
    let mut out = layers::breaches(root)?;
    out.extend(cycles::breaches(root)?);
    out.extend(book::breaches(root)?);
    out.extend(files::breaches(&sources));
    out.extend(code_map::breaches(root, &sources)?);
    out.extend(doc_lines::breaches(&sources));
    out.extend(citations::breaches(root, &sources)?);
    out.extend(snapshots::unreferenced(root)?.iter().map(|snapshot| {
        format!("{}: no test refers to it (cargo xtask snapshots prune)", snapshot.display())
    }));
    Ok(out)
}

/// Every Rust source of the workspace, in order of its path.
fn sources(root: &Path) -> Result<Vec<Source>> {
    let mut out = vec![];
    for path in files_with_extension(root, "rs")? {
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let name = path.strip_prefix(root)?.to_string_lossy().replace('\\', "/");
        out.push(Source { name, text });
    }
    Ok(out)
}

/// Files below crates/ and xtask/ with an extension, build folders left out, in order of path.
pub(crate) fn files_with_extension(root: &Path, extension: &str) -> Result<Vec<std::path::PathBuf>> {
    let mut out = vec![];
    let mut folders = vec![root.join("crates"), root.join("xtask")];
    folders.retain(|folder| folder.is_dir());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() && path.file_name().is_some_and(|n| n != "target") {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == extension) {
                out.push(path);
            }
        }
    }
    out.sort();
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tidy_finds_nothing() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let breaches = breaches(root).unwrap();
        assert!(breaches.is_empty(), "{}", breaches.join("\n"));
    }
}
