//! Stars that an edge or a hole cuts, as Schwarz subdomains ([`super::schwarz`]) of the final
//! solve.
//!
//! The mean Hessian ([`super::mask_free`]) assumes that the light of a star beyond the edge is
//! observed. Only the part inside constrains it, its colours least of all, and conjugate gradients
//! would find them last. Around bright unobserved pixels, the Hessian between all unknowns, the
//! summed flux and the components, is factorised with its masks ([`super::local_hessian`]): in the
//! unobserved part of a disc, and a rim.

use ndarray::{Array2, s};
use rayon::prelude::*;

use super::DAMPING;
use super::cover::{Disc, discs, limited_radius, window_sum};
use super::local_hessian::{Component, LocalHessian, Unknown, coverage, missing};
use super::schwarz::{FluxUnknowns, Schwarz, Subdomain};
use crate::joint::fourier::grid::Grid;
use crate::joint::operator::tile::Tile;
use crate::kernel::dilate_diamond;

/// Pixels are bright where the data would weigh this many times as much as the prior on colours.
const BRIGHT: f32 = 100.0;
/// Share of the full weight below which a pixel is unobserved.
const LEAST_COVERAGE: f32 = 0.5;
/// Width of the rim around unobserved pixels, px.
const RIM: usize = 2;
/// Radius of a disc, in units of the FWHM of the PSF.
const RADIUS: f64 = 1.8;
/// Maximum number of discs, the brightest first.
const MOST: usize = 100;

/// The problem of the final solve.
pub(crate) struct FinalProblem<'a> {
    /// Spectra over the subfilters: of the summed flux, and of each component.
    pub(crate) fractions: &'a [f32],
    pub(crate) components: &'a Array2<f64>,
    /// `|P|` and the prior weight on the summed flux, at every mode.
    pub(crate) amplitude: &'a [f32],
    pub(crate) flux_prior: &'a [f32],
    /// Additional prior weight on the flux beyond the tile.
    pub(crate) margin: f32,
    /// τ at every pixel of the grid.
    pub(crate) width: &'a [f32],
    pub(crate) fwhm_px: f64,
    /// Distance in pixels from which unobserved light is constrained.
    pub(crate) reach: usize,
}

/// Subdomains for the stars that edges and holes of a tile cut.
pub(crate) fn cut_stars(tile: &Tile, problem: &FinalProblem) -> Schwarz {
    let (grid, count) = (&tile.grid, 1 + problem.components.ncols());
    let cols = grid.padded.1;
    let coverage = coverage(tile, |visit| &visit.used);
    let unobserved = unobserved_pixels(grid, &coverage);
    let components = problem.components.columns().into_iter().map(|column| Component {
        subfilters: column.iter().map(|v| *v as f32).collect(),
        amplitude: Some(problem.amplitude),
    });
    let flux_prior = Component { subfilters: problem.fractions.to_vec(), amplitude: None };
    let all_components: Vec<Component> = [flux_prior].into_iter().chain(components).collect();
    let hessian = LocalHessian::new(tile, &all_components, problem.flux_prior);
    let bright: Vec<f32> = unobserved
        .iter()
        .zip(problem.width)
        .map(|(unobserved, tau)| if *unobserved { *tau } else { 0.0 })
        .collect();
    let least = (BRIGHT / hessian.on_itself(1)).sqrt();
    let around = dilate_diamond(unobserved.view(), RIM);
    let place = |at: u32| (at as usize / cols, at as usize % cols);
    let unobserved_part = |disc: Disc| {
        let pixels = disc.pixels.into_iter().zip(disc.window).filter(|(at, _)| around[place(*at)]);
        let (pixels, window) = pixels.unzip();
        Disc { pixels, window }
    };
    let radius = limited_radius(RADIUS * problem.fwhm_px, count);
    let discs: Vec<Disc> =
        discs(grid, &bright, radius, least, MOST).into_iter().map(unobserved_part).collect();
    let sum = window_sum(grid, &discs);
    let unit = problem.flux_prior.iter().copied().fold(f32::INFINITY, f32::min).sqrt().recip();
    let (inside_rows, inside_cols) = (grid.tile_rows(), grid.tile_cols());
    let subdomain = |disc: Disc| {
        let places: Vec<_> = disc.pixels.iter().map(|at| place(*at)).collect();
        let of_total = places.iter().map(|pixel| {
            let inside = inside_rows.contains(&pixel.0) && inside_cols.contains(&pixel.1);
            let prior = if inside { 0.0 } else { problem.margin * unit * unit };
            Unknown { component: 0, pixel: *pixel, unit, prior }
        });
        let of_components = (1..count).flat_map(|component| {
            let pixels = places.iter().zip(&disc.pixels);
            pixels.map(move |(pixel, at)| {
                let unit = problem.width[*at as usize];
                Unknown { component, pixel: *pixel, unit, prior: 1.0 }
            })
        });
        let unknowns: Vec<Unknown> = of_total.chain(of_components).collect();
        let factor = hessian.factor(&unknowns, &missing(grid, &coverage, &places, problem.reach));
        let partition_root = disc.partition_root(&sum);
        let flux = FluxUnknowns {
            restriction: partition_root.iter().map(|root| root * unit * grid.scale()).collect(),
            prolongation: partition_root.iter().map(|root| root * unit).collect(),
        };
        Subdomain { partition_root, pixels: disc.pixels, flux: Some(flux), factor }
    };
    Schwarz::new(grid, discs.into_par_iter().map(subdomain).collect(), DAMPING)
}

