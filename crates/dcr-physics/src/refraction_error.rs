//! Requests that a model of refraction or of the refractive index cannot answer.

/// The shortest wavelength of the fits of the refractive index, in nm.
pub const SHORTEST_NM: f64 = 230.2;
/// The longest wavelength of the fits of the refractive index, in nm.
pub const LONGEST_NM: f64 = 2058.6;

/// A request that a refraction model cannot answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RefractionError {
    /// The wavelength lies outside the range of the refractive index fits.
    #[error("wavelength {got_nm} nm is outside the valid range {SHORTEST_NM}–{LONGEST_NM} nm")]
    Wavelength {
        /// The wavelength asked for.
        got_nm: f64,
    },
    /// The altitude is too low for the model, beyond the zenith, or not a number.
    #[error("altitude {got_deg:.3}° is outside the valid range {lowest_deg}–90°")]
    Altitude {
        /// The altitude asked for.
        got_deg: f64,
        /// The lowest that the model answers.
        lowest_deg: f64,
    },
    /// The site's latitude or height is not a number or impossible.
    #[error("latitude {latitude_deg:.3}° and height {elevation_m} m are no place for a telescope")]
    Site {
        /// The latitude.
        latitude_deg: f64,
        /// The height above sea level.
        elevation_m: f64,
    },
    /// A reading is NaN or describes air that cannot be.
    #[error("{quantity} of {got} is not a possible state of the air")]
    Weather {
        /// Which reading, with its unit.
        quantity: &'static str,
        /// Its value.
        got: f64,
    },
}
