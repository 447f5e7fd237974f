//! `[input]`: what to make of files and headers.

use std::path::{Path, PathBuf};

use dcr_image::fits::{Checksums, MissingVariance, UncertaintyKind};
use dcr_image::{ExposureFile, OpenOptions};
use dcr_physics::{Angle, Assumption, GeometrySource, Site, VisitInfo};
use serde::{Deserialize, Serialize};

use super::table::table;
use super::{ConfigError, refuse};

table! {
    /// How exposures are read.
    pub struct InputConfig = "input" {
        /// What tells where the zenith was: "auto" (the best that each header has), "time" (and the site), or
        /// "header" (its altitude and parallactic angle or azimuth). Set it where a header contradicts itself: "header" if
        /// its time is wrong, "time" if its angles are.
        geometry: GeometrySource = GeometrySource::Auto,
        /// What to do where that contradicts the header's own altitude or airmass: "refuse" or "warn". Change it after
        /// you have looked which of the two is right, and set geometry accordingly.
        on_disagreement: OnDisagreement = OnDisagreement::Refuse,
        /// The telescope, for headers that do not say: latitude and longitude (east positive) in degrees, height in m.
        site: Option<SiteConfig> = None; "{ latitude_deg = -30.24464, longitude_deg = -70.74942, elevation_m = 2663.0 }",
        /// The image's HDU, by name or number, as a string. Set it where a file has several images.
        /// Unset: IMAGE, SCI, or the first image.
        image_hdu: Option<String> = None; "\"SCI\"",
        /// Files of weights, one for each exposure: {dir} and {stem} stand for the exposure's folder and its name
        /// without extension. Set it where weights are called otherwise than SWarp or the DECam pipeline call them.
        /// Unset: the uncertainties in the exposure's own file, or a file beside it so called.
        weights: Option<String> = None; "\"{dir}/{stem}.weight.fits\"",
        /// What weight files hold: "inverse_variance" (as SWarp and the DECam pipeline write), "variance" or
        /// "standard_deviation". Set it for weights of another origin.
        weights_hold: WeightsHold = WeightsHold::InverseVariance,
        /// Files of masks, named likewise. Set it where masks are in files of their own that are not found.
        masks: Option<String> = None; "\"{dir}/{stem}.mask.fits\"",
        /// Files of PSFs (an image, or a PSFEx model), named likewise. Set it to have PSFs in the coadd and the
        /// differences, which most formats do not bring along.
        psfs: Option<String> = None; "\"{dir}/{stem}.psf\"",
        /// What to do about an image without any uncertainty: "refuse", or "estimate" one from its noise, the same in
        /// every pixel. Set "estimate" for images without weights whose sky is flat.
        missing_variance: WithoutVariance = WithoutVariance::Refuse,
        /// Whether the sums DATASUM and CHECKSUM of inputs that have them are verified: data that changed since they were
        /// written are refused, edited headers are warned of. Set true after copies that may have failed. It nearly doubles the
        /// time of reading plain images, and refuses files that a tool cut out or edited and whose sums it left as they were.
        /// Files of a run are always verified.
        verify_checksums: bool = false,
        /// Unit of the pixel values, for headers without BUNIT.
        unit: Option<String> = None; "\"nJy\"",
        /// Whether exposures are scaled to one zero point: "off" (they are calibrated alike) or "header" (by the
        /// magnitude zero points in the headers). Set "header" for exposures in counts.
        zero_point: ZeroPoint = ZeroPoint::Off,
        /// The zero point in mag that exposures are scaled to with zero_point = "header". Set 31.4 to get nJy of AB magnitudes.
        /// Unset: that of the first exposure.
        common_zero_point_mag: Option<f64> = None; "31.4",
        /// Numbers of the visits to use, of those given. Set it to make a coadd of a selection; `--visits FILE` reads them
        /// from a file. Unset: all.
        visits: Option<Vec<u64>> = None; "[1001, 1002, 1005]",
    }
}

/// What to do about a header that contradicts itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDisagreement {
    /// Fail, and say how to decide.
    Refuse,
    /// Go on with what [`InputConfig::geometry`] gives, with a warning.
    Warn,
}

/// Where a telescope stands.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteConfig {
    /// Geodetic latitude in degrees, north positive.
    pub latitude_deg: f64,
    /// Longitude in degrees, east positive.
    pub longitude_deg: f64,
    /// Height above sea level in m.
    #[serde(default)]
    pub elevation_m: f64,
}

