//! A preconditioner for `1 + τ B τ`, the problem of the departures without masks, where τ varies over orders of magnitude.
//!
//! Away from sources `τ B τ` is small, and the inverse of the diagonal does. On a bright star it is large, but local, for `B` reaches as far as the PSF:
//! in a disc around the star the problem is solved directly. Discs overlap, and a pixel in several of them belongs to each in part (additive Schwarz,
//! with a symmetric partition of unity). With the diagonal alone, iterations grow with the contrast of the brightest star:
//! 30 to 100 where discs take 6 to 9.

use rayon::prelude::*;
use rustfft::num_complex::Complex32;

use crate::joint::fourier::grid::Grid;
use crate::joint::linalg::cholesky::{cholesky, solve_triangles, triangle};
use crate::joint::linalg::hermitian::upper;
use crate::joint::operator::tile::Slot;

/// Pixels are bright where `τ² B₀` exceeds this.
const BRIGHT: f32 = 2.0;
/// Radius of a disc, in units of the FWHM of the PSF, …
const RADIUS: f64 = 1.8;
/// … and of the part of it in which it leaves no pixel to another, in units of the radius.
const OWN: f64 = 0.65;
/// The most unknowns in a disc: its radius is less than it might be with many subfilters or a wide PSF.
const MOST_UNKNOWNS: f64 = 480.0;
/// Room for the discs' matrices, in numbers per pixel of the grid; the brightest pixels come first, …
const ROOM: usize = 25;
/// … and so many discs there may always be.
const FEW: usize = 8;

/// The preconditioner.
pub(crate) struct BrightDiscs {
    discs: Vec<Disc>,
    /// Inverse of the diagonal, for each departure at every pixel of the grid; 0 in discs.
    diagonal: Vec<f32>,
}

/// Pixels around a bright one.
struct Disc {
    /// Indices in the grid.
    pixels: Vec<u32>,
    /// The root of the share that it has in each.
    share: Vec<f32>,
    /// Cholesky factor of the problem in the disc, departure by departure: the rows of a lower triangle, one after the other.
    factor: Vec<f32>,
}

impl BrightDiscs {
    /// `width` is τ at every pixel of the grid, `schur` holds the modes of B, upper triangles `kx × pair × ky` for `m` departures.
    pub(crate) fn new(grid: &Grid, width: &[f32], schur: &[Complex32], m: usize, fwhm_px: f64) -> Self {
        let kernels = kernels(grid, schur, m);
        let largest =
            upper(m).zip(&kernels).filter(|((j, k), _)| j == k).map(|(_, b)| b[0]).fold(0.0, f32::max);
        let most = (MOST_UNKNOWNS / (std::f64::consts::PI * m.max(1) as f64)).sqrt();
        let shape = Shape::new(grid, (RADIUS * fwhm_px).min(most));
        let room = ROOM * grid.pixels() / triangle(m * shape.offsets.len()).max(1);
        let discs = shape.around_the_brightest(width, (BRIGHT / largest).sqrt(), room.max(FEW));
        let mut weight = vec![0.0_f32; grid.pixels()];
        for disc in &discs {
            disc.iter().zip(&shape.window).for_each(|(pixel, w)| weight[*pixel as usize] += w);
        }
        let discs = discs.into_par_iter().map(|pixels| {
            let share =
                pixels.iter().zip(&shape.window).map(|(p, w)| (w / weight[*p as usize]).sqrt()).collect();
            let factor = cholesky(&matrix(grid, &pixels, width, &kernels, m));
            Disc { pixels, share, factor }
        });
        let discs = discs.collect();
        let diagonal = (0..m).flat_map(|j| {
            let own = upper(m).position(|pair| pair == (j, j)).map_or(0.0, |pair| kernels[pair][0]);
            let pixels = width.iter().zip(&weight);
            pixels.map(move |(tau, w)| if *w > 0.0 { 0.0 } else { 1.0 / (1.0 + tau * tau * own) })
        });
        Self { discs, diagonal: diagonal.collect() }
    }

