//! PSF of the coadd: the mean of the sharper visits' PSFs (docs/algorithm.md §10.1).
//!
//! A visit is selected if its FWHM in the middle of the patch is at most the smaller of the median
//! over visits and the FWHM of the starting coadd there. In each cell of a grid the coadd's PSF is
//! the mean of the selected visits' PSFs at the centre of the cell, weighted by the visit weight
//! times the share of good pixels in the cell: a visit off its chip, or masked, is excluded. Where
//! no selected visit has data, all visits with data stand in. Visits without a PSF are excluded.
//!
//! [`psf_at`] evaluates such a mean at one position, for any visits.

use dcr_image::psf::{StampError, StampGrid};
use dcr_image::resample::{WarpKernel, warp_stamp};
use dcr_image::{BBox, Exposure, Psf, Stamp};
use dcr_solver::GOOD;
use ndarray::{Array2, s};
use rayon::prelude::*;

use crate::config::CoaddConfig;
use crate::error::CoaddError;
use crate::inputs::pixels::PixelReader;
use dcr_measure::psf_measurement::PsfQuality;
use dcr_measure::statistics::median;

/// Relative tolerance of equal widths: measured widths and averages have rounding errors.
const SAME_WIDTH: f64 = 1e-3;
/// Half-width in px of the box that decides whether a visit has data at a position: about the core
/// of a star.
const AROUND: usize = 2;

/// PSF, weight and coverage of a visit.
pub(crate) struct PsfSource<'a> {
    /// PSF of the visit, if known.
    pub psf: Option<&'a Psf>,
    /// Weight of the visit.
    pub weight: f64,
    /// The share of good pixels in each cell.
    pub coverage: &'a [f64],
}

/// Cells in which the coadd's PSF is evaluated.
pub(crate) struct PsfCells<'a> {
    /// Box of the patch.
    pub patch: BBox,
    /// Cells that cover the patch.
    pub cells: &'a [BBox],
}

/// PSF of the coadd, with the visits it is from.
#[derive(Clone, Debug)]
pub struct CoaddPsf {
    /// In the middle of the patch; `None` if no visit has one.
    pub stamp: Option<Stamp>,
    /// PSF in cells, except those without data; `None` for a constant PSF.
    pub grid: Option<StampGrid>,
    /// FWHM in px in the middle of the patch.
    pub fwhm_px: Option<f64>,
    /// By visit.
    pub selected: Vec<bool>,
    /// If it was measured.
    pub quality: Option<PsfQuality>,
}

impl CoaddPsf {
    /// PSF with one stamp for the whole patch.
    pub fn everywhere(stamp: Stamp, selected: Vec<bool>) -> Self {
        Self { fwhm_px: stamp.fwhm_px().ok(), stamp: Some(stamp), grid: None, selected, quality: None }
    }

    /// The PSF widened by `factor`.
    ///
    /// # Errors
    ///
    /// [`StampError`] for a factor that leaves no stamp.
    pub fn widened(&self, factor: f64) -> Result<Self, StampError> {
        if factor == 1.0 {
            return Ok(self.clone());
        }
        let step = factor.recip();
        let wider = |stamp: &Stamp| warp_stamp(stamp, [[step, 0.0], [0.0, step]], WarpKernel::Lanczos5);
        let stamp = self.stamp.as_ref().map(wider).transpose()?;
        let cells = self.grid.iter().flat_map(StampGrid::cells);
        let cells =
            cells.map(|(cell, stamp)| Ok((*cell, wider(stamp)?))).collect::<Result<Vec<_>, StampError>>()?;
        Ok(Self {
            fwhm_px: stamp.as_ref().and_then(|stamp| stamp.fwhm_px().ok()),
            stamp,
            grid: if cells.is_empty() { None } else { Some(StampGrid::new(cells)?) },
            selected: self.selected.clone(),
            quality: self.quality.clone(),
        })
    }
}

