//! Update of the standard coadd after artefacts were found.
//!
//! Trails in few visits partly survive a clipped mean. Pixels in which a visit has an artefact are
//! combined again from the other visits: values, masks and thresholds are read again, so that the
//! result equals that of visits with those pixels masked, and every other pixel is unchanged. Later
//! calls combine only the pixels whose artefacts changed.

use std::ops::Range;

use dcr_image::BBox;
use dcr_solver::PixelList;

use super::combination::Work;
use super::ingredients::{Ingredients, MeanCoadd};
use crate::error::CoaddError;
use crate::inputs::pixels::leave_out;

/// So many rows without artefacts between rows that have some are read with them.
const ROWS_BETWEEN: usize = 8;

impl MeanCoadd {
    /// Combines again the pixels that are lost now and were not lost `before`, or vice versa: for
    /// each visit `row × cols + col` in ascending order.
    ///
    /// # Errors
    ///
    /// [`CoaddError`] if a visit cannot be read, or the monitor asks to stop.
    pub(crate) fn leave_out(
        &mut self,
        lost: &[PixelList],
        before: &[PixelList],
        ingredients: &Ingredients<'_>,
        mut go_on: impl FnMut() -> bool,
    ) -> Result<(), CoaddError> {
        let Some(bbox) = ingredients.bbox() else { return Err(CoaddError::NoInputs) };
        let combination = ingredients.combination();
        let cols = bbox.width;
        let mut touched: PixelList =
            lost.iter().zip(before).flat_map(|(lost, before)| in_one_only(lost, before)).collect();
        touched.sort_unstable();
        touched.dedup();
        let mut work = Work::default();
        for rows in runs_of_rows(&touched, cols, ingredients.strip_rows(cols)) {
            if !go_on() {
                return Err(CoaddError::Cancelled);
            }
            let part = BBox::new(bbox.x0, bbox.y0 + rows.start as i64, cols, rows.len());
            let mut visits = ingredients.read(part)?;
            for (visit, lost) in visits.iter_mut().zip(lost) {
                for pixel in within(lost, &rows, cols) {
                    leave_out(
                        &mut visit.flags[[*pixel as usize / cols - rows.start, *pixel as usize % cols]],
                    );
                }
            }
            for of_row in
                within(&touched, &rows, cols).chunk_by(|a, b| *a as usize / cols == *b as usize / cols)
            {
                let y = of_row[0] as usize / cols;
                let row: Vec<_> = visits.iter().map(|visit| visit.row(y - rows.start)).collect();
                for pixel in of_row {
                    let x = *pixel as usize % cols;
                    let combined = combination.pixel(&row, x, &mut work);
                    (self.image[[y, x]], self.variance[[y, x]]) = (combined.image, combined.variance);
                    (self.mask[[y, x]], self.n_image[[y, x]]) = (combined.mask, combined.n);
                }
            }
        }
        Ok(())
    }
}

/// Elements in exactly one of two ascending lists.
fn in_one_only<'a>(a: &'a PixelList, b: &'a PixelList) -> impl Iterator<Item = u32> + 'a {
    let without = |list: &'a PixelList, other: &'a PixelList| {
        list.iter().filter(|pixel| other.binary_search(pixel).is_err())
    };
    without(a, b).chain(without(b, a)).copied()
}

/// Rows that hold the pixels, in runs of at most `most` rows.
fn runs_of_rows(pixels: &[u32], cols: usize, most: usize) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = vec![];
    for row in pixels.iter().map(|pixel| *pixel as usize / cols) {
        match runs.last_mut() {
            Some(run) if row < run.end + ROWS_BETWEEN && row < run.start + most => run.end = row + 1,
            _ => runs.push(row..row + 1),
        }
    }
    runs
}

/// Those of the pixels that lie in some rows.
fn within<'a>(pixels: &'a [u32], rows: &Range<usize>, cols: usize) -> &'a [u32] {
    let before = |row: usize| pixels.partition_point(|pixel| (*pixel as usize) < row * cols);
    &pixels[before(rows.start)..before(rows.end)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_one_only_is_the_symmetric_difference() {
        let of = |a: &[u32], b: &[u32]| in_one_only(&a.to_vec(), &b.to_vec()).collect::<Vec<_>>();
        assert_eq!(of(&[1, 4, 6, 9], &[2, 4, 9]), [1, 6, 2]);
        assert_eq!(of(&[], &[3]), [3]);
        assert!(of(&[5, 7], &[5, 7]).is_empty());
    }

    #[test]
    fn runs_of_rows_join_what_is_near() {
        let pixels: Vec<u32> = [0, 5, 5, 12, 40, 41].map(|row| row * 10 + 3).to_vec();
        assert_eq!(runs_of_rows(&pixels, 10, 100), [0..13, 40..42]);
        assert_eq!(runs_of_rows(&pixels, 10, 6), [0..6, 12..13, 40..42]);
        assert_eq!(runs_of_rows(&pixels, 10, 1).len(), 5);
        assert!(runs_of_rows(&[], 10, 100).is_empty());
        assert_eq!(within(&pixels, &(5..13), 10), &pixels[1..4]);
        assert!(within(&pixels, &(13..40), 10).is_empty());
    }
}
