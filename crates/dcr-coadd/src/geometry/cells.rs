//! How a patch is divided: cells of one displacement per visit and subfilter.

use dcr_image::BBox;
use dcr_solver::kernel::Region;

/// The part of an array over `patch` that a box in it takes.
///
/// # Panics
///
/// If the box reaches beyond the patch.
pub fn region_in(part: &BBox, patch: &BBox) -> Region {
    match part.slice_in(patch) {
        Some((rows, cols)) => Region { rows, cols },
        None => panic!("{part} is not in {patch}"),
    }
}

/// The cells of a patch, at most `[width, height]`, row by row.
///
/// They are equal in size to within a pixel, without a narrow remainder at the far edge.
pub fn cells(patch: &BBox, [width, height]: [usize; 2]) -> Vec<BBox> {
    patch.tiles((even(patch.width, width), even(patch.height, height))).collect()
}

/// The subregions of LSST's DcrAssembleCoaddTask: of `[width, height]`, with the remainder at the
/// far edge.
pub(crate) fn reference_subregions(patch: &BBox, [width, height]: [usize; 2]) -> Vec<BBox> {
    patch.tiles((width, height)).collect()
}

/// The size of parts that divide `length` into as many as parts of `size` would, but evenly.
fn even(length: usize, size: usize) -> usize {
    let parts = length.div_ceil(size.max(1)).max(1);
    length.div_ceil(parts).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_even_and_cover_the_patch() {
        let patch = BBox::new(5, 7, 1030, 512);
        let cells = cells(&patch, [512, 512]);
        assert_eq!(cells.iter().map(|cell| cell.width).collect::<Vec<_>>(), [344, 344, 342]);
        assert_eq!(cells.iter().map(BBox::area).sum::<usize>(), patch.area());
        assert_eq!(region_in(&cells[1], &patch).cols, 344..688);
    }
}
