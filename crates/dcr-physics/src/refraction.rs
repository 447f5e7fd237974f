//! Refraction of monochromatic light by the atmosphere, after Stone (1996), with gravity in the
//! scale height.
//!
//! Let `γ = n − 1` be the refractivity at the site (see [`crate::index`]), `φ` the latitude, `h`
//! the elevation in m and `T` the temperature in K. Light at apparent zenith distance `z` is
//! displaced towards the zenith by
//!
//! ```text
//! κ = 1 + 0.005302 sin²φ − 0.00000583 sin²2φ − 0.000000315 h
//! β = 4.5908e-6 T / κ
//! R = γ (1 − β) tan z − γ (β − γ/2) tan³ z        [rad]
//! ```
//!
//! `κ` is gravity relative to its standard value, and `β` the scale height of the atmosphere
//! relative to the radius of the Earth. *Altitude* is always the apparent (refracted) one, `90° −
//! z`.
//!
//! The differential refraction `ΔR(λ) = R(λ) − R(λ_ref)` is positive for blue light: it appears
//! nearer the zenith.
//!
//! # Differences from Stone's published formula
//!
//! Stone has no `κ` in `β` but multiplies all of `R` by it. That factor corrects a mercury
//! barometer; a pressure in Pa needs none, because to first order the refraction depends only on
//! the air at the telescope. Gravity belongs in the scale height. The form above
//! ([`ZenithExpansion::hydrostatic`]) is the default because of its accuracy, below;
//! [`RefractionModel::StonePublished`] is Stone's.
//!
//! # Accuracy
//!
//! Against the refraction integral of [`crate::ray`], for dispersion across u, g or r to airmass 2
//! (`refraction_models_meet_the_ray_integral`,
//! `refraction_expansion_meets_the_ray_integral_of_its_own_index`):
//!
//! | sky | Owens (default) | Ciddor | as published, Owens |
//! |---|---|---|---|
//! | Cerro Pachón, 10 °C | 0.52 mas | 0.05 mas | 0.56 mas |
//! | Cerro Pachón, cold and dry | 0.43 mas | 0.04 mas | 0.95 mas |
//! | Mauna Kea | 0.42 mas | 0.04 mas | 1.2 mas |
//! | Palomar | 0.74 mas | 0.06 mas | 1.3 mas |
//! | Greenwich, sea level | 0.82 mas | 0.06 mas | 6.6 mas |
//! | humid tropics, sea level | 2.4 mas | 0.10 mas | 2.4 mas |
//!
//! The integral uses Ciddor's index. With Owens' index on both sides, the default is as accurate as
//! the Ciddor column (0.09 mas at most): the remaining error is the difference between the two
//! indices.
//!
//! The expansion in `tan z` fails near the horizon: the error of the refraction is 0.002″ at 30°
//! altitude, 0.02″ at 20°, 0.11″ at 15°, 0.8″ at 10°, 3″ at 7.5° and 20″ at 5°. Altitudes below 5°
//! are errors.
//!
//! # Deviations from `lsst.afw.coord`
//!
//! afw adds the `tan³ z` term. Here it is subtracted, as in the source: 405–552 nm on Cerro Pachón
//! at airmass 2 differs by 8 to 11 mas. [`RefractionModel::Reference`] adds it, accepts any
//! altitude as afw does, and uses [`StoneOwens::reference`]. The test
//! `refraction_tan3_term_is_subtracted` fixes the sign.
//!
//! # References
//!
//! - R. C. Stone, 1996, PASP 108, 1051, eqs. 4–10.

use serde::{Deserialize, Serialize};

use crate::atmosphere::HEIGHTS_M;
use crate::index::{Ciddor, RefractiveIndex, StoneOwens};
pub use crate::refraction_error::RefractionError;
use crate::{Angle, Site, Wavelength, Weather};

/// Minimum altitude in degrees for the expansion in `tan z`.
pub const LOWEST_ALTITUDE_DEG: f64 = 5.0;

