//! Bright stars: a preconditioner for `1 + τBτ`, the mask-free problem of the spectral components,
//! where the prior scale τ varies over orders of magnitude.
//!
//! Away from sources `τBτ` is small, and the inverse diagonal is good enough. On a bright star it
//! is large but local, because `B` reaches only as far as the PSF: discs around bright pixels are
//! Schwarz subdomains ([`super::schwarz`]). With the diagonal alone, the number of iterations grows
//! with the contrast of the brightest star.

use rayon::prelude::*;
use rustfft::num_complex::Complex32;

use super::cover::{disc_size, discs, limited_radius, window_sum};
use super::schwarz::{Schwarz, Subdomain, mask_free_matrix};
use crate::joint::fourier::grid::Grid;
use crate::joint::operator::tile::Buffer;
use crate::linalg::cholesky::{cholesky, triangle};
use crate::linalg::hermitian::upper;

/// Pixels are bright where `τ² B₀` exceeds this.
const BRIGHT: f32 = 2.0;
/// Radius of a disc, in units of the FWHM of the PSF.
const RADIUS: f64 = 1.8;
/// Memory budget for all Cholesky factors, in numbers per pixel of the grid. The brightest pixels
/// come first.
const ROOM: usize = 25;
/// Number of discs allowed regardless of that budget.
const FEW: usize = 8;

/// The preconditioner.
pub(crate) struct BrightStars {
    discs: Schwarz,
    /// Inverse diagonal, for each component at every pixel of the grid; 0 in discs.
    diagonal: Vec<f32>,
}

impl BrightStars {
    /// `width` is τ at every pixel of the grid, `schur` holds the modes of B, upper triangles `kx ×
    /// pair × ky` for `m` components.
    pub(crate) fn new(grid: &Grid, width: &[f32], schur: &[Complex32], m: usize, fwhm_px: f64) -> Self {
        let kernels = kernels(grid, schur, m);
        let largest =
            upper(m).zip(&kernels).filter(|((j, k), _)| j == k).map(|(_, b)| b[0]).fold(0.0, f32::max);
        let radius = limited_radius(RADIUS * fwhm_px, m);
        let room = ROOM * grid.pixels() / triangle(m * disc_size(grid, radius)).max(1);
        let discs = discs(grid, width, radius, (BRIGHT / largest).sqrt(), room.max(FEW));
        let sum = window_sum(grid, &discs);
        let subdomains = discs.into_par_iter().map(|disc| Subdomain {
            partition_root: disc.partition_root(&sum),
            factor: cholesky(&matrix(grid, &disc.pixels, width, &kernels, m)),
            pixels: disc.pixels,
            flux: None,
        });
        let diagonal = (0..m).flat_map(|j| {
            let own = upper(m).position(|pair| pair == (j, j)).map_or(0.0, |pair| kernels[pair][0]);
            let pixels = width.iter().zip(&sum);
            pixels.map(move |(tau, w)| if *w > 0.0 { 0.0 } else { 1.0 / (1.0 + tau * tau * own) })
        });
        Self { discs: Schwarz::new(grid, subdomains.collect(), 1.0), diagonal: diagonal.collect() }
    }

    /// `out ≈ (1 + τBτ)⁻¹ r`, for each component at every pixel of the grid.
    pub(crate) fn apply(&self, grid: &Grid, r: &[f32], out: &mut [f32]) {
        let row = grid.padded.1;
        let rows = out.par_chunks_mut(row).zip(r.par_chunks(row)).zip(self.diagonal.par_chunks(row));
        rows.for_each(|((out, r), d)| out.iter_mut().zip(r).zip(d).for_each(|((out, r), d)| *out = r * d));
        self.discs.add(grid, (&[], r), (&mut [], out));
    }
}

/// Response of every pair of components to a unit of light in the first pixel of the grid: planes
/// of the grid.
fn kernels(grid: &Grid, schur: &[Complex32], m: usize) -> Vec<Vec<f32>> {
    let (ky, pairs, scale) = (grid.ky(), upper(m).count(), grid.scale());
    let of_pair = |pair: usize| {
        let mut buffer = Buffer::new(grid);
        for (out, modes) in buffer.spectrum.chunks_exact_mut(ky).zip(schur.chunks_exact(pairs * ky)) {
            out.copy_from_slice(&modes[pair * ky..][..ky]);
        }
        let mut plane = Vec::with_capacity(grid.pixels());
        grid.inverse(&mut buffer.spectrum, 0..grid.padded.0, &mut buffer.scratch, |_, line| {
            plane.extend(line.iter().map(|v| v * scale));
        });
        plane
    };
    (0..pairs).into_par_iter().map(of_pair).collect()
}

