//! stub
use super::Header;
use dcr_physics::VisitInfo;
use std::path::Path;
/// x
#[derive(Debug, Default)]
pub struct VisitHeader {
    /// x
    pub visit: VisitInfo,
    /// x
    pub unit: Option<String>,
}
impl VisitHeader {
    /// x
    pub fn read(header: &Header, _path: &Path, _tree: Option<&serde_json::Value>) -> Self {
        let mut x = Self::default();
        x.unit = header.text("BUNIT").map(str::to_owned);
        x.visit.psf_fwhm_px = header.f64("PSF-FWHM");
        x
    }
}
