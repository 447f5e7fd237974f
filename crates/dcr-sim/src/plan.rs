//! Plan of the exposures of a field, before any pixel is drawn.

use dcr_physics::{Angle, Instant, Refraction, RefractionError, VisitInfo, Weather, WeatherReadings};

use crate::catalogue::{Source, draw_transients};
use crate::horizon::{Sighting, earth_rotation_at, hour_angle_of_airmass, instant_of_hour_angle};
use crate::random::{Purpose, Random};
use crate::{FieldConfig, SourceShape};

/// Number of the first visit.
const FIRST_VISIT: u64 = 1001;

/// Number of the first held-out visit.
const FIRST_HELD_OUT: u64 = 5001;

/// Offset in nights of a visit from the night on which its hour angle falls on midnight; 20 are 80
/// minutes.
const SCATTER_NIGHTS: f64 = 20.0;

/// A planned exposure.
#[derive(Clone, Debug)]
pub struct VisitPlan {
    /// Metadata as in a header, free of contradictions.
    pub info: VisitInfo,
    /// FWHM of its PSF in arcsec at the middle of the band.
    pub seeing_arcsec: f64,
    /// Offset of the image from its WCS, (x, y) in pixels.
    pub jitter_px: [f64; 2],
    /// Variable sources: their ids, and the factor on their flux.
    pub variables: Vec<(u32, f64)>,
    /// Sources in this visit only.
    pub transients: Vec<Source>,
    pub(crate) rotation: Angle,
    pub(crate) weather: Weather,
}

/// Visits to coadd, and held-out visits.
pub(crate) fn visits(
    config: &FieldConfig,
    catalogue: &[Source],
) -> Result<(Vec<VisitPlan>, Vec<VisitPlan>), RefractionError> {
    let settings = &config.visits;
    let [low, high] = settings.airmass;
    let mut plans = Vec::with_capacity(settings.count);
    for i in 0..settings.count {
        let mut random = Random::new(config.seed, Purpose::Visit, i as u64);
        let step = if settings.count > 1 { i as f64 / (settings.count - 1) as f64 } else { 0.0 };
        let side = if i % 2 == 0 { 1.0 } else { -1.0 };
        plans.push(plan(config, &mut random, FIRST_VISIT + i as u64, low + (high - low) * step, side)?);
    }
    let mut held_out = Vec::with_capacity(settings.held_out);
    for i in 0..settings.held_out as u64 {
        let mut random = Random::new(config.seed, Purpose::Visit, FIRST_HELD_OUT + i);
        let airmass = random.uniform(low, high);
        let side = if random.unit() < 0.5 { 1.0 } else { -1.0 };
        let mut plan = plan(config, &mut random, FIRST_HELD_OUT + i, airmass, side)?;
        change_sources(config, catalogue, i, &mut plan);
        held_out.push(plan);
    }
    Ok((plans, held_out))
}

fn plan(
    config: &FieldConfig,
    random: &mut Random,
    visit: u64,
    airmass: f64,
    side: f64,
) -> Result<VisitPlan, RefractionError> {
    let (settings, site, centre) = (&config.visits, config.physical_site(), config.centre());
    let hour_angle =
        Angle::from_radians(side * hour_angle_of_airmass(airmass, centre.dec, site.latitude).radians());
    let nights = random.uniform(-SCATTER_NIGHTS, SCATTER_NIGHTS);
    let instant = instant_of_hour_angle(hour_angle, centre, &site, nights);
    let weather = weather(config, random);
    let seeing_arcsec = random.uniform(settings.seeing_arcsec[0], settings.seeing_arcsec[1]);
    let jitter = settings.jitter_arcsec / config.scale_arcsec;
    let jitter_px = [jitter * random.normal(), jitter * random.normal()];
    let rotation = earth_rotation_at(instant);
    let air = config.refraction.at(&site, &weather);
    let sighting = Sighting::new(centre, &site, rotation, &*air, config.reference())?;
    let info = info(config, visit, instant, rotation, &sighting, &weather, seeing_arcsec);
    Ok(VisitPlan {
        info,
        seeing_arcsec,
        jitter_px,
        variables: Vec::new(),
        transients: Vec::new(),
        rotation,
        weather,
    })
}

fn info(
    config: &FieldConfig,
    visit: u64,
    instant: Instant,
    rotation: Angle,
    sighting: &Sighting,
    weather: &Weather,
    seeing_arcsec: f64,
) -> VisitInfo {
    VisitInfo {
        visit,
        filter: Some(config.passband.name.clone()),
        mid_time: Some(instant),
        exposure_s: Some(config.visits.exposure_s),
        boresight: Some(config.centre()),
        altitude: Some(sighting.altitude),
        azimuth: Some(sighting.azimuth),
        airmass: Some(sighting.airmass()),
        hour_angle: Some(sighting.hour_angle),
        earth_rotation_angle: Some(rotation),
        parallactic_angle: Some(sighting.parallactic_angle),
        rotator_angle: Some(Angle::from_degrees(config.rotation_deg)),
        site: Some(config.physical_site()),
        weather: WeatherReadings {
            temperature_c: Some(weather.temperature_c),
            pressure_pa: Some(weather.pressure_pa),
            humidity_percent: Some(weather.humidity_percent),
        },
        psf_fwhm_px: Some(seeing_arcsec / config.scale_arcsec),
        ..VisitInfo::default()
    }
}

fn weather(config: &FieldConfig, random: &mut Random) -> Weather {
    let mean = config.mean_weather();
    if !config.visits.weather_varies {
        return mean;
    }
    // Headers give a tenth of each unit, and so does the truth.
    let tenth = |v: f64| libm::round(10.0 * v) / 10.0;
    Weather {
        temperature_c: tenth(mean.temperature_c + random.uniform(-5.0, 5.0)),
        pressure_pa: tenth(mean.pressure_pa + random.uniform(-400.0, 400.0)),
        humidity_percent: tenth(random.uniform(10.0, 80.0)),
    }
}

/// Adds to a held-out visit its variables, the same stars in each, and its transients.
fn change_sources(config: &FieldConfig, catalogue: &[Source], index: u64, plan: &mut VisitPlan) {
    let mut choice = Random::new(config.seed, Purpose::Variability, 0);
    let point = |source: &&Source| source.shape == SourceShape::Point && source.is_inside(config);
    let mut stars: Vec<u32> =
        catalogue.iter().take(config.sources.stars).filter(point).map(|star| star.id).collect();
    let mut random = Random::new(config.seed, Purpose::Variability, index + 1);
    for _ in 0..config.sources.variables.min(stars.len()) {
        let id = stars.swap_remove(choice.below(stars.len()));
        plan.variables.push((id, libm::exp2(random.uniform(-1.0, 1.0))));
    }
    let first_id = catalogue.len() as u32 + 1 + index as u32 * config.sources.transients as u32;
    plan.transients = draw_transients(config, &mut random, first_id);
}

/// Weather of a planned visit.
pub(crate) fn air(config: &FieldConfig, plan: &VisitPlan) -> Box<dyn Refraction + Send + Sync> {
    config.refraction.at(&config.physical_site(), &plan.weather)
}
