//! The refractive index of moist air: Owens (1967) in Stone's form, and Ciddor (1996).
//!
//! Both give the refractivity `n − 1` of the air at one place, for a wavelength in nm and the
//! temperature, pressure and humidity of a [`Weather`].
//!
//! # Owens, as Stone writes it
//!
//! With temperature `t` in °C, `T = t + 273.15` in K, pressures in mbar, wavenumber `σ` in µm⁻¹ and
//! `x = ln(RH/100)`:
//!
//! ```text
//! Td = 238.3 [(t + 238.3) x + 17.2694 t] / [(t + 238.3)(17.2694 − x) − 17.2694 t]              °C
//! Pw = 133.32239 (4.50874 + 0.341724 Td + 0.0106778 Td² + 0.184889e-3 Td³
//!                 + 0.238294e-5 Td⁴ + 0.203447e-7 Td⁵)                                         Pa
//! Ps = P − Pw
//! Ds = [1 + Ps (57.90e-8 − 9.3250e-4/T + 0.25844/T²)] Ps/T
//! Dw = [1 + Pw (1 + 3.7e-4 Pw)(−2.37321e-3 + 2.23366/T − 710.792/T² + 7.75141e+4/T³)] Pw/T
//! (n − 1) 10⁸ = [2371.34 + 683939.7/(130 − σ²) + 4547.3/(38.9 − σ²)] Ds
//!             + [6487.31 + 58.058 σ² − 0.71150 σ⁴ + 0.08851 σ⁶] Dw
//! ```
//!
//! Valid for 230.2–2058.6 nm. The polynomial for `Pw` is a fit to dew points above about −45 °C,
//! and becomes negative below (at 10 °C, under 1 % humidity: −470 Pa at 0.1 %). Such air has almost
//! no vapour, so a negative `Pw` is set to 0, with an error below 15 Pa, or 0.05 mas of dispersion
//! at airmass 2. Humidity 0 means `Pw = 0`.
//!
//! # Deviations from `lsst.afw.coord`
//!
//! afw has `7.75141e-4` in `Dw` where Owens has `7.75141e+4`: at most 0.1 mas of
//! dispersion on Cerro Pachón, 1 to 4 mas in hot and humid air at sea level.
//! [`StoneOwens::reference`] keeps it. At humidity 0 afw gives NaN.
//!
//! # References
//!
//! - J. C. Owens, 1967, Appl. Opt. 6, 51: density factors and dispersion of dry air and water
//!   vapour.
//! - R. C. Stone, 1996, PASP 108, 1051, eqs. 14–20: the same with the dew point.
//! - P. E. Ciddor, 1996, Appl. Opt. 35, 1566: [`Ciddor`].

use crate::refraction_error::RefractionError;
pub use crate::refraction_error::{LONGEST_NM, SHORTEST_NM};
use crate::{Wavelength, Weather};

/// A model of the refractive index of air.
pub trait RefractiveIndex {
    /// The refractivity `n − 1` of air in the state `weather`, dimensionless.
    ///
    /// # Errors
    ///
    /// [`RefractionError::Wavelength`] outside 230.2–2058.6 nm; [`RefractionError::Weather`] for
    /// impossible air: NaN, absolute zero or below, no pressure, negative humidity.
    fn refractivity(&self, wavelength: Wavelength, weather: &Weather) -> Result<f64, RefractionError>;
}

/// Owens' refractivity in the form of Stone (1996): the default. See the [module](self) for the
/// equations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StoneOwens {
    /// The coefficient of `1/T³` in the density factor of water vapour.
    vapour_cubic: f64,
}

impl StoneOwens {
    /// With Owens' own coefficients.
    #[must_use]
    pub const fn new() -> Self {
        Self { vapour_cubic: 7.751_41e4 }
    }

    /// With the coefficient of `1/T³` as `lsst.afw.coord` ships it, 7.75141e-4.
    #[must_use]
    pub const fn reference() -> Self {
        Self { vapour_cubic: 7.751_41e-4 }
    }

