//! `cargo xtask tidy`: checks of the rules in docs/architecture.md and CONTRIBUTING.md.
//!
//! Each check is a module with a `breaches` function; each breach is one message with the file, and
//! the lines if known. A breach is an error: there is no list of exceptions.

mod citations;
mod code_map;
mod cycles;
mod doc_lines;
mod files;
mod layers;
mod source;

use std::path::Path;

use anyhow::{Result, bail};

use crate::{book, snapshots};
use source::sources;

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
