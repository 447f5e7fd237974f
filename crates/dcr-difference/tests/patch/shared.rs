//! Data outside the repository, for those who have them.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// The folder of golden numbers, or `None` with a word about it.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
pub(crate) fn golden() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: the golden numbers ({}) are not here", folder.display());
    None
}

/// A JSON file.
pub(crate) fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Numbers in a JSON array.
pub(crate) fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

/// The warps of a simulated field, or `None` with a word about it.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
pub(crate) fn simulated(name: &str) -> Option<Vec<PathBuf>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/sim").join(name);
    let Ok(entries) = std::fs::read_dir(&folder) else {
        eprintln!("skipped: the simulated field {name} is not here");
        return None;
    };
    let mut warps: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    warps.retain(|path| path.file_name().unwrap().to_string_lossy().starts_with("warp_"));
    warps.sort();
    Some(warps)
}
