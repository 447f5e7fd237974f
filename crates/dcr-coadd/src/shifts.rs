//! Where the light of each subfilter lands in an exposure, in pixels.
//!
//! Light of the wavelength λ is lifted towards the zenith by `ΔR(λ) = R(λ) − R(λ_ref)`, positive for blue, so it lies
//!
//! ```text
//! (dx, dy) = ΔR / s · (zx, zy)
//! ```
//!
//! from where light of the reference wavelength does, with `(zx, zy)` the unit vector to the zenith in pixels and
//! `s` the size of a pixel along it, both through the WCS at the place ([`Wcs::zenith_direction`], ALGORITHM §2). A subfilter is
//! displaced by its mean `ΔR`; where it is smeared by more than the threshold, its blue and its red half are displaced
//! apart, to mean ± standard deviation ([`SubfilterDispersion::split`]).
//!
//! # The reference's rule
//!
//! [`reference_shifts`] repeats the established implementation (ALGORITHM §12.1): boresight instead of place, parallactic
//! angle − rotator angle with East along +x instead of the WCS, edges instead of means, and below the
//! threshold an average over the wrong axis. It is held to golden/calculateDcr.json to 1e-12.

use dcr_image::{BBox, Wcs, WcsError, ZenithDirection};
use dcr_physics::{
    Angle, Refraction, RefractionError, SubfilterDispersion, Wavelength, WavelengthGrid, subfilter_dispersion,
};
use dcr_solver::{ForwardShift, PixelShift, SubfilterShift};

use crate::config::ShiftRule;
use crate::error::CoaddError;
use crate::sky::Sky;

/// Whether the halves of a subfilter are displaced apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Split {
    /// They are not.
    Never,
    /// They are if they lie at least this many px apart along x or y; 0 is always.
    From(f64),
}

impl Split {
    /// This, or never for a single subfilter: one plane is the plain coadd, smeared as the visits are, and smearing it once
    /// more in the model would ask for it to be sharpened.
    pub(crate) fn of_subfilters(self, subfilters: usize) -> Self {
        if subfilters > 1 { self } else { Self::Never }
    }
}

/// The displacements of subfilters that are smeared and lifted by `dispersion`.
#[must_use]
pub fn integrated_shifts(
    dispersion: &[SubfilterDispersion],
    zenith: &ZenithDirection,
    split: Split,
) -> Vec<SubfilterShift> {
    let pixels = |lift: Angle| {
        let (dx, dy) = zenith.pixels(lift);
        PixelShift { dy, dx }
    };
    let shift = |subfilter: &SubfilterDispersion| {
        let mean = pixels(subfilter.mean);
        let halves = subfilter.split().map(pixels);
        let forward = match split {
            Split::From(threshold) if apart(halves) >= threshold => ForwardShift::Halves(halves),
            _ => ForwardShift::Whole(mean),
        };
        SubfilterShift { forward, mean }
    };
    dispersion.iter().map(shift).collect()
}

/// The displacements by the reference's rule, for the angle `direction` from +y towards +x.
#[must_use]
pub fn reference_shifts(
    dispersion: &[SubfilterDispersion],
    direction: Angle,
    arcsec_per_px: f64,
    split: Split,
) -> Vec<SubfilterShift> {
    let (sin, cos) = direction.radians().sin_cos();
    let pixels = |lift: Angle| {
        let length = lift.arcsec() / arcsec_per_px;
        PixelShift { dy: length * cos, dx: length * sin }
    };
    let shift = |subfilter: &SubfilterDispersion| {
        let mean = pixels(subfilter.edge_mean());
        let halves = subfilter.edge_split().map(pixels);
        let forward = match split {
            Split::From(threshold) if apart(halves) >= threshold => ForwardShift::Halves(halves),
            // The reference averages each half's y and x instead of both halves' y and both halves' x.
            Split::From(_) => {
                let [dy, dx] = halves.map(|half| f64::midpoint(half.dy, half.dx));
                ForwardShift::Whole(PixelShift { dy, dx })
            }
            Split::Never => ForwardShift::Whole(mean),
        };
        SubfilterShift { forward, mean }
    };
    dispersion.iter().map(shift).collect()
}

/// The larger of the distances along y and along x.
fn apart([blue, red]: [PixelShift; 2]) -> f64 {
    (blue.dy - red.dy).abs().max((blue.dx - red.dx).abs())
}

/// What displacements follow from, for all exposures of a patch.
pub(crate) struct ShiftPlan {
    pub(crate) grid: WavelengthGrid,
    pub(crate) reference: Wavelength,
    pub(crate) rule: ShiftRule,
    pub(crate) split: Split,
}

impl ShiftPlan {
    /// The displacements in one cell of a patch, at the cell's centre.
    ///
    /// # Errors
    ///
    /// [`CoaddError`] naming the exposure at `path`, if its zenith is too low for the refraction model, if its header lacks an
    /// angle that the reference's rule needs, or if the WCS does not reach so far.
    pub(crate) fn shifts(
        &self,
        path: &std::path::Path,
        sky: &Sky,
        wcs: &Wcs,
        patch: &BBox,
        cell: &BBox,
    ) -> Result<Vec<SubfilterShift>, CoaddError> {
        let wcs_error = |source: WcsError| CoaddError::Wcs { path: path.to_owned(), source };
        let too_low = |source: RefractionError| CoaddError::Refraction { path: path.to_owned(), source };
        let air: &dyn Refraction = sky.air.as_ref();
        match self.rule {
            ShiftRule::Integrated => {
                let (x, y) = cell.centre();
                let local = sky.at(wcs.pixel_to_sky(x, y).map_err(wcs_error)?);
                let dispersion =
                    subfilter_dispersion(&self.grid, air, local.altitude, self.reference).map_err(too_low)?;
                let zenith = wcs.zenith_direction(x, y, local.parallactic_angle).map_err(wcs_error)?;
                Ok(integrated_shifts(&dispersion, &zenith, self.split))
            }
            ShiftRule::Reference => {
                let lacks = |lacks| CoaddError::ReferenceAngle { path: path.to_owned(), lacks };
                let altitude = sky.visit.altitude.ok_or_else(|| lacks("altitude"))?;
                let parallactic =
                    sky.visit.parallactic_angle.ok_or_else(|| lacks("parallactic angle (BORE-PARANG)"))?;
                let rotator = sky.visit.rotator_angle.ok_or_else(|| lacks("rotator angle (BORE-ROTANG)"))?;
                let dispersion =
                    subfilter_dispersion(&self.grid, air, altitude, self.reference).map_err(too_low)?;
                let (x, y) = patch.centre();
                let scale = wcs.pixel_scale(x, y).map_err(wcs_error)?;
                let direction = Angle::from_radians(parallactic.radians() - rotator.radians());
                Ok(reference_shifts(&dispersion, direction, scale, self.split))
            }
        }
    }
}
