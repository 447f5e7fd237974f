//! `[input]`: interpretation of files and headers.

#![allow(rustdoc::broken_intra_doc_links, reason = "help texts name HDUs in brackets")]

use std::path::{Path, PathBuf};

use dcr_image::OpenOptions;
use dcr_image::fits::{Checksums, CompanionFile, MissingVariance, UncertaintyKind};
use dcr_image::header::{self, Given};
use dcr_image::wcs::Distortions;
use dcr_physics::GeometrySource;
use serde::{Deserialize, Serialize};

use super::table::table;
use super::{ConfigError, refuse};

table! {
    /// How exposures are read.
    pub struct InputConfig = "input" {
        /// Source of the zenith's direction: "auto" (the best in each header), "time" (and the
        /// site), or "header" (its altitude and parallactic angle or azimuth). Set it where a
        /// header contradicts itself: "header" if its time is wrong, "time" if its angles are.
        geometry: GeometrySource = GeometrySource::Auto,
        /// Response where that contradicts the header's own altitude or airmass: "refuse" or
        /// "warn". Change it after you have checked which of the two is right, and set geometry
        /// accordingly.
        on_disagreement: OnDisagreement = OnDisagreement::Refuse,
        /// The telescope: latitude and longitude (east positive) in degrees, which go together, and
        /// height in m, which may stand alone. It wins over headers and over the known sites of
        /// instruments. Set it where those say nothing, or are wrong.
        site: Option<SiteConfig> = None; "{ latitude_deg = -30.24464, longitude_deg = -70.74942, elevation_m = 2663.0 }",
        /// Air pressure at the telescope (not reduced to sea level) in hPa, for all exposures. It
        /// overrides headers.
        pressure_hpa: Option<f64> = None; "744.0",
        /// Air temperature in °C, for all exposures. It wins over headers.
        temperature_c: Option<f64> = None; "10.0",
        /// Relative humidity in percent, for all exposures. It wins over headers.
        humidity_percent: Option<f64> = None; "40.0",
        /// Distortion polynomials (SIP, TPV) of headers: "header" (they are applied) or "none". Set
        /// "none" where they were left over in resampled images, as a warning says.
        distortion: Distortion = Distortion::Header,
        /// The image's HDU, by name, name and EXTVER ("SCI,2") or number, as a string. Set it where
        /// a file has several images. Unset: IMAGE, SCI, or the first image; files of several CCDs
        /// are refused.
        image_hdu: Option<String> = None; "\"SCI\"",
        /// Files of weights, one per exposure: {dir} and {stem} stand for the exposure's folder and
        /// its name without extension. Brackets at the end name an HDU, as in image_hdu:
        /// "{dir}/{stem}.fits[WGT]" is one of the exposure's own file. Set it where weights have
        /// other names than those of SWarp or the DECam pipeline. Unset: the uncertainties in the
        /// exposure's own file, or a file beside it with such a name.
        weights: Option<String> = None; "\"{dir}/{stem}.weight.fits\"",
        /// Content of weight files: "inverse_variance" (as SWarp and the DECam pipeline write),
        /// "variance" or "standard_deviation". Set it where names do not state it. Unset: by the
        /// card UTYPE, the name of the HDU or of the file (x.rms.fits holds standard deviations),
        /// or else inverse variances.
        weights_hold: Option<WeightsHold> = None; "\"standard_deviation\"",
        /// Files of masks, or HDUs of files, named like weights. Set it where masks are in separate
        /// files that are not found.
        masks: Option<String> = None; "\"{dir}/{stem}.mask.fits\"",
        /// Files of PSFs (an image, or a PSFEx model), or HDUs of files, named like weights. Set it
        /// to have PSFs in the coadd and the differences; most formats lack them.
        psfs: Option<String> = None; "\"{dir}/{stem}.psf\"",
        /// Response to an image without any uncertainty: "refuse", or "estimate" one from its
        /// noise, equal in every pixel. Set "estimate" for images without weights whose sky is
        /// flat.
        missing_variance: WithoutVariance = WithoutVariance::Refuse,
        /// Verify the sums DATASUM and CHECKSUM of inputs that have them: data changed since they
        /// were written are refused, edited headers are warned of. Set true after copies that may
        /// have failed. It nearly doubles the time of reading plain images, and refuses files that
        /// a tool cut out or edited without updating their sums. Files of a run are always
        /// verified.
        verify_checksums: bool = false,
        /// Unit of the pixel values, for all exposures. It overrides BUNIT. Set it for headers
        /// without one, or with a wrong one.
        unit: Option<String> = None; "\"nJy\"",
        /// Scale exposures to one zero point: "off" (they are calibrated alike) or "header" (by the
        /// magnitude zero points in the headers). Set "header" for exposures in counts.
        zero_point: ZeroPoint = ZeroPoint::Off,
        /// Time that the zero points in headers refer to: "auto" (as the instrument and the card's
        /// comment say, or else the exposure), "second" (2.5 log10 of the exposure time is added
        /// for pixels in counts) or "exposure". Set it for headers that do not state it.
        zero_point_of: ZeroPointOf = ZeroPointOf::Auto,
        /// Zero point in mag to which exposures are scaled with zero_point = "header". Set 31.4 to
        /// get nJy of AB magnitudes. Unset: that of the first exposure.
        common_zero_point_mag: Option<f64> = None; "31.4",
        /// Numbers of the visits to use, of those given. Set it to make a coadd of a selection;
        /// `--visits FILE` reads them from a file. Unset: all.
        visits: Option<Vec<u64>> = None; "[1001, 1002, 1005]",
    }
}

