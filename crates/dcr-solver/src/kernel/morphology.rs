//! Binary morphology with a diamond: the ball of the city-block (L1) distance.
//!
//! A ball of radius `r` is `r` times the cross of five pixels, so both operations are `r` passes with the cross.

use multiversion::multiversion;
use ndarray::{Array2, ArrayView2};

/// Pixels within L1 distance `radius` of a set pixel. Outside the array counts as not set.
#[must_use]
pub fn dilate_diamond(flags: ArrayView2<bool>, radius: usize) -> Array2<bool> {
    repeated(flags, radius, false, or_row)
}

/// Set pixels all of whose neighbours within L1 distance `radius` are set. Outside the array counts as not set.
#[must_use]
pub fn erode_diamond(flags: ArrayView2<bool>, radius: usize) -> Array2<bool> {
    repeated(flags, radius, true, and_row)
}

/// Erosion, then dilation: groups of flags that do not contain a diamond of `radius` vanish, the others keep their core.
#[must_use]
pub fn open_diamond(flags: ArrayView2<bool>, radius: usize) -> Array2<bool> {
    dilate_diamond(erode_diamond(flags, radius).view(), radius)
}

/// Combines every pixel with its four neighbours, `radius` times. `erode` clears the outermost pixels, whose neighbours
/// beyond the edge are not set; a dilation leaves them to the neighbours they have.
fn repeated(
    flags: ArrayView2<bool>,
    radius: usize,
    erode: bool,
    combine: fn(&mut [bool], &[bool]),
) -> Array2<bool> {
    let (rows, cols) = flags.dim();
    let mut now = flags.as_standard_layout().into_owned();
    if rows == 0 || cols == 0 {
        return now;
    }
    for _ in 0..radius {
        let before = now.clone();
        let (Some(before), Some(out)) = (before.as_slice(), now.as_slice_mut()) else {
            unreachable!("both are in standard layout");
        };
        for (y, row) in out.chunks_exact_mut(cols).enumerate() {
            let at = |y: usize| &before[y * cols..(y + 1) * cols];
            if erode && (y == 0 || y == rows - 1) {
                row.fill(false);
                continue;
            }
            if y > 0 {
                combine(row, at(y - 1));
            }
            if y + 1 < rows {
                combine(row, at(y + 1));
            }
            combine(&mut row[..cols - 1], &at(y)[1..]);
            combine(&mut row[1..], &at(y)[..cols - 1]);
            if erode {
                row[0] = false;
                row[cols - 1] = false;
            }
        }
    }
    now
}

#[multiversion(targets("x86_64+avx2", "x86_64+avx512f+avx512vl"))]
fn or_row(row: &mut [bool], other: &[bool]) {
    for (r, o) in row.iter_mut().zip(other) {
        *r |= *o;
    }
}

#[multiversion(targets("x86_64+avx2", "x86_64+avx512f+avx512vl"))]
fn and_row(row: &mut [bool], other: &[bool]) {
    for (r, o) in row.iter_mut().zip(other) {
        *r &= *o;
    }
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
