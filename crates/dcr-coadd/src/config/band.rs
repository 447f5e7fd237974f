//! `[band]`: the band of the warps.

use std::path::PathBuf;

use dcr_image::header::StatedBand;
use dcr_physics::{Assumption, Band, ReferenceWavelength, Throughput, Wavelength, builtin_bands};

use super::table::table;
use super::{ConfigError, refuse};

table! {
    /// The band. Without any of these settings the warps' own headers are asked.
    pub struct BandConfig = "band" {
        /// Name of the band. A built-in name (listed above) has its wavelengths; any other name
        /// needs the two numbers below. Set it where headers do not state the band, or state a
        /// wrong one. Unset: the headers' EFFWAVE and BANDWID, or the wavelengths in DECam's
        /// FILTER.
        name: Option<String> = None; "\"lsst-g\"",
        /// Middle of the band, in nm. Set it for a band that is not built in, or to override the
        /// built-in number.
        effective_wavelength_nm: Option<f64> = None; "478.5",
        /// Full width of the band, in nm, all subfilters together. Set it as the middle.
        bandwidth_nm: Option<f64> = None; "147.0",
        /// A throughput curve: a text file of two columns, wavelength in nm and transmission. With
        /// it each subfilter is weighted by the light that arrives in it; without it the band is a
        /// top hat. Set it where you have the curve of telescope, filter and detector, above all
        /// for bands with sloping sides (u): LSST's g and u as top hats leave stars longer along
        /// the refraction, by 0.004 and 0.006 in ellipticity.
        throughput: Option<PathBuf> = None; "\"total_g.dat\"",
        /// Wavelength at which the exposures' WCS is exact: "effective", "flat_spectrum_mean" (of
        /// the throughput) or { nm = 480.0 }. The data leave it undetermined: templates do not
        /// depend on it, colours do, by 0.06 mag per nm in g with three subfilters. Set it to the
        /// mean over the stars of the astrometric fit, if you know it. Unset: the headers' REFWAVE,
        /// or "effective".
        reference_wavelength: Option<ReferenceWavelength> = None; "\"effective\"",
    }
}

/// Middle and width in nm, from the cards or from a filter name that includes them.
fn stated_numbers(stated: &StatedBand) -> Option<(f64, f64)> {
    let cards = stated.effective_nm.zip(stated.bandwidth_nm);
    cards.or_else(|| decam_numbers(stated.filter.as_deref()?))
}

/// A band, the wavelength that stays in place, and how both were found.
#[derive(Clone, Debug, PartialEq)]
pub struct ResolvedBand {
    /// The band.
    pub band: Band,
    /// The wavelength whose light is not displaced.
    pub reference: Wavelength,
    /// Origin of the band's properties.
    pub notes: Vec<Assumption>,
}

impl BandConfig {
    /// The band of the warps, from these settings or else from the headers.
    ///
    /// `curve` is the content of [`BandConfig::throughput`], read by the caller.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if neither states a band, or the numbers make none.
    pub fn resolve(
        &self,
        curve: Option<&Throughput>,
        stated: &StatedBand,
    ) -> Result<ResolvedBand, ConfigError> {
        let mut notes = Vec::new();
        let known = self.name.as_deref().and_then(Band::builtin);
        let numbers = match (self.effective_wavelength_nm, self.bandwidth_nm, &known) {
            (Some(effective), Some(width), _) => Some((effective, width)),
            (effective, width, Some(known)) => {
                Some((effective.unwrap_or(known.effective().nm()), width.unwrap_or(known.bandwidth_nm())))
            }
            (None, None, None) if self.name.is_none() => {
                stated_numbers(stated).inspect(|(effective, width)| {
                    notes.push(note(format!(
                    "No band was named; {effective} nm, {width} nm wide, were taken from the warps' headers."
                )));
                })
            }
            _ => None,
        };
        let (effective_nm, width_nm) = numbers.ok_or_else(|| self.unknown(stated))?;
        let name = self.name.clone().or_else(|| stated.filter.clone()).unwrap_or_else(|| "unnamed".into());
        let mut band = Band::new(&name, Wavelength::from_nm(effective_nm), width_nm)?;
        match (&self.throughput, curve) {
            (_, Some(curve)) => band = band.with_throughput(curve.clone())?,
            (Some(path), None) => {
                return Err(refuse("band.throughput", path.display(), "a curve that has been read"));
            }
            (None, None) => {}
        }
        let reference = match (self.reference_wavelength, stated.reference_nm) {
            (Some(reference), _) => reference.in_band(&band)?,
            (None, Some(nm)) => {
                notes.push(note(format!("{nm} nm stay in place, as the warps' headers say (REFWAVE).")));
                Wavelength::from_nm(nm)
            }
            (None, None) => ReferenceWavelength::Effective.in_band(&band)?,
        };
        Ok(ResolvedBand { band, reference, notes })
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        for (key, value) in [
            ("band.effective_wavelength_nm", self.effective_wavelength_nm),
            ("band.bandwidth_nm", self.bandwidth_nm),
        ] {
            if let Some(nm) = value.filter(|nm| !(*nm > 0.0 && nm.is_finite())) {
                return Err(refuse(key, nm, "a positive number of nm"));
            }
        }
        if let Some(ReferenceWavelength::Nm(nm)) = self.reference_wavelength
            && !(nm > 0.0 && nm.is_finite())
        {
            return Err(refuse("band.reference_wavelength", nm, "a positive number of nm"));
        }
        Ok(())
    }

