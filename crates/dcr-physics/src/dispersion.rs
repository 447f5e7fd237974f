//! Displacement towards the zenith of each subfilter of a visit.
//!
//! With `ΔR(λ) = R(λ) − R(λ_ref)` and the shares `w(λ)` of a flat photon spectrum on a
//! [`WavelengthGrid`], the mean displacement and smearing of subfilter `a` are
//!
//! ```text
//! ΔR_a = Σ w ΔR / Σ w          σ_a² = Σ w (ΔR − ΔR_a)² / Σ w          (λ in a)
//! ```
//!
//! Two equal components at `ΔR_a ± σ_a` reproduce the first and second moment of the smearing.
//! LSST's DcrAssembleCoaddTask uses the mean of `ΔR` at the two edges of the subfilter, and
//! components at 3/4 and 1/4 between them ([`SubfilterDispersion::edge_mean`],
//! [`SubfilterDispersion::edge_split`]). In the bluest third of g at airmass 1.5 its mean differs
//! by up to 11 mas (docs/algorithm.md §12.1).

use serde::{Deserialize, Serialize};

use crate::{Angle, Band, BandError, Refraction, RefractionError, Wavelength, WavelengthGrid};

/// The reference wavelength `λ_ref`, whose light is not displaced: the wavelength at which the
/// astrometric solution of the warps holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReferenceWavelength {
    /// The middle of the band.
    #[default]
    Effective,
    /// The mean wavelength of a flat photon spectrum seen through the throughput.
    FlatSpectrumMean,
    /// This wavelength, in nm.
    Nm(f64),
}

impl ReferenceWavelength {
    /// The reference wavelength in `band`.
    ///
    /// # Errors
    ///
    /// [`BandError`] if the band's throughput passes no light.
    pub fn in_band(self, band: &Band) -> Result<Wavelength, BandError> {
        match self {
            Self::Effective => Ok(band.effective()),
            Self::FlatSpectrumMean => Ok(band.wavelength_grid(1)?.mean_wavelength()),
            Self::Nm(nm) => Ok(Wavelength::from_nm(nm)),
        }
    }
}

/// Displacement of the light of one subfilter towards the zenith, relative to the reference
/// wavelength.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SubfilterDispersion {
    /// Mean displacement of a flat photon spectrum, weighted by the throughput.
    pub mean: Angle,
    /// Standard deviation of the displacement inside the subfilter.
    pub spread: Angle,
    /// Displacement at the blue edge of the subfilter.
    pub blue_edge: Angle,
    /// Displacement at the red edge of the subfilter.
    pub red_edge: Angle,
}

impl SubfilterDispersion {
    /// Two equal components with the mean and the spread of the subfilter, the bluer first.
    #[must_use]
    pub fn split(&self) -> [Angle; 2] {
        let (mean, spread) = (self.mean.radians(), self.spread.radians());
        [Angle::from_radians(mean + spread), Angle::from_radians(mean - spread)]
    }

    /// Mean of the displacements at the two edges, as in LSST's DcrAssembleCoaddTask.
    #[must_use]
    pub fn edge_mean(&self) -> Angle {
        self.between_edges(0.5)
    }

    /// The two components of LSST's DcrAssembleCoaddTask, a quarter of the way in from either edge,
    /// the bluer first.
    #[must_use]
    pub fn edge_split(&self) -> [Angle; 2] {
        [self.between_edges(0.75), self.between_edges(0.25)]
    }

    fn between_edges(&self, blue_share: f64) -> Angle {
        let (blue, red) = (self.blue_edge.radians(), self.red_edge.radians());
        Angle::from_radians(blue_share * blue + (1.0 - blue_share) * red)
    }
}

/// Displacement of each subfilter of `grid`, blue to red, at the apparent altitude `altitude`
/// through `air`, relative to the wavelength `reference`.
///
/// ```
/// use dcr_physics::{Angle, Band, RefractionModel, Site, Weather, subfilter_dispersion};
///
/// let site = Site {
///     latitude: Angle::from_degrees(-30.24),
///     longitude: Angle::from_degrees(-70.75),
///     elevation_m: 2663.0,
/// };
/// let air = RefractionModel::StoneOwens.at(&site, &Weather::standard(site.elevation_m));
/// let g = Band::builtin("comcam-g").unwrap();
/// let grid = g.wavelength_grid(3)?;
/// let altitude = Angle::from_degrees(45.0);
/// let planes = subfilter_dispersion(&grid, air.as_ref(), altitude, g.effective())?;
/// assert!(planes[0].mean.arcsec() > 0.2 && planes[2].mean.arcsec() < -0.1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`RefractionError`] if altitude, a wavelength or the air are outside the range of the refraction
/// model.
pub fn subfilter_dispersion(
    grid: &WavelengthGrid,
    air: &dyn Refraction,
    altitude: Angle,
    reference: Wavelength,
) -> Result<Vec<SubfilterDispersion>, RefractionError> {
    let zero = air.refraction(reference, altitude)?.radians();
    let displacement =
        |wavelength: Wavelength| air.refraction(wavelength, altitude).map(|lift| lift.radians() - zero);
    let mut planes = Vec::with_capacity(grid.subfilters().len());
    for (subfilter, range) in grid.subfilters().iter().enumerate() {
        let mut samples = Vec::new();
        for point in grid.points().iter().filter(|point| point.subfilter == subfilter) {
            samples.push((point.weight, displacement(point.wavelength)?));
        }
        let (mean, spread) = weighted_mean_and_spread(&samples);
        planes.push(SubfilterDispersion {
            mean: Angle::from_radians(mean),
            spread: Angle::from_radians(spread),
            blue_edge: Angle::from_radians(displacement(range.lo)?),
            red_edge: Angle::from_radians(displacement(range.hi)?),
        });
    }
    Ok(planes)
}

/// Mean and standard deviation of `(weight, value)` pairs; not all weights may be 0.
fn weighted_mean_and_spread(samples: &[(f64, f64)]) -> (f64, f64) {
    let total: f64 = samples.iter().map(|(weight, _)| weight).sum();
    let mean = samples.iter().map(|(weight, value)| weight * value).sum::<f64>() / total;
    let variance = samples.iter().map(|(weight, value)| weight * (value - mean).powi(2)).sum::<f64>() / total;
    (mean, variance.sqrt())
}