/// The lower triangle of `1 + τBτ` among pixels of the periodic grid.
fn matrix(grid: &Grid, pixels: &[u32], width: &[f32], kernels: &[Vec<f32>], m: usize) -> Vec<f32> {
    let (rows, cols) = (grid.padded.0 as isize, grid.padded.1 as isize);
    let places: Vec<(isize, isize)> =
        pixels.iter().map(|pixel| (*pixel as isize / cols, *pixel as isize % cols)).collect();
    let width: Vec<f32> = pixels.iter().map(|pixel| width[*pixel as usize]).collect();
    mask_free_matrix(&places, &width, m, |j, k, (dy, dx)| {
        let lag = dy.rem_euclid(rows) * cols + dx.rem_euclid(cols);
        kernels[j * m + k - j * (j + 1) / 2][lag as usize]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::joint::fixtures::{Dense, stars};
    use crate::joint::operator::unknowns::{from_modes, to_modes};
    use crate::joint::precondition::mask_free::apply_schur;

    const FWHM_PX: f64 = 3.5;
    /// Tolerance for rounding.
    const ROUNDING: f32 = 2e-5;

    /// B for two components, the second better constrained, on a small grid: local, as the square
    /// of a PSF is.
    fn schur(grid: &Grid) -> Vec<Complex32> {
        let (frequencies, ky) = (grid.frequencies(), grid.ky());
        let mut out = vec![Complex32::default(); 3 * grid.modes()];
        for (ix, out) in out.chunks_exact_mut(3 * ky).enumerate() {
            for iy in 0..ky {
                let (fx, fy) = (frequencies.x[ix], frequencies.y[iy]);
                let passed =
                    (-2.0 * (2.0 * std::f64::consts::PI * FWHM_PX / 2.355).powi(2) * (fx * fx + fy * fy))
                        .exp();
                // A displacement makes the coupling complex.
                let phase = Complex32::from_polar(1.0, (4.0 * fx - 3.0 * fy) as f32);
                out[iy] = Complex32::from(0.2 * passed as f32);
                out[ky + iy] = phase * (0.1 * passed as f32);
                out[2 * ky + iy] = Complex32::from(0.5 * passed as f32);
            }
        }
        out
    }

    /// τ of stars on a faint sky.
    fn width(grid: &Grid, of: &[(f64, f64, f64)]) -> Vec<f32> {
        stars(grid, FWHM_PX / 2.355, of).into_iter().map(|light| light.hypot(1.0)).collect()
    }

    /// `1 + τ B τ` on the whole grid, pixel by pixel.
    fn dense(grid: &Grid, width: &[f32], schur: &[Complex32]) -> Dense {
        let whole: Vec<u32> = (0..grid.pixels() as u32).collect();
        Dense::new(matrix(grid, &whole, width, &kernels(grid, schur, 2), 2))
    }

    /// Number of conjugate-gradient steps that reduce the residual to a thousandth.
    fn iterations(dense: &Dense, unknowns: usize, precondition: impl FnMut(&[f32]) -> Vec<f32>) -> usize {
        dense.solve(&dense.times(&pattern(unknowns)), precondition, false, 200, 1e-6).1
    }

    fn unlike(a: &[f32], b: &[f32]) -> f32 {
        let difference: f32 = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum();
        (difference / b.iter().map(|b| b * b).sum::<f32>()).sqrt()
    }

    /// A fixed pattern.
    fn pattern(n: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 7919 % 101) as f32 - 50.0) / 50.0).collect()
    }

    #[test]
    fn bright_matrix_is_that_of_the_modes() {
        let grid = Grid::new((13, 17), 2);
        let (width, schur) = (width(&grid, &[(8.0, 9.0, 20.0)]), schur(&grid));
        let u = pattern(2 * grid.pixels());
        let by_pixels = dense(&grid, &width, &schur).times(&u);
        let mut buffers = [Buffer::new(&grid), Buffer::new(&grid)];
        to_modes(&grid, &width, &u, &mut buffers);
        apply_schur(&grid, &schur, &mut buffers);
        let mut by_modes = vec![0.0; u.len()];
        from_modes(&grid, &width, &mut buffers, &mut by_modes);
        by_modes.iter_mut().zip(&u).for_each(|(out, u)| *out += u);
        assert!(unlike(&by_pixels, &by_modes) < ROUNDING, "{}", unlike(&by_pixels, &by_modes));
    }

    #[test]
    fn bright_discs_solve_stars_and_leave_the_sky_to_the_diagonal() {
        let grid = Grid::new((27, 31), 2);
        let schur = schur(&grid);
        let none = BrightStars::new(&grid, &width(&grid, &[]), &schur, 2, FWHM_PX);
        assert!(none.discs.subdomains().is_empty() && none.diagonal.iter().all(|d| *d > 0.5 && *d < 1.0));
        // One star, and two whose discs overlap, one of them over the periodic edge.
        for stars in [vec![(15.0, 17.0, 300.0)], vec![(1.0, 3.0, 300.0), (6.0, 4.0, 50.0)]] {
            let width = width(&grid, &stars);
            let discs = BrightStars::new(&grid, &width, &schur, 2, FWHM_PX);
            assert!(!discs.discs.subdomains().is_empty());
            let (dense, unknowns) = (dense(&grid, &width, &schur), 2 * grid.pixels());
            let by_discs = iterations(&dense, unknowns, |r| {
                let mut z = vec![0.0; r.len()];
                discs.apply(&grid, r, &mut z);
                z
            });
            let by_diagonal = iterations(&dense, unknowns, |r| {
                r.iter().zip(dense.diagonal()).map(|(r, own)| r / own).collect()
            });
            assert!(by_discs <= 8 && by_diagonal >= 3 * by_discs, "{by_discs}, {by_diagonal}");
        }
    }

    #[test]
    fn bright_discs_keep_to_their_room() {
        let grid = Grid::new((121, 121), 2);
        let everywhere = vec![1e3; grid.pixels()];
        let discs = BrightStars::new(&grid, &everywhere, &schur(&grid), 2, FWHM_PX);
        let held: usize = discs.discs.subdomains().iter().map(|disc| disc.factor.len()).sum();
        assert!(held > 0 && held <= ROOM * grid.pixels(), "{held}");
        let open = discs.diagonal.iter().filter(|d| **d > 0.0).count();
        assert!(open > 0, "the rest is left to the diagonal");
    }
}
