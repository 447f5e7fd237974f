//! `cargo xtask tidy`: what the code promises about itself, checked. docs/architecture.md gives the reasons.
//!
//! Layering of the crates, where files may be touched and `unsafe` written, how long a file may be, names that say nothing, paths
//! of one machine, whether the code map knows every module, and whether the book's links lead somewhere.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::book;

/// Which of our crates a crate may depend on. Arrows point down only.
const LAYERS: [(&str, &[&str]); 9] = [
    ("dcr-fft", &[]),
    ("dcr-physics", &[]),
    ("dcr-solver", &["dcr-fft"]),
    ("dcr-image", &["dcr-physics"]),
    ("dcr-sim", &["dcr-image", "dcr-physics"]),
    ("dcr-coadd", &["dcr-image", "dcr-physics", "dcr-solver"]),
    ("dcr-report", &["dcr-coadd", "dcr-image"]),
    ("dcr-cli", &["dcr-coadd", "dcr-image", "dcr-physics", "dcr-report", "dcr-solver"]),
    ("xtask", &["dcr-coadd", "dcr-image", "dcr-physics", "dcr-report", "dcr-sim", "dcr-solver"]),
];
/// What tests may use besides: synthetic fields, in the crates that assemble them.
const TESTS_MAY_USE: [(&str, &[&str]); 2] = [("dcr-coadd", &["dcr-sim"]), ("dcr-cli", &["dcr-sim"])];

/// Lines of a source file, tests at its end not counted.
const LONGEST_FILE: usize = 450;
/// Names for files that nobody found a name for.
const NAMELESS: [&str; 5] = ["utils.rs", "util.rs", "common.rs", "types.rs", "helpers.rs"];
/// Sources that may touch files.
const FILE_ACCESS: [&str; 3] = ["crates/dcr-image/src/fits/", "crates/dcr-cli/src/", "xtask/src/"];
/// Sources that may hold `unsafe` code.
const UNSAFE: [&str; 1] = ["crates/dcr-image/src/fits/"];

/// Prints every breach and fails if there is one.
pub(crate) fn run(root: &Path) -> Result<()> {
    let breaches = breaches(root)?;
    if breaches.is_empty() {
        return Ok(());
    }
    bail!("{} breaches of the house rules:\n{}", breaches.len(), breaches.join("\n"));
}

fn breaches(root: &Path) -> Result<Vec<String>> {
    let mut out = layering(root)?;
    out.extend(book::breaches(root)?);
    let map = fs::read_to_string(root.join("docs/architecture.md")).context("docs/architecture.md")?;
    for path in sources(root)? {
        let text = fs::read_to_string(root.join(&path)).with_context(|| path.display().to_string())?;
        let name = path.to_string_lossy().replace('\\', "/");
        out.extend(in_source(&name, &text).into_iter().map(|breach| format!("{name}: {breach}")));
        if !in_code_map(&name, &map) {
            out.push(format!("{name}: docs/architecture.md does not name this module"));
        }
    }
    Ok(out)
}

/// Dependencies that point up or sideways.
fn layering(root: &Path) -> Result<Vec<String>> {
    let mut out = vec![];
    let allowed: BTreeMap<_, _> = LAYERS.into_iter().collect();
    let for_tests: BTreeMap<_, _> = TESTS_MAY_USE.into_iter().collect();
    for (name, lower) in LAYERS {
        let folder = if name == "xtask" { root.join(name) } else { root.join("crates").join(name) };
        let manifest: toml::Table = fs::read_to_string(folder.join("Cargo.toml"))
            .with_context(|| format!("the manifest of {name}"))?
            .parse()
            .with_context(|| format!("the manifest of {name}"))?;
        for (section, extra) in [
            ("dependencies", &[][..]),
            ("build-dependencies", &[]),
            ("dev-dependencies", for_tests.get(name).copied().unwrap_or(&[])),
        ] {
            let Some(table) = manifest.get(section).and_then(toml::Value::as_table) else { continue };
            for dependency in table.keys().filter(|d| allowed.contains_key(d.as_str())) {
                let fine = lower.contains(&dependency.as_str()) || extra.contains(&dependency.as_str());
                if !fine {
                    out.push(format!("{name}: must not depend on {dependency} ({section})"));
                }
            }
        }
    }
    Ok(out)
}

