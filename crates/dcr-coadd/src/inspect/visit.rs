//! Properties of one exposure.

use std::path::{Path, PathBuf};

use dcr_image::fits::MissingVariance;
use dcr_image::{BBox, ExposureFile, FitsError, OpenOptions};
use dcr_physics::{
    Angle, Assumption, GeometryError, GeometryOrigin, GeometrySource, LocalSky, SkyPosition, VisitInfo,
    Weather, ZenithGeometry,
};
use serde::Serialize;

use crate::config::{AssembleConfig, ConfigError};

/// Side in px of the middle part of the image whose noise is looked at.
const NOISE_SIDE: usize = 1024;
/// The Earth's rotation in degrees per second.
const EARTH_DEG_PER_S: f64 = 360.985_647_366 / 86_400.0;

/// Properties of one exposure. Angles are in degrees; `None` is unknown.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct VisitInspection {
    /// The file.
    pub file: PathBuf,
    /// The visit's number.
    pub visit: u64,
    /// The instrument.
    pub instrument: Option<String>,
    /// The detector, as header cards number or name it.
    pub detector: Option<String>,
    /// The filter.
    pub filter: Option<String>,
    /// Middle of the exposure, UTC.
    pub mid_time: Option<String>,
    /// Exposure time in s.
    pub exposure_s: Option<f64>,
    /// Source of the zenith's direction.
    pub zenith_from: Option<GeometryOrigin>,
    /// The sky at the boresight in the middle of the exposure.
    pub boresight: Option<Place>,
    /// The sky at the boresight at the start of the exposure.
    pub boresight_at_start: Option<Place>,
    /// The sky at the middle of the image in the middle of the exposure.
    pub centre: Option<Place>,
    /// The altitude in the header.
    pub header_altitude_deg: Option<f64>,
    /// The airmass in the header.
    pub header_airmass: Option<f64>,
    /// Direction of the zenith in the image, from +x towards +y.
    pub zenith_direction_deg: Option<f64>,
    /// Refraction at the blue edge of the band minus that at the red edge.
    pub dispersion: Option<Dispersion>,
    /// Refraction at the blue edge minus that at the red edge, at tan z = 1, in mas.
    pub dispersion_mas_per_tan_z: Option<f64>,
    /// The PSF at the middle of the image.
    pub psf: Option<Psf>,
    /// Median noise of a pixel, in the unit of the image.
    pub noise: Option<f64>,
    /// The unit of the image.
    pub unit: Option<String>,
    /// Width and height of the image.
    pub size: [usize; 2],
    /// The air that refraction is computed for.
    pub weather: Option<Weather>,
    /// Assumptions, conversions and warnings.
    pub assumptions: Vec<Assumption>,
}

/// The sky at one place.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Place {
    /// Secant of the zenith distance.
    pub airmass: f64,
    /// Apparent altitude.
    pub altitude_deg: f64,
    /// Parallactic angle of date.
    pub parallactic_angle_deg: f64,
    /// Position angle of the zenith in ICRS.
    pub parallactic_angle_icrs_deg: f64,
}

impl From<LocalSky> for Place {
    fn from(sky: LocalSky) -> Self {
        Self {
            airmass: sky.airmass,
            altitude_deg: sky.altitude.degrees(),
            parallactic_angle_deg: sky.parallactic_angle_of_date.degrees(),
            parallactic_angle_icrs_deg: sky.parallactic_angle.degrees(),
        }
    }
}

/// A displacement towards the zenith.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Dispersion {
    /// On the sky.
    pub mas: f64,
    /// In the image.
    pub px: f64,
}

/// The width of a PSF.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Psf {
    /// FWHM in px.
    pub fwhm_px: f64,
    /// FWHM on the sky.
    pub fwhm_arcsec: f64,
}

