//! The joint solver's solution as coadds, warnings and summary.

use dcr_image::Stamp;
use dcr_solver::joint::{ChangingSource, JointSolution, JointVisits, VisitReport};
use dcr_solver::kernel::Region;
use dcr_solver::{GOOD, SourceError};
use ndarray::{Array2, Axis, Zip};

use super::PatchVisits;
use crate::coadd::psf_selection::CoaddPsf;
use crate::coadd::solved_planes::{SolvedPlane, SolvedPlanes};
use crate::config::OutputVariance;
use crate::error::CoaddError;
use crate::inputs::{Input, Inputs};
use crate::model::VARIABLE;
use crate::patch::state::{LOW_COVERAGE, PatchState};
use crate::run::run_log::RunLog;
use crate::run::summary::{ChangingSourceSummary, JointSummary, JointVisitSummary};

/// Coverage (share of the weighted data) below which a pixel is flagged LOW_COVERAGE.
///
/// Above it, stated variances follow draws of noise within 5 %. Below it the mask-free formula of
/// the variance is approximate.
const RELIABLE_COVERAGE: f32 = 0.85;
/// Reported flux excess of a visit, relative.
const MUCH_FLUX: f64 = 0.05;
/// Minimum significance of a reported flux excess, in units of its error.
const SURE: f64 = 5.0;
/// Offsets of visits above this, in pixels, are warned of.
const FAR_OFF_PX: f64 = 0.2;
/// Rows of a visit that are counted at a time.
const STRIP_ROWS: usize = 512;

impl SolvedPlanes {
    /// The planes of a joint solution. Pixels without used data of any visit are flagged NO_DATA.
    ///
    /// # Errors
    ///
    /// [`CoaddError`] if pixels cannot be read.
    pub(crate) fn of_joint_solution(
        state: &PatchState,
        clipped: &Array2<bool>,
        visits: &PatchVisits<'_>,
        solution: &JointSolution,
    ) -> Result<Self, CoaddError> {
        let unseen = solution.covered_yx.mapv(|covered| !covered);
        let mut mask = state.solved_mask(&unseen, clipped);
        let no_data = state.planes.bits_of(["NO_DATA"]);
        let low_coverage = state.planes.bits_of([LOW_COVERAGE]);
        Zip::from(&mut mask).and(&solution.coverage_yx).for_each(|mask, coverage| {
            if *coverage < RELIABLE_COVERAGE {
                *mask |= low_coverage;
            }
        });
        let variable = state.planes.bits_of([VARIABLE]);
        let shape = mask.dim();
        for at in solution.changing.iter().flat_map(|source| source.pixels(shape)) {
            mask[at] |= variable;
        }
        let n_image = used_visits(visits, solution)?;
        let n = state.division.fractions.len();
        let of_template = state.config.coadd.variance == OutputVariance::Template;
        // Where nothing is known the solver says infinite; in files that is NaN and NO_DATA.
        let mut without_infinity = |mut variance: Array2<f32>| {
            Zip::from(&mut variance).and(&mut mask).for_each(|variance, mask| {
                if !variance.is_finite() {
                    (*variance, *mask) = (f32::NAN, *mask | no_data);
                }
            });
            variance
        };
        let subfilters: Vec<SolvedPlane> = solution
            .patch_planes()
            .axis_iter(Axis(0))
            .enumerate()
            .map(|(a, plane)| {
                let mut image = plane.to_owned();
                if !state.config.coadd.interpolate {
                    Zip::from(&mut image).and(&unseen).for_each(|value, unseen| {
                        if *unseen {
                            *value = f32::NAN;
                        }
                    });
                }
                let variance = match of_template {
                    true => &state.template.variance / n as f32,
                    false => without_infinity(solution.plane_variance(a)),
                };
                SolvedPlane { image, variance, n_image: n_image.clone() }
            })
            .collect();
        let variance = match of_template {
            true => state.template.variance.clone(),
            false => without_infinity(solution.flux_variance()),
        };
        let n_image = n_image.mapv(|count| count.saturating_mul(n as u16));
        let mut sum = SolvedPlane { image: Array2::zeros(mask.dim()), variance, n_image };
        for subfilter in &subfilters {
            sum.image += &subfilter.image;
        }
        Ok(Self { subfilters, sum, mask, reports: vec![] })
    }
}

impl CoaddPsf {
    /// The PSF that the planes of a solution have.
    ///
    /// # Errors
    ///
    /// [`CoaddError::Psf`] if it makes no stamp.
    pub(crate) fn of_solution(solution: &JointSolution) -> Result<Self, CoaddError> {
        let stamp = Stamp::new(solution.fiducial.pixels().clone())?;
        let selected =
            (0..solution.visits.len()).map(|visit| solution.fiducial_visit == Some(visit)).collect();
        Ok(Self::everywhere(stamp, selected))
    }
}

