//! Dependencies between the crates of the workspace, which must follow the layers.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Crates of the workspace, each with its permitted dependencies.
const LAYERS: [(&str, &[&str]); 11] = [
    ("dcr-fft", &[]),
    ("dcr-physics", &[]),
    ("dcr-solver", &["dcr-fft"]),
    ("dcr-image", &["dcr-physics"]),
    ("dcr-sim", &["dcr-image", "dcr-physics"]),
    ("dcr-measure", &["dcr-image", "dcr-physics", "dcr-solver"]),
    ("dcr-coadd", &["dcr-image", "dcr-measure", "dcr-physics", "dcr-solver"]),
    ("dcr-difference", &["dcr-coadd", "dcr-image", "dcr-measure", "dcr-physics", "dcr-solver"]),
    ("dcr-report", &["dcr-coadd", "dcr-difference", "dcr-image", "dcr-measure"]),
    ("dcr-cli", &["dcr-coadd", "dcr-difference", "dcr-image", "dcr-physics", "dcr-report", "dcr-solver"]),
    (
        "xtask",
        &["dcr-coadd", "dcr-difference", "dcr-image", "dcr-physics", "dcr-report", "dcr-sim", "dcr-solver"],
    ),
];
/// Additional dev-dependencies: synthetic fields, in the crates that assemble them.
const TESTS_MAY_USE: [(&str, &[&str]); 2] = [("dcr-difference", &["dcr-sim"]), ("dcr-cli", &["dcr-sim"])];

/// Forbidden dependencies in the manifests below `root`.
pub(super) fn breaches(root: &Path) -> Result<Vec<String>> {
    let mut out = vec![];
    for entry in fs::read_dir(root.join("crates")).context("crates")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !LAYERS.iter().any(|(known, _)| *known == name) {
            out.push(format!("{name}: a crate without a layer; xtask/src/tidy/layers.rs lists them"));
        }
    }
    for (name, _) in LAYERS {
        let folder = if name == "xtask" { root.join(name) } else { root.join("crates").join(name) };
        let manifest: toml::Table = fs::read_to_string(folder.join("Cargo.toml"))
            .with_context(|| format!("the manifest of {name}"))?
            .parse()
            .with_context(|| format!("the manifest of {name}"))?;
        out.extend(in_manifest(name, &manifest));
    }
    Ok(out)
}

/// Forbidden dependencies of the crate `name`.
fn in_manifest(name: &str, manifest: &toml::Table) -> Vec<String> {
    let mut out = vec![];
    let allowed: BTreeMap<_, _> = LAYERS.into_iter().collect();
    let for_tests: BTreeMap<_, _> = TESTS_MAY_USE.into_iter().collect();
    let lower = allowed.get(name).copied().unwrap_or(&[]);
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
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, manifest: &str) -> Vec<String> {
        in_manifest(name, &manifest.parse().unwrap())
    }

    #[test]
    fn layers_refuse_arrows_that_point_up() {
        let up = found("dcr-physics", "[dependencies]\ndcr-image.workspace = true");
        assert_eq!(up, ["dcr-physics: must not depend on dcr-image (dependencies)"]);
        let sideways = found("dcr-image", "[dev-dependencies]\ndcr-solver = \"0.1\"");
        assert_eq!(sideways, ["dcr-image: must not depend on dcr-solver (dev-dependencies)"]);
        assert_eq!(found("dcr-coadd", "[dependencies]\ndcr-sim = \"0.1\"").len(), 1);
    }

    #[test]
    fn layers_ask_for_every_crate() {
        let root = tempfile::tempdir().unwrap();
        for (name, _) in LAYERS {
            let folder = if name == "xtask" { name.to_owned() } else { format!("crates/{name}") };
            fs::create_dir_all(root.path().join(&folder)).unwrap();
            fs::write(root.path().join(folder).join("Cargo.toml"), "[package]\n").unwrap();
        }
        assert!(breaches(root.path()).unwrap().is_empty());
        fs::create_dir(root.path().join("crates/dcr-new")).unwrap();
        let found = breaches(root.path()).unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("dcr-new: a crate without a layer"), "{found:?}");
    }

    #[test]
    fn layers_accept_arrows_that_point_down() {
        let down =
            "[dependencies]\ndcr-solver = \"0.1\"\nserde = \"1\"\n[dev-dependencies]\ndcr-sim = \"0.1\"";
        assert!(found("dcr-difference", down).is_empty());
    }
}