/// Response to a header that contradicts itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDisagreement {
    /// Fail, and say how to decide.
    Refuse,
    /// Continue with [`InputConfig::geometry`] and a warning.
    Warn,
}

/// Where a telescope stands. Latitude and longitude go together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SiteConfig {
    /// Geodetic latitude in degrees, north positive.
    pub latitude_deg: Option<f64>,
    /// Longitude in degrees, east positive.
    pub longitude_deg: Option<f64>,
    /// Height above sea level in m. Unset: that of the header, or sea level with a warning.
    pub elevation_m: Option<f64>,
}

/// Treatment of distortion polynomials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distortion {
    /// They are applied.
    Header,
    /// They are left out.
    None,
}

/// Reference time of a header's zero point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ZeroPointOf {
    /// As instrument, comment and unit state.
    Auto,
    /// One second.
    Second,
    /// The exposure.
    Exposure,
}

/// Content of weight files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightsHold {
    /// Inverse variances.
    InverseVariance,
    /// Variances.
    Variance,
    /// Standard deviations.
    StandardDeviation,
}

/// Response to an image without uncertainty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WithoutVariance {
    /// Fail.
    Refuse,
    /// Take the noise in the image for it.
    Estimate,
}

/// Scaling of exposures to a common zero point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ZeroPoint {
    /// They are not.
    Off,
    /// By the zero points in their headers.
    Header,
}

impl InputConfig {
    /// How to open the exposure at `path`.
    #[must_use]
    pub fn open_options(&self, path: &Path) -> OpenOptions {
        let companion = |pattern: &Option<String>| pattern.as_deref().map(|pattern| companion(pattern, path));
        OpenOptions {
            image_hdu: self.image_hdu.clone(),
            weights: companion(&self.weights),
            weights_hold: self.weights_hold.map(|hold| match hold {
                WeightsHold::InverseVariance => UncertaintyKind::InverseVariance,
                WeightsHold::Variance => UncertaintyKind::Variance,
                WeightsHold::StandardDeviation => UncertaintyKind::StandardDeviation,
            }),
            mask: companion(&self.masks),
            psf: companion(&self.psfs),
            find_companions: true,
            missing_variance: match self.missing_variance {
                WithoutVariance::Refuse => MissingVariance::Refuse,
                WithoutVariance::Estimate => MissingVariance::Estimate,
            },
            distortions: match self.distortion {
                Distortion::Header => Distortions::Header,
                Distortion::None => Distortions::Ignored,
            },
            given: self.given(),
            checksums: if self.verify_checksums { Checksums::Data } else { Checksums::Ignore },
        }
    }

