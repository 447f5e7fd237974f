//! A photometric band and its subfilters.
//!
//! The band `[λ_eff − w/2, λ_eff + w/2]` is cut into `N` subfilters of equal width, blue to red.
//! The integrals over a subfilter are sums over a [`WavelengthGrid`], by the midpoint rule with at
//! least 8 steps in each subfilter and none wider than 6 nm. Without a throughput curve the band is
//! a top hat. With one, its transmission is the weight, and the outermost subfilters also take its
//! wings outside the band, down to 3e-3 of the peak (docs/algorithm.md §3).

use crate::index::{LONGEST_NM, SHORTEST_NM};
use crate::{Throughput, Wavelength};

/// Minimum number of grid steps per subfilter.
const FEWEST_STEPS: f64 = 8.0;
/// Maximum grid step in nm.
const WIDEST_STEP_NM: f64 = 6.0;
/// Throughput below this fraction of the peak is ignored outside the band.
const WING_FRACTION: f64 = 3e-3;

/// An invalid band or division of a band.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BandError {
    /// The effective wavelength or the bandwidth is not a positive number.
    #[error("band {name}: {quantity} {value} nm is not a positive number")]
    NotPositive {
        /// The band.
        name: String,
        /// `effective wavelength` or `bandwidth`.
        quantity: &'static str,
        /// Its value.
        value: f64,
    },
    /// The band reaches beyond the range of the refractive index.
    #[error(
        "band {name} reaches from {from_nm} to {to_nm} nm, outside the {SHORTEST_NM}–{LONGEST_NM} nm for \
         which refraction is known; effective wavelength and bandwidth are in nm"
    )]
    Range {
        /// The band.
        name: String,
        /// Its blue end.
        from_nm: f64,
        /// Its red end.
        to_nm: f64,
    },
    /// A band is divided into at least one subfilter.
    #[error("a band cannot be divided into 0 subfilters")]
    NoSubfilters,
    /// The throughput curve passes no light in a subfilter.
    #[error(
        "the throughput of band {name} is zero from {from_nm:.1} to {to_nm:.1} nm, all of subfilter {subfilter}"
    )]
    DarkSubfilter {
        /// The band.
        name: String,
        /// The subfilter, counted from 0 at the blue end.
        subfilter: usize,
        /// Its blue edge.
        from_nm: f64,
        /// Its red edge.
        to_nm: f64,
    },
}

/// A photometric band.
#[derive(Clone, Debug, PartialEq)]
pub struct Band {
    name: String,
    effective: Wavelength,
    bandwidth_nm: f64,
    throughput: Option<Throughput>,
}

impl Band {
    /// A band of the given name, effective wavelength and full width in nm, as a top hat.
    ///
    /// ```
    /// use dcr_physics::{Band, Wavelength};
    ///
    /// let g = Band::new("g", Wavelength::from_nm(478.5), 147.0)?;
    /// let edges: Vec<f64> = g.subfilters(3)?.iter().map(|range| range.lo.nm()).collect();
    /// assert_eq!(edges, [405.0, 454.0, 503.0]);
    /// # Ok::<(), dcr_physics::BandError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`BandError::NotPositive`] for a NaN, zero or negative number, [`BandError::Range`] for a
    /// band outside 230.2–2058.6 nm.
    pub fn new(name: impl Into<String>, effective: Wavelength, bandwidth_nm: f64) -> Result<Self, BandError> {
        let name = name.into();
        let numbers = [("effective wavelength", effective.nm()), ("bandwidth", bandwidth_nm)];
        for (quantity, value) in numbers {
            if !(value > 0.0 && value.is_finite()) {
                return Err(BandError::NotPositive { name, quantity, value });
            }
        }
        let band = Self { name, effective, bandwidth_nm, throughput: None };
        let SubfilterRange { lo, hi } = band.range();
        if lo.nm() < SHORTEST_NM || hi.nm() > LONGEST_NM {
            return Err(BandError::Range { name: band.name, from_nm: lo.nm(), to_nm: hi.nm() });
        }
        Ok(band)
    }

    /// The band with a throughput curve.
    ///
    /// # Errors
    ///
    /// [`BandError::Range`] if the curve's wings reach beyond 230.2–2058.6 nm.
    pub fn with_throughput(mut self, throughput: Throughput) -> Result<Self, BandError> {
        self.throughput = Some(throughput);
        let SubfilterRange { lo, hi } = self.range_with_wings();
        if lo.nm() < SHORTEST_NM || hi.nm() > LONGEST_NM {
            return Err(BandError::Range { name: self.name, from_nm: lo.nm(), to_nm: hi.nm() });
        }
        Ok(self)
    }

    /// The band's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The effective wavelength: the middle of the band.
    #[must_use]
    pub const fn effective(&self) -> Wavelength {
        self.effective
    }

    /// The full width in nm.
    #[must_use]
    pub const fn bandwidth_nm(&self) -> f64 {
        self.bandwidth_nm
    }

    /// The throughput curve, if one was given.
    #[must_use]
    pub const fn throughput(&self) -> Option<&Throughput> {
        self.throughput.as_ref()
    }

