//! Displacement of each subfilter's light in an exposure, in pixels.
//!
//! Light of the wavelength λ is lifted towards the zenith by `ΔR(λ) = R(λ) − R(λ_ref)`, positive
//! for blue, so it is displaced by
//!
//! ```text
//! (dx, dy) = ΔR / s · (zx, zy)
//! ```
//!
//! from light of the reference wavelength, with `(zx, zy)` the unit vector to the zenith in pixels
//! and `s` the size of a pixel along it, both from the WCS at the position
//! ([`Wcs::zenith_direction`], docs/algorithm.md §2). A subfilter is displaced by its mean `ΔR`;
//! where it is smeared by more than the threshold, its blue and its red half are displaced
//! separately, by mean ± standard deviation ([`SubfilterDispersion::split`]).
//!
//! # The reference rule
//!
//! [`reference_shifts`] repeats LSST's DcrAssembleCoaddTask (docs/algorithm.md §12.1): boresight
//! instead of position, parallactic angle − rotator angle with East along +x instead of the WCS,
//! edges instead of means, and below the threshold an average over the wrong axis. It agrees with
//! its recorded results to 1e-12.

use dcr_image::{BBox, Wcs, WcsError, ZenithDirection};
use dcr_physics::{
    Angle, Refraction, RefractionError, SubfilterDispersion, Wavelength, WavelengthGrid, subfilter_dispersion,
};
use dcr_solver::{ForwardShift, PixelShift, SubfilterShift};

use crate::config::ShiftRule;
use crate::error::{CoaddError, InputError};
use crate::inputs::sky::Sky;

/// Condition for displacing the halves of a subfilter separately.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Split {
    /// They are not.
    Never,
    /// They are if they lie at least this many px apart along x or y; 0 is always.
    From(f64),
}

impl Split {
    /// This rule, or never for a single subfilter: one plane is the standard coadd, smeared as the
    /// visits are; smearing it again in the model would sharpen it.
    pub fn of_subfilters(self, subfilters: usize) -> Self {
        if subfilters > 1 { self } else { Self::Never }
    }
}

