//! A rectangle of a plane with its surroundings, in memory of its own.

use std::ops::Range;

use super::region::{Region, mirror};

/// A rectangle of a plane with its surroundings, which may reach beyond the plane's edges.
#[derive(Clone, Debug, Default)]
pub(crate) struct Window {
    /// Index in the plane of the first row and column here.
    origin: (isize, isize),
    cols: usize,
    values: Vec<f32>,
}

impl Window {
    /// Moves the window to `rows × cols` indices of the plane, all values 0; memory is reused.
    pub(crate) fn cover(&mut self, rows: Range<isize>, cols: Range<isize>) {
        self.origin = (rows.start, cols.start);
        self.cols = cols.len();
        self.values.clear();
        self.values.resize(rows.len() * cols.len(), 0.0);
    }

    /// [`Window::cover`] of a region and `margin` pixels around it, beyond the plane's edges too.
    pub(crate) fn cover_around(&mut self, region: &Region, margin: usize) {
        let margin = margin as isize;
        let grown = |r: &Range<usize>| r.start as isize - margin..r.end as isize + margin;
        self.cover(grown(&region.rows), grown(&region.cols));
    }

    /// Rows of the plane that the window covers.
    pub(crate) fn rows(&self) -> Range<isize> {
        self.origin.0..self.origin.0 + (self.values.len() / self.cols.max(1)) as isize
    }

    /// Columns of the plane that the window covers.
    pub(crate) fn cols(&self) -> Range<isize> {
        self.origin.1..self.origin.1 + self.cols as isize
    }

    /// `count` pixels of row `y` of the plane, from column `x` on.
    pub(crate) fn row(&self, y: isize, x: isize, count: usize) -> &[f32] {
        let start = self.index(y, x);
        &self.values[start..start + count]
    }

    /// All values from the pixel `(y, x)` of the plane on, row by row.
    pub(crate) fn from(&self, y: isize, x: isize) -> &[f32] {
        &self.values[self.index(y, x)..]
    }

    /// Mutable [`Window::row`].
    pub(crate) fn row_mut(&mut self, y: isize, x: isize, count: usize) -> &mut [f32] {
        let start = self.index(y, x);
        &mut self.values[start..start + count]
    }

    /// Fills every row by `fill(y, first column, row)`.
    pub(crate) fn fill(&mut self, mut fill: impl FnMut(isize, isize, &mut [f32])) {
        let (top, left) = self.origin;
        if self.cols > 0 {
            for (i, row) in self.values.chunks_exact_mut(self.cols).enumerate() {
                fill(top + i as isize, left, row);
            }
        }
    }

    /// Continues the pixels inside `region` beyond it, mirrored about its outermost pixels'
    /// centres.
    pub(crate) fn mirror_beyond(&mut self, region: &Region) {
        let (rows, cols) = (self.rows(), self.cols());
        let (top, bottom) = (region.rows.start as isize, region.rows.end as isize);
        let (left, right) = (region.cols.start as isize, region.cols.end as isize);
        let folded =
            |i: isize, start: isize, end: isize| start + mirror(i - start, (end - start) as usize) as isize;
        for y in top..bottom {
            for x in (cols.start..left).chain(right..cols.end) {
                let value = self.row(y, folded(x, left, right), 1)[0];
                self.row_mut(y, x, 1)[0] = value;
            }
        }
        for y in (rows.start..top).chain(bottom..rows.end) {
            self.copy_row(folded(y, top, bottom), y);
        }
    }

    /// Copies row `from` of the plane to row `to`.
    fn copy_row(&mut self, from: isize, to: isize) {
        let (from, to) = (self.index(from, self.origin.1), self.index(to, self.origin.1));
        self.values.copy_within(from..from + self.cols, to);
    }

    fn index(&self, y: isize, x: isize) -> usize {
        debug_assert!(
            self.rows().contains(&y) && self.cols().contains(&x),
            "({y}, {x}) is not in the window"
        );
        (y - self.origin.0) as usize * self.cols + (x - self.origin.1) as usize
    }
}