    /// The files that the patterns name for the exposure at `path`, and their use.
    pub fn named_companions(&self, path: &Path) -> impl Iterator<Item = (&'static str, PathBuf)> {
        let of = |use_, pattern: &Option<String>| {
            pattern.as_deref().map(|pattern| (use_, companion(pattern, path).path))
        };
        [of("weight", &self.weights), of("mask", &self.masks), of("PSF", &self.psfs)].into_iter().flatten()
    }

    /// Values from the settings that override headers.
    fn given(&self) -> Given {
        let site = self.site.unwrap_or_default();
        Given {
            latitude_deg: site.latitude_deg,
            longitude_deg: site.longitude_deg,
            elevation_m: site.elevation_m,
            pressure_hpa: self.pressure_hpa,
            temperature_c: self.temperature_c,
            humidity_percent: self.humidity_percent,
            unit: self.unit.clone(),
            zero_point_of: match self.zero_point_of {
                ZeroPointOf::Auto => header::ZeroPointOf::Auto,
                ZeroPointOf::Second => header::ZeroPointOf::Second,
                ZeroPointOf::Exposure => header::ZeroPointOf::Exposure,
            },
        }
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if let Some(zero_point) = self.common_zero_point_mag.filter(|mag| !mag.is_finite()) {
            return Err(refuse("input.common_zero_point_mag", zero_point, "a number"));
        }
        if self.visits.as_ref().is_some_and(Vec::is_empty) {
            return Err(refuse("input.visits", "[]", "at least one number of a visit"));
        }
        self.validate_site()?;
        for (key, value, range, allowed) in [
            ("input.pressure_hpa", self.pressure_hpa, 300.0..=1100.0, "300 to 1100 hPa, at the telescope"),
            ("input.temperature_c", self.temperature_c, -60.0..=60.0, "-60 to 60 °C"),
            ("input.humidity_percent", self.humidity_percent, 0.0..=100.0, "0 to 100 %"),
        ] {
            if let Some(value) = value.filter(|value| !range.contains(value)) {
                return Err(refuse(key, value, allowed));
            }
        }
        if let Some(unit) = &self.unit {
            if unit.trim().is_empty() {
                return Err(refuse("input.unit", format!("{unit:?}"), "a unit such as \"nJy\""));
            }
            if header::unit::kind(unit) == header::unit::UnitKind::NotFlux {
                return Err(refuse(
                    "input.unit",
                    format!("{unit:?}"),
                    "a unit of flux, not of its logarithm",
                ));
            }
        }
        for (key, pattern) in
            [("input.weights", &self.weights), ("input.masks", &self.masks), ("input.psfs", &self.psfs)]
        {
            if let Some(pattern) = pattern.as_deref().filter(|pattern| !pattern.contains("{stem}")) {
                let allowed = "a name with {stem}, which stands for that of the exposure";
                return Err(refuse(key, format!("{pattern:?}"), allowed));
            }
            if let Some((_, hdu)) =
                pattern.as_deref().and_then(hdu_of).filter(|(_, hdu)| hdu.trim().is_empty())
            {
                let allowed = "an HDU in the brackets, by name or number, as [WGT] or [2]";
                return Err(refuse(key, format!("[{hdu}]"), allowed));
            }
        }
        Ok(())
    }