    /// The whole band, without wings.
    #[must_use]
    pub fn range(&self) -> SubfilterRange {
        let half = self.bandwidth_nm / 2.0;
        SubfilterRange {
            lo: Wavelength::from_nm(self.effective.nm() - half),
            hi: Wavelength::from_nm(self.effective.nm() + half),
        }
    }

    /// Wavelength ranges of `count` subfilters of equal width, blue to red.
    ///
    /// # Errors
    ///
    /// [`BandError::NoSubfilters`] for a count of 0.
    pub fn subfilters(&self, count: usize) -> Result<Vec<SubfilterRange>, BandError> {
        if count == 0 {
            return Err(BandError::NoSubfilters);
        }
        let blue = self.range().lo.nm();
        let edge = |i: usize| Wavelength::from_nm(blue + self.bandwidth_nm * i as f64 / count as f64);
        Ok((0..count).map(|i| SubfilterRange { lo: edge(i), hi: edge(i + 1) }).collect())
    }

    /// Wavelength grid over `count` subfilters, with the share of a flat photon spectrum at each
    /// step.
    ///
    /// # Errors
    ///
    /// [`BandError::NoSubfilters`] for a count of 0, [`BandError::DarkSubfilter`] if the throughput
    /// is zero across a subfilter.
    pub fn wavelength_grid(&self, count: usize) -> Result<WavelengthGrid, BandError> {
        let subfilters = self.subfilters(count)?;
        let outer = self.range_with_wings();
        let mut points = Vec::new();
        for (subfilter, range) in subfilters.iter().enumerate() {
            let lo = if subfilter == 0 { outer.lo.nm() } else { range.lo.nm() };
            let hi = if subfilter == count - 1 { outer.hi.nm() } else { range.hi.nm() };
            let steps = ((hi - lo) / WIDEST_STEP_NM).ceil().max(FEWEST_STEPS);
            let step = (hi - lo) / steps;
            let first = points.len();
            for i in 0..steps as u32 {
                let wavelength = Wavelength::from_nm(lo + (f64::from(i) + 0.5) * step);
                let transmission = self.throughput.as_ref().map_or(1.0, |curve| curve.at(wavelength));
                points.push(GridPoint { wavelength, weight: transmission * step, subfilter });
            }
            if points[first..].iter().all(|point| point.weight == 0.0) {
                return Err(BandError::DarkSubfilter {
                    name: self.name.clone(),
                    subfilter,
                    from_nm: lo,
                    to_nm: hi,
                });
            }
        }
        let total: f64 = points.iter().map(|point| point.weight).sum();
        for point in &mut points {
            point.weight /= total;
        }
        Ok(WavelengthGrid { points, subfilters })
    }

    /// The band extended to the significant wings of the throughput.
    fn range_with_wings(&self) -> SubfilterRange {
        let band = self.range();
        let wings = self.throughput.as_ref().and_then(|curve| curve.extent_above(WING_FRACTION));
        let Some((blue, red)) = wings else { return band };
        SubfilterRange {
            lo: if blue < band.lo { blue } else { band.lo },
            hi: if red > band.hi { red } else { band.hi },
        }
    }
}

/// Wavelength range of a subfilter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SubfilterRange {
    /// The blue edge.
    pub lo: Wavelength,
    /// The red edge.
    pub hi: Wavelength,
}

/// One wavelength of a [`WavelengthGrid`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GridPoint {
    /// The middle of the step.
    pub wavelength: Wavelength,
    /// Detected share of a flat photon spectrum in the step; all shares sum to 1.
    pub weight: f64,
    /// Index of the subfilter, from 0 at the blue end.
    pub subfilter: usize,
}

/// Wavelength grid over a band, blue to red, for integrals over subfilters.
#[derive(Clone, Debug, PartialEq)]
pub struct WavelengthGrid {
    points: Vec<GridPoint>,
    subfilters: Vec<SubfilterRange>,
}

impl WavelengthGrid {
    /// All wavelengths, blue to red.
    #[must_use]
    pub fn points(&self) -> &[GridPoint] {
        &self.points
    }

    /// The subfilters, blue to red, without wings.
    #[must_use]
    pub fn subfilters(&self) -> &[SubfilterRange] {
        &self.subfilters
    }

    /// The share of a flat photon spectrum in each subfilter, `f_a`; they sum to 1.
    #[must_use]
    pub fn fractions(&self) -> Vec<f64> {
        let mut fractions = vec![0.0; self.subfilters.len()];
        for point in &self.points {
            fractions[point.subfilter] += point.weight;
        }
        fractions
    }

    /// The mean wavelength of a flat photon spectrum in each subfilter.
    #[must_use]
    pub fn centroids(&self) -> Vec<Wavelength> {
        let mut moments = vec![0.0; self.subfilters.len()];
        for point in &self.points {
            moments[point.subfilter] += point.weight * point.wavelength.nm();
        }
        moments
            .iter()
            .zip(self.fractions())
            .map(|(moment, fraction)| Wavelength::from_nm(moment / fraction))
            .collect()
    }

    /// The mean wavelength of a flat photon spectrum over the whole band.
    #[must_use]
    pub fn mean_wavelength(&self) -> Wavelength {
        Wavelength::from_nm(self.points.iter().map(|point| point.weight * point.wavelength.nm()).sum())
    }
}
