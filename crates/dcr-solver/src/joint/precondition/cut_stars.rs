//! Stars that an edge or a hole cuts, as Schwarz subdomains ([`super::schwarz`]) of the final solve.
//!
//! The mean Hessian ([`super::mask_free`]) takes the light of a star beyond the edge for observed. Only the part inside
//! constrains it, its colours least of all, and conjugate gradients find them last: on 20 visits of 1000², after 30
//! passes one such star was 10 σ from where it ends, five sixths of all that was left, and after 130 all was as near as
//! with this after 19. Around bright pixels that visits do not observe, the Hessian between all unknowns, the total and
//! the components, is factorised as it is ([`super::local_hessian`]): in the unobserved part of a disc, and a rim.

use ndarray::{Array2, s};
use rayon::prelude::*;

use super::RELAXATION;
use super::cover::{Patch, discs, limited_radius, window_sum};
use super::local_hessian::{Kind, Local, Unknown, lacking, seen};
use super::schwarz::{Schwarz, Subdomain};
use crate::joint::fourier::grid::Grid;
use crate::joint::operator::tile::Tile;
use crate::kernel::dilate_diamond;

/// Pixels are bright where data would weigh so many times as much as the prior on colours.
const BRIGHT: f32 = 100.0;
/// Pixels with less than this share of all weight are unobserved.
const UNSEEN: f32 = 0.5;
/// Width of the rim that belongs to them, in px.
const RIM: usize = 2;
/// Radius of a disc, in units of the FWHM of the PSF.
const RADIUS: f64 = 1.8;
/// Maximum number of discs, the brightest first.
const MOST: usize = 100;

/// The problem of the final solve.
pub(crate) struct Cut<'a> {
    /// What subfilters have of the total and of each departure.
    pub(crate) fractions: &'a [f32],
    pub(crate) departures: &'a Array2<f64>,
    /// `|P|` and the prior's weight on the total, at every mode.
    pub(crate) amplitude: &'a [f32],
    pub(crate) total: &'a [f32],
    /// Further weight on the total beyond the tile.
    pub(crate) margin: f32,
    /// τ at every pixel of the grid.
    pub(crate) width: &'a [f32],
    pub(crate) fwhm_px: f64,
    /// From how many pixels around light is seen.
    pub(crate) reach: usize,
}

/// Subdomains for the stars that edges and holes of a tile cut.
pub(crate) fn cut_stars(tile: &Tile, cut: &Cut) -> Schwarz {
    let (grid, kinds) = (&tile.grid, 1 + cut.departures.ncols());
    let cols = grid.padded.1;
    let seen = seen(tile, |visit| &visit.used);
    let unseen = unseen_on(grid, &seen);
    let departures = cut.departures.columns().into_iter().map(|column| Kind {
        subfilters: column.iter().map(|v| *v as f32).collect(),
        amplitude: Some(cut.amplitude),
    });
    let total = Kind { subfilters: cut.fractions.to_vec(), amplitude: None };
    let kinds_of_light: Vec<Kind> = [total].into_iter().chain(departures).collect();
    let local = Local::new(tile, &kinds_of_light, cut.total);
    let bright: Vec<f32> =
        unseen.iter().zip(cut.width).map(|(unseen, tau)| if *unseen { *tau } else { 0.0 }).collect();
    let least = (BRIGHT / local.on_itself(1)).sqrt();
    let around = dilate_diamond(unseen.view(), RIM);
    let place = |at: u32| (at as usize / cols, at as usize % cols);
    let unobserved_part = |disc: Patch| {
        let pixels = disc.pixels.into_iter().zip(disc.window).filter(|(at, _)| around[place(*at)]);
        let (pixels, window) = pixels.unzip();
        Patch { pixels, window }
    };
    let radius = limited_radius(RADIUS * cut.fwhm_px, kinds);
    let patches: Vec<Patch> =
        discs(grid, &bright, radius, least, MOST).into_iter().map(unobserved_part).collect();
    let sum = window_sum(grid, &patches);
    let unit = cut.total.iter().copied().fold(f32::INFINITY, f32::min).sqrt().recip();
    let (inside_rows, inside_cols) = (grid.tile_rows(), grid.tile_cols());
    let subdomain = |patch: Patch| {
        let places: Vec<_> = patch.pixels.iter().map(|at| place(*at)).collect();
        let of_total = places.iter().map(|pixel| {
            let inside = inside_rows.contains(&pixel.0) && inside_cols.contains(&pixel.1);
            let held = if inside { 0.0 } else { cut.margin * unit * unit };
            Unknown { kind: 0, pixel: *pixel, unit, held }
        });
        let of_departures = (1..kinds).flat_map(|kind| {
            let pixels = places.iter().zip(&patch.pixels);
            pixels.map(move |(pixel, at)| {
                let unit = cut.width[*at as usize];
                Unknown { kind, pixel: *pixel, unit, held: 1.0 }
            })
        });
        let unknowns: Vec<Unknown> = of_total.chain(of_departures).collect();
        let factor = local.factor(&unknowns, &lacking(grid, &seen, &places, cut.reach));
        Subdomain { root: patch.partition_root(&sum), pixels: patch.pixels, total: Some(unit), factor }
    };
    Schwarz::new(grid, patches.into_par_iter().map(subdomain).collect(), RELAXATION)
}