    /// The density factors of dry air and of water vapour, Owens' Ds and Dw, in mbar/K.
    fn density_factors(self, weather: &Weather) -> (f64, f64) {
        let kelvin = weather.temperature_c + 273.15;
        let vapour = vapour_pressure_pa(weather.temperature_c, weather.humidity_percent) / 100.0;
        let dry = weather.pressure_pa / 100.0 - vapour;
        let dry_factor =
            (1.0 + dry * (57.90e-8 - 9.3250e-4 / kelvin + 0.25844 / kelvin.powi(2))) * dry / kelvin;
        let vapour_factor = (1.0
            + vapour
                * (1.0 + 3.7e-4 * vapour)
                * (-2.373_21e-3 + 2.233_66 / kelvin - 710.792 / kelvin.powi(2)
                    + self.vapour_cubic / kelvin.powi(3)))
            * vapour
            / kelvin;
        (dry_factor, vapour_factor)
    }
}

impl Default for StoneOwens {
    fn default() -> Self {
        Self::new()
    }
}

impl RefractiveIndex for StoneOwens {
    fn refractivity(&self, wavelength: Wavelength, weather: &Weather) -> Result<f64, RefractionError> {
        check(wavelength, weather)?;
        let (dry_factor, vapour_factor) = self.density_factors(weather);
        let s2 = wavelength.inverse_um().powi(2);
        let dry = 2371.34 + 683_939.7 / (130.0 - s2) + 4547.3 / (38.9 - s2);
        let vapour = 6487.31 + 58.058 * s2 - 0.711_50 * s2.powi(2) + 0.088_51 * s2.powi(3);
        Ok(1e-8 * (dry * dry_factor + vapour * vapour_factor))
    }
}

/// Ciddor's (1996) refractivity, the standard of geodesy and metrology.
///
/// The refractivities of standard dry air (15 °C, 101 325 Pa) and of water vapour (20 °C, 1333 Pa)
/// are scaled by the densities of both in the given air, from the BIPM 1981/91 equation of state.
/// Published for 300–1690 nm; used here over 230.2–2058.6 nm. The dispersion differs from that of
/// [`StoneOwens`] by 1e-4 to 3e-4 on mountains and 1.3e-3 in the humid tropics.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ciddor {
    co2_ppm: f64,
}

impl Ciddor {
    /// For air with the given mole fraction of carbon dioxide in parts per million.
    #[must_use]
    pub const fn with_co2_ppm(co2_ppm: f64) -> Self {
        Self { co2_ppm }
    }
}

impl Default for Ciddor {
    /// Ciddor's standard air, 450 ppm of carbon dioxide.
    fn default() -> Self {
        Self::with_co2_ppm(450.0)
    }
}

impl RefractiveIndex for Ciddor {
    fn refractivity(&self, wavelength: Wavelength, weather: &Weather) -> Result<f64, RefractionError> {
        check(wavelength, weather)?;
        let s2 = wavelength.inverse_um().powi(2);

        // Ciddor's eqs. 1–3: standard dry air, the same with another amount of CO2, and water vapour.
        let standard_air = 1e-8 * (5_792_105.0 / (238.0185 - s2) + 167_917.0 / (57.362 - s2));
        let air = standard_air * (1.0 + 0.534e-6 * (self.co2_ppm - 450.0));
        let vapour = 1.022e-8 * (295.235 + 2.6422 * s2 - 0.032_380 * s2.powi(2) + 0.004_028 * s2.powi(3));

        let molar_mass_air = 1e-3 * (28.9635 + 12.011e-6 * (self.co2_ppm - 400.0));
        let kelvin = weather.temperature_c + 273.15;
        let fraction = ciddor_vapour_fraction(weather);
        let (air_density, vapour_density) =
            ciddor_densities(weather.pressure_pa, kelvin, fraction, molar_mass_air);
        let (standard_air_density, _) = ciddor_densities(101_325.0, 288.15, 0.0, molar_mass_air);
        let (_, standard_vapour_density) = ciddor_densities(1333.0, 293.15, 1.0, molar_mass_air);

        // Eq. 5 by way of eq. 4, the equation of state.
        Ok(air_density / standard_air_density * air + vapour_density / standard_vapour_density * vapour)
    }
}