impl From<SiteConfig> for Site {
    fn from(site: SiteConfig) -> Self {
        Self {
            latitude: Angle::from_degrees(site.latitude_deg),
            longitude: Angle::from_degrees(site.longitude_deg),
            elevation_m: site.elevation_m,
        }
    }
}

/// What weight files hold.
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

/// What to do about an image without uncertainty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WithoutVariance {
    /// Fail.
    Refuse,
    /// Take the noise in the image for it.
    Estimate,
}

/// Whether exposures are scaled to one another.
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
        let companion = |pattern: &Option<String>| pattern.as_deref().map(|pattern| expand(pattern, path));
        OpenOptions {
            image_hdu: self.image_hdu.clone(),
            weights: companion(&self.weights),
            weights_hold: match self.weights_hold {
                WeightsHold::InverseVariance => UncertaintyKind::InverseVariance,
                WeightsHold::Variance => UncertaintyKind::Variance,
                WeightsHold::StandardDeviation => UncertaintyKind::StandardDeviation,
            },
            mask: companion(&self.masks),
            psf: companion(&self.psfs),
            find_companions: true,
            missing_variance: match self.missing_variance {
                WithoutVariance::Refuse => MissingVariance::Refuse,
                WithoutVariance::Estimate => MissingVariance::Estimate,
            },
            checksums: if self.verify_checksums { Checksums::Data } else { Checksums::Ignore },
        }
    }

    /// The circumstances of an exposure, with the telescope set here where its header has none.
    #[must_use]
    pub fn visit(&self, file: &ExposureFile) -> VisitInfo {
        let mut visit = file.visit().clone();
        if let (None, Some(site)) = (visit.site, self.site) {
            visit.site = Some(site.into());
            visit.assumptions.push(Assumption {
                quantity: "site".into(),
                text: "The header has no site; the one of the configuration was used.".into(),
                warning: false,
            });
        }
        visit
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if let Some(zero_point) = self.common_zero_point_mag.filter(|mag| !mag.is_finite()) {
            return Err(refuse("input.common_zero_point_mag", zero_point, "a number"));
        }
        if self.visits.as_ref().is_some_and(Vec::is_empty) {
            return Err(refuse("input.visits", "[]", "at least one number of a visit"));
        }
        if let Some(site) = self.site {
            let degrees = |key: &str, value: f64, limit: f64, allowed: &str| {
                if value.abs() <= limit { Ok(()) } else { Err(refuse(key, value, allowed)) }
            };
            degrees("input.site.latitude_deg", site.latitude_deg, 90.0, "-90 to 90 degrees")?;
            degrees(
                "input.site.longitude_deg",
                site.longitude_deg,
                360.0,
                "-360 to 360 degrees, east positive",
            )?;
            if !(-1000.0..=10_000.0).contains(&site.elevation_m) {
                return Err(refuse("input.site.elevation_m", site.elevation_m, "-1000 to 10000 m"));
            }
        }
        for (key, pattern) in
            [("input.weights", &self.weights), ("input.masks", &self.masks), ("input.psfs", &self.psfs)]
        {
            if let Some(pattern) = pattern.as_deref().filter(|pattern| !pattern.contains("{stem}")) {
                let allowed = "a name with {stem}, which stands for that of the exposure";
                return Err(refuse(key, format!("{pattern:?}"), allowed));
            }
        }
        Ok(())
    }
}

/// Puts the folder and the stem of `path` into a pattern.
fn expand(pattern: &str, path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(".fz").or(name.strip_suffix(".gz")).unwrap_or(&name);
    let stem = name.rfind('.').map_or(name, |at| &name[..at]);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    PathBuf::from(pattern.replace("{dir}", &folder.to_string_lossy()).replace("{stem}", stem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn companions_are_named_by_a_pattern() {
        let expanded = |pattern, path| expand(pattern, Path::new(path));
        assert_eq!(
            expanded("{dir}/{stem}.weight.fits", "/d/a.b.fits.fz"),
            PathBuf::from("/d/a.b.weight.fits")
        );
        assert_eq!(expanded("{dir}/{stem}.psf", "x.fits"), PathBuf::from("./x.psf"));
        assert_eq!(expanded("/w/{stem}", "/d/noextension"), PathBuf::from("/w/noextension"));
    }
}
