//! Band of an exposure as stated in its header.

use dcr_physics::VisitInfo;

use super::Header;

/// Description of the band in a header.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StatedBand {
    /// The effective wavelength of the band in nm (EFFWAVE).
    pub effective_nm: Option<f64>,
    /// The full width of the band in nm (BANDWID).
    pub bandwidth_nm: Option<f64>,
    /// Reference wavelength of the WCS in nm (REFWAVE).
    pub reference_nm: Option<f64>,
    /// Filter name.
    pub filter: Option<String>,
}

impl StatedBand {
    /// The band in a header, with the filter of the exposure. Nonpositive numbers are ignored.
    #[must_use]
    pub fn of(header: &Header, visit: &VisitInfo) -> Self {
        let positive = |keyword| header.f64(keyword).filter(|nm| *nm > 0.0);
        Self {
            effective_nm: positive("EFFWAVE"),
            bandwidth_nm: positive("BANDWID"),
            reference_nm: positive("REFWAVE"),
            filter: visit.filter.clone(),
        }
    }
}
