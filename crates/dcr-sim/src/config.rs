//! Settings of a synthetic field, with documented defaults and validation.

use dcr_physics::{Angle, RefractionModel, Site, SkyPosition, Wavelength, Weather};
use serde::{Deserialize, Serialize};

use crate::{Passband, PsfShape, SimError};

/// Settings of a field. The defaults give a small field in LSST's g, at its site, with constant
/// seeing and without artefacts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FieldConfig {
    /// Seed of all random numbers: the same seed gives the same bytes on every machine.
    pub seed: u64,
    /// Columns of each image.
    pub width: usize,
    /// Rows of each image.
    pub height: usize,
    /// Pixel scale in arcsec.
    pub scale_arcsec: f64,
    /// Right ascension of the image centre in degrees, ICRS.
    pub ra_deg: f64,
    /// Declination of the image centre in degrees, ICRS.
    pub dec_deg: f64,
    /// Position angle of the image's +y in degrees, North through East.
    pub rotation_deg: f64,
    /// Whether East is left of North (as on the sky) or right (mirrored).
    pub east_left: bool,
    /// The band.
    pub passband: Passband,
    /// Reference wavelength of the WCS in nm; the middle of the band if `None`.
    pub reference_nm: Option<f64>,
    /// Refraction model.
    pub refraction: RefractionModel,
    /// Site of the telescope.
    pub site: SiteSettings,
    /// The exposures.
    pub visits: VisitSettings,
    /// Sources in the sky.
    pub sources: SourceSettings,
    /// Shape of the PSF.
    pub psf: PsfShape,
    /// Sky counts per pixel, in electrons. Images are sky-subtracted, but contain its noise.
    pub sky_electrons: f64,
    /// Read noise in electrons.
    pub read_noise_electrons: f64,
    /// Surface brightness in electrons per pixel at which each Gaussian is cut off.
    pub floor_electrons: f64,
    /// Threshold of DETECTED in σ of the sky noise, applied to the noiseless image; the footprint
    /// is grown by 2.4 σ of the PSF. A star of 5 σ after smoothing with its PSF peaks at about 1.75
    /// σ.
    pub detection_sigma: f64,
    /// Artefacts of the exposures; `None` for none.
    pub artefacts: Option<ArtefactSettings>,
}

impl Default for FieldConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            width: 160,
            height: 160,
            scale_arcsec: 0.2,
            ra_deg: 53.0,
            dec_deg: -25.0,
            rotation_deg: 25.0,
            east_left: true,
            passband: Passband::default(),
            reference_nm: None,
            refraction: RefractionModel::default(),
            site: SiteSettings::default(),
            visits: VisitSettings::default(),
            sources: SourceSettings::default(),
            psf: PsfShape::default(),
            sky_electrons: 500.0,
            read_noise_electrons: 9.0,
            floor_electrons: 1e-3,
            detection_sigma: 1.75,
            artefacts: None,
        }
    }
}

/// Site of the telescope.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SiteSettings {
    /// Latitude in degrees, north positive.
    pub latitude_deg: f64,
    /// Longitude in degrees, east positive.
    pub longitude_deg: f64,
    /// Elevation above sea level in m.
    pub elevation_m: f64,
}

impl Default for SiteSettings {
    /// Cerro Pachón.
    fn default() -> Self {
        Self { latitude_deg: -30.244_639, longitude_deg: -70.749_417, elevation_m: 2663.0 }
    }
}

/// The exposures of a field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VisitSettings {
    /// Number of exposures.
    pub count: usize,
    /// Number of held-out exposures.
    pub held_out: usize,
    /// Minimum and maximum airmass. The visits are evenly spaced between them, on alternating sides
    /// of the meridian; below the minimum of the field, they are at transit. Held-out visits have
    /// random airmass in this range.
    pub airmass: [f64; 2],
    /// Minimum and maximum FWHM of the PSF in arcsec, at the middle of the band.
    pub seeing_arcsec: [f64; 2],
    /// Exponent of the FWHM as a power of `λ` (−0.2 for Kolmogorov turbulence).
    pub seeing_exponent: f64,
    /// Air temperature in °C.
    pub temperature_c: f64,
    /// Pressure in Pa.
    pub pressure_pa: f64,
    /// Relative humidity in percent.
    pub humidity_percent: f64,
    /// Whether the weather varies by visit: ±5 °C, ±4 hPa and 10 to 80 % about the values above.
    pub weather_varies: bool,
    /// Standard deviation per axis of the offset of an image from its WCS, in arcsec.
    pub jitter_arcsec: f64,
    /// Exposure time in s, for the header.
    pub exposure_s: f64,
}

