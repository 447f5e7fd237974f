//! Rules for single source files: name, length, file access, `unsafe`, machine paths.

use super::source::Source;

/// Maximum lines of a source file before its tests.
const MAX_LINES: usize = 450;
/// Uninformative file names.
const NAMELESS: [&str; 5] = ["utils.rs", "util.rs", "common.rs", "types.rs", "helpers.rs"];
/// Sources that may touch files.
const FILE_ACCESS: [&str; 3] = ["crates/dcr-image/src/fits/", "crates/dcr-cli/src/", "xtask/src/"];
/// Sources that may hold `unsafe` code.
const UNSAFE: [&str; 1] = ["crates/dcr-image/src/fits/"];

/// Breaches in all files.
pub(super) fn breaches(sources: &[Source]) -> Vec<String> {
    let in_one = |source: &Source| {
        in_source(&source.name, &source.text)
            .into_iter()
            .map(|breach| format!("{}: {breach}", source.name))
            .collect::<Vec<_>>()
    };
    sources.iter().flat_map(in_one).collect()
}

/// Breaches in one file.
fn in_source(name: &str, text: &str) -> Vec<String> {
    let mut out = vec![];
    let file = name.rsplit('/').next().unwrap_or(name);
    if NAMELESS.contains(&file) {
        out.push("a file is named for what it holds".into());
    }
    let code = text.split("#[cfg(test)]").next().unwrap_or(text);
    let is_test = name.contains("/tests/") || name.contains("/benches/") || name.contains("/examples/");
    let length = code.lines().count();
    if length > MAX_LINES && !is_test {
        out.push(format!("{length} lines before its tests; at most {MAX_LINES}, then it holds two concepts"));
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

/// Folders of one machine, concatenated so that this file does not break its own rule.
fn machine_paths() -> Vec<String> {
    ["work", "root", "home"].iter().map(|folder| format!("\"/{folder}/")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tidy_sees_each_kind_of_breach() {
        let path = format!("let p = {}", machine_paths()[0]);
        let long = "\n".repeat(MAX_LINES + 1);
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
    fn files_of_tests_may_touch_files() {
        assert!(in_source("crates/dcr-solver/tests/a.rs", "use std::fs;").is_empty());
        assert!(in_source("crates/dcr-solver/src/a.rs", "#[cfg(test)]\nuse std::fs;").is_empty());
    }
}
