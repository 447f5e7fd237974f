//! Positions of the pixels of one grid in another: exact at nodes, interpolated between them.
//!
//! Nodes are evenly spaced, with the outermost ones on the outermost pixels. Positions between four
//! nodes are bilinear; the error is an eighth of the second difference between neighbouring nodes
//! along each axis. Nodes are added until it is below [`TOLERANCE_PX`]. A tangential projection of
//! any size and usual distortions stay well below 1e-3 px with the initial nodes.

use std::ops::Range;

use ndarray::Array2;

use crate::{BBox, Wcs};

/// Target error of positions, in source pixels.
const TOLERANCE_PX: f64 = 2e-4;
/// Initial distance between nodes in px.
const FIRST_SPACING_PX: f64 = 32.0;
/// Maximum distance from the origin at which an image can have pixels.
const FAR_PX: f64 = 1e9;
/// Minimum distance between nodes.
const LEAST_SPACING_PX: f64 = 2.0;

/// Positions of the pixels of a box in the pixel coordinates of another image.
#[derive(Clone, Debug)]
pub struct PositionMap {
    bbox: BBox,
    /// Distance between nodes along x and y.
    spacing: [f64; 2],
    /// `[row, column]`; NaN without a position.
    nodes: Array2<[f64; 2]>,
}

/// Position of an output pixel in the source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// Column in the source's parent coordinates.
    pub x: f64,
    /// Row in the source's parent coordinates.
    pub y: f64,
    /// The area of the output pixel in source pixels.
    pub area: f64,
}

impl PositionMap {
    /// Positions of the pixels `bbox` of an image with the WCS `output` in an image with the WCS
    /// `source`. The source has pixels in `limits` only; far from there, nodes can be sparse.
    #[must_use]
    pub fn new(output: &Wcs, bbox: BBox, source: &Wcs, limits: &BBox) -> Self {
        let of = |x: f64, y: f64| {
            let place = output.pixel_to_sky(x, y).and_then(|sky| source.sky_to_pixel(sky));
            place.ok().filter(|(x, y)| x.abs().max(y.abs()) < FAR_PX).map_or([f64::NAN; 2], |(x, y)| [x, y])
        };
        let mut spacing_px = FIRST_SPACING_PX;
        loop {
            let map = Self::with_spacing(bbox, spacing_px, of);
            if map.error_px(limits) <= TOLERANCE_PX || spacing_px <= LEAST_SPACING_PX {
                return map;
            }
            spacing_px /= 2.0;
        }
    }

    fn with_spacing(bbox: BBox, spacing_px: f64, of: impl Fn(f64, f64) -> [f64; 2]) -> Self {
        // At least three nodes, for second differences.
        let count = |length: usize| ((length as f64 - 1.0) / spacing_px).ceil().max(2.0) as usize + 1;
        let (rows, cols) = (count(bbox.height), count(bbox.width));
        let step = |length: usize, count: usize| (length as f64 - 1.0).max(1.0) / (count as f64 - 1.0);
        let spacing = [step(bbox.width, cols), step(bbox.height, rows)];
        let nodes = Array2::from_shape_fn((rows, cols), |(row, col)| {
            of(bbox.x0 as f64 + col as f64 * spacing[0], bbox.y0 as f64 + row as f64 * spacing[1])
        });
        Self { bbox, spacing, nodes }
    }

    /// Maximum interpolation error near `limits`.
    fn error_px(&self, limits: &BBox) -> f64 {
        let (rows, cols) = self.nodes.dim();
        let margin = FIRST_SPACING_PX as usize;
        let near = limits.grown(margin);
        let counts = |[x, y]: [f64; 2]| x.is_finite() && y.is_finite() && near.contains(x as i64, y as i64);
        let bend = |before: [f64; 2], at: [f64; 2], after: [f64; 2]| {
            let along = |i: usize| before[i] - 2.0 * at[i] + after[i];
            let bend = along(0).hypot(along(1));
            if bend.is_finite() { bend } else { 0.0 }
        };
        let mut largest = 0.0_f64;
        for ((row, col), &at) in self.nodes.indexed_iter() {
            if !counts(at) {
                continue;
            }
            let (mid_row, mid_col) = (row.clamp(1, rows - 2), col.clamp(1, cols - 2));
            let along_x = bend(
                self.nodes[[row, mid_col - 1]],
                self.nodes[[row, mid_col]],
                self.nodes[[row, mid_col + 1]],
            );
            let along_y = bend(
                self.nodes[[mid_row - 1, col]],
                self.nodes[[mid_row, col]],
                self.nodes[[mid_row + 1, col]],
            );
            largest = largest.max((along_x + along_y) / 8.0);
        }
        largest
    }

