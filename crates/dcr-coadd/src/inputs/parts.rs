//! Files of one visit: the CCDs of an exposure on one grid are joined, others contradict each
//! other.
//!
//! Files with one visit number are parts of an exposure if they lie on one pixel grid, were taken
//! at one time through one filter, are of different detectors as far as their headers name these,
//! and have data in different pixels ([`ExposureFile::join`]). Where no header names a detector,
//! one time and different pixels are enough, and a warning says so. Everything else is refused.

use std::collections::BTreeMap;
use std::path::PathBuf;

use dcr_image::ExposureFile;
use dcr_image::fits::JoinError;
use dcr_physics::{Assumption, Instant, VisitInfo};

use crate::config::{InputConfig, ZeroPoint};
use crate::error::{CoaddError, InputError};
use crate::inputs::checks::{check_grid, may_be_the_same};

/// Seconds of a day.
const DAY_S: f64 = 86_400.0;
/// Middles of an exposure's parts differ by no more than this many seconds, or this share of the
/// exposure time.
const SAME_TIME: (f64, f64) = (1.0, 0.1);
/// Exposure times of an exposure's parts differ by no more than this share.
const SAME_EXPOSURE: f64 = 0.01;
/// Reported difference in mag of the zero points of an exposure's parts, where they are not used.
const SAME_ZERO_POINT: f64 = 0.005;

/// An opened file, and the factor that brings its pixel values to the scale of all files.
pub type ScaledFile = (ExposureFile, f32);

/// Joins the files that are parts of one visit, in the order of the first of each.
///
/// # Errors
///
/// [`InputError::NotOneVisit`] for files with one visit number that are no parts of an exposure,
/// and errors of the files.
pub fn join_visits(
    opened: Vec<ScaledFile>,
    input: &InputConfig,
    allowed_px: f64,
) -> Result<Vec<ExposureFile>, CoaddError> {
    let mut place_of_visit: BTreeMap<u64, usize> = BTreeMap::new();
    let mut visits: Vec<Vec<ScaledFile>> = Vec::new();
    for one in opened {
        let place = *place_of_visit.entry(one.0.visit().visit).or_insert(visits.len());
        match visits.get_mut(place) {
            Some(parts) => parts.push(one),
            None => visits.push(vec![one]),
        }
    }
    visits.into_iter().map(|parts| join(parts, input, allowed_px)).collect()
}

/// Joins the files of one visit.
fn join(parts: Vec<ScaledFile>, input: &InputConfig, allowed_px: f64) -> Result<ExposureFile, CoaddError> {
    let mut parts = parts.into_iter();
    let Some((first, scale)) = parts.next() else { return Err(CoaddError::NoInputs) };
    if parts.len() == 0 {
        return Ok(first);
    }
    let visit = first.visit().visit;
    let not_one = |first: PathBuf, second: PathBuf, reason: String| InputError::NotOneVisit {
        visit,
        first,
        second,
        reason,
    };
    let parts: Vec<ScaledFile> = parts.collect();
    let mut notes = Vec::new();
    let all: Vec<&ExposureFile> = std::iter::once(&first).chain(parts.iter().map(|(file, _)| file)).collect();
    for (i, one) in all.iter().enumerate() {
        for earlier in &all[..i] {
            let paths = || (earlier.path().to_owned(), one.path().to_owned());
            if let Some(reason) = contradiction(earlier, one) {
                let (first, second) = paths();
                return Err(not_one(first, second, reason).into());
            }
            check_grid(*one, *earlier, allowed_px)?;
        }
    }
    if all.iter().any(|one| one.detector().is_none()) {
        notes.push(warning(
            "No header card names the detector: files of one visit number and time are taken for parts of one exposure.",
        ));
    }
    let zero_points: Vec<f64> = all.iter().filter_map(|one| one.visit().zero_point_mag).collect();
    let [lowest, highest] = [f64::min, f64::max].map(|of| zero_points.iter().copied().reduce(of));
    if let (ZeroPoint::Off, Some(lowest), Some(highest)) = (input.zero_point, lowest, highest)
        && highest - lowest > SAME_ZERO_POINT
    {
        notes.push(warning(
            "The parts of the exposure have different zero points, which are not used: set input.zero_point to \"header\" if \
             they are not on one scale.",
        ));
    }
    drop(all);
    let others = parts.into_iter().map(|(file, own)| (file, own / scale)).collect();
    let mut joined = first.join(others).map_err(|error| match error {
        JoinError::Overlap { first, second, share } => {
            let reason = format!(
                "both have data in {:.0} % of the pixels of the smaller, as parts of one exposure on one grid cannot",
                100.0 * share
            );
            CoaddError::from(not_one(first, second, reason))
        }
        JoinError::Fits(error) => CoaddError::Fits(error),
    })?;
    notes.into_iter().for_each(|note| joined.add_assumption(note));
    Ok(joined)
}

/// Why two files cannot be parts of one exposure; `None` if they can.
fn contradiction(first: &ExposureFile, second: &ExposureFile) -> Option<String> {
    if first.path() == second.path() {
        return Some("they are one file, given twice".into());
    }
    let (a, b) = (first.visit(), second.visit());
    let seconds = a.mid_time.zip(b.mid_time).map(|(a, b)| apart(a, b));
    let exposure = a.exposure_s.zip(b.exposure_s);
    let same_time = SAME_TIME.0.max(exposure.map_or(0.0, |(a, b)| SAME_TIME.1 * a.min(b)));
    if let Some(seconds) = seconds.filter(|seconds| *seconds > same_time) {
        return Some(match seconds < DAY_S {
            true => format!("their exposures' middles are {seconds:.0} s apart"),
            false => format!("their exposures' middles are {:.1} days apart", seconds / DAY_S),
        });
    }
    if let Some((a, b)) = exposure.filter(|(a, b)| (a - b).abs() > SAME_EXPOSURE * a.max(*b)) {
        return Some(format!("they were exposed for {a} s and {b} s"));
    }
    if let Some((a, b)) = a.filter.as_deref().zip(b.filter.as_deref()).filter(|(a, b)| !may_be_the_same(a, b))
    {
        return Some(format!("their filters are {a:?} and {b:?}"));
    }
    match (first.detector(), second.detector()) {
        (Some(a), Some(b)) if a == b => Some(format!("both are of one detector ({a})")),
        (Some(_), Some(_)) => None,
        _ if seconds.is_some() => None,
        _ => Some("the headers name neither detectors nor times to tell them by".into()),
    }
}

fn apart(a: Instant, b: Instant) -> f64 {
    DAY_S * ((a.jd1 - b.jd1) + (a.jd2 - b.jd2)).abs()
}

/// The factor that brings a part's pixel values to the scale of the first part's, where zero points
/// are used.
pub fn relative_scale(first: &VisitInfo, own: &VisitInfo, zero_point: ZeroPoint) -> f32 {
    match (zero_point, first.zero_point_mag, own.zero_point_mag) {
        (ZeroPoint::Header, Some(first), Some(own)) => 10_f64.powf(0.4 * (first - own)) as f32,
        _ => 1.0,
    }
}

fn warning(text: &str) -> Assumption {
    Assumption { quantity: "parts".into(), text: text.into(), warning: true }
}
