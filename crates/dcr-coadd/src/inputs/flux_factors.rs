//! The flux scale of exposures: factors on pixel values, and warnings about them.
//!
//! With `input.zero_point = "off"` pixels are multiplied by FLXSCALE where a header has it: the
//! card states a factor that is not yet applied. With "header" the zero points decide, and
//! FLXSCALE, which states the same of one exposure, is not applied.

use dcr_image::Exposure;
use dcr_image::header::unit::{self, UnitKind};
use dcr_physics::{Assumption, VisitInfo};

use crate::config::{AssembleConfig, InputConfig, ZeroPoint, ZeroPointOf};
use crate::error::InputError;

/// Zero points in mag that are one, rounding of FLXSCALE included.
const ONE_ZERO_POINT: f64 = 1e-5;
/// Spread of zero points in mag that is worth a word where exposures are not scaled.
const SPREAD_MAG: f64 = 0.05;
/// Ratio of exposure times from which on one zero point for all counts is doubted.
const EXPOSURE_RATIO: f64 = 1.1;

/// Factor that brings an exposure's pixel values to the zero point `common`.
///
/// # Errors
///
/// [`InputError::NoZeroPoint`] if zero points decide and one is missing.
pub fn factor(exposure: &dyn Exposure, input: &InputConfig, common: Option<f64>) -> Result<f64, InputError> {
    let visit = exposure.visit();
    match (input.zero_point, common, visit.zero_point_mag) {
        (ZeroPoint::Off, ..) => Ok(visit.flux_scale.unwrap_or(1.0)),
        (ZeroPoint::Header, Some(common), Some(own)) => Ok(10_f64.powf(0.4 * (common - own))),
        (ZeroPoint::Header, ..) => Err(InputError::NoZeroPoint { path: exposure.path().to_owned() }),
    }
}

/// The zero point in mag of pixel values multiplied by FLXSCALE, where the header has it.
pub(crate) fn scaled_zero_point(visit: &VisitInfo) -> Option<f64> {
    let own = visit.zero_point_mag?;
    Some(visit.flux_scale.map_or(own, |factor| own + 2.5 * factor.log10()))
}

/// The factors of all exposures, and the zero point in mag that they have then, if all have one.
///
/// # Errors
///
/// As [`factor`].
pub fn factors(
    exposures: &[&dyn Exposure],
    config: &AssembleConfig,
) -> Result<(Vec<f32>, Option<f64>), InputError> {
    let scaled: Vec<Option<f64>> =
        exposures.iter().map(|exposure| scaled_zero_point(exposure.visit())).collect();
    let common = match config.input.zero_point {
        ZeroPoint::Off => {
            let first = scaled.first().copied().flatten();
            let same = |own: &Option<f64>| {
                own.zip(first).is_some_and(|(own, first)| (own - first).abs() < ONE_ZERO_POINT)
            };
            first.filter(|_| scaled.iter().all(same))
        }
        ZeroPoint::Header => {
            let first = exposures.first().and_then(|exposure| exposure.visit().zero_point_mag);
            config.input.common_zero_point_mag.or(first)
        }
    };
    let of = |exposure: &&dyn Exposure| factor(*exposure, &config.input, common).map(|factor| factor as f32);
    Ok((exposures.iter().map(of).collect::<Result<_, _>>()?, common))
}

/// Warnings about the zero points of a set, which apply to all exposures.
pub fn warnings(exposures: &[&dyn Exposure], config: &AssembleConfig) -> Vec<Assumption> {
    let warning = |text: String| Assumption { quantity: "zero point".into(), text, warning: true };
    let visits = || exposures.iter().map(|exposure| exposure.visit());
    let mut warnings = Vec::new();
    if config.input.zero_point == ZeroPoint::Header && visits().any(|visit| visit.flux_scale.is_some()) {
        warnings.push(warning(
            "Exposures are scaled by the zero points of their headers; FLXSCALE is not applied as well."
                .into(),
        ));
    }
    let zero_points: Option<Vec<f64>> = visits().map(scaled_zero_point).collect();
    let Some((low, high)) = zero_points.as_deref().and_then(range) else { return warnings };
    let spread = high - low;
    if config.input.zero_point == ZeroPoint::Off && spread > SPREAD_MAG {
        warnings.push(warning(format!(
            "The zero points of the headers differ by {spread:.3} mag ({low:.3} to {high:.3}), and exposures are not \
             scaled by them: set input.zero_point to \"header\", unless the pixels are on one scale already."
        )));
    }
    let times: Option<Vec<f64>> = visits().map(|visit| visit.exposure_s).collect();
    let Some((shortest, longest)) = times.as_deref().and_then(range) else { return warnings };
    let counts = exposures
        .iter()
        .all(|exposure| exposure.unit().is_none_or(|unit| unit::kind(unit) == UnitKind::Counts));
    let unscaled = visits().all(|visit| visit.flux_scale.is_none());
    if config.input.zero_point_of == ZeroPointOf::Auto
        && counts
        && unscaled
        && spread < ONE_ZERO_POINT
        && longest > EXPOSURE_RATIO * shortest
    {
        warnings.push(warning(format!(
            "All headers have one zero point, {low:.3}, for counts of {shortest} to {longest} s: it looks like that of \
             one second. If so, set input.zero_point_of to \"second\" and input.zero_point to \"header\"; if the pixels \
             are on one scale, set input.zero_point_of to \"exposure\"."
        )));
    }
    warnings
}

fn range(values: &[f64]) -> Option<(f64, f64)> {
    let low = values.iter().copied().reduce(f64::min)?;
    Some((low, values.iter().copied().fold(low, f64::max)))
}