    /// `out ≈ (1 + τ B τ)⁻¹ r`, for each departure at every pixel of the grid.
    pub(crate) fn apply(&self, grid: &Grid, r: &[f32], out: &mut [f32]) {
        let row = grid.padded.1;
        let rows = out.par_chunks_mut(row).zip(r.par_chunks(row)).zip(self.diagonal.par_chunks(row));
        rows.for_each(|((out, r), d)| out.iter_mut().zip(r).zip(d).for_each(|((out, r), d)| *out = r * d));
        let plane = grid.pixels();
        let solved: Vec<Vec<f32>> = self.discs.par_iter().map(|disc| disc.solve(r, plane)).collect();
        for (disc, solved) in self.discs.iter().zip(&solved) {
            for (out, solved) in out.chunks_exact_mut(plane).zip(solved.chunks_exact(disc.pixels.len())) {
                disc.pixels.iter().zip(solved).for_each(|(pixel, v)| out[*pixel as usize] += v);
            }
        }
    }
}

impl Disc {
    /// Its part of the answer, departure by departure.
    fn solve(&self, r: &[f32], plane: usize) -> Vec<f32> {
        let shared = |r: &[f32]| -> Vec<f32> {
            self.pixels.iter().zip(&self.share).map(|(pixel, share)| share * r[*pixel as usize]).collect()
        };
        let mut x: Vec<f32> = r.chunks_exact(plane).flat_map(shared).collect();
        solve_triangles(&self.factor, &mut x);
        x.chunks_exact_mut(self.pixels.len())
            .for_each(|x| x.iter_mut().zip(&self.share).for_each(|(x, s)| *x *= s));
        x
    }
}

/// The form of discs.
pub(crate) struct Shape {
    /// Pixels of a disc about its middle.
    offsets: Vec<(isize, isize)>,
    /// What its pixels weigh where it overlaps with others.
    pub(crate) window: Vec<f32>,
    /// Pixels that it leaves to no other.
    own: Vec<(isize, isize)>,
    padded: (usize, usize),
}

impl Shape {
    /// Of no less than a pixel, and no more than there is room for.
    pub(crate) fn new(grid: &Grid, radius: f64) -> Self {
        let radius = radius.min(0.5 * (grid.padded.0.min(grid.padded.1) as f64 - 2.0)).max(1.0);
        let reach = radius as isize;
        let square = (-reach..=reach).flat_map(|y| (-reach..=reach).map(move |x| (y, x)));
        let distance = |(y, x): &(isize, isize)| (*y as f64).hypot(*x as f64);
        let offsets: Vec<_> = square.filter(|o| distance(o) <= radius).collect();
        let window = offsets
            .iter()
            .map(|o| (0.5 * std::f64::consts::PI * distance(o) / (radius + 1.0)).cos().powi(2) as f32);
        let window = window.collect();
        let own = offsets.iter().filter(|o| distance(o) <= OWN * radius).copied().collect();
        Self { offsets, window, own, padded: grid.padded }
    }

    /// Pixels of discs about the brightest pixels that are in none yet, no more than `most` discs, for pixels of which the width exceeds the
    /// least. The grid is periodic.
    pub(crate) fn around_the_brightest(&self, width: &[f32], least: f32, most: usize) -> Vec<Vec<u32>> {
        let mut bright: Vec<u32> = (0..width.len() as u32).filter(|i| width[*i as usize] > least).collect();
        bright.sort_unstable_by(|a, b| width[*b as usize].total_cmp(&width[*a as usize]).then(a.cmp(b)));
        let mut taken = vec![false; width.len()];
        let mut discs = vec![];
        for pixel in bright {
            if taken[pixel as usize] {
                continue;
            }
            if discs.len() == most {
                break;
            }
            self.own.iter().for_each(|o| taken[self.at(pixel, *o) as usize] = true);
            discs.push(self.offsets.iter().map(|o| self.at(pixel, *o)).collect());
        }
        discs
    }

