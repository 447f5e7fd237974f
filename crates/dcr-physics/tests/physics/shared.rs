//! The reference's golden numbers, which lie beside the repository and may be absent.

use std::path::PathBuf;

use dcr_physics::{Angle, Site};

/// The path of a file under `shared/`, or `None`, saying so, where there is no such file.
#[expect(clippy::print_stderr, reason = "a skipped test has to say why")]
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let full = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared").join(path);
    if full.exists() {
        return Some(full);
    }
    eprintln!("skipped: {path} is not among the shared files");
    None
}

/// A JSON file under `shared/`.
pub(crate) fn shared_json(path: &str) -> Option<serde_json::Value> {
    let text = std::fs::read_to_string(shared(path)?).expect("a readable file");
    Some(serde_json::from_str(&text).expect("valid JSON"))
}

/// A site from degrees (east positive) and metres.
pub(crate) fn site(longitude: f64, latitude: f64, elevation_m: f64) -> Site {
    Site { latitude: Angle::from_degrees(latitude), longitude: Angle::from_degrees(longitude), elevation_m }
}
