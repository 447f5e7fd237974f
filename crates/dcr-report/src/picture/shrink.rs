//! Large planes made small enough for a page, by the mean over square blocks.

use ndarray::{Array2, ArrayView2, s};

/// Side of the blocks that reduce a plane to at most `longest` pixels along each side.
pub(crate) fn block((rows, cols): (usize, usize), longest: usize) -> usize {
    rows.max(cols).div_ceil(longest.max(1)).max(1)
}

/// Means over square blocks of `block` pixels a side, ignoring NaN; NaN for empty blocks. Blocks at
/// the far edges may be smaller.
pub(crate) fn shrink(plane: ArrayView2<f32>, block: usize) -> Array2<f32> {
    if block <= 1 {
        return plane.to_owned();
    }
    let (rows, cols) = plane.dim();
    Array2::from_shape_fn((rows.div_ceil(block), cols.div_ceil(block)), |(row, col)| {
        let (top, left) = (row * block, col * block);
        let part = plane.slice(s![top..(top + block).min(rows), left..(left + block).min(cols)]);
        let (mut sum, mut count) = (0.0_f64, 0_u32);
        for value in part.iter().filter(|value| value.is_finite()) {
            sum += f64::from(*value);
            count += 1;
        }
        if count == 0 { f32::NAN } else { (sum / f64::from(count)) as f32 }
    })
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn block_brings_the_longest_side_within_the_limit() {
        assert_eq!(block((100, 80), 100), 1);
        assert_eq!(block((101, 80), 100), 2);
        assert_eq!(block((80, 4100), 560), 8);
        assert_eq!(block((0, 0), 560), 1);
    }

    #[test]
    fn shrink_is_the_mean_of_numbers_also_at_the_edge() {
        let plane = array![[1.0, 3.0, 10.0], [5.0, f32::NAN, 20.0], [f32::NAN, f32::INFINITY, 7.0]];
        let small = shrink(plane.view(), 2);
        assert_eq!(small.dim(), (2, 2));
        assert_eq!([small[[0, 0]], small[[0, 1]], small[[1, 1]]], [3.0, 15.0, 7.0]);
        assert!(small[[1, 0]].is_nan());
        assert_eq!(shrink(array![[2.0, 4.0]].view(), 1), array![[2.0, 4.0]]);
    }
}
