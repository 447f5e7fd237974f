//! Division of a patch into tiles, and the blending of their planes.
//!
//! Cores of nearly equal size cover the patch. Each is solved with a border of `overlap` pixels,
//! clipped at the patch's edges. Across the line between two cores both solutions are blended
//! linearly over `overlap` pixels. The outer half of each border, where a tile lacks its
//! neighbours' light, is not used.

use std::ops::Range;

use ndarray::{ArrayView2, ArrayViewMut2};

use crate::calibration::CalibrationOrders;
use crate::joint::config::JointConfig;
use crate::kernel::Region;

/// A tile of the patch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TileRegion {
    /// The tile's own part of the patch.
    pub(crate) core: Region,
    /// The part that is read and solved: the core and its border.
    pub(crate) grown: Region,
    /// Shape of the patch.
    patch: (usize, usize),
    overlap: usize,
}

/// The tiles of a patch, row by row.
pub(crate) fn divide(patch: (usize, usize), config: &JointConfig) -> Vec<TileRegion> {
    let starts = |n: usize| -> Vec<usize> {
        let count = n.div_ceil(config.tile_size).max(1);
        (0..=count).map(|i| i * n / count).collect()
    };
    let (rows, cols) = (starts(patch.0), starts(patch.1));
    let whole = Region::whole(patch);
    let mut out = vec![];
    for row in rows.windows(2) {
        for col in cols.windows(2) {
            let core = Region { rows: row[0]..row[1], cols: col[0]..col[1] };
            let grown = core.grown(config.tile_overlap, &whole);
            out.push(TileRegion { core, grown, patch, overlap: config.tile_overlap });
        }
    }
    out
}

impl JointConfig {
    /// Maximum iterations of a patch of this shape, `(rows, cols)`.
    #[must_use]
    pub fn most_iterations(&self, shape: (usize, usize)) -> usize {
        divide(shape, self).len() * (self.first_solves() * self.uniform_iterations + self.source_iterations)
    }

    /// Maximum number of first solves of a tile: the start, all rounds of clipping, and one for
    /// each further round of calibration.
    fn first_solves(&self) -> usize {
        let clips = self.clip_rounds.len();
        match if self.calibration() == CalibrationOrders::NONE { 0 } else { self.calibration_passes } {
            0 => 1 + clips,
            passes => clips.max(1) + passes,
        }
    }
}

impl TileRegion {
    /// The core as a mask of the grown region, row by row.
    pub(crate) fn own_pixels(&self) -> Vec<bool> {
        let (rows, cols) = (&self.grown.rows, &self.grown.cols);
        rows.clone()
            .flat_map(|y| {
                cols.clone().map(move |x| self.core.rows.contains(&y) && self.core.cols.contains(&x))
            })
            .collect()
    }

    /// The part of the patch in which the tile has a share.
    pub(crate) fn reach(&self) -> Region {
        self.core.grown(self.overlap / 2, &Region::whole(self.patch))
    }

    /// Adds a plane of the grown region to the patch's, with the tile's share at each pixel. The
    /// shares of all tiles sum to 1.
    ///
    /// Both planes may reach `border` pixels beyond: the tile's beyond its grown region, the
    /// patch's beyond the patch.
    pub(crate) fn blend(&self, plane: ArrayView2<f32>, patch: ArrayViewMut2<f32>, border: usize) {
        let bordered = |r: &Range<usize>| r.start..r.end + 2 * border;
        let target = Region { rows: bordered(&self.grown.rows), cols: bordered(&self.grown.cols) };
        self.add_share(&self.grown, border, plane, target.of_mut(patch));
    }

    /// Adds a plane of a part of the patch with the tile's share: both planes cover `part` and
    /// `border` pixels around it.
    pub(crate) fn add_share(
        &self,
        part: &Region,
        border: usize,
        plane: ArrayView2<f32>,
        mut target: ArrayViewMut2<f32>,
    ) {
        let along_y = shares(&self.core.rows, &part.rows, self.patch.0, self.overlap, border);
        let along_x = shares(&self.core.cols, &part.cols, self.patch.1, self.overlap, border);
        for ((mut target, plane), wy) in target.outer_iter_mut().zip(plane.outer_iter()).zip(&along_y) {
            for ((target, value), wx) in target.iter_mut().zip(plane).zip(&along_x) {
                let share = wy * wx;
                if share > 0.0 {
                    *target += share * value;
                }
            }
        }
    }
}

/// Share of a tile along one axis, for every index of a range and its border: a ramp of `overlap`
/// pixels centred on each side inside the patch.
fn shares(core: &Range<usize>, part: &Range<usize>, n: usize, overlap: usize, border: usize) -> Vec<f32> {
    let ramp = |distance: f64| match overlap {
        0 => f64::from(u8::from(distance > 0.0)),
        _ => (distance / overlap as f64 + 0.5).clamp(0.0, 1.0),
    };
    (part.start..part.end + 2 * border)
        .map(|i| {
            let centre = i as f64 + 0.5 - border as f64;
            let below = if core.start == 0 { 1.0 } else { ramp(centre - core.start as f64) };
            let above = if core.end == n { 1.0 } else { ramp(core.end as f64 - centre) };
            (below * above) as f32
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn tiles_cover_a_patch_and_shares_sum_to_one(
            rows in 1_usize..300,
            cols in 1_usize..300,
            tile_size in 64_usize..200,
            tile_overlap in 0_usize..=32,
            border in 0_usize..9,
        ) {
            let config = JointConfig { tile_size, tile_overlap, ..JointConfig::default() };
            let mut sum = Array2::zeros((rows + 2 * border, cols + 2 * border));
            for tile in divide((rows, cols), &config) {
                prop_assert!(tile.core.rows.len() <= tile_size && tile.core.cols.len() <= tile_size);
                let (rows, cols) = tile.grown.shape();
                let ones = Array2::ones((rows + 2 * border, cols + 2 * border));
                tile.blend(ones.view(), sum.view_mut(), border);
                // The reach needs no planes.
                let mut own = Array2::zeros(tile.patch);
                tile.add_share(&tile.grown, 0, Array2::ones(tile.grown.shape()).view(), tile.grown.of_mut(own.view_mut()));
                let reach = tile.reach();
                for ((y, x), share) in own.indexed_iter() {
                    let inside = reach.rows.contains(&y) && reach.cols.contains(&x);
                    prop_assert_eq!(*share > 0.0_f32, inside);
                }
            }
            prop_assert!(sum.iter().all(|s: &f32| (s - 1.0).abs() < 1e-6));
        }
    }

    #[test]
    fn most_iterations_grow_with_tiles() {
        let config = JointConfig::default();
        let one = config.most_iterations((200, 1000));
        // The start, three rounds of clipping, and the last one again after two more calibrations.
        assert_eq!(one, (1 + 3 + 2) * 16 + 30);
        assert_eq!(config.most_iterations((200, 1100)), 2 * one);
    }
}
