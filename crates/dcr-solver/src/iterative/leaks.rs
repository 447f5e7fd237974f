//! Pixels of each visit whose prediction draws on unconstrained model pixels, and must not be
//! trusted.

use std::ops::Range;

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use super::tiling::{Tile, margin};
use crate::kernel::{Order, Region, shift_add};
use crate::observation::{Observations, SubfilterShift};

/// Share of a pixel's samples that may come from unconstrained pixels: smaller interpolation
/// weights are rounding.
const TRUST_LEAK: f32 = 1e-3;

/// Untrusted pixels of all visits.
#[derive(Debug)]
pub(crate) struct Leaks {
    visits: Vec<VisitLeaks>,
}

/// Untrusted pixels of a visit: in each row, runs of columns in ascending order.
#[derive(Debug)]
struct VisitLeaks {
    /// Index of each row's first run, and the number of runs.
    first: Vec<u32>,
    runs: Vec<[u32; 2]>,
}

impl Leaks {
    /// Follows the light of the marked pixels into every visit. The tiles cover the whole patch.
    pub(crate) fn find(
        observations: &dyn Observations,
        tiles: Vec<Tile>,
        unconstrained: ArrayView2<bool>,
    ) -> Self {
        let marked = unconstrained.mapv(|u| f32::from(u8::from(u)));
        let near: Vec<(Tile, Region)> = tiles
            .into_iter()
            .filter_map(|tile| {
                let near = near_marked(observations, &tile, unconstrained)?;
                Some((tile, near))
            })
            .collect();
        let visits = (0..observations.visits()).into_par_iter().map(|visit| {
            let mut rows: Vec<Vec<[u32; 2]>> = vec![vec![]; marked.nrows()];
            for (tile, near) in &near {
                add_runs(&marked, observations.shifts(visit, tile.cell), near, &mut rows);
            }
            VisitLeaks::new(rows)
        });
        Self { visits: visits.collect() }
    }

    /// Sets untrusted values of a row of a visit to `nothing`.
    ///
    /// The row is `y` of the patch, and covers the columns `cols`.
    pub(crate) fn clear<T: Copy>(
        &self,
        visit: usize,
        (y, cols): (usize, &Range<usize>),
        row: &mut [T],
        nothing: T,
    ) {
        for [start, end] in self.visits[visit].row(y) {
            let (start, end) = ((*start as usize).max(cols.start), (*end as usize).min(cols.end));
            if start < end {
                row[start - cols.start..end - cols.start].fill(nothing);
            }
        }
    }

    /// True if a visit has untrusted pixels in a row.
    pub(crate) fn has_row(&self, visit: usize, y: usize) -> bool {
        !self.visits[visit].row(y).is_empty()
    }

    /// True if any visit has untrusted pixels in a region.
    pub(crate) fn touch(&self, region: &Region) -> bool {
        let inside = |[start, end]: &[u32; 2]| {
            (*start as usize) < region.cols.end && (*end as usize) > region.cols.start
        };
        self.visits.iter().any(|visit| region.rows.clone().any(|y| visit.row(y).iter().any(inside)))
    }
}

impl VisitLeaks {
    fn new(rows: Vec<Vec<[u32; 2]>>) -> Self {
        let mut out = Self { first: vec![0], runs: vec![] };
        for mut row in rows {
            row.sort_unstable();
            out.runs.append(&mut row);
            out.first.push(out.runs.len() as u32);
        }
        out
    }

    fn row(&self, y: usize) -> &[[u32; 2]] {
        &self.runs[self.first[y] as usize..self.first[y + 1] as usize]
    }
}

/// Part of a tile whose predictions may draw on marked pixels; `None` if there is none.
fn near_marked(observations: &dyn Observations, tile: &Tile, marked: ArrayView2<bool>) -> Option<Region> {
    let visits = 0..observations.visits();
    let reach = visits.map(|v| margin(observations.shifts(v, tile.cell), Order::LINEAR)).max()?;
    let whole = Region::whole(marked.dim());
    let around = tile.region.grown(reach, &whole);
    let mut found: Option<Region> = None;
    for (y, row) in around.rows.clone().zip(around.of(&marked).rows()) {
        let Some(first) = row.iter().position(|m| *m) else { continue };
        let last = row.iter().rposition(|m| *m).unwrap_or(first);
        let cols = around.cols.start + first..around.cols.start + last + 1;
        found = Some(match found {
            None => Region { rows: y..y + 1, cols },
            Some(f) => Region {
                rows: f.rows.start..y + 1,
                cols: f.cols.start.min(cols.start)..f.cols.end.max(cols.end),
            },
        });
    }
    let near = found?.grown(reach, &whole).intersection(&tile.region);
    (!near.rows.is_empty() && !near.cols.is_empty()).then_some(near)
}

/// Adds the runs of a region.
fn add_runs(marked: &Array2<f32>, shifts: &[SubfilterShift], near: &Region, rows: &mut [Vec<[u32; 2]>]) {
    let mut light = Array2::zeros(near.shape());
    for shift in shifts.iter().flat_map(SubfilterShift::forward_shifts) {
        shift_add(marked.view(), *shift, Order::LINEAR, 1.0, light.view_mut(), near);
    }
    for (y, row) in near.rows.clone().zip(light.rows()) {
        let mut x = 0;
        while let Some(start) = row.iter().skip(x).position(|l| *l > TRUST_LEAK).map(|i| x + i) {
            x = start + row.iter().skip(start).position(|l| *l <= TRUST_LEAK).unwrap_or(row.len() - start);
            rows[y].push([(near.cols.start + start) as u32, (near.cols.start + x) as u32]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_a_row_are_the_pixels_that_light_reaches() {
        let mut marked = Array2::zeros((3, 9));
        for x in [1, 2, 6] {
            marked[[1, x]] = 1.0;
        }
        let shift = SubfilterShift::whole(crate::PixelShift { dy: 0.0, dx: 0.5 });
        let mut rows = vec![vec![]; 3];
        add_runs(&marked, &[shift], &Region { rows: 0..3, cols: 0..9 }, &mut rows);
        assert_eq!(rows, [vec![], vec![[1, 4], [6, 8]], vec![]]);

        let leaks = Leaks { visits: vec![VisitLeaks::new(rows)] };
        let mut row = [1_u8; 5];
        leaks.clear(0, (1, &(2..7)), &mut row, 0);
        assert_eq!(row, [0, 0, 1, 1, 0]);
        assert!(leaks.touch(&Region { rows: 0..2, cols: 7..9 }));
        assert!(!leaks.touch(&Region { rows: 0..2, cols: 4..6 }));
    }
}
