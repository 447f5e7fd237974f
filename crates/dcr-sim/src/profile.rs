//! Profiles of stars and galaxies as mixtures of Gaussians.
//!
//! | profile | Gaussians | source |
//! |---|---|---|
//! | [`PsfShape::Gaussian`] | 1 | |
//! | [`PsfShape::Kolmogorov`] | 4 | fitted by us to the Kolmogorov profile, `OTF = exp(−3.44 (λf/r₀)^5/3)` |
//! | [`PsfShape::Moffat`] | 5 | fitted by us to the Moffat profile with β = 3, within 3e-4 of the peak to 4 FWHM |
//! | [`GalaxyShape::Exponential`] | 6 | Hogg & Lang 2013, table 1 |
//! | [`GalaxyShape::DeVaucouleurs`] | 8 | Hogg & Lang 2013, table 1 |
//!
//! The mixture *is* the truth here; its agreement with the profile of that name matters only for
//! realism. Kolmogorov is reproduced within 6e-4 of the peak to 4 FWHM. Those of Hogg & Lang are
//! fits to profiles truncated at 3 to 4 and 7 to 8 half-light radii `r`, so their own half-light
//! radii are 0.986 `r` and 0.915 `r`.
//!
//! # References
//!
//! - D. W. Hogg, D. Lang, 2013, PASP 125, 719: galaxies as mixtures of Gaussians.
//! - D. L. Fried, 1966, JOSA 56, 1372: the long-exposure OTF.

use serde::{Deserialize, Serialize};

use crate::gaussian::Covariance;

/// 2 √(2 ln 2): the FWHM of a Gaussian in units of its σ.
pub(crate) const FWHM_PER_SIGMA: f64 = 2.354_820_045_030_949_3;

/// One Gaussian of a mixture: its share of the flux, and its variance in units of the squared
/// profile size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Component {
    pub(crate) share: f64,
    pub(crate) variance: f64,
}

const GAUSSIAN: [Component; 1] =
    [Component { share: 1.0, variance: 1.0 / (FWHM_PER_SIGMA * FWHM_PER_SIGMA) }];

/// In units of FWHM²: a least-squares fit to the Hankel transform of the OTF at 56 radii to 4 FWHM.
const KOLMOGOROV: [Component; 4] = [
    Component { share: 0.4770, variance: 0.381_35 * 0.381_35 },
    Component { share: 0.4065, variance: 0.551_14 * 0.551_14 },
    Component { share: 0.0927, variance: 1.063_74 * 1.063_74 },
    Component { share: 0.0238, variance: 2.923_38 * 2.923_38 },
];

/// In units of FWHM²: a least-squares fit (scipy 1.16) to (1 + (r/α)²)^−3 at 81 radii to 4 FWHM.
const MOFFAT: [Component; 5] = [
    Component { share: 0.086_11, variance: 0.292_22 * 0.292_22 },
    Component { share: 0.372_49, variance: 0.424_20 * 0.424_20 },
    Component { share: 0.370_10, variance: 0.631_17 * 0.631_17 },
    Component { share: 0.147_73, variance: 1.012_28 * 1.012_28 },
    Component { share: 0.023_57, variance: 1.973_25 * 1.973_25 },
];

/// In units of the half-light radius squared.
const EXPONENTIAL: [Component; 6] = [
    Component { share: 1.994_859_77e-4, variance: 1.200_789_65e-3 },
    Component { share: 2.616_126_79e-3, variance: 8.845_264_93e-3 },
    Component { share: 1.897_266_55e-2, variance: 3.914_630_84e-2 },
    Component { share: 1.001_865_44e-1, variance: 1.399_768_17e-1 },
    Component { share: 3.685_344_84e-1, variance: 4.609_625_00e-1 },
    Component { share: 5.094_906_94e-1, variance: 1.501_595_66 },
];

/// In units of the half-light radius squared.
const DE_VAUCOULEURS: [Component; 8] = [
    Component { share: 2.018_38e-3, variance: 2.237_592_16e-4 },
    Component { share: 1.136_789e-2, variance: 1.002_200_99e-3 },
    Component { share: 3.247_163e-2, variance: 4.187_311_26e-3 },
    Component { share: 7.192_882e-2, variance: 1.694_325_89e-2 },
    Component { share: 1.342_722_7e-1, variance: 6.848_504_79e-2 },
    Component { share: 2.113_626_5e-1, variance: 2.872_070_80e-1 },
    Component { share: 2.709_998_1e-1, variance: 1.333_202_54 },
    Component { share: 2.655_785_6e-1, variance: 8.402_150_71 },
];