    /// The box of output pixels.
    #[must_use]
    pub const fn bbox(&self) -> BBox {
        self.bbox
    }

    /// Position of one output pixel.
    ///
    /// # Panics
    ///
    /// If it lies outside the box.
    #[must_use]
    pub fn at(&self, x: i64, y: i64) -> Place {
        let mut out = Place { x: f64::NAN, y: f64::NAN, area: f64::NAN };
        self.each_in_row(y, x..x + 1, |_, place| out = place);
        out
    }

    /// Calls `take` with index (from 0) and position of each pixel of a part of a row; pixels
    /// without a position are skipped.
    ///
    /// # Panics
    ///
    /// If the part exceeds the box.
    pub fn each_in_row(&self, y: i64, columns: Range<i64>, mut take: impl FnMut(usize, Place)) {
        assert!(
            self.bbox.contains(columns.start, y) && self.bbox.contains(columns.end - 1, y),
            "columns {columns:?} of row {y} are in {}",
            self.bbox
        );
        let (rows, cols) = self.nodes.dim();
        let cell = |offset: f64, spacing: f64, count: usize| {
            let at = offset / spacing;
            let cell = (at as usize).min(count - 2);
            (cell, at - cell as f64)
        };
        let (row, v) = cell((y - self.bbox.y0) as f64, self.spacing[1], rows);
        let cell_area = self.spacing[0] * self.spacing[1];
        for (number, x) in columns.enumerate() {
            let (col, u) = cell((x - self.bbox.x0) as f64, self.spacing[0], cols);
            let [low_left, low_right] = [self.nodes[[row, col]], self.nodes[[row, col + 1]]];
            let [high_left, high_right] = [self.nodes[[row + 1, col]], self.nodes[[row + 1, col + 1]]];
            let mix = |a: f64, b: f64, t: f64| a + t * (b - a);
            let along = |i: usize| {
                let (left, right) = (mix(low_left[i], high_left[i], v), mix(low_right[i], high_right[i], v));
                let up = mix(high_left[i] - low_left[i], high_right[i] - low_right[i], u);
                (mix(left, right, u), right - left, up)
            };
            let ((x, x_u, x_v), (y, y_u, y_v)) = (along(0), along(1));
            if x.is_finite() && y.is_finite() {
                take(number, Place { x, y, area: ((x_u * y_v - x_v * y_u) / cell_area).abs() });
            }
        }
    }

    /// The pixels of `limits` on or near which output pixels lie, within `margin`; `None` if there
    /// are none.
    #[must_use]
    pub fn source_box(&self, limits: &BBox, margin: usize) -> Option<BBox> {
        let mut hull: Option<[f64; 4]> = None;
        for [x, y] in self.nodes.iter().filter(|[x, y]| x.is_finite() && y.is_finite()) {
            let [x0, x1, y0, y1] = hull.unwrap_or([*x, *x, *y, *y]);
            hull = Some([x0.min(*x), x1.max(*x), y0.min(*y), y1.max(*y)]);
        }
        let [x0, x1, y0, y1] = hull?;
        let whole = BBox::from_ranges(
            x0.floor() as i64..x1.ceil() as i64 + 1,
            y0.floor() as i64..y1.ceil() as i64 + 1,
        );
        // A rotated footprint may touch the limits where no output pixel does.
        let touches = || {
            (0..self.bbox.height).any(|row| {
                let mut any = false;
                self.each_in_row(self.bbox.y0 + row as i64, self.bbox.x0..self.bbox.x1(), |_, place| {
                    any |= limits.contains(place.x.round() as i64, place.y.round() as i64);
                });
                any
            })
        };
        whole.grown(margin).intersection(limits).filter(|_| touches())
    }
}