    fn at(&self, pixel: u32, (dy, dx): (isize, isize)) -> u32 {
        let (rows, cols) = (self.padded.0 as isize, self.padded.1 as isize);
        let (y, x) = (pixel as isize / cols, pixel as isize % cols);
        ((y + dy).rem_euclid(rows) * cols + (x + dx).rem_euclid(cols)) as u32
    }
}

/// What B does to a single pixel, for each pair of departures: planes of the grid, about its first pixel.
fn kernels(grid: &Grid, schur: &[Complex32], m: usize) -> Vec<Vec<f32>> {
    let (ky, pairs, scale) = (grid.ky(), upper(m).count(), grid.scale());
    let of_pair = |pair: usize| {
        let mut slot = Slot::new(grid);
        for (out, modes) in slot.spectrum.chunks_exact_mut(ky).zip(schur.chunks_exact(pairs * ky)) {
            out.copy_from_slice(&modes[pair * ky..][..ky]);
        }
        let mut plane = Vec::with_capacity(grid.pixels());
        grid.inverse(&mut slot.spectrum, 0..grid.padded.0, &mut slot.scratch, |_, line| {
            plane.extend(line.iter().map(|v| v * scale));
        });
        plane
    };
    (0..pairs).into_par_iter().map(of_pair).collect()
}