/// Inspects one exposure.
///
/// # Errors
///
/// [`FitsError`] if it cannot be read. Other missing properties are reported among the assumptions.
pub(super) fn inspect(path: &Path, config: &AssembleConfig) -> Result<VisitInspection, FitsError> {
    let options = OpenOptions {
        // Inspection reports defects that assembling refuses.
        missing_variance: MissingVariance::Estimate,
        ..config.input.open_options(path)
    };
    let file = ExposureFile::open(path, &options)?;
    let visit = file.visit().clone();
    let mut notes = visit.assumptions.clone();
    let mut seen = VisitInspection {
        file: path.to_owned(),
        visit: visit.visit,
        instrument: visit.instrument.clone(),
        detector: file.detector(),
        filter: visit.filter.clone(),
        mid_time: visit.mid_time.and_then(|time| time.utc()),
        exposure_s: visit.exposure_s,
        header_altitude_deg: visit.altitude.map(Angle::degrees),
        header_airmass: visit.airmass,
        unit: file.unit().map(str::to_owned),
        size: [file.bbox().width, file.bbox().height],
        noise: noise(&file)?,
        ..VisitInspection::default()
    };
    for finding in file.look()?.list() {
        notes.push(warning(finding.quantity, finding.text));
    }
    let (x, y) = file.bbox().centre();
    match file.wcs().pixel_to_sky(x, y) {
        Ok(place) => refract(&mut seen, &mut notes, &visit, &file, config, place),
        Err(error) => {
            notes.push(warning("wcs", format!("The middle of the image has no place on the sky: {error}.")))
        }
    }
    if let Some(fwhm_px) = fwhm_px(&file, &mut notes)
        && let Ok(scale) = file.wcs().pixel_scale(x, y)
    {
        seen.psf = Some(Psf { fwhm_px, fwhm_arcsec: fwhm_px * scale });
    }
    let mut said: Vec<Assumption> = Vec::with_capacity(notes.len());
    for note in notes {
        if !said.contains(&note) {
            said.push(note);
        }
    }
    seen.assumptions = said;
    Ok(seen)
}

/// Fills in quantities that follow from zenith and air.
fn refract(
    seen: &mut VisitInspection,
    notes: &mut Vec<Assumption>,
    visit: &VisitInfo,
    file: &ExposureFile,
    config: &AssembleConfig,
    centre: SkyPosition,
) {
    let Some((geometry, source)) = zenith(visit, config.input.geometry, notes) else { return };
    notes.extend(geometry.assumptions().iter().cloned());
    if geometry.disagreement().is_some() {
        let remedy = "To coadd all the same, set input.geometry to \"time\" or \"header\", and input.on_disagreement to \"warn\".";
        notes.push(note("altitude", remedy.into()));
    }
    let sky = geometry.at(centre);
    seen.zenith_from = Some(geometry.origin());
    seen.boresight = geometry.boresight().map(Place::from);
    seen.boresight_at_start = at_start(visit, &geometry, source);
    seen.centre = Some(sky.into());

    let (x, y) = file.bbox().centre();
    let zenith = file.wcs().zenith_direction(x, y, sky.parallactic_angle).ok();
    seen.zenith_direction_deg = zenith.map(|zenith| zenith.dy.atan2(zenith.dx).to_degrees());

    let elevation_m = visit.site.map_or(0.0, |site| site.elevation_m);
    let (weather, weather_notes) = visit.weather.complete(elevation_m);
    notes.extend(weather_notes);
    seen.weather = Some(weather);
    let resolved =
        match config.band.resolve(config.throughput.as_ref(), &dcr_image::Exposure::stated_band(file)) {
            Ok(resolved) => resolved,
            Err(error) => {
                notes.push(warning("band", without_band(&error)));
                return;
            }
        };
    notes.extend(resolved.notes);
    let range = resolved.band.range();
    let Some(site) = visit.site else {
        notes.push(warning("site", "No dispersion: the header has no site; set input.site.".into()));
        return;
    };
    let air = config.model.refraction.at(&site, &weather);
    let across_the_band = |altitude| air.differential(range.lo, range.hi, altitude);
    match (across_the_band(sky.altitude), zenith) {
        (Ok(lift), Some(zenith)) => {
            let (dx, dy) = zenith.pixels(lift);
            seen.dispersion = Some(Dispersion { mas: 1000.0 * lift.arcsec(), px: dx.hypot(dy) });
        }
        (Ok(_), None) => {}
        (Err(error), _) => notes.push(warning("dispersion", format!("No dispersion: {error}."))),
    }
    seen.dispersion_mas_per_tan_z =
        across_the_band(Angle::from_degrees(45.0)).ok().map(|lift| 1000.0 * lift.arcsec());
}

