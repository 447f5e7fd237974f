//! Tiles: pieces of a region that a pass processes side by side.

use std::ops::Range;

use crate::kernel::{Order, Region};
use crate::observation::SubfilterShift;

/// Sides of a tile, rows and columns: all its planes stay in a core's cache.
const TILE: (usize, usize) = (64, 256);

/// A piece of a cell, in patch coordinates.
pub(crate) struct Tile {
    pub(crate) cell: usize,
    pub(crate) region: Region,
}

/// The domain in tiles, cell by cell; in one tile if it must stay in one piece.
pub(crate) fn tiles(cells: &[Region], domain: &Region, in_one_piece: bool) -> Vec<Tile> {
    if in_one_piece {
        let middle = |r: &Range<usize>| (r.start + r.end) / 2;
        let (y, x) = (middle(&domain.rows), middle(&domain.cols));
        let cell = cells.iter().position(|c| c.rows.contains(&y) && c.cols.contains(&x)).unwrap_or(0);
        return vec![Tile { cell, region: domain.clone() }];
    }
    let mut tiles = vec![];
    for (cell, area) in cells.iter().enumerate() {
        let area = area.intersection(domain);
        for y in area.rows.clone().step_by(TILE.0) {
            for x in area.cols.clone().step_by(TILE.1) {
                let region = Region {
                    rows: y..(y + TILE.0).min(area.rows.end),
                    cols: x..(x + TILE.1).min(area.cols.end),
                };
                tiles.push(Tile { cell, region });
            }
        }
    }
    tiles
}

/// Width of the residuals needed beyond a tile.
pub(crate) fn margin(shifts: &[SubfilterShift], order: Order) -> usize {
    let reach = shifts.iter().map(SubfilterShift::reach).fold(0.0, f64::max);
    reach.ceil() as usize + order.reach()
}
