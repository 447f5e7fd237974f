//! The scale between a template and its exposure: both headers' zero points and units compared.
//!
//! A template is in the run's unit and at its zero point `Z`. An exposure at zero point `z` has the
//! same light in `10^(0.4 (z − Z))` times the counts, so the template is multiplied by that. A unit
//! of flux density implies a zero point where no card states it. Where one of the two is unknown,
//! FLXSCALE of the exposure counts, which leads from its pixels to the common scale; without it the
//! units decide: equal ones are taken for one scale, different ones are refused.

use crate::error::DifferenceError;
use std::path::Path;

use dcr_image::Exposure;
use dcr_image::header::unit;

/// Zero points in AB mag of units of flux density.
const FLUX_DENSITIES: [(&str, f64); 4] = [("nJy", 31.4), ("nanomaggy", 22.5), ("uJy", 23.9), ("Jy", 8.9)];
/// Zero points closer than this in mag are equal: digits of headers.
const EQUAL_MAG: f64 = 1e-4;
/// Ratio of scales, less 1, from which on a person should know.
const NOTEWORTHY: f64 = 0.005;

/// Calibration of an image's pixels.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Calibration {
    /// Magnitude of one unit of the pixels.
    pub(crate) zero_point_mag: Option<f64>,
    pub(crate) unit: Option<String>,
    /// Factor that brings the pixels to the common scale, which a card says is not applied yet.
    pub(crate) flux_scale: Option<f64>,
}

/// The scale of an exposure against that of its template.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scale {
    /// Factor on the template's pixels.
    pub(crate) factor: f64,
    /// The zero point that the template then has, if it was scaled.
    pub(crate) zero_point_mag: Option<f64>,
    /// Warning for the user.
    pub(crate) warning: Option<String>,
    /// The units, if they differ and nothing converts them: the exposure's and the template's.
    pub(crate) other_unit: Option<(String, String)>,
}

impl Calibration {
    /// Calibration from a zero point and a unit in headers; a blank unit counts as missing.
    pub(crate) fn new(zero_point_mag: Option<f64>, unit: Option<&str>) -> Self {
        let unit = unit.map(str::trim).filter(|unit| !unit.is_empty()).map(str::to_owned);
        let implied = || {
            let unit = unit.as_deref()?;
            FLUX_DENSITIES.iter().find(|(name, _)| unit::same(name, unit)).map(|(_, zero_point)| *zero_point)
        };
        let zero_point_mag = zero_point_mag.filter(|mag| mag.is_finite()).or_else(implied);
        Self { zero_point_mag, unit, flux_scale: None }
    }

    /// Adds the factor of the FLXSCALE card.
    pub(crate) fn with_flux_scale(self, flux_scale: Option<f64>) -> Self {
        Self { flux_scale: flux_scale.filter(|factor| factor.is_finite() && *factor > 0.0), ..self }
    }

    /// Calibration of a file.
    pub(crate) fn of(file: &dyn Exposure) -> Self {
        Self::new(file.visit().zero_point_mag, file.unit()).with_flux_scale(file.visit().flux_scale)
    }
}

impl Scale {
    /// Scale of a template relative to its exposure.
    pub(crate) fn between(exposure: &Calibration, template: &Calibration) -> Self {
        let mut scale = Self { factor: 1.0, zero_point_mag: None, warning: None, other_unit: None };
        let units = exposure.unit.as_ref().zip(template.unit.as_ref());
        let differ = units.is_some_and(|(own, other)| !unit::same(own, other));
        match (exposure.zero_point_mag, template.zero_point_mag) {
            (Some(own), Some(other)) if (own - other).abs() > EQUAL_MAG => {
                scale.factor = 10_f64.powf(0.4 * (own - other));
                scale.zero_point_mag = Some(own);
                if (scale.factor - 1.0).abs() > NOTEWORTHY {
                    scale.warning = Some(format!(
                        "Its zero point is {own:.4} mag, that of its template {other:.4} mag: the template was multiplied by {:.4}.",
                        scale.factor
                    ));
                }
            }
            (Some(_), Some(_)) => {}
            _ if exposure.flux_scale.is_some_and(|own| own != 1.0) && !differ => {
                let own = exposure.flux_scale.unwrap_or(1.0);
                scale.factor = own.recip();
                scale.warning = Some(format!(
                    "FLXSCALE = {own} says that its pixels are not on the common scale yet: the template was multiplied by {:.4}.",
                    scale.factor
                ));
            }
            _ if differ => scale.other_unit = units.map(|(own, other)| (own.clone(), other.clone())),
            (Some(own), None) => scale.warning = Some(one_sided("Its", own, "that of its template")),
            (None, Some(other)) => scale.warning = Some(one_sided("Its template's", other, "its own")),
            (None, None) => {}
        }
        scale
    }