/// Unobserved pixels of the grid, given the coverage of the tile.
fn unobserved_pixels(grid: &Grid, coverage: &[f32]) -> Array2<bool> {
    let mut out = Array2::from_elem(grid.padded, true);
    let mut inside = out.slice_mut(s![grid.tile_rows(), grid.tile_cols()]);
    inside.iter_mut().zip(coverage).for_each(|(unobserved, share)| *unobserved = *share < LEAST_COVERAGE);
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
        let (amplitude, flux_prior) = (amplitude(&tile.grid), vec![PRIOR; tile.grid.modes()]);
        let components = Array2::from_shape_vec((2, 1), SLOPE.map(f64::from).to_vec()).unwrap();
        let problem = FinalProblem {
            fractions: &FRACTIONS,
            components: &components,
            amplitude: &amplitude,
            flux_prior: &flux_prior,
            margin: MARGIN,
            width,
            fwhm_px: FWHM_PX,
            reach: 40,
        };
        cut_stars(tile, &problem)
    }

    #[test]
    fn cut_stars_undo_what_data_and_priors_do_to_unknowns_in_a_disc() {
        // Beyond an edge, on a corner, and in a hole.
        for (star, hole) in [((-1.0, 9.0), false), ((20.0, -1.0), false), ((9.0, 10.0), true)] {
            let mut tile = tile((19, 21), 5);
            if hole {
                let problem = (7..12).flat_map(|y| (8..13).map(move |x| y * 21 + x));
                for visit in &mut tile.visits {
                    problem.clone().for_each(|at| visit.used[at] = 0);
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
            for (found, flux_prior) in found.modes.iter().zip(&x.modes) {
                assert!((found / DAMPING - flux_prior).norm() < 2e-3 * largest, "{found} {flux_prior}");
            }
            for (found, u) in found.pixels.iter().zip(&x.pixels) {
                assert!((found / DAMPING - u).abs() < 0.05, "{found} {u}");
            }
        }
    }

    #[test]
    fn cut_stars_are_none_where_all_is_observed_or_faint() {
        let tile = tile((19, 21), 5);
        assert!(subdomains(&tile, &width(&tile.grid, (9.0, 10.0))).subdomains().is_empty());
        assert!(subdomains(&tile, &vec![0.1; tile.grid.pixels()]).subdomains().is_empty());
    }
}
