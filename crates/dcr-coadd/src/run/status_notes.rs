//! Status notes and warnings on a completed run: regions without a good solution, and missing DCR
//! leverage.

use dcr_image::BBox;
use dcr_solver::SubfilterShift;
use dcr_solver::iterative;
use ndarray::Array2;

use crate::config::AssembleConfig;
use crate::geometry::cells::region_in;
use crate::run::run_log::RunLog;
use crate::run::summary::{RegionSummary, Warning};

/// Improvement of the metric in the last of the maximum number of iterations that is reported, in
/// units of the threshold.
const STILL_IMPROVING: f64 = 10.0;
/// Minimum DCR leverage for measurable colours: the rms over visits of the dispersion across the
/// band, in units of the PSF's FWHM (docs/algorithm.md §13.9; see `inspect`).
const SMALLEST_LEVERAGE: f64 = 0.34;
/// The FWHM in px that is assumed where none is known.
const UNKNOWN_FWHM_PX: f64 = 3.5;

/// Status notes of a run, which end it as "done with remarks", and warnings.
///
/// Notes are dropped inputs, regions that diverged, and regions with sources but without a usable
/// pixel of any visit. A region at the maximum number of iterations is none: early stopping is
/// intended.
pub(crate) fn status_notes(
    regions: &[RegionSummary],
    sources: &Array2<bool>,
    patch: &BBox,
    dropped: &[Warning],
    config: &AssembleConfig,
) -> (Vec<String>, Vec<String>) {
    let mut remarks: Vec<String> =
        dropped.iter().map(|input| format!("{} was dropped", input.subject)).collect();
    let mut warnings = Vec::new();
    for RegionSummary { bbox, report } in regions {
        match report.outcome {
            iterative::Outcome::Diverged => {
                remarks.push(format!("region {bbox} diverged; its best model was kept"));
            }
            iterative::Outcome::NoData if any_in(sources, bbox, patch) => {
                remarks.push(format!("region {bbox} has sources, but no visit has a usable pixel on them"));
            }
            iterative::Outcome::IterationLimit => {
                let improvement = last_improvement(report);
                if improvement > STILL_IMPROVING * config.solver.iterative.convergence_threshold {
                    warnings.push(format!(
                        "Region {bbox} made the most iterations, {}, and the last one still improved the metric by {:.1} %; \
                         more (solver.max_iterations) may be worth their time.",
                        report.iterations.len(),
                        100.0 * improvement
                    ));
                }
            }
            _ => {}
        }
    }
    (remarks, warnings)
}

/// By which fraction the last iteration improved the metric.
fn last_improvement(report: &iterative::SolveReport) -> f64 {
    let metrics: Vec<f64> =
        std::iter::once(report.initial_metric).chain(report.iterations.iter().map(|i| i.metric)).collect();
    match metrics[..] {
        [.., before, after] if after > 0.0 => (before - after) / after,
        _ => 0.0,
    }
}

/// Warns of a small DCR leverage.
///
/// Only the spread of displacements over visits counts: a common displacement looks like another
/// position.
pub(crate) fn warn_of_small_leverage(
    shifts: &[Vec<Vec<SubfilterShift>>],
    fwhm_px: Option<f64>,
    log: &mut RunLog<'_>,
) {
    let across: Vec<(f64, f64)> = shifts
        .iter()
        .filter_map(|cells| {
            let cell = cells.get(cells.len() / 2)?;
            let (blue, red) = (cell.first()?.mean, cell.last()?.mean);
            // From the middle of the first subfilter to that of the last is less than the whole band.
            let n = cell.len() as f64;
            (n > 1.0).then(|| {
                let scale = n / (n - 1.0);
                (scale * (blue.dy - red.dy), scale * (blue.dx - red.dx))
            })
        })
        .collect();
    if across.is_empty() {
        return;
    }
    let n = across.len() as f64;
    let (my, mx) = across.iter().fold((0.0, 0.0), |(y, x), d| (y + d.0 / n, x + d.1 / n));
    let spread = (across.iter().map(|d| (d.0 - my).powi(2) + (d.1 - mx).powi(2)).sum::<f64>() / n).sqrt();
    let ratio = spread / fwhm_px.unwrap_or(UNKNOWN_FWHM_PX);
    if ratio < SMALLEST_LEVERAGE {
        log.warn(
            "colours",
            format!(
                "Refraction differs little between the visits (by {spread:.2} px across the band, {:.0} % of the PSF's \
                 FWHM): colours in the subfilters come from the prior, not from the data. Add visits at other airmass or on \
                 the other side of the meridian.",
                100.0 * ratio
            ),
        );
    }
}

/// True if a box of the patch has a pixel of a source.
fn any_in(sources: &Array2<bool>, part: &BBox, patch: &BBox) -> bool {
    region_in(part, patch).of(&sources.view()).iter().any(|source| *source)
}
