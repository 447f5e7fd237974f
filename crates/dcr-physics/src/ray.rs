//! Refraction integral through a hydrostatic atmosphere, the reference for [`crate::refraction`].
//!
//! This is some thousand times slower than the expansion in `tan z`, and intended for tests and
//! verification, not for making coadds.
//!
//! A ray that reaches the telescope at apparent zenith distance `z₀` obeys `n r sin ψ = n₀ r₀ sin
//! z₀`, with the distance `r` to the centre of the Earth and the local zenith distance `ψ`. Its
//! bending is
//!
//! ```text
//! R = −∫ tan ψ (1/n) dn/dr dr        from the telescope at r₀ upwards
//! ```
//!
//! # The atmosphere
//!
//! The model is that of Hohenkerk & Sinclair (1985). From the telescope (temperature `T₀`, pressure
//! `P₀`, vapour pressure `Pw₀`) to 11 km above sea level, or a telescope above that, temperature
//! decreases by `α` = 6.5 K/km, the vapour pressure is a power of temperature, and the total
//! pressure follows from hydrostatic equilibrium:
//!
//! ```text
//! T  = T₀ − α (r − r₀),    Pw = Pw₀ (T/T₀)^δ,    γ = g Md/(R α)
//! P  = (P₀ + c Pw₀) (T/T₀)^γ − c Pw,    c = (1 − Mw/Md) γ/(δ − γ),    δ = 18.36
//! ```
//!
//! Above, temperature is constant and pressure decreases exponentially, without vapour; the
//! integral ends at 90 km. The refractivity at the telescope is split into the contributions of dry
//! air and vapour, and each is scaled by `P/T` of its gas, as for an ideal gas: the error is of
//! order 1e-4 of the second-order part of the refraction.
//!
//! # Accuracy
//!
//! The quadrature is converged to 1e-6″ above 5° altitude (`ray_quadrature_is_converged`);
//! altitudes below 1° are refused. Features of the real atmosphere that the model omits
//! (inversions, tilted layers) hardly affect dispersion: see
//! `ray_dispersion_hardly_knows_the_lapse_rate`.
//!
//! # References
//!
//! - L. H. Auer & E. M. Standish, 2000, AJ 119, 2472: the integral.
//! - C. Y. Hohenkerk & A. T. Sinclair, 1985, NAO Technical Note 63: the atmosphere.

use crate::index::vapour_pressure_pa;
use crate::refraction::{Refraction, RefractionError, check_site};
use crate::{Angle, RefractiveIndex, Site, Wavelength, Weather};

/// Minimum altitude in degrees.
const LOWEST_ALTITUDE_DEG: f64 = 1.0;
/// Radius of the Earth, in m.
const EARTH_RADIUS_M: f64 = 6_378_120.0;
/// Height of the tropopause above sea level, in m.
const TROPOPAUSE_M: f64 = 11_000.0;
/// Upper end of the integral, in m above sea level: 1e-5 of the air is above.
const TOP_M: f64 = 90_000.0;
/// Exponent of the vapour pressure as a power of the temperature.
const VAPOUR_EXPONENT: f64 = 18.36;
/// Molar masses of dry air and of water in kg/mol, and the gas constant in J/(mol K).
const DRY_AIR: f64 = 0.028_964_4;
const WATER: f64 = 0.018_015_2;
const GAS: f64 = 8.314_32;
/// Number of quadrature panels in each of the two layers.
const PANELS: u32 = 100;

/// A ray tracer through a hydrostatic atmosphere over one site.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RayIntegral<I> {
    index: I,
    weather: Weather,
    site: Site,
    lapse_k_per_m: f64,
    panels: u32,
}

impl<I: RefractiveIndex> RayIntegral<I> {
    /// The integral with the index `index` at `site`, where the air is `weather`.
    #[must_use]
    pub fn new(index: I, site: &Site, weather: &Weather) -> Self {
        Self { index, weather: *weather, site: *site, lapse_k_per_m: 0.0065, panels: PANELS }
    }

    /// The integral with another lapse rate in the troposphere, in K/km.
    ///
    /// The rate is clamped to 3 to 10, the range of stable air over a few kilometres; the formulas
    /// fail at 1.86.
    #[must_use]
    pub fn with_lapse_rate(self, kelvin_per_km: f64) -> Self {
        Self { lapse_k_per_m: kelvin_per_km.clamp(3.0, 10.0) / 1000.0, ..self }
    }

    /// The integral with quadrature steps divided by `factor`, for tests of convergence.
    #[must_use]
    pub fn refined(self, factor: u32) -> Self {
        Self { panels: self.panels * factor, ..self }
    }

    /// The atmosphere above the site for one wavelength.
    fn atmosphere(&self, wavelength: Wavelength) -> Result<Atmosphere, RefractionError> {
        let weather = self.weather;
        let vapour_pa = vapour_pressure_pa(weather.temperature_c, weather.humidity_percent);
        let moist = self.index.refractivity(wavelength, &weather)?;
        let dry = self.index.refractivity(wavelength, &Weather { humidity_percent: 0.0, ..weather })?
            * (1.0 - vapour_pa / weather.pressure_pa);
        let latitude = self.site.latitude.radians();
        Ok(Atmosphere {
            ground_m: self.site.elevation_m,
            tropopause_m: TROPOPAUSE_M.max(self.site.elevation_m),
            kelvin: weather.temperature_c + 273.15,
            pressure_pa: weather.pressure_pa,
            vapour_pa,
            dry,
            vapour: moist - dry,
            lapse: self.lapse_k_per_m,
            gravity: 9.784 * (1.0 - 0.0026 * (2.0 * latitude).cos() - 0.000_000_28 * self.site.elevation_m),
        })
    }
}

