//! The parts of a region in which a PSF is sampled.

use dcr_image::{BBox, Psf, psf};
use dcr_solver::kernel::Region;

/// Shortest and longest side of a cell where the PSF does not bring its own, px.
const SIDES: [usize; 2] = [32, 128];
/// Number of such cells along a region.
const CELLS: usize = 8;

/// Divides a region of the patch into cells, in each of which the PSF in the middle is
/// representative: those of a grid of stamps, whole parts of a joined exposure, and regular ones
/// for other PSFs that vary. A constant PSF has one.
pub fn psf_cells(psf: &Psf, patch: &BBox, region: &Region) -> Vec<Region> {
    match psf {
        psf if !psf.varies() => vec![region.clone()],
        Psf::Grid(grid) => {
            let inside = |bbox: &BBox| {
                let along = |first: i64, length: usize, origin: i64| {
                    let start = first - origin;
                    start.max(0) as usize..(start + length as i64).max(0) as usize
                };
                let rows = along(bbox.y0, bbox.height, patch.y0);
                Region { rows, cols: along(bbox.x0, bbox.width, patch.x0) }.intersection(region)
            };
            let area = |region: &Region| region.rows.len() * region.cols.len();
            let cells: Vec<Region> =
                grid.cells().iter().map(|(bbox, _)| inside(bbox)).filter(|cell| area(cell) > 0).collect();
            // Cells with gaps between them are no division.
            match cells.iter().map(area).sum::<usize>() == area(region) {
                true => cells,
                false => regular(region, side(region)),
            }
        }
        Psf::Parts(_) => {
            let part =
                |(y, x): (usize, usize)| psf.at((patch.x0 + x as i64) as f64, (patch.y0 + y as i64) as f64);
            let cells = regular(region, side(region)).into_iter().flat_map(|cell| {
                let small = regular(&cell, psf::PART_CELL);
                let middle = |cell: &Region| {
                    ((cell.rows.start + cell.rows.end) / 2, (cell.cols.start + cell.cols.end) / 2)
                };
                let first = part(middle(&small[0]));
                match small.iter().all(|one| std::ptr::eq(part(middle(one)), first)) {
                    true => vec![cell],
                    false => small,
                }
            });
            cells.collect()
        }
        _ => regular(region, side(region)),
    }
}

/// As [`psf_cells`], of a PSF whose own cells and parts are on other pixels than the patch's.
pub fn psf_cells_elsewhere(psf: &Psf, region: &Region) -> Vec<Region> {
    if psf.varies() { regular(region, side(region)) } else { vec![region.clone()] }
}

/// Side of regular cells of a region.
fn side(region: &Region) -> usize {
    let [least, most] = SIDES;
    (region.rows.len().max(region.cols.len()) / CELLS).clamp(least, most)
}

/// Cells of that side; the last ones along an axis may be smaller.
fn regular(region: &Region, side: usize) -> Vec<Region> {
    let along = |range: &std::ops::Range<usize>| -> Vec<std::ops::Range<usize>> {
        range.clone().step_by(side).map(|start| start..range.end.min(start + side)).collect()
    };
    let cols = along(&region.cols);
    let row = |rows: std::ops::Range<usize>| {
        cols.iter().map(move |cols| Region { rows: rows.clone(), cols: cols.clone() }).collect::<Vec<_>>()
    };
    along(&region.rows).into_iter().flat_map(row).collect()
}

#[cfg(test)]
mod tests {
    use dcr_image::psf::StampGrid;

    use super::*;

    /// True if the cells divide the region: no pixel is in two, none in no cell.
    fn divide(cells: &[Region], region: &Region) -> bool {
        region.rows.clone().all(|y| {
            region.cols.clone().all(|x| {
                cells.iter().filter(|cell| cell.rows.contains(&y) && cell.cols.contains(&x)).count() == 1
            })
        })
    }

    fn grid(boxes: &[BBox]) -> Psf {
        let stamp = Psf::Gaussian { fwhm_px: 3.0 }.stamp_at(0.0, 0.0).unwrap();
        Psf::Grid(StampGrid::new(boxes.iter().map(|bbox| (*bbox, stamp.clone())).collect()).unwrap())
    }

    #[test]
    fn psf_cells_of_a_grid_are_its_own() {
        let patch = BBox::new(100, -50, 80, 60);
        let region = Region { rows: 10..60, cols: 0..70 };
        let halves = [BBox::new(90, -60, 37, 80), BBox::new(127, -60, 60, 80)];
        let cells = psf_cells(&grid(&halves), &patch, &region);
        assert_eq!(cells[0], Region { rows: 10..60, cols: 0..27 });
        assert!(cells.len() == 2 && divide(&cells, &region));
        // A gap between the cells.
        let cells = psf_cells(&grid(&[halves[0], BBox::new(130, -60, 60, 80)]), &patch, &region);
        assert!(cells.len() > 2 && divide(&cells, &region));
    }

    #[test]
    fn psf_cells_of_other_psfs_divide_the_region() {
        let (patch, region) = (BBox::new(0, 0, 300, 200), Region { rows: 7..200, cols: 3..300 });
        assert_eq!(
            psf_cells(&Psf::Gaussian { fwhm_px: 3.0 }, &patch, &region),
            std::slice::from_ref(&region)
        );
        assert!(divide(&regular(&region, 37), &region));
    }
}