/// For each pixel the number of visits that were used there: good, and not clipped.
fn used_visits(visits: &PatchVisits<'_>, solution: &JointSolution) -> Result<Array2<u16>, SourceError> {
    let (rows, cols) = solution.covered_yx.dim();
    let mut count = Array2::<u16>::zeros((rows, cols));
    for (visit, clipped) in solution.clipped.iter().enumerate() {
        for start in (0..rows).step_by(STRIP_ROWS) {
            let region = Region { rows: start..rows.min(start + STRIP_ROWS), cols: 0..cols };
            let pixels = visits.pixels(visit, &region)?;
            let used = pixels.image.iter().zip(&pixels.flags);
            for (count, (value, flags)) in region.of_mut(count.view_mut()).iter_mut().zip(used) {
                *count += u16::from(flags & GOOD != 0 && value.is_finite());
            }
        }
        for index in clipped {
            let index = *index as usize;
            let count = &mut count[[index / cols, index % cols]];
            *count = count.saturating_sub(1);
        }
    }
    Ok(count)
}

/// Warns of visits whose stars are brighter or fainter than all visits together have them.
pub(crate) fn warn_of_flux_scales(solution: &JointSolution, inputs: &Inputs, log: &mut RunLog<'_>) {
    let visits = solution.visits.iter().zip(&inputs.visits);
    let off: Vec<(f64, f64, &Input)> = visits
        .filter_map(|(report, visit)| {
            let (excess, error) = report.calibration.as_ref()?.flux()?;
            Some((excess, error, visit))
        })
        .filter(|(excess, error, _)| excess.abs() > (MUCH_FLUX).max(SURE * error))
        .collect();
    let Some((excess, error, visit)) = off.iter().max_by(|a, b| a.0.abs().total_cmp(&b.0.abs())) else {
        return;
    };
    let text = format!(
        "In {} of {} visits stars are more than {:.0} % brighter or fainter than in all together, most in {}: by {:+.1} ± {:.1} %. This was \
         fitted and undone. Their zero points may be wrong (input.zero_point), or their PSFs.",
        off.len(),
        inputs.visits.len(),
        100.0 * MUCH_FLUX,
        visit.name(),
        100.0 * excess,
        100.0 * error
    );
    log.warn("zero points", text);
}

/// Warns of visits that lie elsewhere than their WCS say, relative to all visits together.
pub(crate) fn warn_of_offsets(solution: &JointSolution, inputs: &Inputs, log: &mut RunLog<'_>) {
    let length = |report: &VisitReport| report.offset.dx.hypot(report.offset.dy);
    let off = || solution.visits.iter().zip(&inputs.visits).filter(|(report, _)| length(report) > FAR_OFF_PX);
    let Some((report, visit)) = off().max_by(|a, b| length(a.0).total_cmp(&length(b.0))) else { return };
    let text = format!(
        "The stars of {} of {} visits are more than {FAR_OFF_PX} px from where all visits together have them, \
         most in {}: by ({:+.2}, {:+.2}) px. This was fitted and undone; the part of it that all visits share \
         was not. Their WCS may be wrong, or their PSFs centred off the middle.",
        off().count(),
        inputs.visits.len(),
        visit.name(),
        report.offset.dx,
        report.offset.dy,
    );
    log.warn("offsets", text);
}

fn changing_source(source: &ChangingSource, inputs: &Inputs) -> ChangingSourceSummary {
    let (x, y) = (inputs.bbox.x0 + source.x as i64, inputs.bbox.y0 + source.y as i64);
    let sky = inputs.wcs.pixel_to_sky(x as f64, y as f64).ok();
    ChangingSourceSummary {
        place_px: [x, y],
        sky_deg: sky.map(|sky| [sky.ra.degrees(), sky.dec.degrees()]),
        scatter: source.scatter,
        significance: source.significance,
        excesses: source.excesses.clone(),
    }
}

/// Summary of a solution. Widths are those of the visits' PSFs in the middle of the patch.
pub(crate) fn joint_summary(
    solution: &JointSolution,
    inputs: &Inputs,
    fiducial_fwhm_px: Option<f64>,
) -> JointSummary {
    let identifiability = &solution.identifiability;
    let middle = inputs.bbox.centre();
    let visits = solution.visits.iter().zip(&inputs.visits).map(|(report, visit)| JointVisitSummary {
        visit: visit.number(),
        offset_px: [report.offset.dx, report.offset.dy],
        calibration: report.calibration.clone(),
        fwhm_px: visit.fwhm_px(middle),
        clipped: report.clipped as f64 / report.good.max(1) as f64,
        chi2: report.chi2,
    });
    JointSummary {
        outcome: solution.report.outcome,
        fiducial_visit: solution.fiducial_visit.and_then(|visit| inputs.visits.get(visit).map(Input::number)),
        fiducial_fwhm_px,
        noise_per_pixel: solution.sigma,
        covered: solution.covered_yx.iter().filter(|covered| **covered).count() as f64
            / solution.covered_yx.len().max(1) as f64,
        colour_error_mag: identifiability.colour_error,
        data_fraction: identifiability.data_fraction,
        faint_data_fraction: identifiability.faint_data_fraction,
        calibration_changes_px: solution.report.calibration_changes.clone(),
        visits: visits.collect(),
        changing_sources: solution.changing.iter().map(|source| changing_source(source, inputs)).collect(),
        tiles: solution.report.tiles.clone(),
    }
}