/// Shape of a point source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PsfShape {
    /// One round Gaussian.
    Gaussian,
    /// Long-exposure seeing in Kolmogorov turbulence.
    #[default]
    Kolmogorov,
    /// A Moffat profile with β = 3 and elliptical isophotes of one axis ratio; the FWHM is that of
    /// the round profile of the same area.
    Moffat {
        /// Minor over major axis, in (0, 1].
        axis_ratio: f64,
        /// Angle of the major axis from +x towards +y, in degrees.
        angle_deg: f64,
    },
}

impl PsfShape {
    /// Its Gaussians, variances in units of FWHM².
    pub(crate) fn components(self) -> &'static [Component] {
        match self {
            Self::Gaussian => &GAUSSIAN,
            Self::Kolmogorov => &KOLMOGOROV,
            Self::Moffat { .. } => &MOFFAT,
        }
    }

    /// The covariance of one of its Gaussians, for a FWHM in pixels.
    pub(crate) fn covariance(self, component: &Component, fwhm_px: f64) -> Covariance {
        let round = Covariance::round(fwhm_px * libm::sqrt(component.variance));
        match self {
            Self::Gaussian | Self::Kolmogorov => round,
            Self::Moffat { axis_ratio, angle_deg } => {
                elliptical(axis_ratio.recip(), axis_ratio, angle_deg.to_radians()).scaled(round.xx)
            }
        }
    }
}

/// Radial profile of a galaxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GalaxyShape {
    /// An exponential disc.
    Exponential,
    /// A de Vaucouleurs spheroid.
    DeVaucouleurs,
}

impl GalaxyShape {
    /// Name of the profile, as in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Exponential => "exponential",
            Self::DeVaucouleurs => "de_vaucouleurs",
        }
    }

    /// Its Gaussians, variances in units of the half-light radius squared.
    pub(crate) fn components(self) -> &'static [Component] {
        match self {
            Self::Exponential => &EXPONENTIAL,
            Self::DeVaucouleurs => &DE_VAUCOULEURS,
        }
    }
}

/// Shape of a source above the atmosphere.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "form", rename_all = "snake_case")]
pub enum SourceShape {
    /// A point source.
    Point,
    /// A galaxy with elliptical isophotes.
    Galaxy {
        /// Radial profile.
        shape: GalaxyShape,
        /// Half-light radius along the major axis, in pixels.
        half_light_radius_px: f64,
        /// Minor over major axis, in (0, 1].
        axis_ratio: f64,
        /// Angle of the major axis from +x towards +y, in radians.
        angle_rad: f64,
    },
}

impl SourceShape {
    /// The Gaussians of this source, each with its share of the flux and its covariance in px².
    pub(crate) fn mixture(&self) -> Vec<(f64, Covariance)> {
        match *self {
            Self::Point => vec![(1.0, Covariance::default())],
            Self::Galaxy { shape, half_light_radius_px, axis_ratio, angle_rad } => {
                let unit = elliptical(1.0, axis_ratio * axis_ratio, angle_rad);
                let radius_squared = half_light_radius_px * half_light_radius_px;
                let scaled = |c: &Component| (c.share, unit.scaled(c.variance * radius_squared));
                shape.components().iter().map(scaled).collect()
            }
        }
    }
}

