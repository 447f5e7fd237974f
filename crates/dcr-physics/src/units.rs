//! Angles, wavelengths and sky positions: types for interfaces, plain `f64` internally.

use serde::{Deserialize, Serialize};

/// A plane angle, stored in radians.
///
/// ```
/// use dcr_physics::Angle;
/// assert!((Angle::from_degrees(180.0).radians() - std::f64::consts::PI).abs() < 1e-15);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Angle {
    radians: f64,
}

impl Angle {
    /// From radians.
    #[must_use]
    pub const fn from_radians(radians: f64) -> Self {
        Self { radians }
    }

    /// From degrees.
    #[must_use]
    pub const fn from_degrees(degrees: f64) -> Self {
        Self { radians: degrees.to_radians() }
    }

    /// From seconds of arc.
    #[must_use]
    pub const fn from_arcsec(arcsec: f64) -> Self {
        Self::from_degrees(arcsec / 3600.0)
    }

    /// From hours of right ascension or hour angle.
    #[must_use]
    pub const fn from_hours(hours: f64) -> Self {
        Self::from_degrees(hours * 15.0)
    }

    /// In radians.
    #[must_use]
    pub const fn radians(self) -> f64 {
        self.radians
    }

    /// In degrees.
    #[must_use]
    pub const fn degrees(self) -> f64 {
        self.radians.to_degrees()
    }

    /// In seconds of arc.
    #[must_use]
    pub const fn arcsec(self) -> f64 {
        self.radians.to_degrees() * 3600.0
    }

    /// The same direction, in [−180°, 180°).
    #[must_use]
    pub fn wrapped(self) -> Self {
        use std::f64::consts::{PI, TAU};
        Self { radians: (self.radians + PI).rem_euclid(TAU) - PI }
    }
}

/// A wavelength in vacuum or air (the difference of 0.03 % is negligible here), stored in nm.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Wavelength {
    nm: f64,
}

impl Wavelength {
    /// From nanometres.
    #[must_use]
    pub const fn from_nm(nm: f64) -> Self {
        Self { nm }
    }

    /// In nanometres.
    #[must_use]
    pub const fn nm(self) -> f64 {
        self.nm
    }

    /// The wavenumber in µm⁻¹, Stone's σ.
    #[must_use]
    pub const fn inverse_um(self) -> f64 {
        1000.0 / self.nm
    }
}

/// A sky position, ICRS unless stated otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SkyPosition {
    /// Right ascension.
    pub ra: Angle,
    /// Declination.
    pub dec: Angle,
}

impl SkyPosition {
    /// From right ascension and declination in degrees.
    #[must_use]
    pub const fn from_degrees(ra: f64, dec: f64) -> Self {
        Self { ra: Angle::from_degrees(ra), dec: Angle::from_degrees(dec) }
    }
}