/// Refraction model, by its name in configurations.
///
/// ```
/// use dcr_physics::{Angle, RefractionModel, Site, Wavelength, Weather};
///
/// let (latitude, longitude) = (Angle::from_degrees(-30.24), Angle::from_degrees(-70.75));
/// let site = Site { latitude, longitude, elevation_m: 2663.0 };
/// let weather = Weather::standard(site.elevation_m);
/// let (blue, red) = (Wavelength::from_nm(405.0), Wavelength::from_nm(552.0));
/// let altitude = Angle::from_degrees(45.0);
///
/// let stone = RefractionModel::StoneOwens.at(&site, &weather).differential(blue, red, altitude)?;
/// let ciddor = RefractionModel::Ciddor.at(&site, &weather).differential(blue, red, altitude)?;
/// assert!(stone.arcsec() > 0.7 && (stone.arcsec() - ciddor.arcsec()).abs() < 0.001);
/// # Ok::<(), dcr_physics::RefractionError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RefractionModel {
    /// Stone's expansion with Owens' index, and gravity in the scale height.
    #[default]
    StoneOwens,
    /// Stone's expansion with Owens' index, as published.
    StonePublished,
    /// The default expansion with Ciddor's index.
    Ciddor,
    /// The numbers of LSST's DcrAssembleCoaddTask, known faults included (docs/algorithm.md §12.1).
    Reference,
}

impl RefractionModel {
    /// The model at one site, in one state of the air.
    #[must_use]
    pub fn at(self, site: &Site, weather: &Weather) -> Box<dyn Refraction + Send + Sync> {
        match self {
            Self::StoneOwens => Box::new(ZenithExpansion::hydrostatic(StoneOwens::new(), site, weather)),
            Self::StonePublished => Box::new(ZenithExpansion::published(StoneOwens::new(), site, weather)),
            Self::Ciddor => Box::new(ZenithExpansion::hydrostatic(Ciddor::default(), site, weather)),
            Self::Reference => Box::new(ZenithExpansion::reference(site, weather)),
        }
    }
}

/// Refraction of light by the air over one site.
///
/// Implement the trait for other models of the air:
///
/// ```
/// use dcr_physics::{Angle, Refraction, RefractionError, Wavelength};
///
/// /// A flat atmosphere with a refractivity after Cauchy.
/// struct Flat;
///
/// impl Refraction for Flat {
///     fn refraction(
///         &self,
///         wavelength: Wavelength,
///         altitude: Angle,
///     ) -> Result<Angle, RefractionError> {
///         let refractivity = 2.0e-4 * (1.0 + 0.0057 * wavelength.inverse_um().powi(2));
///         Ok(Angle::from_radians(refractivity / altitude.radians().tan()))
///     }
/// }
///
/// let (blue, red) = (Wavelength::from_nm(400.0), Wavelength::from_nm(550.0));
/// let lift = Flat.differential(blue, red, Angle::from_degrees(45.0))?;
/// assert!(lift.arcsec() > 0.6 && lift.arcsec() < 0.8);
/// # Ok::<(), RefractionError>(())
/// ```
pub trait Refraction {
    /// The refraction of light seen at the apparent altitude `altitude`: true minus apparent zenith
    /// distance.
    ///
    /// # Errors
    ///
    /// [`RefractionError`] when wavelength, altitude, site or air are outside the model's range, or
    /// NaN.
    fn refraction(&self, wavelength: Wavelength, altitude: Angle) -> Result<Angle, RefractionError>;

    /// Displacement of light of `wavelength` towards the zenith, relative to `reference`.
    ///
    /// # Errors
    ///
    /// As [`Refraction::refraction`].
    fn differential(
        &self,
        wavelength: Wavelength,
        reference: Wavelength,
        altitude: Angle,
    ) -> Result<Angle, RefractionError> {
        let lift = self.refraction(wavelength, altitude)?.radians();
        Ok(Angle::from_radians(lift - self.refraction(reference, altitude)?.radians()))
    }
}

/// Stone's expansion of the refraction in odd powers of `tan z`, with any refractive index.
///
/// ```
/// use dcr_physics::{Angle, Refraction, Site, StoneOwens, Wavelength, Weather, ZenithExpansion};
///
/// let site = Site {
///     latitude: Angle::from_degrees(-30.24),
///     longitude: Angle::from_degrees(-70.75),
///     elevation_m: 2663.0,
/// };
/// let air = Weather { temperature_c: 10.0, pressure_pa: 74_300.0, humidity_percent: 30.0 };
/// let refraction = ZenithExpansion::hydrostatic(StoneOwens::new(), &site, &air);
/// let (blue, red) = (Wavelength::from_nm(405.0), Wavelength::from_nm(552.0));
/// let lift = refraction.differential(blue, red, Angle::from_degrees(30.0))?;
/// assert!((lift.arcsec() - 1.249).abs() < 1e-3);
/// # Ok::<(), dcr_physics::RefractionError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ZenithExpansion<I> {
    index: I,
    site: Site,
    weather: Weather,
    /// Factor of the whole expansion: κ in Stone's form, 1 in the hydrostatic one.
    kappa: f64,
    /// Scale height over the radius of the Earth.
    beta: f64,
    /// −1 in Stone's formula, +1 in LSST's DcrAssembleCoaddTask.
    tan3_sign: f64,
    lowest_altitude_deg: f64,
}

