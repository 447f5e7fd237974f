//! The band as headers describe it.

use dcr_physics::VisitInfo;

use super::Header;

/// The description of the band in the header of an exposure.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StatedBand {
    /// The effective wavelength of the band in nm (EFFWAVE).
    pub effective_nm: Option<f64>,
    /// The full width of the band in nm (BANDWID).
    pub bandwidth_nm: Option<f64>,
    /// The wavelength in nm that the WCS holds for (REFWAVE).
    pub reference_nm: Option<f64>,
    /// The filter's name.
    pub filter: Option<String>,
}

impl StatedBand {
    /// The band in a header, with the filter of the exposure. Numbers that are not positive are
    /// ignored.
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