    fn validate_site(&self) -> Result<(), ConfigError> {
        let Some(site) = self.site else { return Ok(()) };
        let within =
            |key: &str, value: Option<f64>, range: std::ops::RangeInclusive<f64>, allowed: &str| match value
                .filter(|value| !range.contains(value))
            {
                Some(value) => Err(refuse(key, value, allowed)),
                None => Ok(()),
            };
        within("input.site.latitude_deg", site.latitude_deg, -90.0..=90.0, "-90 to 90 degrees")?;
        within(
            "input.site.longitude_deg",
            site.longitude_deg,
            -360.0..=360.0,
            "-360 to 360 degrees, east positive",
        )?;
        within("input.site.elevation_m", site.elevation_m, -420.0..=5700.0, "-420 to 5700 m")?;
        let (given, missing) = match (site.latitude_deg, site.longitude_deg) {
            (Some(_), None) => ("latitude_deg alone", "input.site.longitude_deg"),
            (None, Some(_)) => ("longitude_deg alone", "input.site.latitude_deg"),
            (None, None) if site.elevation_m.is_none() => ("nothing", "input.site"),
            _ => return Ok(()),
        };
        Err(refuse(missing, given, "latitude_deg with longitude_deg, elevation_m, or all three"))
    }
}

/// File and HDU that a pattern names for the exposure at `path`.
fn companion(pattern: &str, path: &Path) -> CompanionFile {
    match hdu_of(pattern) {
        Some((file, hdu)) => CompanionFile { path: expand(file, path).into(), hdu: Some(expand(hdu, path)) },
        None => PathBuf::from(expand(pattern, path)).into(),
    }
}

/// A pattern without the brackets at its end, and the HDU in them.
fn hdu_of(pattern: &str) -> Option<(&str, &str)> {
    let (file, hdu) = pattern.strip_suffix(']')?.rsplit_once('[')?;
    (!file.is_empty() && !file.ends_with(['/', '\\'])).then_some((file, hdu))
}

/// Puts the folder and the stem of `path` into a pattern.
fn expand(pattern: &str, path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(".fz").or(name.strip_suffix(".gz")).unwrap_or(&name);
    let stem = name.rfind('.').map_or(name, |at| &name[..at]);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    pattern.replace("{dir}", &folder.to_string_lossy()).replace("{stem}", stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn companions_are_named_by_a_pattern() {
        let expanded = |pattern, path| PathBuf::from(expand(pattern, Path::new(path)));
        assert_eq!(
            expanded("{dir}/{stem}.weight.fits", "/d/a.b.fits.fz"),
            PathBuf::from("/d/a.b.weight.fits")
        );
        assert_eq!(expanded("{dir}/{stem}.psf", "x.fits"), PathBuf::from("./x.psf"));
        assert_eq!(expanded("/w/{stem}", "/d/noextension"), PathBuf::from("/w/noextension"));
    }

    #[test]
    fn brackets_at_the_end_of_a_pattern_name_an_hdu() {
        let named = |pattern| companion(pattern, Path::new("/d/a[1].fits"));
        let file = |path: &str, hdu: Option<&str>| CompanionFile {
            path: PathBuf::from(path),
            hdu: hdu.map(str::to_owned),
        };
        assert_eq!(named("{dir}/{stem}.fits[WGT,2]"), file("/d/a[1].fits", Some("WGT,2")));
        assert_eq!(named("/w/all.psf[{stem}]"), file("/w/all.psf", Some("a[1]")));
        // Brackets in the names of files have no meaning.
        assert_eq!(named("{dir}/{stem}.weight.fits"), file("/d/a[1].weight.fits", None));
        assert_eq!(named("{dir}/{stem}"), file("/d/a[1]", None));
        assert_eq!(named("{dir}/[{stem}]"), file("/d/[a[1]]", None));
        let empty = InputConfig { masks: Some("{dir}/{stem}.fits[]".into()), ..InputConfig::default() };
        assert!(empty.validate().unwrap_err().to_string().starts_with("input.masks = []: expected an HDU"));
    }
}