/// Covariance for these variances along the axes, with the major axis at an angle from +x towards
/// +y.
fn elliptical(major: f64, minor: f64, angle_rad: f64) -> Covariance {
    let (sin, cos) = libm::sincos(angle_rad);
    Covariance {
        xx: major * cos * cos + minor * sin * sin,
        xy: (major - minor) * sin * cos,
        yy: major * sin * sin + minor * cos * cos,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tables carry six significant digits.
    const TABLE: f64 = 1e-6;

    /// Surface brightness at radius `r`, both in the profile's unit.
    fn brightness(mixture: &[Component], r: f64) -> f64 {
        let value = |c: &Component| {
            c.share / (std::f64::consts::TAU * c.variance) * libm::exp(-0.5 * r * r / c.variance)
        };
        mixture.iter().map(value).sum()
    }

    /// The share of the flux within `r`.
    fn within(mixture: &[Component], r: f64) -> f64 {
        mixture.iter().map(|c| c.share * (1.0 - libm::exp(-0.5 * r * r / c.variance))).sum()
    }

    #[test]
    fn mixtures_sum_to_one() {
        let all = [&GAUSSIAN[..], &KOLMOGOROV[..], &MOFFAT[..], &EXPONENTIAL[..], &DE_VAUCOULEURS[..]];
        for mixture in all {
            assert!((mixture.iter().map(|c| c.share).sum::<f64>() - 1.0).abs() < TABLE);
        }
    }

    #[test]
    fn psf_has_its_fwhm() {
        let moffat = PsfShape::Moffat { axis_ratio: 0.8, angle_deg: 30.0 };
        for shape in [PsfShape::Gaussian, PsfShape::Kolmogorov, moffat] {
            let mixture = shape.components();
            let half = brightness(mixture, 0.5) / brightness(mixture, 0.0);
            assert!((half - 0.5).abs() < 2e-4, "{shape:?}: {half}");
        }
    }

    #[test]
    fn kolmogorov_meets_the_hankel_transform() {
        // Surface brightness over its peak, at radii in FWHM: numerical Hankel transform of the OTF
        // (scipy 1.16 `quad` with `j0`).
        let expected = [
            (1.0, 0.089_069_44),
            (1.5, 0.014_473_50),
            (2.0, 0.003_827_30),
            (3.0, 0.000_694_80),
            (4.0, 0.000_223_33),
        ];
        for (r, value) in expected {
            let ours = brightness(&KOLMOGOROV, r) / brightness(&KOLMOGOROV, 0.0);
            assert!((ours - value).abs() < 6e-4, "at {r}: {ours}");
        }
    }

    #[test]
    fn moffat_meets_its_profile() {
        let alpha = (2.0 * (2.0_f64.powf(1.0 / 3.0) - 1.0).sqrt()).recip();
        let peak = brightness(&MOFFAT, 0.0);
        for r in [0.25, 0.5, 1.0, 2.0, 4.0] {
            let expected = (1.0 + (r / alpha) * (r / alpha)).powi(-3);
            assert!((brightness(&MOFFAT, r) / peak - expected).abs() < 6e-4, "at {r}");
        }
    }

    #[test]
    fn moffat_keeps_its_area_at_any_axis_ratio() {
        let round = PsfShape::Moffat { axis_ratio: 1.0, angle_deg: 0.0 }.covariance(&MOFFAT[0], 3.0);
        let tilted = PsfShape::Moffat { axis_ratio: 0.7, angle_deg: 40.0 }.covariance(&MOFFAT[0], 3.0);
        let area = |c: Covariance| c.xx * c.yy - c.xy * c.xy;
        assert!((area(tilted) / area(round) - 1.0).abs() < 1e-12);
        assert!(tilted.xy > 0.0 && tilted.xx > tilted.yy);
    }

    #[test]
    fn galaxies_hold_half_their_light_where_stated() {
        assert!((within(&EXPONENTIAL, 0.986_15) - 0.5).abs() < 1e-4);
        assert!((within(&DE_VAUCOULEURS, 0.915_46) - 0.5).abs() < 1e-4);
    }

    #[test]
    fn galaxies_follow_their_profiles() {
        // Exact Sérsic surface brightness of half-light radius 1 (b = 1.678 347, 7.669 249).
        let exponential = |r: f64| 1.678_347_f64.powi(2) / std::f64::consts::TAU * (-1.678_347 * r).exp();
        for r in [0.05, 0.2, 0.5, 1.0, 2.0] {
            assert!((brightness(&EXPONENTIAL, r) / exponential(r) - 1.0).abs() < 0.02, "at {r}");
        }
        // b⁸ / (8π Γ(8)).
        let norm = 7.669_249_f64.powi(8) / (8.0 * std::f64::consts::PI * 5040.0);
        let spheroid = |r: f64| norm * (-7.669_249 * r.powf(0.25)).exp();
        for r in [0.1, 0.2, 0.5, 1.0, 2.0, 4.0] {
            assert!((brightness(&DE_VAUCOULEURS, r) / spheroid(r) - 1.0).abs() < 0.10, "at {r}");
        }
    }
}
