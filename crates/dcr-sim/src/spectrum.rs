//! Spectra in photons per nm, up to a factor that the passband normalises.
//!
//! The flux of a source is its count in the band, so that only the shape of a spectrum matters. The
//! shapes are those that DCR distinguishes: smooth slopes of either sign, a line within one
//! subfilter, and a break that empties another.
//!
//! # References
//!
//! - D. E. Vanden Berk et al., 2001, AJ 122, 549: quasar slope, equivalent widths and line widths.

use serde::{Deserialize, Serialize};

/// hc/k in nm K (CODATA 2018).
const SECOND_RADIATION_CONSTANT: f64 = 1.438_776_877e7;

/// A quasar's broad lines at rest: wavelength, equivalent width and σ in nm, after Vanden Berk et
/// al., table 2.
const QUASAR_LINES: [(f64, f64, f64); 5] = [
    (121.6, 9.29, 1.95), // Lyman α with N V
    (154.9, 2.38, 1.43), // C IV
    (190.9, 2.12, 2.36), // C III]
    (279.9, 3.23, 3.50), // Mg II
    (486.1, 4.62, 4.04), // Hβ
];

/// Photons per nm follow `λ^−0.56`, for `f_ν ∝ ν^−0.44`.
const QUASAR_PHOTON_INDEX: f64 = -0.56;

/// Shape of a spectrum.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "form", rename_all = "snake_case")]
pub enum Spectrum {
    /// Constant number of photons per nm.
    Flat,
    /// Photons per nm proportional to `λ^index`.
    PowerLaw {
        /// The exponent.
        index: f64,
    },
    /// A black body.
    BlackBody {
        /// Its temperature in K.
        temperature_k: f64,
    },
    /// A flat continuum with one Gaussian emission line.
    EmissionLine {
        /// Observed centre of the line, in nm.
        wavelength_nm: f64,
        /// Observed equivalent width, in nm.
        equivalent_width_nm: f64,
        /// Width of the line, σ in nm.
        sigma_nm: f64,
    },
    /// A flat continuum with a step, like the 4000 Å break of an old galaxy.
    Break {
        /// Observed middle of the step, in nm.
        wavelength_nm: f64,
        /// Ratio of the continuum redward to blueward of the step.
        ratio: f64,
        /// Width of the step, a logistic function, in nm.
        width_nm: f64,
    },
    /// A power law with broad lines at the wavelengths of a quasar's.
    Quasar {
        /// Its redshift.
        redshift: f64,
    },
}

impl Spectrum {
    /// Photons per nm at `nm`, in arbitrary units; positive wherever a passband may lie.
    #[must_use]
    pub fn photons(&self, nm: f64) -> f64 {
        match *self {
            Self::Flat => 1.0,
            Self::PowerLaw { index } => libm::pow(nm / 500.0, index),
            Self::BlackBody { temperature_k } => {
                let x = SECOND_RADIATION_CONSTANT / (nm * temperature_k);
                // Scaled so that values are near 1 for stars in visible light.
                libm::pow(nm / 500.0, -4.0) / libm::expm1(x) * libm::expm1(x * nm / 500.0)
            }
            Self::EmissionLine { wavelength_nm, equivalent_width_nm, sigma_nm } => {
                1.0 + equivalent_width_nm * normal_density(nm - wavelength_nm, sigma_nm)
            }
            Self::Break { wavelength_nm, ratio, width_nm } => {
                let step = 1.0 / (1.0 + libm::exp(-(nm - wavelength_nm) / width_nm));
                1.0 + (ratio - 1.0) * step
            }
            Self::Quasar { redshift } => {
                let rest = nm / (1.0 + redshift);
                let line =
                    |&(centre, width, sigma): &(f64, f64, f64)| width * normal_density(rest - centre, sigma);
                let lines: f64 = QUASAR_LINES.iter().map(line).sum();
                libm::pow(nm / 500.0, QUASAR_PHOTON_INDEX) * (1.0 + lines)
            }
        }
    }

    /// Name of the shape, as in the configuration.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Flat => "flat",
            Self::PowerLaw { .. } => "power_law",
            Self::BlackBody { .. } => "black_body",
            Self::EmissionLine { .. } => "emission_line",
            Self::Break { .. } => "break",
            Self::Quasar { .. } => "quasar",
        }
    }

    /// The main parameter of the shape (temperature, wavelength, redshift), for tables.
    #[must_use]
    pub fn parameter(&self) -> f64 {
        match *self {
            Self::Flat => 0.0,
            Self::PowerLaw { index } => index,
            Self::BlackBody { temperature_k } => temperature_k,
            Self::EmissionLine { wavelength_nm, .. } | Self::Break { wavelength_nm, .. } => wavelength_nm,
            Self::Quasar { redshift } => redshift,
        }
    }
}

fn normal_density(offset: f64, sigma: f64) -> f64 {
    let x = offset / sigma;
    libm::exp(-0.5 * x * x) / (sigma * libm::sqrt(std::f64::consts::TAU))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn black_body_has_the_planck_ratio() {
        // Photons per nm at 450 and 550 nm for 5800 K: λ⁻⁴ / (e^x − 1), by hand.
        let planck = |nm: f64| nm.powi(-4) / ((1.438_776_877e7 / (nm * 5800.0)).exp() - 1.0);
        let spectrum = Spectrum::BlackBody { temperature_k: 5800.0 };
        let ours = spectrum.photons(450.0) / spectrum.photons(550.0);
        assert!((ours / (planck(450.0) / planck(550.0)) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn emission_line_holds_its_equivalent_width() {
        let spectrum =
            Spectrum::EmissionLine { wavelength_nm: 480.0, equivalent_width_nm: 30.0, sigma_nm: 1.5 };
        let sum: f64 = (0..2000).map(|i| spectrum.photons(430.0 + 0.05 * f64::from(i)) - 1.0).sum();
        assert!((sum * 0.05 - 30.0).abs() < 1e-9);
    }

    #[test]
    fn break_goes_from_one_to_its_ratio() {
        let spectrum = Spectrum::Break { wavelength_nm: 480.0, ratio: 3.0, width_nm: 2.0 };
        assert!((spectrum.photons(400.0) - 1.0).abs() < 1e-12);
        assert!((spectrum.photons(480.0) - 2.0).abs() < 1e-12);
        assert!((spectrum.photons(560.0) - 3.0).abs() < 1e-12);
    }

    #[test]
    fn quasar_line_moves_with_redshift() {
        let with_line = Spectrum::Quasar { redshift: 1.7 };
        let away = Spectrum::Quasar { redshift: 2.0 };
        // Mg II falls on 755.7 nm at redshift 1.7.
        assert!(with_line.photons(755.7) > 1.3 * away.photons(755.7));
    }
}
