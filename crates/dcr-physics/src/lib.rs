// Links of the README lead to docs.rs; in this documentation they lead to the items.
//! [`Band`]: crate::Band
//! [`RayIntegral`]: crate::RayIntegral
//! [`Refraction`]: crate::Refraction
//! [`RefractionModel`]: crate::RefractionModel
//! [`VisitInfo`]: crate::VisitInfo
//! [`ZenithGeometry`]: crate::ZenithGeometry
//! [`subfilter_dispersion`]: crate::subfilter_dispersion
#![doc = include_str!("../README.md")]

mod astrometry;
pub mod atmosphere;
pub mod band;
pub mod builtin;
pub mod dispersion;
pub mod geometry;
pub mod index;
pub mod ray;
pub mod refraction;
mod refraction_error;
mod sphere;
pub mod throughput;
pub mod units;
pub mod visit;

pub use band::{Band, BandError, GridPoint, SubfilterRange, WavelengthGrid};
pub use builtin::{BuiltinBand, builtin_bands};
pub use dispersion::{ReferenceWavelength, SubfilterDispersion, subfilter_dispersion};
pub use geometry::{
    CheckedPlace, ClosedWay, Disagreement, GeometryError, GeometryOrigin, GeometrySource, LocalSky,
    ZenithGeometry,
};
pub use index::{Ciddor, RefractiveIndex, StoneOwens};
pub use ray::RayIntegral;
pub use refraction::{Refraction, RefractionError, RefractionModel, ZenithExpansion};
pub use throughput::{Throughput, ThroughputError};
pub use units::{Angle, SkyPosition, Wavelength};
pub use visit::{Assumption, Instant, Site, VisitInfo, Weather, WeatherReadings};