    fn unknown(&self, stated: &StatedBand) -> ConfigError {
        let names: Vec<&str> = builtin_bands().iter().map(|band| band.name).collect();
        ConfigError::Band { name: self.name.clone(), filter: stated.filter.clone(), known: names.join(", ") }
    }
}

/// "g DECam SDSS c0001 4720.0 1520.0": middle and width in angstrom end the filter's name.
fn decam_numbers(filter: &str) -> Option<(f64, f64)> {
    let mut words = filter.split_whitespace().rev();
    let width: f64 = words.next()?.parse().ok()?;
    let middle: f64 = words.next()?.parse().ok()?;
    let plausible = filter.contains("DECam") && middle > 2000.0 && width > 10.0 && middle < 20_000.0;
    plausible.then_some((middle / 10.0, width / 10.0))
}

fn note(text: String) -> Assumption {
    Assumption { quantity: "band".into(), text, warning: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stated(filter: &str) -> StatedBand {
        StatedBand { filter: Some(filter.into()), ..StatedBand::default() }
    }

    fn numbers(config: &BandConfig, stated: &StatedBand) -> (f64, f64) {
        let band = config.resolve(None, stated).unwrap().band;
        (band.effective().nm(), band.bandwidth_nm())
    }

    #[test]
    fn band_by_name_or_numbers_or_both() {
        let named = BandConfig { name: Some("decam-g".into()), ..BandConfig::default() };
        assert_eq!(numbers(&named, &StatedBand::default()), (472.0, 152.0));
        let wider = BandConfig { bandwidth_nm: Some(160.0), ..named };
        assert_eq!(numbers(&wider, &StatedBand::default()), (472.0, 160.0));
        let own = BandConfig {
            name: Some("mine".into()),
            effective_wavelength_nm: Some(500.0),
            bandwidth_nm: Some(100.0),
            ..BandConfig::default()
        };
        assert_eq!(numbers(&own, &stated("g DECam SDSS c0001 4720.0 1520.0")), (500.0, 100.0));
    }

    #[test]
    fn band_from_headers_says_so() {
        let cards = StatedBand {
            effective_nm: Some(478.5),
            bandwidth_nm: Some(147.0),
            reference_nm: Some(470.0),
            filter: Some("g".into()),
        };
        let resolved = BandConfig::default().resolve(None, &cards).unwrap();
        assert_eq!((resolved.band.name(), resolved.band.bandwidth_nm()), ("g", 147.0));
        assert_eq!(resolved.reference.nm(), 470.0);
        assert_eq!(resolved.notes.len(), 2);
        let decam = stated("g DECam SDSS c0001 4720.0 1520.0");
        assert_eq!(numbers(&BandConfig::default(), &decam), (472.0, 152.0));
    }

    #[test]
    fn band_that_nobody_tells_is_an_error_with_the_known_names() {
        let error = BandConfig::default().resolve(None, &stated("g")).unwrap_err().to_string();
        assert!(error.contains("lsst-g") && error.contains("ztf-i"), "{error}");
        let mistyped = BandConfig { name: Some("lsst_g".into()), ..BandConfig::default() };
        let error = mistyped.resolve(None, &stated("g")).unwrap_err().to_string();
        assert!(error.contains("lsst_g"), "{error}");
        // Half a band is no band, even if the header has the other half.
        let half = BandConfig { bandwidth_nm: Some(100.0), ..BandConfig::default() };
        assert!(half.resolve(None, &StatedBand { effective_nm: Some(480.0), ..stated("g") }).is_err());
    }
}