/// Selects and averages. Without `select` all visits are taken.
///
/// # Errors
///
/// [`StampError`] if the PSFs add up to nothing.
pub(crate) fn coadd_psf(
    visits: &[PsfSource<'_>],
    PsfCells { patch, cells }: &PsfCells<'_>,
    template: Option<&Psf>,
    select: bool,
) -> Result<CoaddPsf, StampError> {
    let (x, y) = patch.centre();
    let candidates: Vec<Option<(Stamp, f64)>> = visits
        .iter()
        .map(|visit| {
            let stamp = visit.psf?.stamp_at(x, y).ok()?;
            let fwhm = stamp.fwhm_px().ok()?;
            Some((stamp, fwhm))
        })
        .collect();
    let widths: Vec<f64> = candidates.iter().flatten().map(|(_, fwhm)| *fwhm).collect();
    let none = || CoaddPsf {
        stamp: None,
        grid: None,
        fwhm_px: None,
        selected: vec![false; visits.len()],
        quality: None,
    };
    let Some(median) = median(widths.clone()) else { return Ok(none()) };
    let all: Vec<(&Stamp, f64)> =
        candidates.iter().zip(visits).filter_map(|(c, visit)| Some((&c.as_ref()?.0, visit.weight))).collect();
    let of_template = match template {
        Some(psf) => psf.fwhm_px(x, y).ok(),
        None => average(&all)?.fwhm_px().ok(),
    };
    let limit = if select { of_template.unwrap_or(median).min(median) } else { f64::INFINITY };
    // A template sharper than every visit selects none; the sharpest visits stand in then.
    let sharpest = widths.iter().copied().fold(f64::INFINITY, f64::min);
    let limit = limit.max(sharpest) * (1.0 + SAME_WIDTH);
    let selected: Vec<bool> =
        candidates.iter().map(|c| c.as_ref().is_some_and(|(_, fwhm)| *fwhm <= limit)).collect();

    let stamps: Vec<Result<Option<(BBox, Stamp)>, StampError>> = cells
        .par_iter()
        .enumerate()
        .map(|(cell, bbox)| {
            let stamp = stamp_in_cell(visits, &selected, cell, bbox.centre())?;
            Ok(stamp.map(|stamp| (*bbox, stamp)))
        })
        .collect();
    let stamps: Vec<(BBox, Stamp)> =
        stamps.into_iter().filter_map(Result::transpose).collect::<Result<_, _>>()?;
    let (cx, cy) = (x.floor() as i64, y.floor() as i64);
    let central = match cells.iter().position(|cell| cell.contains(cx, cy)) {
        Some(cell) => stamp_in_cell(visits, &selected, cell, (x, y))?,
        None => None,
    };
    let chosen = all_of(&candidates, visits, &selected);
    // A patch without data in its middle has the PSF that it would have there.
    let stamp = central.map_or_else(|| average(&chosen), Ok)?;
    let grid = if stamps.is_empty() { None } else { Some(StampGrid::new(stamps)?) };
    Ok(CoaddPsf { fwhm_px: stamp.fwhm_px().ok(), stamp: Some(stamp), grid, selected, quality: None })
}

fn all_of<'a>(
    candidates: &'a [Option<(Stamp, f64)>],
    visits: &[PsfSource<'_>],
    selected: &[bool],
) -> Vec<(&'a Stamp, f64)> {
    candidates
        .iter()
        .zip(visits)
        .zip(selected)
        .filter_map(|((c, visit), selected)| selected.then_some((&c.as_ref()?.0, visit.weight)))
        .collect()
}

/// Mean PSF of the selected visits with data in a cell, else of all with data; `None` without any.
fn stamp_in_cell(
    visits: &[PsfSource<'_>],
    selected: &[bool],
    cell: usize,
    (x, y): (f64, f64),
) -> Result<Option<Stamp>, StampError> {
    let weight = |visit: &PsfSource<'_>| visit.weight * visit.coverage.get(cell).copied().unwrap_or(0.0);
    let stamps = |wanted: &dyn Fn(usize) -> bool| -> Vec<(Stamp, f64)> {
        let wanted = visits.iter().enumerate().filter(|(i, visit)| wanted(*i) && weight(visit) > 0.0);
        // A model that makes no stamp here takes no part.
        wanted.filter_map(|(_, visit)| Some((visit.psf?.stamp_at(x, y).ok()?, weight(visit)))).collect()
    };
    let mut chosen = stamps(&|i| selected[i]);
    if chosen.is_empty() {
        chosen = stamps(&|_| true);
    }
    if chosen.is_empty() {
        return Ok(None);
    }
    let borrowed: Vec<(&Stamp, f64)> = chosen.iter().map(|(stamp, weight)| (stamp, *weight)).collect();
    average(&borrowed).map(Some)
}

/// PSF of a weighted mean of exposures at pixel coordinates `(x, y)` of their common grid.
///
/// The weight of each exposure is multiplied by the share of good pixels, as defined by `config`,
/// in the 5 × 5 px about the position: an exposure off its chip, masked, or without a PSF is
/// excluded. `None` if none is left.
///
/// # Errors
///
/// [`CoaddError`] if an exposure cannot be read, or the PSFs sum to nothing.
pub fn psf_at(
    exposures: &[(&dyn Exposure, f64)],
    (x, y): (f64, f64),
    config: &CoaddConfig,
) -> Result<Option<Stamp>, CoaddError> {
    let reader = PixelReader::new(config);
    let mut stamps = Vec::new();
    for (file, weight) in exposures {
        let place = BBox::new(x.round() as i64, y.round() as i64, 1, 1).grown(AROUND);
        let (Some(psf), Some(part)) = (file.psf(), place.intersection(&file.bbox())) else { continue };
        let flags = reader.flags(&file.read(part)?, file.mask_planes());
        let good = flags.iter().filter(|flags| **flags & GOOD != 0).count();
        if good > 0 {
            stamps.push((psf.stamp_at(x, y)?, weight * good as f64 / place.area() as f64));
        }
    }
    let borrowed: Vec<(&Stamp, f64)> = stamps.iter().map(|(stamp, weight)| (stamp, *weight)).collect();
    if borrowed.is_empty() { Ok(None) } else { Ok(Some(average(&borrowed)?)) }
}

/// The weighted average of stamps about their middle pixels, as large as the largest.
pub fn average(stamps: &[(&Stamp, f64)]) -> Result<Stamp, StampError> {
    let side = |axis: fn((usize, usize)) -> usize| {
        stamps.iter().map(|(stamp, _)| axis(stamp.pixels().dim())).max().unwrap_or(1)
    };
    let (height, width) = (side(|dim| dim.0), side(|dim| dim.1));
    let mut sum = Array2::zeros((height, width));
    for (stamp, weight) in stamps {
        let (h, w) = stamp.pixels().dim();
        let (top, left) = ((height - h) / 2, (width - w) / 2);
        sum.slice_mut(s![top..top + h, left..left + w]).scaled_add(*weight, stamp.pixels());
    }
    Stamp::new(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tolerance of a scaled width, relative: the kernel widens where pixels become coarser.
    /// Measured: 6e-4 at a factor of 0.97.
    const WIDENED: f64 = 1e-3;

    fn gaussian(fwhm_px: f64) -> Stamp {
        Psf::Gaussian { fwhm_px }.stamp_at(0.0, 0.0).unwrap()
    }

    #[test]
    fn average_of_stamps_of_different_size_keeps_sum_and_middle() {
        let (narrow, wide) = (gaussian(3.0), gaussian(6.0));
        assert_ne!(narrow.pixels().dim(), wide.pixels().dim());
        let both = average(&[(&narrow, 1.0), (&wide, 3.0)]).unwrap();
        let middle = |stamp: &Stamp| stamp.pixels()[[stamp.pixels().nrows() / 2, stamp.pixels().ncols() / 2]];
        assert!((both.pixels().sum() - 1.0).abs() < 1e-12);
        assert!((middle(&both) - (middle(&narrow) + 3.0 * middle(&wide)) / 4.0).abs() < 1e-12);
    }

    /// Two cells; the first visit, twice as wide, has only the right one.
    #[test]
    fn psf_of_a_cell_is_that_of_the_visits_with_data_there() {
        let (wide, sharp) = (Psf::Gaussian { fwhm_px: 6.0 }, Psf::Gaussian { fwhm_px: 3.0 });
        let cells = [BBox::new(0, 0, 20, 40), BBox::new(20, 0, 20, 40)];
        let visits = |both: f64| {
            [
                PsfSource { psf: Some(&wide), weight: 1.0, coverage: &[0.0, 1.0] },
                PsfSource { psf: Some(&sharp), weight: both, coverage: &[1.0, 0.5] },
                PsfSource { psf: None, weight: 9.0, coverage: &[1.0, 1.0] },
            ]
        };
        let place = PsfCells { patch: BBox::new(0, 0, 40, 40), cells: &cells };
        let all = coadd_psf(&visits(1.0), &place, None, false).unwrap();
        let stamps = all.grid.as_ref().unwrap().cells();
        assert_eq!(stamps[0].1, average(&[(&gaussian(3.0), 1.0)]).unwrap());
        let mixed = average(&[(&gaussian(6.0), 1.0), (&gaussian(3.0), 0.5)]).unwrap();
        assert!((stamps[1].1.pixels() - mixed.pixels()).iter().all(|difference| difference.abs() < 1e-12));
        // The sharper half alone, which has no data in the right cell: who has stands in.
        let halves = [
            PsfSource { psf: Some(&wide), weight: 1.0, coverage: &[0.0, 1.0] },
            PsfSource { psf: Some(&sharp), weight: 1.0, coverage: &[1.0, 0.0] },
        ];
        let sharper = coadd_psf(&halves, &place, None, true).unwrap();
        assert_eq!(sharper.selected, [false, true]);
        let widths: Vec<f64> = sharper.grid.unwrap().cells().iter().map(|c| c.1.fwhm_px().unwrap()).collect();
        assert!(widths[0] < 3.2 && widths[1] > 5.9, "{widths:?}");
    }

    #[test]
    fn psf_of_no_visits_and_of_cells_without_data_is_none_or_central() {
        let sharp = Psf::Gaussian { fwhm_px: 3.0 };
        let cells = [BBox::new(0, 0, 40, 40)];
        let place = PsfCells { patch: cells[0], cells: &cells };
        assert!(coadd_psf(&[], &place, None, true).unwrap().stamp.is_none());
        let nowhere = [PsfSource { psf: Some(&sharp), weight: 1.0, coverage: &[0.0] }];
        let psf = coadd_psf(&nowhere, &place, None, true).unwrap();
        assert!(psf.stamp.is_some() && psf.grid.is_none());
    }

    #[test]
    fn widened_is_wider_by_the_factor() {
        let psf = CoaddPsf::everywhere(gaussian(4.0), vec![true]);
        let before = psf.fwhm_px.unwrap();
        for factor in [0.97, 1.0, 1.02] {
            let after = psf.widened(factor).unwrap().fwhm_px.unwrap();
            assert!((after / before / factor - 1.0).abs() < WIDENED, "{factor}: {after} {before}");
        }
    }
}
