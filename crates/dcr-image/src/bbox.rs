//! Bounding boxes in parent pixel coordinates.
//!
//! A patch is part of a tract, and a subregion part of a patch, so the integer origin of a box can
//! be nonzero. The centre of pixel (x, y) has integer coordinates, and the first pixel of an array
//! with box `b` is pixel `(b.x0, b.y0)`. Arrays are indexed `[row, column]`, i.e. `[y − y0, x −
//! x0]`, and have the shape `(height, width)`.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// A rectangle of pixels.
///
/// ```
/// use dcr_image::BBox;
/// let patch = BBox::new(1000, 2000, 100, 80);
/// let subregion = BBox::new(1090, 2000, 30, 30);
/// let read = subregion.grown(2).intersection(&patch).unwrap();
/// assert_eq!(read.to_string(), "[1088:1100, 2000:2032]");
/// assert_eq!(read.slice_in(&patch), Some((0..32, 88..100)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BBox {
    /// Column of the first pixel.
    pub x0: i64,
    /// Row of the first pixel.
    pub y0: i64,
    /// Number of columns.
    pub width: usize,
    /// Number of rows.
    pub height: usize,
}

impl BBox {
    /// The box whose first pixel is `(x0, y0)`.
    #[must_use]
    pub const fn new(x0: i64, y0: i64, width: usize, height: usize) -> Self {
        Self { x0, y0, width, height }
    }

    /// The box of an array of shape `(height, width)` with first pixel `(x0, y0)`.
    #[must_use]
    pub const fn of_shape((x0, y0): (i64, i64), (height, width): (usize, usize)) -> Self {
        Self { x0, y0, width, height }
    }

    /// The box of the columns `x` and rows `y`; a decreasing range gives an empty box.
    #[must_use]
    pub fn from_ranges(x: Range<i64>, y: Range<i64>) -> Self {
        let length = |r: &Range<i64>| usize::try_from(r.end.saturating_sub(r.start)).unwrap_or(0);
        Self { x0: x.start, y0: y.start, width: length(&x), height: length(&y) }
    }

    /// The column after the last.
    #[must_use]
    pub const fn x1(&self) -> i64 {
        self.x0.saturating_add_unsigned(self.width as u64)
    }

    /// The row after the last.
    #[must_use]
    pub const fn y1(&self) -> i64 {
        self.y0.saturating_add_unsigned(self.height as u64)
    }

    /// `(height, width)`, the shape of an array that covers the box.
    #[must_use]
    pub const fn shape(&self) -> (usize, usize) {
        (self.height, self.width)
    }

    /// Number of pixels.
    #[must_use]
    pub const fn area(&self) -> usize {
        self.width * self.height
    }

    /// Whether the box has no pixels.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.width == 0 || self.height == 0
    }

    /// `(x, y)` of the centre of the box; half-integer along even sides.
    #[must_use]
    pub fn centre(&self) -> (f64, f64) {
        (self.x0 as f64 + (self.width as f64 - 1.0) / 2.0, self.y0 as f64 + (self.height as f64 - 1.0) / 2.0)
    }

    /// Whether pixel `(x, y)` is in the box.
    #[must_use]
    pub const fn contains(&self, x: i64, y: i64) -> bool {
        self.x0 <= x && x < self.x1() && self.y0 <= y && y < self.y1()
    }

    /// Whether `other` lies within the box. An empty box lies within any box.
    #[must_use]
    pub const fn contains_box(&self, other: &Self) -> bool {
        other.is_empty()
            || (self.x0 <= other.x0
                && other.x1() <= self.x1()
                && self.y0 <= other.y0
                && other.y1() <= self.y1())
    }

    /// The intersection of both boxes, or `None` if it is empty.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        let clipped = self.clipped(other);
        (!clipped.is_empty()).then_some(clipped)
    }

    /// The intersection with `limits`; empty for disjoint boxes.
    #[must_use]
    pub fn clipped(&self, limits: &Self) -> Self {
        Self::from_ranges(
            self.x0.max(limits.x0)..self.x1().min(limits.x1()),
            self.y0.max(limits.y0)..self.y1().min(limits.y1()),
        )
    }

    /// The smallest box that contains both; an empty box adds nothing.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        if self.is_empty() {
            return *other;
        }
        if other.is_empty() {
            return *self;
        }
        Self::from_ranges(
            self.x0.min(other.x0)..self.x1().max(other.x1()),
            self.y0.min(other.y0)..self.y1().max(other.y1()),
        )
    }

    /// The box enlarged by `border` pixels on each side.
    #[must_use]
    pub const fn grown(&self, border: usize) -> Self {
        Self {
            x0: self.x0.saturating_sub_unsigned(border as u64),
            y0: self.y0.saturating_sub_unsigned(border as u64),
            width: self.width + 2 * border,
            height: self.height + 2 * border,
        }
    }

    /// The index ranges of rows and columns in an array over `outer`, or `None` if the box exceeds
    /// `outer`.
    #[must_use]
    pub fn slice_in(&self, outer: &Self) -> Option<(Range<usize>, Range<usize>)> {
        if !outer.contains_box(self) {
            return None;
        }
        let row = usize::try_from(self.y0.checked_sub(outer.y0)?).ok()?;
        let column = usize::try_from(self.x0.checked_sub(outer.x0)?).ok()?;
        Some((row..row + self.height, column..column + self.width))
    }

    /// Divides the box into tiles of `(width, height)` pixels, row by row from its first pixel. The
    /// tiles do not overlap; those at the far edges can be smaller.
    ///
    /// A side of zero counts as one.
    pub fn tiles(&self, (width, height): (usize, usize)) -> impl Iterator<Item = Self> + use<> {
        let whole = *self;
        let (width, height) = (width.max(1), height.max(1));
        let starts = |length: usize, step: usize| (0..length).step_by(step);
        starts(if whole.width == 0 { 0 } else { whole.height }, height).flat_map(move |row| {
            starts(whole.width, width).map(move |column| Self {
                x0: whole.x0 + column as i64,
                y0: whole.y0 + row as i64,
                width: width.min(whole.width - column),
                height: height.min(whole.height - row),
            })
        })
    }
}

