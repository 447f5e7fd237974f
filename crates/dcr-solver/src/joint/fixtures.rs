//! Small problems that several tests share.

use rustfft::num_complex::{Complex32, Complex64};

use super::fourier::grid::Grid;
use super::fourier::modes::{add_scaled, add_weighted};
use super::operator::tile::{Buffer, FULL, Tile, TileVisit};
use super::operator::unknowns::{Unknowns, from_modes, to_modes};
use super::problem::spectrum::Spectrum;
use super::problem::visits::Noise;
use super::solve::krylov::{System, Workspace, conjugate_gradients};
use crate::linalg::cholesky::triangle;

/// The flat spectrum of two subfilters, and the slope of their spectra, which has no flux.
pub(crate) const FRACTIONS: [f32; 2] = [0.4, 0.6];
pub(crate) const SLOPE: [f32; 2] = [-0.5, 0.5];

/// A band from 403 to 541 nm with three subfilters of eight wavelengths each.
pub(crate) fn fine_band() -> Spectrum {
    let wavelengths: Vec<f64> = (0..24).map(|l| 403.0 + 6.0 * f64::from(l)).collect();
    let subfilters: Vec<usize> = (0..24).map(|l| l / 8).collect();
    Spectrum::new(&wavelengths, &[1.0; 24], &subfilters, 475.0).unwrap()
}

/// A band from 400 to 550 nm in `n` subfilters of four wavelengths each.
pub(crate) fn band(n: usize) -> Spectrum {
    let wavelengths: Vec<f64> =
        (0..4 * n).map(|l| 400.0 + 150.0 * (l as f64 + 0.5) / (4 * n) as f64).collect();
    let subfilters: Vec<usize> = (0..4 * n).map(|l| l / 4).collect();
    Spectrum::new(&wavelengths, &vec![1.0; 4 * n], &subfilters, 475.0).unwrap()
}

/// Two visits on a grid, one of them blurred and both displaced, with the transfer functions of two
/// subfilters.
pub(crate) fn tile(shape: (usize, usize), padding: usize) -> Tile {
    let grid = Grid::new(shape, padding);
    let visit = |(i, sky_variance): (usize, f64)| {
        let [fy, fx] = [grid.frequencies().y, grid.frequencies().x];
        let mut transfer = vec![];
        for kx in &fx {
            for a in 0..2 {
                let (dy, dx) = ((i as f64 - 0.4) * 1.3 + a as f64 * 0.5, 0.7 - i as f64 + 0.4 * a as f64);
                transfer.extend(fy.iter().map(|ky| {
                    let blur = (-(8.0 + 6.0 * i as f64) * (kx * kx + ky * ky)).exp();
                    let t = Complex64::from_polar(blur, -std::f64::consts::TAU * (ky * dy + kx * dx));
                    Complex32::new(t.re as f32, t.im as f32)
                }));
            }
        }
        let good = vec![FULL; shape.0 * shape.1];
        let noise = Noise { sky_variance, shot: 0.0 };
        TileVisit::new(transfer, vec![0.0; good.len()], good, noise, 3.0)
    };
    let visits = [(0, 1.0), (1, 0.5)].map(visit).into();
    Tile::new(grid, 2, visits, 0.6)
}

/// The modes of a plane.
pub(crate) fn modes(grid: &Grid, of: impl Fn(usize, usize) -> f32) -> Vec<Complex32> {
    let mut buffer = Buffer::new(grid);
    grid.forward(&mut buffer.spectrum, 0..grid.ky(), &mut buffer.scratch, |y, row| {
        row.iter_mut().enumerate().for_each(|(x, v)| *v = of(y, x));
    });
    buffer.spectrum
}

/// |P| of a Gaussian PSF at every mode.
pub(crate) fn amplitude(grid: &Grid) -> Vec<f32> {
    let [fy, fx] = [grid.frequencies().y, grid.frequencies().x];
    let modes = fx.iter().flat_map(|x| fy.iter().map(move |y| (x, y)));
    modes.map(|(x, y)| (-16.0 * (x * x + y * y)).exp() as f32).collect()
}

/// Gaussian stars `(y, x, peak)` of that σ at every pixel of the grid.
pub(crate) fn stars(grid: &Grid, sigma: f64, stars: &[(f64, f64, f64)]) -> Vec<f32> {
    let light = |i: usize| -> f64 {
        let (row, col) = ((i / grid.padded.1) as f64, (i % grid.padded.1) as f64);
        let r2 = |y: f64, x: f64| (row - y).powi(2) + (col - x).powi(2);
        stars.iter().map(|(y, x, peak)| peak * (-0.5 * r2(*y, *x) / (sigma * sigma)).exp()).sum()
    };
    (0..grid.pixels()).map(|i| light(i) as f32).collect()
}

