//! Input files of the tests: golden numbers, and the folder ../shared beside the repository.

use std::path::PathBuf;

use dcr_physics::{Angle, Site};

/// The path of a file of golden numbers.
pub(crate) fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/golden").join(name)
}

/// A JSON file of golden numbers.
pub(crate) fn golden_json(name: &str) -> serde_json::Value {
    let text = std::fs::read_to_string(golden(name)).expect("a readable file");
    serde_json::from_str(&text).expect("valid JSON")
}

/// The path of a file under ../shared, for tests in modules `needs_shared`.
pub(crate) fn shared(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared").join(path)
}

/// A site from degrees (east positive) and metres.
pub(crate) fn site(longitude: f64, latitude: f64, elevation_m: f64) -> Site {
    Site { latitude: Angle::from_degrees(latitude), longitude: Angle::from_degrees(longitude), elevation_m }
}
