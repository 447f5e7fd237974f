//! PSF of an exposure joined from parts: that of the part that covers a position.

use ndarray::Array2;

use super::{Psf, PsfParts};
use crate::BBox;

/// Side in px of the cells that belong to one part.
pub const PART_CELL: usize = 16;

impl PsfParts {
    /// PSFs on the cells of [`PART_CELL`] px within `bbox`. A cell without an index, or whose part
    /// has no PSF, gets the PSF of the nearest cell. `None` if no part has a PSF, or no cell
    /// belongs to a part with one.
    #[must_use]
    pub fn new(bbox: BBox, parts: &Array2<Option<u16>>, psfs: Vec<Option<Psf>>) -> Option<Self> {
        let mut numbers = Vec::with_capacity(psfs.len());
        let mut known = Vec::new();
        for psf in psfs {
            numbers.push(psf.is_some().then_some(known.len() as u16));
            known.extend(psf);
        }
        let own = parts.mapv(|part| numbers.get(usize::from(part?)).copied().flatten());
        Some(Self { bbox, cells: spread(own)?, psfs: known })
    }

    /// The PSF at parent pixel coordinates `(x, y)`; outside the image, that of the nearest cell.
    #[must_use]
    pub fn at(&self, x: f64, y: f64) -> &Psf {
        let cell = |at: f64, origin: i64, count: usize| {
            let cell = (at - origin as f64 + 0.5) / PART_CELL as f64;
            if cell > 0.0 { (cell as usize).min(count - 1) } else { 0 }
        };
        let (rows, columns) = self.cells.dim();
        let number = self.cells[[cell(y, self.bbox.y0, rows), cell(x, self.bbox.x0, columns)]];
        &self.psfs[usize::from(number)]
    }

    /// All PSFs.
    #[must_use]
    pub fn psfs(&self) -> &[Psf] {
        &self.psfs
    }
}

/// Fills each empty cell with the nearest index, counted in steps along rows and columns; `None` if
/// all are empty.
fn spread(mut cells: Array2<Option<u16>>) -> Option<Array2<u16>> {
    let (rows, columns) = cells.dim();
    let mut queue: std::collections::VecDeque<(usize, usize)> =
        cells.indexed_iter().filter(|(_, cell)| cell.is_some()).map(|(at, _)| at).collect();
    while let Some((y, x)) = queue.pop_front() {
        let around = [(y.wrapping_sub(1), x), (y, x.wrapping_sub(1)), (y, x + 1), (y + 1, x)];
        for (v, u) in around.into_iter().filter(|(v, u)| *v < rows && *u < columns) {
            if cells[[v, u]].is_none() {
                cells[[v, u]] = cells[[y, x]];
                queue.push_back((v, u));
            }
        }
    }
    if cells.is_empty() || cells.iter().any(Option::is_none) {
        None
    } else {
        Some(cells.mapv(Option::unwrap_or_default))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn place_has_the_psf_of_its_part_or_of_the_nearest() {
        let gaussian = |fwhm_px| Some(Psf::Gaussian { fwhm_px });
        let cells = array![[Some(0), None, Some(2)], [None, Some(1), Some(2)]];
        let bbox = BBox::new(100, -20, 48, 32);
        let parts = PsfParts::new(bbox, &cells, vec![gaussian(2.0), None, gaussian(3.0)]).unwrap();
        let fwhm = |x, y| parts.at(x, y).fwhm_px(x, y).unwrap();
        assert_eq!((fwhm(100.0, -20.0), fwhm(131.4, -20.0), fwhm(131.6, -20.0)), (2.0, 2.0, 3.0));
        assert_eq!((fwhm(-1e9, 1e9), fwhm(1e9, f64::NAN)), (2.0, 3.0));
        // The part without a PSF has that of the next cell.
        assert_eq!(fwhm(120.0, 5.0), 3.0);
        assert_eq!(parts.psfs().len(), 2);
        assert_eq!(PsfParts::new(bbox, &cells, vec![None, None, None]), None);
        assert_eq!(
            PsfParts::new(bbox, &array![[None, None, None], [None, None, None]], vec![gaussian(2.0)]),
            None
        );
    }
}