impl Default for VisitSettings {
    fn default() -> Self {
        Self {
            count: 10,
            held_out: 2,
            airmass: [1.0, 2.0],
            seeing_arcsec: [0.75, 0.75],
            seeing_exponent: 0.0,
            temperature_c: 10.0,
            pressure_pa: 74_400.0,
            humidity_percent: 40.0,
            weather_varies: false,
            jitter_arcsec: 0.0,
            exposure_s: 30.0,
        }
    }
}

/// Sources in the sky.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SourceSettings {
    /// Number of point sources.
    pub stars: usize,
    /// Number of galaxies.
    pub galaxies: usize,
    /// Minimum and maximum flux in electrons.
    pub flux_electrons: [f64; 2],
    /// Slope of the cumulative counts: the number brighter than F falls as F to minus this power.
    pub count_slope: f64,
    /// Minimum separation of two sources in arcsec, as far as space permits.
    pub separation_arcsec: f64,
    /// Width of the margin with sources outside the image, in pixels.
    pub margin_px: f64,
    /// Number of variable stars in the held-out visits, which change by a factor between 0.5 and 2.
    pub variables: usize,
    /// Number of new sources in each held-out visit.
    pub transients: usize,
}

impl Default for SourceSettings {
    fn default() -> Self {
        Self {
            stars: 45,
            galaxies: 8,
            flux_electrons: [1.6e3, 4.8e5],
            count_slope: 0.5,
            separation_arcsec: 0.8,
            margin_px: 12.0,
            variables: 0,
            transients: 0,
        }
    }
}

/// Artefacts of exposures. The truth lists all of them, flagged in the mask or not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ArtefactSettings {
    /// Bad columns per visit, flagged BAD.
    pub bad_columns: usize,
    /// Maximum width of a strip without data along an edge, in pixels. Each visit lacks one edge
    /// and one corner.
    pub edge_px: usize,
    /// Cosmic rays per visit.
    pub cosmic_rays: usize,
    /// Share of cosmic rays that the mask does not flag. The others are flagged CR.
    pub unflagged: f64,
    /// Period in visits of a satellite streak, never flagged; 0 for none.
    pub streak_every: usize,
    /// Flux in electrons of an additional saturated star; 0 for none.
    pub saturated_flux_electrons: f64,
    /// Saturation level in electrons; such pixels are flagged SAT.
    pub saturation_electrons: f64,
}

impl Default for ArtefactSettings {
    fn default() -> Self {
        Self {
            bad_columns: 2,
            edge_px: 8,
            cosmic_rays: 12,
            unflagged: 0.25,
            streak_every: 7,
            saturated_flux_electrons: 9e6,
            saturation_electrons: 1e5,
        }
    }
}

impl FieldConfig {
    /// Reference wavelength of the WCS.
    #[must_use]
    pub fn reference(&self) -> Wavelength {
        self.reference_nm.map_or_else(|| self.passband.effective(), Wavelength::from_nm)
    }

    /// Position of the field centre.
    #[must_use]
    pub fn centre(&self) -> SkyPosition {
        SkyPosition::from_degrees(self.ra_deg, self.dec_deg)
    }

    /// The site as a type of `dcr-physics`.
    #[must_use]
    pub fn physical_site(&self) -> Site {
        Site {
            latitude: Angle::from_degrees(self.site.latitude_deg),
            longitude: Angle::from_degrees(self.site.longitude_deg),
            elevation_m: self.site.elevation_m,
        }
    }

    /// Mean weather of the visits.
    #[must_use]
    pub fn mean_weather(&self) -> Weather {
        Weather {
            temperature_c: self.visits.temperature_c,
            pressure_pa: self.visits.pressure_pa,
            humidity_percent: self.visits.humidity_percent,
        }
    }