/// What is wrong inside one file.
fn in_source(name: &str, text: &str) -> Vec<String> {
    let mut out = vec![];
    let file = name.rsplit('/').next().unwrap_or(name);
    if NAMELESS.contains(&file) {
        out.push("a file is named for what it holds".into());
    }
    let code = text.split("#[cfg(test)]").next().unwrap_or(text);
    let is_test = name.contains("/tests/") || name.contains("/benches/") || name.contains("/examples/");
    let length = code.lines().count();
    if length > LONGEST_FILE && !is_test {
        out.push(format!(
            "{length} lines before its tests; at most {LONGEST_FILE}, then it holds two concepts"
        ));
    }
    let may = |places: &[&str]| is_test || places.iter().any(|p| name.starts_with(p));
    if !may(&FILE_ACCESS) && ["std::fs", " fs::", "(fs::"].iter().any(|s| code.contains(s)) {
        out.push("touches files; only dcr-image::fits, dcr-cli and xtask do".into());
    }
    let has_unsafe = code
        .lines()
        .any(|l| !l.trim_start().starts_with("//") && (l.contains("unsafe {") || l.contains("unsafe fn")));
    if !may(&UNSAFE) && !name.starts_with("xtask/") && has_unsafe {
        out.push("`unsafe` outside dcr-image::fits".into());
    }
    for place in machine_paths() {
        if text.contains(&place) {
            out.push(format!("names a path of one machine: {place}"));
        }
    }
    out
}

/// Put together, lest this file breaks its own rule.
fn machine_paths() -> Vec<String> {
    ["work", "root", "home"].iter().map(|folder| format!("\"/{folder}/")).collect()
}

/// Whether the code map names a module: its file's stem, or its folder's for `mod.rs`, in backquotes or in a list of the crate's.
fn in_code_map(name: &str, map: &str) -> bool {
    let Some((package, inside)) = name.split_once("/src/") else { return true };
    let parts: Vec<&str> = inside.trim_end_matches(".rs").split('/').collect();
    // Files inside a module's folder belong to that module.
    let module = parts[0];
    let package = package.trim_start_matches("crates/");
    matches!(module, "lib" | "main") || map.contains(&format!("`{package}::{module}`"))
}

/// Every Rust source of ours, relative to the root, sorted.
fn sources(root: &Path) -> Result<Vec<PathBuf>> {
    let mut out = vec![];
    let mut folders = vec![root.join("crates"), root.join("xtask")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() && path.file_name().is_some_and(|n| n != "target") {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                out.push(path.strip_prefix(root)?.to_path_buf());
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

    #[test]
    fn tidy_sees_each_kind_of_breach() {
        let path = format!("let p = {}", machine_paths()[0]);
        let long = "\n".repeat(LONGEST_FILE + 1);
        for (name, text) in [
            ("crates/dcr-solver/src/utils.rs", ""),
            ("crates/dcr-solver/src/a.rs", "use std::fs;"),
            ("crates/dcr-solver/src/a.rs", "    unsafe { f() }"),
            ("crates/dcr-solver/src/a.rs", path.as_str()),
            ("crates/dcr-solver/src/a.rs", long.as_str()),
        ] {
            assert_eq!(in_source(name, text).len(), 1, "{name}: {text}");
        }
        assert!(in_source("crates/dcr-image/src/fits/a.rs", "use std::fs; unsafe { f() }").is_empty());
    }

    #[test]
    fn tidy_asks_the_code_map_for_every_module() {
        assert!(in_code_map("crates/dcr-solver/src/kernel/shift.rs", "see `dcr-solver::kernel`"));
        assert!(!in_code_map("crates/dcr-solver/src/kernel/shift.rs", "see `dcr-solver::iterative`"));
        assert!(in_code_map("crates/dcr-solver/src/lib.rs", ""));
    }
}