/// Reason for missing dispersion, without the list of built-in bands.
fn without_band(error: &ConfigError) -> String {
    match error {
        ConfigError::Band { name: None, filter: Some(filter), .. } => format!(
            "No dispersion: the wavelengths of filter {filter:?} are not known; set band.name, or the band's wavelengths."
        ),
        ConfigError::Band { name: None, filter: None, .. } => {
            "No dispersion: the header names no filter; set band.name, or the band's wavelengths.".into()
        }
        other => format!("No dispersion: {other}."),
    }
}

/// Zenith of a visit. Where the header's time, unless the settings chose it, puts the boresight
/// below the horizon, the header's angles are used.
fn zenith(
    visit: &VisitInfo,
    source: GeometrySource,
    notes: &mut Vec<Assumption>,
) -> Option<(ZenithGeometry, GeometrySource)> {
    let error = match ZenithGeometry::resolve(visit, source) {
        Ok(geometry) => return Some((geometry, source)),
        Err(error) => error,
    };
    let below = matches!(error, GeometryError::BelowHorizon { .. }) && source == GeometrySource::Auto;
    let by_angles = below.then(|| ZenithGeometry::resolve(visit, GeometrySource::Header).ok()).flatten();
    notes.push(warning(
        "zenith",
        match by_angles {
            Some(_) => format!(
                "{}; shown is what the header's angles say. To use it, set input.geometry to \"header\".",
                sentence(&error.to_string())
            ),
            None => format!("{}.", sentence(&error.to_string())),
        },
    ));
    Some((by_angles?, GeometrySource::Header))
}

/// Sky at the boresight at the start of the exposure, if the zenith is from a time-dependent
/// source.
fn at_start(visit: &VisitInfo, geometry: &ZenithGeometry, source: GeometrySource) -> Option<Place> {
    use GeometryOrigin::{EarthRotationAngle, HourAngle, Time};
    if !matches!(geometry.origin(), EarthRotationAngle | Time | HourAngle) {
        return None;
    }
    let start = earlier(visit, visit.exposure_s? / 2.0);
    ZenithGeometry::resolve(&start, source).ok()?.boresight().map(Place::from)
}

/// The visit a number of seconds earlier.
fn earlier(visit: &VisitInfo, seconds: f64) -> VisitInfo {
    let turned = |angle: Angle| Angle::from_degrees(angle.degrees() - seconds * EARTH_DEG_PER_S);
    VisitInfo {
        mid_time: visit.mid_time.map(|time| time.later(-seconds)),
        earth_rotation_angle: visit.earth_rotation_angle.map(turned),
        hour_angle: visit.hour_angle.map(turned),
        ..visit.clone()
    }
}

/// The FWHM in the middle of the image, by the PSF or else by the header.
fn fwhm_px(file: &ExposureFile, notes: &mut Vec<Assumption>) -> Option<f64> {
    let (x, y) = file.bbox().centre();
    match file.psf().map(|psf| psf.fwhm_px(x, y)) {
        Some(Ok(fwhm)) => return Some(fwhm),
        Some(Err(error)) => notes.push(warning("psf", format!("The PSF has no width: {error}."))),
        None if file.visit().psf_fwhm_px.is_none() => {
            notes.push(warning("psf", "There is no PSF, and the header has no FWHM.".into()));
        }
        None => {}
    }
    file.visit().psf_fwhm_px
}

/// The median of the noise in the middle of the image; `None` if no pixel has any.
fn noise(file: &ExposureFile) -> Result<Option<f64>, FitsError> {
    let whole = file.bbox();
    let (width, height) = (whole.width.min(NOISE_SIDE), whole.height.min(NOISE_SIDE));
    let x0 = whole.x0 + ((whole.width - width) / 2) as i64;
    let y0 = whole.y0 + ((whole.height - height) / 2) as i64;
    let variance = file.read_variance(BBox::new(x0, y0, width, height))?;
    let mut known: Vec<f32> = variance.iter().copied().filter(|v| *v > 0.0 && v.is_finite()).collect();
    if known.is_empty() {
        return Ok(None);
    }
    let middle = known.len() / 2;
    let (_, median, _) = known.select_nth_unstable_by(middle, f32::total_cmp);
    Ok(Some(f64::from(*median).sqrt()))
}

/// The text with a capital.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn note(quantity: &str, text: String) -> Assumption {
    Assumption { quantity: quantity.into(), text, warning: false }
}

fn warning(quantity: &str, text: String) -> Assumption {
    Assumption { warning: true, ..note(quantity, text) }
}
