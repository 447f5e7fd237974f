//! Errors of refraction models and of the refractive index.

/// Minimum wavelength of the fits of the refractive index, in nm.
pub const SHORTEST_NM: f64 = 230.2;
/// Maximum wavelength of the fits of the refractive index, in nm.
pub const LONGEST_NM: f64 = 2058.6;

/// A request outside the range of a refraction model.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RefractionError {
    /// The wavelength lies outside the range of the refractive index fits.
    #[error("wavelength {got_nm} nm is outside the valid range {SHORTEST_NM}–{LONGEST_NM} nm")]
    Wavelength {
        /// The requested wavelength.
        got_nm: f64,
    },
    /// The altitude is below the range of the model, beyond the zenith, or not a number.
    #[error("altitude {got_deg:.3}° is outside the valid range {lowest_deg}–90°")]
    Altitude {
        /// The requested altitude.
        got_deg: f64,
        /// The minimum of the model.
        lowest_deg: f64,
    },
    /// The site's latitude or height is not a number or impossible.
    #[error("latitude {latitude_deg:.3}° and elevation {elevation_m} m are not a site on Earth")]
    Site {
        /// The latitude.
        latitude_deg: f64,
        /// The height above sea level.
        elevation_m: f64,
    },
    /// A weather reading is NaN or impossible.
    #[error("{quantity} of {got} is impossible for air")]
    Weather {
        /// The reading, with its unit.
        quantity: &'static str,
        /// Its value.
        got: f64,
    },
}
