//! Built-in bands, each with the source of its figures.

use crate::{Band, Wavelength};

/// A built-in band as a top hat.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct BuiltinBand {
    /// The name, survey and filter: `lsst-g`.
    pub name: &'static str,
    /// The middle of the band in nm.
    pub effective_nm: f64,
    /// The full width in nm.
    pub bandwidth_nm: f64,
    /// Source of the figures.
    pub source: &'static str,
    /// Whether the figures are rounded or an equivalent width, so that a throughput curve is
    /// preferable.
    pub approximate: bool,
}

impl Band {
    /// The built-in band of the given name (case matters), or `None`; [`builtin_bands`] lists them.
    ///
    /// ```
    /// use dcr_physics::Band;
    ///
    /// assert_eq!(Band::builtin("decam-g").map(|band| band.bandwidth_nm()), Some(152.0));
    /// assert_eq!(Band::builtin("decam-q"), None);
    /// ```
    #[must_use]
    pub fn builtin(name: &str) -> Option<Self> {
        let known = BUILTIN.iter().find(|band| band.name == name)?;
        // A test verifies that every entry is valid, so `ok` drops none.
        Self::new(known.name, Wavelength::from_nm(known.effective_nm), known.bandwidth_nm).ok()
    }
}

/// All built-in bands, by survey and blue to red.
#[must_use]
pub const fn builtin_bands() -> &'static [BuiltinBand] {
    BUILTIN
}

const LSST: &str = "half-maximum edges of the total throughput, lsst/throughputs baseline 1.9";
const COMCAM: &str = "the public example of a DCR coadd configuration, LSSTComCam g";
const DECAM: &str = "centre and width in the instrument's FILTER card";
const ZTF: &str = "effective wavelength and width, SVO Filter Profile Service, Palomar/ZTF";

const BUILTIN: &[BuiltinBand] = &[
    // Half-maximum edges in nm: u 349.3–395.6, g 402.7–551.2, r 550.0–689.9, i 692.3–820.9, z 818.2–922.2,
    // y 924.9–1011.1.
    exact("lsst-u", 372.45, 46.3, LSST),
    exact("lsst-g", 476.95, 148.5, LSST),
    exact("lsst-r", 619.95, 139.9, LSST),
    exact("lsst-i", 756.6, 128.6, LSST),
    exact("lsst-z", 870.2, 104.0, LSST),
    exact("lsst-y", 968.0, 86.2, LSST),
    exact("comcam-g", 478.5, 147.0, COMCAM),
    // "u DECam c0006 3500.0 1000.0", "g DECam SDSS c0001 4720.0 1520.0" and so on, in angstrom.
    exact("decam-u", 350.0, 100.0, DECAM),
    exact("decam-g", 472.0, 152.0, DECAM),
    exact("decam-r", 641.5, 148.0, DECAM),
    exact("decam-i", 783.5, 147.0, DECAM),
    exact("decam-z", 926.0, 152.0, DECAM),
    exact("decam-Y", 1009.5, 113.0, DECAM),
    exact("decam-VR", 630.0, 260.0, DECAM),
    approximate("ztf-g", 474.6, 131.7, ZTF),
    approximate("ztf-r", 636.6, 155.3, ZTF),
    approximate("ztf-i", 782.9, 148.9, ZTF),
];

const fn exact(
    name: &'static str,
    effective_nm: f64,
    bandwidth_nm: f64,
    source: &'static str,
) -> BuiltinBand {
    BuiltinBand { name, effective_nm, bandwidth_nm, source, approximate: false }
}

const fn approximate(
    name: &'static str,
    effective_nm: f64,
    bandwidth_nm: f64,
    source: &'static str,
) -> BuiltinBand {
    BuiltinBand { name, effective_nm, bandwidth_nm, source, approximate: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builtin_bands_are_all_valid_and_named_once() {
        for (i, known) in builtin_bands().iter().enumerate() {
            let band = Band::builtin(known.name).expect(known.name);
            assert_eq!(
                (band.effective().nm(), band.bandwidth_nm()),
                (known.effective_nm, known.bandwidth_nm)
            );
            assert!(!known.source.is_empty());
            assert!(builtin_bands()[..i].iter().all(|other| other.name != known.name), "{}", known.name);
        }
    }

    #[test]
    fn builtin_names_are_matched_exactly() {
        for name in ["", "g", "LSST-G", "decam-y", "lsst-g "] {
            assert_eq!(Band::builtin(name), None, "{name:?}");
        }
    }
}
