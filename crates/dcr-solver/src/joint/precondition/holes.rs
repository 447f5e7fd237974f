//! Holes: light in pixels that no visit observes, such as the core of a saturated star, as Schwarz
//! subdomains ([`super::schwarz`]) of the flux's Hessian with masks ([`super::local_hessian`]).

use super::DAMPING;
use super::local_hessian::{Component, LocalHessian, Unknown, coverage, missing};
use super::schwarz::{FluxUnknowns, Schwarz, Subdomain};
use crate::joint::operator::tile::Tile;
use crate::rarity::groups;

/// Share of the full weight below which a pixel belongs to a hole.
const LEAST_COVERAGE: f32 = 0.1;
/// Maximum pixels of a hole. Larger ones are left to the iterations: the work grows with the third
/// power.
const MOST: usize = 1024;

/// Subdomains for the holes of a tile.
///
/// `fractions` is the flat spectrum, `flux_prior` the prior weight on the summed flux at every
/// mode, and `reach` the distance in pixels from which the light is constrained.
pub(crate) fn holes(tile: &Tile, fractions: &[f32], flux_prior: &[f32], reach: usize) -> Schwarz {
    let grid = &tile.grid;
    let (start, cols) = ((grid.tile_rows().start, grid.tile_cols().start), grid.shape.1);
    let coverage = coverage(tile, |visit| &visit.good);
    let uncovered: Vec<u32> =
        (0..coverage.len() as u32).filter(|at| coverage[*at as usize] < LEAST_COVERAGE).collect();
    let mut groups = groups(&uncovered, cols);
    groups.retain(|group| group.len() <= MOST);
    if groups.is_empty() {
        return Schwarz::new(grid, vec![], DAMPING);
    }
    let component = Component { subfilters: fractions.to_vec(), amplitude: None };
    let hessian = LocalHessian::new(tile, &[component], flux_prior);
    // The prior's smallest weight is 1 in this unit.
    let unit = flux_prior.iter().copied().fold(f32::INFINITY, f32::min).sqrt().recip();
    let hole = |group: &Vec<u32>| {
        let place = |at: &u32| (*at as usize / cols + start.0, *at as usize % cols + start.1);
        let places: Vec<_> = group.iter().map(place).collect();
        let missing = missing(grid, &coverage, &places, reach);
        let unknown = |pixel: &(usize, usize)| Unknown { component: 0, pixel: *pixel, unit, prior: 0.0 };
        let unknowns: Vec<Unknown> = places.iter().map(unknown).collect();
        Subdomain {
            pixels: places.iter().map(|(y, x)| (y * grid.padded.1 + x) as u32).collect(),
            partition_root: vec![1.0; places.len()],
            flux: Some(FluxUnknowns {
                restriction: vec![1.0; places.len()],
                prolongation: vec![grid.scale() * unit * unit; places.len()],
            }),
            factor: hessian.factor(&unknowns, &missing),
        }
    };
    Schwarz::new(grid, groups.iter().map(hole).collect(), DAMPING)
}

#[cfg(test)]
mod tests {
    use rustfft::num_complex::Complex32;

    use super::*;
    use crate::joint::fixtures::{FRACTIONS, hessian_times_flux, modes, tile};

    /// Masks pixels of the tile in all visits.
    fn mask(tile: &mut Tile, hole: impl Fn(usize, usize) -> bool) {
        let cols = tile.grid.shape.1;
        for visit in &mut tile.visits {
            let pixels = visit.good.iter_mut().enumerate();
            pixels.filter(|(at, _)| hole(at / cols, at % cols)).for_each(|(_, good)| *good = 0);
            visit.used.clone_from(&visit.good);
        }
    }

    #[test]
    fn holes_undo_what_the_data_do_to_light_in_them() {
        // One in the middle, one that an edge cuts.
        for (top, left) in [(7, 9), (14, 0)] {
            let hole = |y: usize, x: usize| (top..top + 5).contains(&y) && (left..left + 4).contains(&x);
            let mut tile = tile((19, 21), 5);
            mask(&mut tile, hole);
            let (rows, cols) = (tile.grid.tile_rows().start, tile.grid.tile_cols().start);
            let light = modes(&tile.grid, |y, x| match y >= rows && x >= cols && hole(y - rows, x - cols) {
                true => ((y * 31 + x * 17) % 23) as f32 - 9.0,
                false => 0.0,
            });
            let prior = vec![0.01; tile.grid.modes()];
            let residual = hessian_times_flux(&mut tile, &light, prior[0]);
            let mut found = vec![Complex32::default(); tile.grid.modes()];
            holes(&tile, &FRACTIONS, &prior, 40).add(&tile.grid, (&residual, &[]), (&mut found, &mut []));
            let largest = light.iter().map(|v| v.norm()).fold(0.0, f32::max);
            for (found, light) in found.iter().zip(&light) {
                assert!((found / DAMPING - light).norm() < 1e-3 * largest, "{found} {light}");
            }
        }
    }

    #[test]
    fn holes_too_large_or_none_add_nothing() {
        for size in [0, 33] {
            let mut tile = tile((45, 45), 0);
            mask(&mut tile, |y, x| y < size && x < size);
            let holes = holes(&tile, &FRACTIONS, &vec![0.05; tile.grid.modes()], 8);
            let mut out = vec![Complex32::default(); tile.grid.modes()];
            let ones = vec![Complex32::ONE; tile.grid.modes()];
            holes.add(&tile.grid, (&ones, &[]), (&mut out, &mut []));
            assert!(out.iter().all(|v| *v == Complex32::default()));
        }
    }
}