impl fmt::Display for BBox {
    /// As half-open ranges, columns first: `[x0:x1, y0:y1]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}:{}, {}:{}]", self.x0, self.x1(), self.y0, self.y1())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn boxes_apart_have_no_intersection() {
        let a = BBox::new(0, 0, 4, 4);
        assert_eq!(a.intersection(&BBox::new(4, 0, 4, 4)), None);
        assert_eq!(a.intersection(&BBox::new(3, 3, 4, 4)), Some(BBox::new(3, 3, 1, 1)));
        assert!(a.clipped(&BBox::new(40, 0, 4, 4)).is_empty());
    }

    #[test]
    fn centre_of_even_and_odd_sides() {
        assert_eq!(BBox::new(10, -5, 4, 3).centre(), (11.5, -4.0));
    }

    #[test]
    fn empty_box_is_inside_any_and_has_no_tiles() {
        let empty = BBox::new(100, 100, 0, 7);
        assert!(BBox::new(0, 0, 1, 1).contains_box(&empty));
        assert_eq!(empty.tiles((2, 2)).count(), 0);
        assert_eq!(BBox::new(100, 100, 7, 0).tiles((2, 2)).count(), 0);
    }

    #[test]
    fn slice_outside_is_none() {
        let outer = BBox::new(-2, -2, 4, 4);
        assert_eq!(BBox::new(-2, 1, 4, 1).slice_in(&outer), Some((3..4, 0..4)));
        assert_eq!(BBox::new(-3, 1, 4, 1).slice_in(&outer), None);
    }

    fn boxes() -> impl Strategy<Value = BBox> {
        (-50_i64..50, -50_i64..50, 0_usize..40, 0_usize..40).prop_map(|(x, y, w, h)| BBox::new(x, y, w, h))
    }

    proptest! {
        #[test]
        fn tiles_cover_each_pixel_once(whole in boxes(), width in 1_usize..17, height in 1_usize..17) {
            let tiles: Vec<_> = whole.tiles((width, height)).collect();
            prop_assert_eq!(tiles.iter().map(BBox::area).sum::<usize>(), whole.area());
            for (i, tile) in tiles.iter().enumerate() {
                prop_assert!(!tile.is_empty() && whole.contains_box(tile));
                prop_assert!(tiles[..i].iter().all(|other| other.intersection(tile).is_none()));
            }
        }

        #[test]
        fn intersection_holds_what_both_hold(a in boxes(), b in boxes(), x in -60_i64..100, y in -60_i64..100) {
            let both = a.intersection(&b).is_some_and(|c| c.contains(x, y));
            prop_assert_eq!(both, a.contains(x, y) && b.contains(x, y));
            prop_assert!(a.union(&b).contains_box(&a) && a.union(&b).contains_box(&b));
            prop_assert!(a.grown(3).contains_box(&a));
        }
    }
}