    /// # Errors
    ///
    /// [`SimError::Setting`] for the first invalid setting.
    pub fn validate(&self) -> Result<(), SimError> {
        self.passband.validate()?;
        let check = |setting: &'static str, ok: bool, allowed: &str, got: &dyn std::fmt::Debug| {
            if ok {
                Ok(())
            } else {
                Err(SimError::Setting { setting, problem: format!("{got:?} is not {allowed}") })
            }
        };
        let positive = |v: f64| v > 0.0 && v.is_finite();
        let from_zero = |v: f64| v >= 0.0 && v.is_finite();
        let rises = |v: [f64; 2], lowest: f64| v[0] >= lowest && v[1] >= v[0] && v[1].is_finite();
        let side = 1..=65_536;
        check("width", side.contains(&self.width), "from 1 to 65536", &self.width)?;
        check("height", side.contains(&self.height), "from 1 to 65536", &self.height)?;
        check("scale_arcsec", positive(self.scale_arcsec), "above 0", &self.scale_arcsec)?;
        check("ra_deg", (0.0..360.0).contains(&self.ra_deg), "from 0 to 360", &self.ra_deg)?;
        check("dec_deg", self.dec_deg.abs() < 89.9, "within ±89.9", &self.dec_deg)?;
        check("rotation_deg", self.rotation_deg.is_finite(), "a number", &self.rotation_deg)?;
        check(
            "site.latitude_deg",
            self.site.latitude_deg.abs() < 89.9,
            "within ±89.9",
            &self.site.latitude_deg,
        )?;
        check(
            "site.longitude_deg",
            self.site.longitude_deg.abs() <= 360.0,
            "within ±360",
            &self.site.longitude_deg,
        )?;
        let visits = &self.visits;
        check("visits.airmass", rises(visits.airmass, 1.0), "rising from 1 up", &visits.airmass)?;
        check("visits.airmass", visits.airmass[1] <= 5.0, "at most 5", &visits.airmass)?;
        check(
            "visits.seeing_arcsec",
            rises(visits.seeing_arcsec, 1e-3),
            "rising from above 0",
            &visits.seeing_arcsec,
        )?;
        // The stated accuracies hold from this FWHM.
        let narrowest = visits.seeing_arcsec[0] / self.scale_arcsec;
        check("visits.seeing_arcsec", narrowest >= 2.4, "at least 2.4 pixels", &visits.seeing_arcsec)?;
        check(
            "visits.seeing_exponent",
            visits.seeing_exponent.abs() <= 2.0,
            "within ±2",
            &visits.seeing_exponent,
        )?;
        check("visits.jitter_arcsec", from_zero(visits.jitter_arcsec), "0 or more", &visits.jitter_arcsec)?;
        if let PsfShape::Moffat { axis_ratio, angle_deg } = self.psf {
            check("psf.axis_ratio", (0.1..=1.0).contains(&axis_ratio), "from 0.1 to 1", &axis_ratio)?;
            check("psf.angle_deg", angle_deg.is_finite(), "a number", &angle_deg)?;
        }
        let sources = &self.sources;
        let flux = sources.flux_electrons;
        check("sources.flux_electrons", positive(flux[0]) && rises(flux, 0.0), "rising from above 0", &flux)?;
        check("sources.count_slope", positive(sources.count_slope), "above 0", &sources.count_slope)?;
        check("sources.margin_px", from_zero(sources.margin_px), "0 or more", &sources.margin_px)?;
        check(
            "sources.variables",
            sources.variables <= sources.stars,
            "at most the stars",
            &sources.variables,
        )?;
        check("sky_electrons", from_zero(self.sky_electrons), "0 or more", &self.sky_electrons)?;
        check(
            "read_noise_electrons",
            from_zero(self.read_noise_electrons),
            "0 or more",
            &self.read_noise_electrons,
        )?;
        check("floor_electrons", positive(self.floor_electrons), "above 0", &self.floor_electrons)?;
        check("detection_sigma", positive(self.detection_sigma), "above 0", &self.detection_sigma)?;
        if let Some(artefacts) = &self.artefacts {
            let share = artefacts.unflagged;
            check("artefacts.unflagged", (0.0..=1.0).contains(&share), "from 0 to 1", &share)?;
            let level = artefacts.saturation_electrons;
            check("artefacts.saturation_electrons", positive(level), "above 0", &level)?;
            let flux = artefacts.saturated_flux_electrons;
            check("artefacts.saturated_flux_electrons", from_zero(flux), "0 or more", &flux)?;
        }
        Ok(())
    }
}
