//! Unknowns of the solves, and their arithmetic in conjugate gradients.

use rayon::prelude::*;
use rustfft::num_complex::Complex32;

use super::tile::{Buffer, inner_product};
use crate::joint::fourier::grid::Grid;
use crate::joint::fourier::modes::{add_scaled, inner_real, next_direction};

/// A vector of unknowns: modes of some planes and pixels of others, either of which may be absent.
///
/// The first solve has the modes of all subfilters. The final solve has the modes of the summed
/// flux and the pixels of the spectral components, and its mask-free preconditioner the latter
/// only.
#[derive(Clone)]
pub(crate) struct Unknowns {
    /// Half planes of modes, `kx × plane × ky`.
    pub(crate) modes: Vec<Complex32>,
    /// Pixels of the grid, `plane × y × x`.
    pub(crate) pixels: Vec<f32>,
}

impl Unknowns {
    /// Zeros, for that many planes of modes and of pixels.
    pub(crate) fn zeros(grid: &Grid, modes: usize, pixels: usize) -> Self {
        let modes = vec![Complex32::default(); modes * grid.modes()];
        Self { modes, pixels: vec![0.0; pixels * grid.pixels()] }
    }

    /// Inner product of the planes, summed over pixels.
    pub(crate) fn inner(&self, other: &Self, grid: &Grid) -> f64 {
        let rows = |pixels| <[f32]>::par_chunks(pixels, grid.padded.1);
        let of_rows = rows(&self.pixels).zip(rows(&other.pixels)).map(|(a, b)| inner_real(a, b));
        // Row by row, in order: the sum does not depend on the number of threads.
        let of_pixels: f64 = of_rows.collect::<Vec<f64>>().iter().sum();
        inner_product(grid, &self.modes, &other.modes) + of_pixels
    }

    /// `self += step·other`.
    pub(crate) fn add(&mut self, step: f32, other: &Self, grid: &Grid) {
        let ky = grid.ky();
        let modes = self.modes.par_chunks_exact_mut(ky).zip(other.modes.par_chunks_exact(ky));
        modes.for_each(|(a, b)| add_scaled(a, step, b));
        add_pixels(grid, &mut self.pixels, step, &other.pixels);
    }

    /// `self = other + factor·self`.
    pub(crate) fn xpby(&mut self, other: &Self, factor: f32, grid: &Grid) {
        let (ky, cols) = (grid.ky(), grid.padded.1);
        let modes = self.modes.par_chunks_exact_mut(ky).zip(other.modes.par_chunks_exact(ky));
        modes.for_each(|(a, b)| next_direction(a, factor, b));
        let rows = self.pixels.par_chunks_mut(cols).zip(other.pixels.par_chunks(cols));
        rows.for_each(|(a, b)| a.iter_mut().zip(b).for_each(|(a, b)| *a = b + factor * *a));
    }

    /// `self = other`.
    pub(crate) fn copy_from(&mut self, other: &Self) {
        self.modes.copy_from_slice(&other.modes);
        self.pixels.copy_from_slice(&other.pixels);
    }
}

/// `out += step·a`, for pixels of the grid.
pub(crate) fn add_pixels(grid: &Grid, out: &mut [f32], step: f32, a: &[f32]) {
    let cols = grid.padded.1;
    let rows = out.par_chunks_mut(cols).zip(a.par_chunks(cols));
    rows.for_each(|(out, a)| out.iter_mut().zip(a).for_each(|(out, a)| *out += step * a));
}

/// `F τ u_j`, into the buffers.
pub(crate) fn to_modes(grid: &Grid, width: &[f32], u: &[f32], buffers: &mut [Buffer]) {
    buffers.par_iter_mut().zip(u.par_chunks_exact(grid.pixels())).for_each(|(buffer, u)| {
        let cols = grid.padded.1;
        grid.forward(&mut buffer.spectrum, 0..grid.padded.0, &mut buffer.scratch, |y, line| {
            let part = y * cols..(y + 1) * cols;
            multiply_real(line, &width[part.clone()], &u[part]);
        });
    });
}

/// `u_j = τ F⁻¹ b_j`, from the buffers.
pub(crate) fn from_modes(grid: &Grid, width: &[f32], buffers: &mut [Buffer], u: &mut [f32]) {
    buffers.par_iter_mut().zip(u.par_chunks_exact_mut(grid.pixels())).for_each(|(buffer, u)| {
        let (cols, scale) = (grid.padded.1, grid.scale());
        grid.inverse(&mut buffer.spectrum, 0..grid.padded.0, &mut buffer.scratch, |y, line| {
            let part = y * cols..(y + 1) * cols;
            let u = &mut u[part.clone()];
            multiply_real(u, &width[part], line);
            u.iter_mut().for_each(|v| *v *= scale);
        });
    });
}

/// `out = a·b`.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
fn multiply_real(out: &mut [f32], a: &[f32], b: &[f32]) {
    let n = out.len();
    let (a, b) = (&a[..n], &b[..n]);
    for i in 0..n {
        out[i] = a[i] * b[i];
    }
}
