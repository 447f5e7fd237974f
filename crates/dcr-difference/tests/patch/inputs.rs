//! Files that tests read: golden numbers, and the simulated fields beside the repository.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// The folder of golden numbers.
pub(crate) fn golden() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/golden"))
}

/// A JSON file.
pub(crate) fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Numbers in a JSON array.
pub(crate) fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

/// The warps of a simulated field of ../shared, for tests in modules `needs_shared`.
pub(crate) fn simulated(name: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/sim").join(name);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut warps: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    warps.retain(|path| path.file_name().unwrap().to_string_lossy().starts_with("warp_"));
    warps.sort();
    warps
}
