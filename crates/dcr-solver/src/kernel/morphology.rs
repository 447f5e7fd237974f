//! Binary morphology with a diamond: the ball of the city-block (L1) distance.
//!
//! A ball of radius `r` is `r` times the cross of five pixels, so both operations are `r` passes
//! with the cross.

use std::ops::Range;

use multiversion::multiversion;
use ndarray::{Array2, ArrayView2, s};

/// Pixels within L1 distance `radius` of a set pixel. Outside the array counts as not set.
#[must_use]
pub fn dilate_diamond(flags: ArrayView2<bool>, radius: usize) -> Array2<bool> {
    as_bits(flags, |bits| repeated(bits, radius, false, or_row))
}

/// Pixels with all neighbours within L1 distance `radius` set. Outside the array counts as not set.
#[must_use]
pub fn erode_diamond(flags: ArrayView2<bool>, radius: usize) -> Array2<bool> {
    as_bits(flags, |bits| repeated(bits, radius, true, and_row))
}

/// Erosion, then dilation: groups of flags that do not contain a diamond of `radius` vanish, the
/// others keep their core.
#[must_use]
pub fn open_diamond(flags: ArrayView2<bool>, radius: usize) -> Array2<bool> {
    let rows = 0..flags.nrows();
    as_bits(flags, |bits| {
        let (opened, shape) = (open_diamond_rows(bits.view(), rows, radius), bits.dim());
        *bits = opened.unwrap_or_else(|| Array2::zeros(shape));
    })
}

/// [`open_diamond`] of each bit separately, in the rows `rows`; `None` if nothing is left there.
pub(crate) fn open_diamond_rows(
    flags: ArrayView2<u8>,
    rows: Range<usize>,
    radius: usize,
) -> Option<Array2<u8>> {
    // Pixels farther away have no influence.
    let (first, last) = (rows.start.saturating_sub(2 * radius), (rows.end + 2 * radius).min(flags.nrows()));
    let part = flags.slice_move(s![first..last, ..]);
    let is_empty = |bits: ArrayView2<u8>| bits.iter().fold(0, |all, b| all | b) == 0;
    if is_empty(part) {
        return None;
    }
    let mut bits = part.as_standard_layout().into_owned();
    repeated(&mut bits, radius, true, and_row);
    if is_empty(bits.view()) {
        return None;
    }
    repeated(&mut bits, radius, false, or_row);
    Some(bits.slice_move(s![rows.start - first..rows.end - first, ..]))
}

fn as_bits(flags: ArrayView2<bool>, change: impl FnOnce(&mut Array2<u8>)) -> Array2<bool> {
    let mut bits = Array2::from_shape_fn(flags.dim(), |at| u8::from(flags[at]));
    change(&mut bits);
    bits.mapv(|b| b != 0)
}

/// Combines every pixel with its four neighbours, `radius` times. `erode` clears the outermost
/// pixels, whose neighbours beyond the edge are not set.
fn repeated(bits: &mut Array2<u8>, radius: usize, erode: bool, combine: fn(&mut [u8], &[u8])) {
    let (rows, cols) = bits.dim();
    let Some(out) = bits.as_slice_mut().filter(|out| !out.is_empty()) else { return };
    let mut before = vec![0; out.len()];
    for _ in 0..radius {
        before.copy_from_slice(out);
        for (y, row) in out.chunks_exact_mut(cols).enumerate() {
            let at = |y: usize| &before[y * cols..(y + 1) * cols];
            if erode && (y == 0 || y == rows - 1) {
                row.fill(0);
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
                row[0] = 0;
                row[cols - 1] = 0;
            }
        }
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn or_row(row: &mut [u8], other: &[u8]) {
    for (r, o) in row.iter_mut().zip(other) {
        *r |= *o;
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn and_row(row: &mut [u8], other: &[u8]) {
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