/// The displacements of subfilters that are smeared and lifted by `dispersion`.
#[must_use]
pub(crate) fn integrated_shifts(
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

/// Band, refraction and rule behind the displacements of all exposures of a patch.
pub struct ShiftPlan {
    /// Wavelengths of the band, by subfilter.
    pub grid: WavelengthGrid,
    /// Wavelength without displacement.
    pub reference: Wavelength,
    /// Rule of displacement.
    pub rule: ShiftRule,
    /// Condition for displacing halves separately.
    pub split: Split,
}

impl ShiftPlan {
    /// Displacements at a position for every wavelength of the grid that has light, for any number
    /// of subfilters: PSFs exclude refraction.
    ///
    /// # Errors
    ///
    /// [`CoaddError`] naming the exposure at `path`, if its zenith is too low for the refraction
    /// model, or the position is outside its WCS.
    pub fn displacements(
        &self,
        path: &std::path::Path,
        sky: &Sky,
        wcs: &Wcs,
        (x, y): (f64, f64),
    ) -> Result<Vec<PixelShift>, CoaddError> {
        let wcs_error = |source: WcsError| InputError::Wcs { path: path.to_owned(), source };
        let too_low = |source: RefractionError| InputError::Refraction { path: path.to_owned(), source };
        let lit = self.grid.points().iter().filter(|point| point.weight > 0.0);
        let local = sky.at(wcs.pixel_to_sky(x, y).map_err(wcs_error)?);
        let zenith = wcs.zenith_direction(x, y, local.parallactic_angle).map_err(wcs_error)?;
        let refraction = |wavelength| sky.air.refraction(wavelength, local.altitude).map_err(too_low);
        let zero = refraction(self.reference)?.radians();
        lit.map(|point| {
            let lift = refraction(point.wavelength)?.radians() - zero;
            let (dx, dy) = zenith.pixels(Angle::from_radians(lift));
            Ok(PixelShift { dy, dx })
        })
        .collect()
    }

    /// Displacements in one cell of a patch, at the centre of the cell.
    ///
    /// # Errors
    ///
    /// [`CoaddError`] naming the exposure at `path`, if its zenith is too low for the refraction
    /// model, its header lacks an angle that the reference rule needs, or the position is outside
    /// its WCS.
    pub fn shifts(
        &self,
        path: &std::path::Path,
        sky: &Sky,
        wcs: &Wcs,
        patch: &BBox,
        cell: &BBox,
    ) -> Result<Vec<SubfilterShift>, CoaddError> {
        let wcs_error = |source: WcsError| InputError::Wcs { path: path.to_owned(), source };
        let too_low = |source: RefractionError| InputError::Refraction { path: path.to_owned(), source };
        let air: &dyn Refraction = sky.air.as_ref();
        match self.rule {
            // One subfilter is no model of DCR: it is the standard coadd, each exposure where its WCS says.
            ShiftRule::Integrated if self.grid.subfilters().len() == 1 => {
                Ok(vec![SubfilterShift::whole(PixelShift::default())])
            }
            ShiftRule::Integrated => {
                let (x, y) = cell.centre();
                let local = sky.at(wcs.pixel_to_sky(x, y).map_err(wcs_error)?);
                let dispersion =
                    subfilter_dispersion(&self.grid, air, local.altitude, self.reference).map_err(too_low)?;
                let zenith = wcs.zenith_direction(x, y, local.parallactic_angle).map_err(wcs_error)?;
                Ok(integrated_shifts(&dispersion, &zenith, self.split))
            }
            ShiftRule::Reference => {
                let lacks = |lacks| InputError::ReferenceAngle { path: path.to_owned(), lacks };
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

#[cfg(test)]
mod tests {
    use dcr_physics::{Band, RefractionModel, Site, WeatherReadings};
    use serde_json::Value;

    use super::*;

    /// Shifts against the reference's, relative: both are `f64` throughout.
    const ROUNDING: f64 = 1e-12;

    fn number(value: &Value) -> f64 {
        value.as_f64().unwrap()
    }

    fn pair(value: &Value) -> PixelShift {
        PixelShift { dy: number(&value[0]), dx: number(&value[1]) }
    }

    /// All recorded cases: six visits in four bands and more, one to five subfilters, split and
    /// not.
    #[test]
    fn reference_shifts_are_the_references() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/golden/calculateDcr.json");
        let golden: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let mut checked = 0;
        for case in golden["cases"].as_array().unwrap().iter().filter(|case| case["error"].is_null()) {
            let visit = &golden["visits"][case["visit"].as_u64().unwrap() as usize];
            let observatory = &golden["observatories"][visit["obs"].as_str().unwrap()];
            let site = Site {
                longitude: Angle::from_degrees(number(&observatory[0])),
                latitude: Angle::from_degrees(number(&observatory[1])),
                elevation_m: number(&observatory[2]),
            };
            let readings = WeatherReadings {
                temperature_c: visit["temp"].as_f64(),
                pressure_pa: visit["press"].as_f64(),
                humidity_percent: visit["hum"].as_f64(),
            };
            let air = RefractionModel::Reference.at(&site, &readings.complete(site.elevation_m).0);
            let numbers = &golden["filters"][case["filter"].as_str().unwrap()];
            let band =
                Band::new("golden", Wavelength::from_nm(number(&numbers[0])), number(&numbers[1])).unwrap();
            let grid = band.wavelength_grid(case["n"].as_u64().unwrap() as usize).unwrap();
            let altitude = Angle::from_degrees(number(&visit["alt"]));
            let dispersion = subfilter_dispersion(&grid, air.as_ref(), altitude, band.effective()).unwrap();
            let direction = Angle::from_degrees(number(&visit["parang"]) - number(&visit["rotang"]));
            let scale = match case["bbox"].is_null() {
                true => number(&golden["pixelScale_arcsec"]["origin"]),
                false => number(&golden["pixelScale_arcsec"]["bboxCentre"]),
            };
            let is_split = case["split"].as_bool().unwrap();
            let split = if is_split { Split::From(0.0) } else { Split::Never };
            let got = reference_shifts(&dispersion, direction, scale, split);
            // Of the case's largest: the middle subfilter's is a small difference of large numbers.
            let size = got.iter().map(SubfilterShift::reach).fold(0.0, f64::max);
            for (got, expected) in got.iter().zip(case["shift_yx"].as_array().unwrap()) {
                let expected = match is_split {
                    true => vec![pair(&expected[0]), pair(&expected[1])],
                    false => vec![pair(expected)],
                };
                for (got, expected) in got.forward_shifts().iter().zip(&expected) {
                    let off = (got.dy - expected.dy).hypot(got.dx - expected.dx);
                    assert!(off < ROUNDING * size, "{case}: {got:?}, not {expected:?}");
                    checked += 1;
                }
            }
        }
        assert!(checked > 1000, "{checked}");
    }

    fn dispersion(mean: f64, spread: f64) -> SubfilterDispersion {
        SubfilterDispersion {
            mean: Angle::from_arcsec(mean),
            spread: Angle::from_arcsec(spread),
            blue_edge: Angle::from_arcsec(mean + 2.0 * spread),
            red_edge: Angle::from_arcsec(mean - 2.0 * spread),
        }
    }

    #[test]
    fn blue_light_is_moved_towards_the_zenith() {
        let zenith = ZenithDirection { dx: -0.6, dy: 0.8, arcsec_per_px: 0.2 };
        let shifts = integrated_shifts(&[dispersion(0.5, 0.1)], &zenith, Split::From(0.1));
        let ForwardShift::Halves([blue, red]) = shifts[0].forward else { panic!("{shifts:?}") };
        assert!((blue.dx + 1.8).abs() < 1e-12 && (blue.dy - 2.4).abs() < 1e-12);
        assert!((red.dx + 1.2).abs() < 1e-12 && (red.dy - 1.6).abs() < 1e-12);
        assert!((shifts[0].mean.dx + 1.5).abs() < 1e-12);
    }

    #[test]
    fn halves_move_apart_from_the_threshold_on() {
        let zenith = ZenithDirection { dx: 1.0, dy: 0.0, arcsec_per_px: 0.25 };
        let forward =
            |spread, split| integrated_shifts(&[dispersion(1.0, spread)], &zenith, split)[0].forward;
        let whole = ForwardShift::Whole(PixelShift { dy: 0.0, dx: 4.0 });
        // 2 × 0.0125″ are 0.1 px.
        assert!(matches!(forward(0.0126, Split::From(0.1)), ForwardShift::Halves(_)));
        assert_eq!(forward(0.0124, Split::From(0.1)), whole);
        assert_eq!(forward(1.0, Split::Never), whole);
        assert!(matches!(forward(0.0, Split::From(0.0)), ForwardShift::Halves(_)));
        assert_eq!(Split::From(0.0).of_subfilters(1), Split::Never);
    }

    #[test]
    fn reference_averages_the_wrong_axis_below_the_threshold() {
        let shifts =
            reference_shifts(&[dispersion(1.0, 0.01)], Angle::from_degrees(-30.0), 1.0, Split::From(0.1));
        let ForwardShift::Whole(shift) = shifts[0].forward else { panic!("{shifts:?}") };
        let wrong = f64::midpoint(30_f64.to_radians().cos(), -0.5);
        assert!((shift.dy - 1.01 * wrong).abs() < 1e-12 && (shift.dx - 0.99 * wrong).abs() < 1e-12);
    }
}