impl<I: RefractiveIndex> ZenithExpansion<I> {
    /// The expansion with gravity in the scale height, from hydrostatic equilibrium.
    ///
    /// The [module](self) documentation has its accuracy.
    #[must_use]
    pub fn hydrostatic(index: I, site: &Site, weather: &Weather) -> Self {
        let gravity = gravity_ratio(site.latitude.radians(), site.elevation_m);
        Self {
            index,
            site: *site,
            weather: *weather,
            kappa: 1.0,
            beta: scale_height_ratio(weather.temperature_c) / gravity,
            tan3_sign: -1.0,
            lowest_altitude_deg: LOWEST_ALTITUDE_DEG,
        }
    }

    /// The expansion as published by Stone: multiplied by κ, without gravity in the scale height.
    #[must_use]
    pub fn published(index: I, site: &Site, weather: &Weather) -> Self {
        let kappa = gravity_ratio(site.latitude.radians(), site.elevation_m);
        let beta = scale_height_ratio(weather.temperature_c);
        Self { kappa, beta, ..Self::hydrostatic(index, site, weather) }
    }
}

impl ZenithExpansion<StoneOwens> {
    /// The expansion of LSST's DcrAssembleCoaddTask: `tan³ z` term added, its vapour constant, any
    /// altitude.
    #[must_use]
    pub fn reference(site: &Site, weather: &Weather) -> Self {
        Self {
            tan3_sign: 1.0,
            lowest_altitude_deg: -90.0,
            ..Self::published(StoneOwens::reference(), site, weather)
        }
    }
}

impl<I: RefractiveIndex> Refraction for ZenithExpansion<I> {
    fn refraction(&self, wavelength: Wavelength, altitude: Angle) -> Result<Angle, RefractionError> {
        check_site(&self.site)?;
        let (got_deg, lowest_deg) = (altitude.degrees(), self.lowest_altitude_deg);
        // Conversion to radians and back can round 90 up.
        if !(lowest_deg..=90.0 + 1e-12).contains(&got_deg) {
            return Err(RefractionError::Altitude { got_deg, lowest_deg });
        }
        let refractivity = self.index.refractivity(wavelength, &self.weather)?;
        let tan_z = tan_zenith_distance(altitude.radians());
        Ok(Angle::from_radians(expansion(self.kappa, self.beta, refractivity, self.tan3_sign, tan_z)))
    }
}

/// Refuses sites that are not on Earth.
pub(crate) fn check_site(site: &Site) -> Result<(), RefractionError> {
    let (latitude_deg, elevation_m) = (site.latitude.degrees(), site.elevation_m);
    if latitude_deg.abs() <= 90.0 + 1e-9 && HEIGHTS_M.contains(&elevation_m) {
        Ok(())
    } else {
        Err(RefractionError::Site { latitude_deg, elevation_m })
    }
}

/// `R = κγ(1 − β) tan z ∓ κγ(β − γ/2) tan³ z`, in radians (Stone eq. 4).
fn expansion(kappa: f64, beta: f64, refractivity: f64, tan3_sign: f64, tan_z: f64) -> f64 {
    let first = kappa * refractivity * (1.0 - beta);
    let third = kappa * refractivity * (beta - refractivity / 2.0);
    first * tan_z + tan3_sign * third * tan_z.powi(3)
}

/// Stone's κ: gravity at the site over standard gravity at the equator.
fn gravity_ratio(latitude_rad: f64, elevation_m: f64) -> f64 {
    1.0 + 0.005_302 * latitude_rad.sin().powi(2)
        - 0.000_005_83 * (2.0 * latitude_rad).sin().powi(2)
        - 0.000_000_315 * elevation_m
}

/// Stone's β: scale height of the air under standard gravity, over the radius of the Earth.
fn scale_height_ratio(temperature_c: f64) -> f64 {
    4.5908e-6 * (temperature_c + 273.15)
}

/// `tan z` from the altitude, exactly 0 at the zenith.
fn tan_zenith_distance(altitude_rad: f64) -> f64 {
    (std::f64::consts::FRAC_PI_2 - altitude_rad).tan()
}