    /// Refuses units that nothing converts.
    ///
    /// # Errors
    ///
    /// [`DifferenceError::OtherUnit`].
    pub(crate) fn check_unit(&self, exposure: &Path) -> Result<(), DifferenceError> {
        match &self.other_unit {
            None => Ok(()),
            Some((unit, expected)) => Err(DifferenceError::OtherUnit {
                path: exposure.to_owned(),
                unit: unit.clone(),
                expected: expected.clone(),
            }),
        }
    }
}

fn one_sided(whose: &str, zero_point_mag: f64, unknown: &str) -> String {
    format!(
        "{whose} zero point is {zero_point_mag:.4} mag, {unknown} is not known: their scales were taken for equal and not compared."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scale(own: (Option<f64>, Option<&str>), other: (Option<f64>, Option<&str>)) -> Scale {
        Scale::between(&Calibration::new(own.0, own.1), &Calibration::new(other.0, other.1))
    }

    #[test]
    fn template_follows_the_zero_points() {
        let twice = scale((Some(30.752_6), Some("adu")), (Some(30.0), Some("adu")));
        assert!((twice.factor - 2.0).abs() < 1e-4 && twice.zero_point_mag == Some(30.752_6), "{twice:?}");
        assert!(twice.warning.unwrap().contains("multiplied by 2.000"));
        let equal = scale((Some(30.000_05), Some("adu")), (Some(30.0), Some("adu")));
        assert_eq!((equal.factor, equal.zero_point_mag, equal.warning), (1.0, None, None));
        let nearly = scale((Some(30.002), None), (Some(30.0), None));
        assert!(nearly.factor > 1.001 && nearly.warning.is_none());
    }

    #[test]
    fn unit_of_flux_density_is_a_zero_point() {
        let converted = scale((Some(27.0), Some("adu")), (None, Some("nJy")));
        assert!((converted.factor - 10_f64.powf(0.4 * (27.0 - 31.4))).abs() < 1e-9);
        assert_eq!(converted.other_unit, None);
        assert!((scale((None, Some("Jy")), (None, Some("nJy"))).factor / 1e-9 - 1.0).abs() < 1e-6);
        for nanojansky in ["nJy", "NJY", "nanojansky", " nJy "] {
            assert_eq!(Calibration::new(None, Some(nanojansky)).zero_point_mag, Some(31.4), "{nanojansky}");
        }
        for other in ["mJy", "MJy", "nJy/s", "nJy/arcsec2", "adu"] {
            assert_eq!(Calibration::new(None, Some(other)).zero_point_mag, None, "{other}");
        }
    }

    #[test]
    fn units_that_differ_are_refused_unless_zero_points_convert_them() {
        let refused = scale((None, Some("electron")), (Some(27.0), Some("adu")));
        assert_eq!(refused.other_unit, Some(("electron".into(), "adu".into())));
        let message = refused.check_unit(Path::new("a.fits")).unwrap_err().to_string();
        assert!(
            message.contains("a.fits") && message.contains("\"electron\"") && message.contains("\"adu\"")
        );
        assert!(
            scale((Some(28.0), Some("electron")), (Some(27.0), Some("adu")))
                .check_unit(Path::new("a"))
                .is_ok()
        );
        assert_eq!(scale((None, Some("ADU ")), (None, Some("adu"))).other_unit, None);
    }

    #[test]
    fn template_follows_flxscale_where_zero_points_are_unknown() {
        let of =
            |zero_point, flux_scale| Calibration::new(zero_point, Some("adu")).with_flux_scale(flux_scale);
        let scaled = Scale::between(&of(None, Some(0.25)), &of(Some(30.0), None));
        assert!((scaled.factor - 4.0).abs() < 1e-12 && scaled.warning.unwrap().contains("FLXSCALE = 0.25"));
        assert_eq!(Scale::between(&of(Some(30.0), Some(0.25)), &of(Some(30.0), None)).factor, 1.0);
        assert_eq!(Scale::between(&of(None, Some(1.0)), &of(None, None)).warning, None);
        assert_eq!(Scale::between(&of(None, Some(f64::NAN)), &of(None, None)).factor, 1.0);
    }

    #[test]
    fn zero_point_of_one_side_alone_is_reported() {
        assert!(scale((Some(27.0), None), (None, None)).warning.is_some());
        assert!(scale((None, Some("adu")), (Some(27.0), Some("adu"))).warning.is_some());
        assert_eq!(scale((None, None), (None, Some("adu"))).warning, None);
    }
}