/// Pixels of the grid that visits do not see, given what share of them sees those of the tile.
fn unseen_on(grid: &Grid, seen: &[f32]) -> Array2<bool> {
    let mut out = Array2::from_elem(grid.padded, true);
    let mut inside = out.slice_mut(s![grid.tile_rows(), grid.tile_cols()]);
    inside.iter_mut().zip(seen).for_each(|(unseen, share)| *unseen = *share < UNSEEN);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::joint::fixtures::{FRACTIONS, SLOPE, amplitude, hessian_times, modes, stars, tile};
    use crate::joint::operator::unknowns::Unknowns;

    const PRIOR: f32 = 0.01;
    const MARGIN: f32 = 0.05;
    const FWHM_PX: f64 = 3.0;

    /// τ on the grid of a star in a pixel of the tile, or beyond it.
    fn width(grid: &Grid, (y, x): (f64, f64)) -> Vec<f32> {
        let at = (grid.tile_rows().start as f64 + y, grid.tile_cols().start as f64 + x, 300.0);
        stars(grid, 1.0, &[at]).into_iter().map(|light| 0.1 + light).collect()
    }

    fn subdomains(tile: &Tile, width: &[f32]) -> Schwarz {
        let (amplitude, total) = (amplitude(&tile.grid), vec![PRIOR; tile.grid.modes()]);
        let departures = Array2::from_shape_vec((2, 1), SLOPE.map(f64::from).to_vec()).unwrap();
        let cut = Cut {
            fractions: &FRACTIONS,
            departures: &departures,
            amplitude: &amplitude,
            total: &total,
            margin: MARGIN,
            width,
            fwhm_px: FWHM_PX,
            reach: 40,
        };
        cut_stars(tile, &cut)
    }

    #[test]
    fn cut_stars_undo_what_data_and_priors_do_to_unknowns_in_a_disc() {
        // Beyond an edge, on a corner, and in a hole.
        for (star, hole) in [((-1.0, 9.0), false), ((20.0, -1.0), false), ((9.0, 10.0), true)] {
            let mut tile = tile((19, 21), 5);
            if hole {
                let cut = (7..12).flat_map(|y| (8..13).map(move |x| y * 21 + x));
                for visit in &mut tile.visits {
                    cut.clone().for_each(|at| visit.used[at] = 0);
                }
            }
            let width = width(&tile.grid, star);
            let stars = subdomains(&tile, &width);
            let cols = tile.grid.padded.1;
            assert_eq!(stars.subdomains().len(), 1);
            let inside = |y: usize, x: usize| stars.subdomains()[0].pixels.contains(&((y * cols + x) as u32));
            let light = |y: usize, x: usize, of: usize| match inside(y, x) {
                true => ((y * 31 + x * 17 + of) % 23) as f32 - 9.0,
                false => 0.0,
            };
            let x = Unknowns {
                modes: modes(&tile.grid, |y, x| light(y, x, 0)),
                pixels: (0..tile.grid.pixels()).map(|at| light(at / cols, at % cols, 7)).collect(),
            };
            let residual = hessian_times(&mut tile, &width, (PRIOR, MARGIN), &x);
            let mut found = Unknowns::zeros(&tile.grid, 1, 1);
            stars.add(&tile.grid, (&residual.modes, &residual.pixels), (&mut found.modes, &mut found.pixels));
            let largest = x.modes.iter().map(|v| v.norm()).fold(0.0, f32::max);
            for (found, total) in found.modes.iter().zip(&x.modes) {
                assert!((found / RELAXATION - total).norm() < 2e-3 * largest, "{found} {total}");
            }
            for (found, u) in found.pixels.iter().zip(&x.pixels) {
                assert!((found / RELAXATION - u).abs() < 0.05, "{found} {u}");
            }
        }
    }

    #[test]
    fn cut_stars_are_none_where_all_is_seen_or_faint() {
        let tile = tile((19, 21), 5);
        assert!(subdomains(&tile, &width(&tile.grid, (9.0, 10.0))).subdomains().is_empty());
        assert!(subdomains(&tile, &vec![0.1; tile.grid.pixels()]).subdomains().is_empty());
    }
}