/// The Hessian of the final solve times the summed flux and a slope: data, `prior` on the flux and
/// more beyond the tile (`margin`), and the unit prior on the slope, whose scale is `width`.
pub(crate) fn hessian_times(
    tile: &mut Tile,
    width: &[f32],
    (prior, margin): (f32, f32),
    x: &Unknowns,
) -> Unknowns {
    let ky = tile.grid.ky();
    let amplitude = amplitude(&tile.grid);
    let mut buffers = [Buffer::new(&tile.grid)];
    to_modes(&tile.grid, width, &x.pixels, &mut buffers);
    let mut model = vec![Complex32::default(); tile.unknowns()];
    for (i, out) in model.chunks_exact_mut(ky).enumerate() {
        let (part, a) = (i / 2 * ky..(i / 2 + 1) * ky, i % 2);
        add_scaled(out, FRACTIONS[a], &x.modes[part.clone()]);
        add_weighted(out, SLOPE[a], &amplitude[part.clone()], &buffers[0].spectrum[part]);
    }
    let mut back = vec![Complex32::default(); tile.unknowns()];
    tile.add_hessian(&model, &mut back);
    let mut out = Unknowns::zeros(&tile.grid, 1, 1);
    out.modes.iter_mut().zip(&x.modes).for_each(|(out, t)| *out = t * prior);
    tile.add_margin(margin, &x.modes, &mut out.modes);
    buffers[0].spectrum.fill(Complex32::default());
    for (i, back) in back.chunks_exact(ky).enumerate() {
        let (part, a) = (i / 2 * ky..(i / 2 + 1) * ky, i % 2);
        add_scaled(&mut out.modes[part.clone()], FRACTIONS[a], back);
        add_weighted(&mut buffers[0].spectrum[part.clone()], SLOPE[a], &amplitude[part], back);
    }
    from_modes(&tile.grid, width, &mut buffers, &mut out.pixels);
    out.pixels.iter_mut().zip(&x.pixels).for_each(|(out, u)| *out += u);
    out
}

/// [`hessian_times`] for light of the flat spectrum: modes of the summed flux.
pub(crate) fn hessian_times_flux(tile: &mut Tile, light: &[Complex32], prior: f32) -> Vec<Complex32> {
    let zeros = vec![0.0; tile.grid.pixels()];
    let x = Unknowns { modes: light.to_vec(), pixels: zeros.clone() };
    hessian_times(tile, &zeros, (prior, 0.0), &x).modes
}

/// A symmetric matrix, given as the rows of its lower triangle.
pub(crate) struct Dense {
    lower: Vec<f32>,
    order: usize,
}

impl Dense {
    pub(crate) fn new(lower: Vec<f32>) -> Self {
        Self { order: ((8 * lower.len() + 1).isqrt() - 1) / 2, lower }
    }

    pub(crate) fn diagonal(&self) -> impl Iterator<Item = f32> {
        (0..self.order).map(|i| self.lower[triangle(i) + i])
    }

    pub(crate) fn times(&self, x: &[f32]) -> Vec<f32> {
        let at = |i: usize, j: usize| self.lower[triangle(i.max(j)) + i.min(j)];
        let row =
            |i: usize| x.iter().enumerate().map(|(j, x)| f64::from(at(i, j)) * f64::from(*x)).sum::<f64>();
        (0..self.order).map(|i| row(i) as f32).collect()
    }

    /// Conjugate gradients from 0 until `rᵀ M⁻¹ r` has fallen to the fraction `tolerance`; also the
    /// number of steps.
    pub(crate) fn solve(
        &self,
        right_side: &[f32],
        precondition: impl FnMut(&[f32]) -> Vec<f32>,
        flexible: bool,
        most: usize,
        tolerance: f64,
    ) -> (Vec<f32>, usize) {
        let pixels = |pixels: Vec<f32>| Unknowns { modes: vec![], pixels };
        let mut x = pixels(vec![0.0; self.order]);
        let mut workspace = Workspace::new(x.clone(), flexible);
        workspace.residual.pixels.copy_from_slice(right_side);
        let mut system = DenseSystem { dense: self, grid: Grid::new((1, self.order), 0), precondition };
        let mut steps = 0;
        conjugate_gradients(&mut system, &mut x, &mut workspace, most, |first, now| {
            steps += 1;
            now > tolerance * first
        });
        (x.pixels, steps)
    }
}

struct DenseSystem<'a, P> {
    dense: &'a Dense,
    grid: Grid,
    precondition: P,
}

impl<P: FnMut(&[f32]) -> Vec<f32>> System for DenseSystem<'_, P> {
    fn grid(&self) -> &Grid {
        &self.grid
    }

    fn apply(&mut self, x: &Unknowns, out: &mut Unknowns) {
        out.pixels = self.dense.times(&x.pixels);
    }

    fn precondition(&mut self, r: &Unknowns, out: &mut Unknowns) {
        out.pixels = (self.precondition)(&r.pixels);
    }
}
