//! Code map of docs/architecture.md: it must name every module at the root of a crate.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::source::Source;

/// The page with the map.
const PAGE: &str = "docs/architecture.md";

/// Sources whose module is missing in the map.
pub(super) fn breaches(root: &Path, sources: &[Source]) -> Result<Vec<String>> {
    let map = fs::read_to_string(root.join(PAGE)).context(PAGE)?;
    let unnamed = sources.iter().filter(|source| !names(&map, &source.name));
    Ok(unnamed.map(|source| format!("{}: {PAGE} does not name this module", source.name)).collect())
}

/// Whether the map names the module of the source `name`, as `crate::module` in backquotes. Files
/// in the folder of a module belong to that module.
fn names(map: &str, name: &str) -> bool {
    let Some((package, inside)) = name.split_once("/src/") else { return true };
    let module = inside.trim_end_matches(".rs").split('/').next().unwrap_or(inside);
    let package = package.trim_start_matches("crates/");
    matches!(module, "lib" | "main") || map.contains(&format!("`{package}::{module}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tidy_asks_the_code_map_for_every_module() {
        assert!(names("see `dcr-solver::kernel`", "crates/dcr-solver/src/kernel/shift.rs"));
        assert!(!names("see `dcr-solver::iterative`", "crates/dcr-solver/src/kernel/shift.rs"));
        assert!(names("", "crates/dcr-solver/src/lib.rs"));
    }
}