impl<I: RefractiveIndex> Refraction for RayIntegral<I> {
    fn refraction(&self, wavelength: Wavelength, altitude: Angle) -> Result<Angle, RefractionError> {
        check_site(&self.site)?;
        let got_deg = altitude.degrees();
        if !(LOWEST_ALTITUDE_DEG..=90.0 + 1e-12).contains(&got_deg) {
            return Err(RefractionError::Altitude { got_deg, lowest_deg: LOWEST_ALTITUDE_DEG });
        }
        let air = self.atmosphere(wavelength)?;
        let ground_index = 1.0 + air.refractivity_and_slope(air.ground_m).0;
        // n₀ r₀ sin z₀, the ray's invariant.
        let invariant = ground_index * (EARTH_RADIUS_M + air.ground_m) * altitude.radians().cos();
        let bending_per_m = |height_m: f64| {
            let (refractivity, slope) = air.refractivity_and_slope(height_m);
            let sine = invariant / ((1.0 + refractivity) * (EARTH_RADIUS_M + height_m));
            -slope / (1.0 + refractivity) * sine / (1.0 - sine * sine).sqrt()
        };
        let troposphere = integral(bending_per_m, air.ground_m, air.tropopause_m, self.panels);
        let stratosphere = integral(bending_per_m, air.tropopause_m, TOP_M, self.panels);
        Ok(Angle::from_radians(troposphere + stratosphere))
    }
}

/// The air over a site and its refractivity at one wavelength.
struct Atmosphere {
    ground_m: f64,
    tropopause_m: f64,
    /// Temperature, pressure and vapour pressure at the ground.
    kelvin: f64,
    pressure_pa: f64,
    vapour_pa: f64,
    /// Contributions of dry air and vapour to `n − 1` at the ground.
    dry: f64,
    vapour: f64,
    /// K/m.
    lapse: f64,
    /// m/s².
    gravity: f64,
}

impl Atmosphere {
    /// `n − 1` at a height above sea level, and its derivative in height per metre.
    ///
    /// The tropopause itself belongs to the layer below; the quadrature never evaluates it.
    fn refractivity_and_slope(&self, height_m: f64) -> (f64, f64) {
        if height_m <= self.tropopause_m { self.troposphere(height_m) } else { self.stratosphere(height_m) }
    }

    fn troposphere(&self, height_m: f64) -> (f64, f64) {
        let gamma = self.gravity * DRY_AIR / (GAS * self.lapse);
        let coupling = (1.0 - WATER / DRY_AIR) * gamma / (VAPOUR_EXPONENT - gamma);
        // Temperature, and P/T of dry air and of vapour, relative to the ground; these determine
        // the index.
        let t = 1.0 - self.lapse * (height_m - self.ground_m) / self.kelvin;
        let vapour = t.powf(VAPOUR_EXPONENT - 1.0);
        let dry_pa_at_ground = self.pressure_pa - self.vapour_pa;
        let polytrope = (self.pressure_pa + coupling * self.vapour_pa) / dry_pa_at_ground;
        let correction = (1.0 + coupling) * self.vapour_pa / dry_pa_at_ground;
        let dry = polytrope * t.powf(gamma - 1.0) - correction * vapour;

        let dry_slope = polytrope * (gamma - 1.0) * t.powf(gamma - 2.0)
            - correction * (VAPOUR_EXPONENT - 1.0) * t.powf(VAPOUR_EXPONENT - 2.0);
        let vapour_slope = (VAPOUR_EXPONENT - 1.0) * t.powf(VAPOUR_EXPONENT - 2.0);
        let t_slope = -self.lapse / self.kelvin;
        (self.dry * dry + self.vapour * vapour, (self.dry * dry_slope + self.vapour * vapour_slope) * t_slope)
    }

    fn stratosphere(&self, height_m: f64) -> (f64, f64) {
        let kelvin = self.kelvin - self.lapse * (self.tropopause_m - self.ground_m);
        let per_m = self.gravity * DRY_AIR / (GAS * kelvin);
        let (at_tropopause, _) = self.troposphere(self.tropopause_m);
        let refractivity = at_tropopause * (-per_m * (height_m - self.tropopause_m)).exp();
        (refractivity, -per_m * refractivity)
    }
}

/// The integral of `f` by three-point Gauss–Legendre quadrature on equal panels.
fn integral(f: impl Fn(f64) -> f64, from: f64, to: f64, panels: u32) -> f64 {
    let node = 0.6_f64.sqrt();
    let half = (to - from) / f64::from(panels) / 2.0;
    (0..panels)
        .map(|panel| {
            let centre = from + half * f64::from(2 * panel + 1);
            half / 9.0 * (5.0 * f(centre - node * half) + 8.0 * f(centre) + 5.0 * f(centre + node * half))
        })
        .sum()
}