/// The lower triangle of `1 + τ B τ` among the pixels of a disc, row by row, departure by departure.
fn matrix(grid: &Grid, pixels: &[u32], width: &[f32], kernels: &[Vec<f32>], m: usize) -> Vec<f32> {
    let (rows, cols) = grid.padded;
    let place = |pixel: u32| (pixel as usize / cols, pixel as usize % cols);
    let pair = |j: usize, k: usize| j * m + k - j * (j + 1) / 2;
    let mut out = Vec::with_capacity(triangle(m * pixels.len()));
    for j in 0..m {
        for (p, at) in pixels.iter().enumerate() {
            for k in 0..=j {
                let others = if k == j { &pixels[..=p] } else { pixels };
                for other in others {
                    // What k at `other` gives j at `at`, the kernel of (k, j) being what j gives k.
                    let ((y, x), (oy, ox)) = (place(*other), place(*at));
                    let lag = (y + rows - oy) % rows * cols + (x + cols - ox) % cols;
                    let value = kernels[pair(k, j)][lag] * width[*at as usize] * width[*other as usize];
                    out.push(if k == j && other == at { 1.0 + value } else { value });
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::joint::fourier::modes::inner_real;

    const FWHM_PX: f64 = 3.5;
    /// What rounding leaves.
    const ROUNDING: f32 = 2e-5;

    /// B for two departures, of which the second is better known, on a small grid: local, as the square of a PSF is.
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
    fn width(grid: &Grid, stars: &[(f64, f64, f64)]) -> Vec<f32> {
        let cols = grid.padded.1;
        let sigma = FWHM_PX / 2.355;
        let light = |i: usize| -> f64 {
            let r2 = |y: f64, x: f64| ((i / cols) as f64 - y).powi(2) + ((i % cols) as f64 - x).powi(2);
            stars.iter().map(|(y, x, peak)| peak * (-0.5 * r2(*y, *x) / (sigma * sigma)).exp()).sum()
        };
        (0..grid.pixels()).map(|i| light(i).hypot(1.0) as f32).collect()
    }

    /// `1 + τ B τ` on the whole grid, pixel by pixel.
    struct Dense {
        lower: Vec<f32>,
        unknowns: usize,
    }

    impl Dense {
        fn new(grid: &Grid, width: &[f32], kernels: &[Vec<f32>]) -> Self {
            let whole: Vec<u32> = (0..grid.pixels() as u32).collect();
            Self { lower: matrix(grid, &whole, width, kernels, 2), unknowns: 2 * grid.pixels() }
        }

        fn times(&self, u: &[f32]) -> Vec<f32> {
            let at = |i: usize, j: usize| self.lower[triangle(i.max(j)) + i.min(j)];
            let row =
                |i: usize| (0..self.unknowns).map(|j| f64::from(at(i, j)) * f64::from(u[j])).sum::<f64>();
            (0..self.unknowns).map(|i| row(i) as f32).collect()
        }

        /// Conjugate gradients that it takes to bring the residual to a thousandth.
        fn iterations(&self, precondition: impl Fn(&[f32]) -> Vec<f32>) -> usize {
            let dot = |a: &[f32], b: &[f32]| inner_real(a, b);
            let add = |out: &mut [f32], step: f64, a: &[f32]| {
                out.iter_mut().zip(a).for_each(|(out, a)| *out += step as f32 * a);
            };
            let mut r = self.times(&pattern(self.unknowns));
            let mut z = precondition(&r);
            let (mut direction, mut squared) = (z.clone(), dot(&r, &z));
            let first = squared;
            for iteration in 1..200 {
                let product = self.times(&direction);
                add(&mut r, -squared / dot(&direction, &product), &product);
                z = precondition(&r);
                let before = squared;
                squared = dot(&r, &z);
                if squared < 1e-6 * first {
                    return iteration;
                }
                let mut next = z.clone();
                add(&mut next, squared / before, &direction);
                direction = next;
            }
            200
        }
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
        let by_pixels = Dense::new(&grid, &width, &kernels(&grid, &schur, 2)).times(&u);
        let mut slots = [Slot::new(&grid), Slot::new(&grid)];
        crate::joint::operator::unknowns::to_modes(&grid, &width, &u, &mut slots);
        crate::joint::precondition::mask_free::apply_schur(&grid, &schur, &mut slots);
        let mut by_modes = vec![0.0; u.len()];
        crate::joint::operator::unknowns::from_modes(&grid, &width, &mut slots, &mut by_modes);
        by_modes.iter_mut().zip(&u).for_each(|(out, u)| *out += u);
        assert!(unlike(&by_pixels, &by_modes) < ROUNDING, "{}", unlike(&by_pixels, &by_modes));
    }

    #[test]
    fn bright_discs_solve_stars_and_leave_the_sky_to_the_diagonal() {
        let grid = Grid::new((27, 31), 2);
        let schur = schur(&grid);
        let none = BrightDiscs::new(&grid, &width(&grid, &[]), &schur, 2, FWHM_PX);
        assert!(none.discs.is_empty() && none.diagonal.iter().all(|d| *d > 0.5 && *d < 1.0));
        // One star, and two whose discs overlap, one of them over the periodic edge.
        for stars in [vec![(15.0, 17.0, 300.0)], vec![(1.0, 3.0, 300.0), (6.0, 4.0, 50.0)]] {
            let width = width(&grid, &stars);
            let discs = BrightDiscs::new(&grid, &width, &schur, 2, FWHM_PX);
            assert!(!discs.discs.is_empty());
            let dense = Dense::new(&grid, &width, &kernels(&grid, &schur, 2));
            let by_discs = dense.iterations(|r| {
                let mut z = vec![0.0; r.len()];
                discs.apply(&grid, r, &mut z);
                z
            });
            let own: Vec<f32> = (0..dense.unknowns).map(|i| dense.lower[triangle(i) + i]).collect();
            let by_diagonal = dense.iterations(|r| r.iter().zip(&own).map(|(r, own)| r / own).collect());
            assert!(by_discs <= 8 && by_diagonal >= 3 * by_discs, "{by_discs}, {by_diagonal}");
        }
    }

    #[test]
    fn bright_discs_keep_to_their_room() {
        let grid = Grid::new((121, 121), 2);
        let everywhere = vec![1e3; grid.pixels()];
        let discs = BrightDiscs::new(&grid, &everywhere, &schur(&grid), 2, FWHM_PX);
        let held: usize = discs.discs.iter().map(|disc| disc.factor.len()).sum();
        assert!(held > 0 && held <= ROOM * grid.pixels(), "{held}");
        let open = discs.diagonal.iter().filter(|d| **d > 0.0).count();
        assert!(open > 0, "the rest is left to the diagonal");
    }
}