/// Pressure of the water vapour in air of the given temperature and relative humidity, in Pa (Stone
/// eqs. 18 and 20), never below 0.
pub(crate) fn vapour_pressure_pa(temperature_c: f64, humidity_percent: f64) -> f64 {
    if humidity_percent <= 0.0 {
        return 0.0;
    }
    let t = temperature_c;
    let x = (humidity_percent / 100.0).ln();
    let dew_point = 238.3 * ((t + 238.3) * x + 17.2694 * t) / ((t + 238.3) * (17.2694 - x) - 17.2694 * t);
    let mm_of_mercury = 4.508_74
        + 0.341_724 * dew_point
        + 0.010_677_8 * dew_point.powi(2)
        + 0.184_889e-3 * dew_point.powi(3)
        + 0.238_294e-5 * dew_point.powi(4)
        + 0.203_447e-7 * dew_point.powi(5);
    (133.322_39 * mm_of_mercury).max(0.0)
}

/// The mole fraction of water vapour (Ciddor's appendix A), with the enhancement factor of moist
/// air.
fn ciddor_vapour_fraction(weather: &Weather) -> f64 {
    let t = weather.temperature_c;
    let kelvin = t + 273.15;
    let saturation = (1.237_884_7e-5 * kelvin.powi(2) - 1.912_131_6e-2 * kelvin + 33.937_110_47
        - 6.343_164_5e3 / kelvin)
        .exp();
    let enhancement = 1.000_62 + 3.14e-8 * weather.pressure_pa + 5.6e-7 * t.powi(2);
    (enhancement * weather.humidity_percent / 100.0 * saturation / weather.pressure_pa).min(1.0)
}

/// Densities of the dry air and of the vapour in a mixture, in kg/m³ (Ciddor's eq. 4 and appendix
/// A).
fn ciddor_densities(pressure_pa: f64, kelvin: f64, vapour_fraction: f64, molar_mass_air: f64) -> (f64, f64) {
    const GAS: f64 = 8.314_510;
    const MOLAR_MASS_WATER: f64 = 0.018_015;
    let t = kelvin - 273.15;
    let xw = vapour_fraction;
    let p_over_t = pressure_pa / kelvin;
    let compressibility = 1.0
        - p_over_t
            * (1.581_23e-6 - 2.9331e-8 * t
                + 1.1043e-10 * t.powi(2)
                + (5.707e-6 - 2.051e-8 * t) * xw
                + (1.9898e-4 - 2.376e-6 * t) * xw.powi(2))
        + p_over_t.powi(2) * (1.83e-11 - 0.765e-8 * xw.powi(2));
    let moles = p_over_t / (compressibility * GAS);
    (moles * molar_mass_air * (1.0 - xw), moles * MOLAR_MASS_WATER * xw)
}

/// Refuses wavelengths outside the fits and impossible air.
fn check(wavelength: Wavelength, weather: &Weather) -> Result<(), RefractionError> {
    let got_nm = wavelength.nm();
    if !(SHORTEST_NM..=LONGEST_NM).contains(&got_nm) {
        return Err(RefractionError::Wavelength { got_nm });
    }
    let Weather { temperature_c, pressure_pa, humidity_percent } = *weather;
    let readings = [
        ("temperature in °C", temperature_c, temperature_c > -273.15),
        ("pressure in Pa", pressure_pa, pressure_pa > 0.0),
        ("relative humidity in percent", humidity_percent, humidity_percent >= 0.0),
    ];
    match readings.into_iter().find(|(_, got, possible)| !(*possible && got.is_finite())) {
        Some((quantity, got, _)) => Err(RefractionError::Weather { quantity, got }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The intermediate values that `golden/refraction.json` gives for the reference at 20 °C, 73
    /// 892 Pa, 40 %.
    #[test]
    fn stone_owens_intermediates_are_those_of_the_reference() {
        let weather = Weather { temperature_c: 20.0, pressure_pa: 73_892.0, humidity_percent: 40.0 };
        let (dry, vapour) = StoneOwens::reference().density_factors(&weather);
        approx::assert_relative_eq!(
            vapour_pressure_pa(20.0, 40.0),
            928.374_946_266_929_6,
            max_relative = 1e-13
        );
        approx::assert_relative_eq!(dry, 2.489_688_043_240_581, max_relative = 1e-13);
        approx::assert_relative_eq!(vapour, 0.030_776_577_040_595_25, max_relative = 1e-13);
    }

    #[test]
    fn vapour_pressure_is_never_negative() {
        for humidity in [0.0, 1e-300, 0.01, 0.1, 1.0, 5.0] {
            for temperature in [-60.0, -20.0, 0.0, 20.0] {
                assert!(vapour_pressure_pa(temperature, humidity) >= 0.0, "{temperature} °C, {humidity} %");
            }
        }
    }
}
