//! The observation and the air: where light of each wavelength lands, and why.
//!
//! This crate knows angles, wavelengths, bands, sites, weather and visits, and computes refraction
//! and the direction to the zenith. It knows no pixels, no FITS and no arrays.
//!
//! # References
//!
//! - R. C. Stone, 1996, PASP 108, 1051: refraction.
//! - J. C. Owens, 1967, Appl. Opt. 6, 51: the refractive index of moist air.

mod astrometry;
pub mod atmosphere;
pub mod band;
pub mod builtin;
pub mod dispersion;
pub mod geometry;
pub mod index;
pub mod ray;
pub mod refraction;
mod sphere;
pub mod throughput;
pub mod units;
pub mod visit;

pub use band::{Band, BandError, GridPoint, SubfilterRange, WavelengthGrid};
pub use builtin::{BuiltinBand, builtin_bands};
pub use dispersion::{ReferenceWavelength, SubfilterDispersion, subfilter_dispersion};
pub use geometry::{
    ClosedWay, Disagreement, GeometryError, GeometryOrigin, GeometrySource, LocalSky, ZenithGeometry,
};
pub use index::{Ciddor, RefractiveIndex, StoneOwens};
pub use ray::RayIntegral;
pub use refraction::{Refraction, RefractionError, RefractionModel, ZenithExpansion};
pub use throughput::{Throughput, ThroughputError};
pub use units::{Angle, SkyPosition, Wavelength};
pub use visit::{Assumption, Instant, Site, VisitInfo, Weather, WeatherReadings};
