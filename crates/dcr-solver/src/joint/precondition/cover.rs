//! Subdomains around bright pixels: discs, a greedy cover, and a partition of unity where discs
//! overlap.

use crate::joint::fourier::grid::Grid;

/// Maximum unknowns of a subdomain: the work of its factorisation grows with their third power.
const MOST_UNKNOWNS: f64 = 480.0;
/// Core of a disc, in which no other disc is centred, in units of the radius.
const CORE: f64 = 0.65;

/// Pixel offsets within a radius, row by row.
pub(crate) fn circle(radius: f64) -> Vec<(isize, isize)> {
    let reach = radius as isize;
    let square = (-reach..=reach).flat_map(|y| (-reach..=reach).map(move |x| (y, x)));
    square.filter(|offset| length(offset) <= radius).collect()
}

/// Radius of a disc with that many unknowns per pixel: `wanted`, or less so that it stays small.
pub(crate) fn limited_radius(wanted: f64, unknowns_per_pixel: usize) -> f64 {
    wanted.min((MOST_UNKNOWNS / (std::f64::consts::PI * unknowns_per_pixel.max(1) as f64)).sqrt())
}

/// Covers `bright` pixels greedily, in descending order of their values, and of their indices if
/// equal.
///
/// Each pixel that is not covered yet becomes a centre and covers the pixels of its `core`. `take`
/// gets the centre and its newly covered pixels; the cover ends when it returns `false`.
pub(crate) fn greedy_cover(
    values: &[f32],
    mut bright: Vec<u32>,
    core: impl Fn(u32) -> Vec<u32>,
    mut take: impl FnMut(u32, Vec<u32>) -> bool,
) {
    let value = |i: u32| values[i as usize];
    bright.sort_unstable_by(|a, b| value(*b).total_cmp(&value(*a)).then(a.cmp(b)));
    let mut covered = vec![false; values.len()];
    for centre in bright {
        if covered[centre as usize] {
            continue;
        }
        let mut new = core(centre);
        new.retain(|pixel| !std::mem::replace(&mut covered[*pixel as usize], true));
        if !take(centre, new) {
            break;
        }
    }
}

/// Pixels of a disc, as indices of the grid, with a window that falls to 0 towards its rim.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disc {
    pub(crate) pixels: Vec<u32>,
    pub(crate) window: Vec<f32>,
}

/// Discs around the brightest pixels of a periodic grid: at most `most`, around pixels whose value
/// exceeds `least`, the brightest first.
pub(crate) fn discs(grid: &Grid, values: &[f32], radius: f64, least: f32, most: usize) -> Vec<Disc> {
    let radius = fitting_radius(grid, radius);
    let (rows, cols) = (grid.padded.0 as isize, grid.padded.1 as isize);
    let at = |pixel: u32, (dy, dx): (isize, isize)| {
        let (y, x) = (pixel as isize / cols, pixel as isize % cols);
        ((y + dy).rem_euclid(rows) * cols + (x + dx).rem_euclid(cols)) as u32
    };
    let offsets = circle(radius);
    let core: Vec<_> = offsets.iter().copied().filter(|offset| length(offset) <= CORE * radius).collect();
    let taper = |offset: &(isize, isize)| {
        (0.5 * std::f64::consts::PI * length(offset) / (radius + 1.0)).cos().powi(2) as f32
    };
    let window: Vec<f32> = offsets.iter().map(taper).collect();
    let bright = (0..values.len() as u32).filter(|i| values[*i as usize] > least).collect();
    let mut out = vec![];
    if most == 0 {
        return out;
    }
    let core_of = |centre: u32| core.iter().map(|offset| at(centre, *offset)).collect();
    greedy_cover(values, bright, core_of, |centre, _| {
        let pixels = offsets.iter().map(|offset| at(centre, *offset)).collect();
        out.push(Disc { pixels, window: window.clone() });
        out.len() < most
    });
    out
}

/// Number of pixels of a disc of that radius on a grid.
pub(crate) fn disc_size(grid: &Grid, radius: f64) -> usize {
    circle(fitting_radius(grid, radius)).len()
}

/// Radius of at least a pixel that fits into the grid.
fn fitting_radius(grid: &Grid, radius: f64) -> f64 {
    radius.min(0.5 * (grid.padded.0.min(grid.padded.1) as f64 - 2.0)).max(1.0)
}

/// Sum of all windows at every pixel of the grid.
pub(crate) fn window_sum(grid: &Grid, discs: &[Disc]) -> Vec<f32> {
    let mut sum = vec![0.0_f32; grid.pixels()];
    for disc in discs {
        disc.pixels.iter().zip(&disc.window).for_each(|(pixel, w)| sum[*pixel as usize] += w);
    }
    sum
}

impl Disc {
    /// Square root of the disc's share in a partition of unity, at each of its pixels.
    pub(crate) fn partition_root(&self, window_sum: &[f32]) -> Vec<f32> {
        let pixels = self.pixels.iter().zip(&self.window);
        pixels.map(|(pixel, w)| (w / window_sum[*pixel as usize]).sqrt()).collect()
    }
}

fn length(offset: &(isize, isize)) -> f64 {
    (offset.0 as f64).hypot(offset.1 as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn discs_cover_every_bright_pixel_and_share_what_they_overlap_in() {
        let grid = Grid::new((31, 27), 2);
        let cols = grid.padded.1;
        let mut values = vec![0.0; grid.pixels()];
        // Two bright pixels that share a disc, one farther away, one across the periodic edge.
        for (y, x, value) in [(10, 10, 9.0), (11, 11, 8.0), (10, 15, 7.0), (0, 3, 6.0)] {
            values[y * cols + x] = value;
        }
        let cover = discs(&grid, &values, 4.0, 1.0, 10);
        assert_eq!(cover.len(), 3);
        let sum = window_sum(&grid, &cover);
        let mut shares = vec![0.0_f32; grid.pixels()];
        for disc in &cover {
            let root = disc.partition_root(&sum);
            disc.pixels.iter().zip(root).for_each(|(pixel, root)| shares[*pixel as usize] += root * root);
        }
        for (share, value) in shares.iter().zip(&values) {
            assert!((share - 1.0).abs() < 1e-5 || (*share == 0.0 && *value == 0.0), "{share} {value}");
        }
        assert!(cover[2].pixels.iter().any(|pixel| *pixel as usize / cols > 20), "the grid is periodic");
        assert_eq!(discs(&grid, &values, 4.0, 1.0, 2).len(), 2);
        assert!(discs(&grid, &values, 4.0, 9.0, 10).is_empty());
        assert!(discs(&grid, &values, 4.0, 1.0, 0).is_empty());
    }

    #[test]
    fn discs_shrink_with_more_unknowns_and_small_grids() {
        assert_eq!(limited_radius(3.0, 2), 3.0);
        assert!(limited_radius(30.0, 4) < limited_radius(30.0, 2));
        assert_eq!(disc_size(&Grid::new((3, 3), 0), 9.0), 5);
    }
}
