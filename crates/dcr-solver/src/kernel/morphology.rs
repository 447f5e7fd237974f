//! Binary morphology with a diamond: the ball of the city-block (L1) distance.
//!
//! A ball of radius `r` is `r` times the cross of five pixels, so both operations are `r` passes with the cross.

use ndarray::{Array2, ArrayView2, Zip};

/// Pixels within L1 distance `radius` of a set pixel. Outside the array counts as not set.
#[must_use]
pub fn dilate_diamond(flags: ArrayView2<bool>, radius: usize) -> Array2<bool> {
    (0..radius).fold(flags.to_owned(), |flags, _| with_cross(flags.view(), false, |a, b| a | b))
}

/// Set pixels all of whose neighbours within L1 distance `radius` are set. Outside the array counts as not set.
#[must_use]
pub fn erode_diamond(flags: ArrayView2<bool>, radius: usize) -> Array2<bool> {
    (0..radius).fold(flags.to_owned(), |flags, _| with_cross(flags.view(), false, |a, b| a & b))
}

/// Erosion, then dilation: groups of flags that do not contain a diamond of `radius` vanish, the others keep their core.
#[must_use]
pub fn open_diamond(flags: ArrayView2<bool>, radius: usize) -> Array2<bool> {
    dilate_diamond(erode_diamond(flags, radius).view(), radius)
}

/// Combines every pixel with its four neighbours; `outside` stands in beyond the edge.
fn with_cross(flags: ArrayView2<bool>, outside: bool, combine: impl Fn(bool, bool) -> bool) -> Array2<bool> {
    let (rows, cols) = flags.dim();
    let mut out = flags.to_owned();
    Zip::indexed(&mut out).for_each(|(y, x), o| {
        let at = |inside: bool, y: usize, x: usize| if inside { flags[[y, x]] } else { outside };
        let neighbours = [
            at(y > 0, y.wrapping_sub(1), x),
            at(y + 1 < rows, y + 1, x),
            at(x > 0, y, x.wrapping_sub(1)),
            at(x + 1 < cols, y, x + 1),
        ];
        *o = neighbours.into_iter().fold(*o, &combine);
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dilate_diamond_of_a_point_is_a_diamond() {
        let mut point = Array2::from_elem((7, 7), false);
        point[[3, 3]] = true;
        let out = dilate_diamond(point.view(), 2);
        for ((y, x), set) in out.indexed_iter() {
            assert_eq!(*set, y.abs_diff(3) + x.abs_diff(3) <= 2);
        }
    }

    #[test]
    fn open_diamond_removes_small_groups_and_keeps_large() {
        let mut flags = Array2::from_elem((12, 12), false);
        flags[[1, 1]] = true;
        flags.slice_mut(ndarray::s![4..10, 4..10]).fill(true);
        let out = open_diamond(flags.view(), 1);
        assert!(!out[[1, 1]]);
        assert!(out[[6, 6]] && out[[4, 5]] && !out[[4, 4]]);
    }

    #[test]
    fn open_diamond_of_radius_zero_changes_nothing() {
        let flags = Array2::from_shape_fn((4, 5), |(y, x)| (y + x) % 2 == 0);
        assert_eq!(open_diamond(flags.view(), 0), flags);
    }
}
