//! Displacements and rectangles of pixels, and indices mirrored at an edge.

use std::ops::Range;

use ndarray::{ArrayView2, ArrayViewMut2, s};

/// Displacement of light in pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct PixelShift {
    /// Displacement along the rows' index, towards larger y.
    pub dy: f64,
    /// Displacement along the columns' index, towards larger x.
    pub dx: f64,
}

impl PixelShift {
    /// The opposite displacement.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self { dy: -self.dy, dx: -self.dx }
    }

    /// The larger of |dy| and |dx|.
    #[must_use]
    pub fn max_component(self) -> f64 {
        self.dy.abs().max(self.dx.abs())
    }
}

/// A rectangle of pixels inside a patch's arrays: rows and columns, half open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// Row indices.
    pub rows: Range<usize>,
    /// Column indices.
    pub cols: Range<usize>,
}

impl Region {
    /// The region that covers a whole array of the shape `(rows, cols)`.
    #[must_use]
    pub fn whole((rows, cols): (usize, usize)) -> Self {
        Self { rows: 0..rows, cols: 0..cols }
    }

    /// Shape of the region, `(rows, cols)`.
    #[must_use]
    pub fn shape(&self) -> (usize, usize) {
        (self.rows.len(), self.cols.len())
    }

    /// This region with a border of `margin` pixels, clipped to `bounds`.
    #[must_use]
    pub fn grown(&self, margin: usize, bounds: &Self) -> Self {
        let grow = |r: &Range<usize>, b: &Range<usize>| {
            r.start.saturating_sub(margin).max(b.start)..(r.end + margin).min(b.end)
        };
        Self { rows: grow(&self.rows, &bounds.rows), cols: grow(&self.cols, &bounds.cols) }
    }

    /// This region in the index system of an array that begins at the first pixel of `outer`.
    ///
    /// # Panics
    ///
    /// If it begins before `outer`.
    #[must_use]
    pub fn within(&self, outer: &Self) -> Self {
        assert!(self.rows.start >= outer.rows.start && self.cols.start >= outer.cols.start, "not inside");
        let move_by = |r: &Range<usize>, o: usize| r.start - o..r.end - o;
        Self { rows: move_by(&self.rows, outer.rows.start), cols: move_by(&self.cols, outer.cols.start) }
    }

    /// Intersection of both, empty if they are disjoint.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let common = |a: &Range<usize>, b: &Range<usize>| {
            let start = a.start.max(b.start);
            start..a.end.min(b.end).max(start)
        };
        Self { rows: common(&self.rows, &other.rows), cols: common(&self.cols, &other.cols) }
    }

    /// The part of an array that this region covers.
    #[must_use]
    pub fn of<'a, T>(&self, array: &ArrayView2<'a, T>) -> ArrayView2<'a, T> {
        (*array).slice_move(s![self.rows.clone(), self.cols.clone()])
    }

    /// Mutable part of an array that this region covers.
    #[must_use]
    pub fn of_mut<'a, T>(&self, array: ArrayViewMut2<'a, T>) -> ArrayViewMut2<'a, T> {
        array.slice_move(s![self.rows.clone(), self.cols.clone()])
    }
}

/// An index beyond the array, mirrored about its outermost pixels' centres.
pub(crate) fn mirror(index: isize, n: usize) -> usize {
    if n == 1 {
        return 0;
    }
    let period = 2 * (n as isize - 1);
    let folded = index.rem_euclid(period);
    folded.min(period - folded) as usize
}
