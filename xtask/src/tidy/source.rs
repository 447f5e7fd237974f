//! Rust sources of the repository.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::workspace::files_with_extension;

/// A Rust source file of the repository.
#[derive(Debug)]
pub(super) struct Source {
    /// Path relative to the root, with `/` as separator.
    pub(super) name: String,
    /// Its content.
    pub(super) text: String,
}

/// Every Rust source of the workspace, in order of its path.
pub(super) fn sources(root: &Path) -> Result<Vec<Source>> {
    let mut out = vec![];
    for path in files_with_extension(root, "rs")? {
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let name = path.strip_prefix(root)?.to_string_lossy().replace('\\', "/");
        out.push(Source { name, text });
    }
    Ok(out)
}
