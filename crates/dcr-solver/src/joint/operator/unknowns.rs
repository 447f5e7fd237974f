//! The unknowns of the final solve, and arithmetic on them: modes of the total, and real planes of the departures.

use rayon::prelude::*;
use rustfft::num_complex::Complex32;

use super::tile::{Slot, inner_product};
use crate::joint::fourier::grid::Grid;
use crate::joint::fourier::modes::{add_scaled, inner_real, next_direction};

/// A point in the space of unknowns: modes of the total, `kx × ky`, and pixels of the departures, `j × y × x` of the grid.
#[derive(Clone)]
pub(crate) struct Unknowns {
    pub(crate) total: Vec<Complex32>,
    pub(crate) departures: Vec<f32>,
}

impl Unknowns {
    pub(crate) fn zeros(grid: &Grid, m: usize) -> Self {
        Self { total: vec![Complex32::default(); grid.modes()], departures: vec![0.0; m * grid.pixels()] }
    }

    pub(crate) fn inner(&self, other: &Self, grid: &Grid) -> f64 {
        inner_product(grid, &self.total, &other.total)
            + inner_planes(grid, &self.departures, &other.departures)
    }

    /// `self += step·other`.
    pub(crate) fn add(&mut self, step: f32, other: &Self, grid: &Grid) {
        let totals = self.total.par_chunks_exact_mut(grid.ky()).zip(other.total.par_chunks_exact(grid.ky()));
        totals.for_each(|(a, b)| add_scaled(a, step, b));
        add_planes(grid, &mut self.departures, step, &other.departures);
    }

    /// `self = z + factor·self`.
    pub(crate) fn turn(&mut self, factor: f32, z: &Self, grid: &Grid) {
        let totals = self.total.par_chunks_exact_mut(grid.ky()).zip(z.total.par_chunks_exact(grid.ky()));
        totals.for_each(|(p, z)| next_direction(p, factor, z));
        turn_planes(grid, &mut self.departures, factor, &z.departures);
    }

    pub(crate) fn copy_from(&mut self, other: &Self) {
        self.total.copy_from_slice(&other.total);
        self.departures.copy_from_slice(&other.departures);
    }
}

/// Slots hold `F τ u_j`.
pub(crate) fn to_modes(grid: &Grid, width: &[f32], u: &[f32], slots: &mut [Slot]) {
    slots.par_iter_mut().zip(u.par_chunks_exact(grid.pixels())).for_each(|(slot, u)| {
        let cols = grid.padded.1;
        grid.forward(&mut slot.spectrum, 0..grid.padded.0, &mut slot.scratch, |y, line| {
            let part = y * cols..(y + 1) * cols;
            multiply_real(line, &width[part.clone()], &u[part]);
        });
    });
}

/// `u_j = τ F⁻¹ slot_j`.
pub(crate) fn from_modes(grid: &Grid, width: &[f32], slots: &mut [Slot], u: &mut [f32]) {
    slots.par_iter_mut().zip(u.par_chunks_exact_mut(grid.pixels())).for_each(|(slot, u)| {
        let (cols, scale) = (grid.padded.1, grid.scale());
        grid.inverse(&mut slot.spectrum, 0..grid.padded.0, &mut slot.scratch, |y, line| {
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

/// `out += step·a`.
pub(crate) fn add_planes(grid: &Grid, out: &mut [f32], step: f32, a: &[f32]) {
    let row = grid.padded.1;
    let rows = out.par_chunks_mut(row).zip(a.par_chunks(row));
    rows.for_each(|(out, a)| out.iter_mut().zip(a).for_each(|(out, a)| *out += step * a));
}

/// `out = z + factor·out`.
pub(crate) fn turn_planes(grid: &Grid, out: &mut [f32], factor: f32, z: &[f32]) {
    let row = grid.padded.1;
    let rows = out.par_chunks_mut(row).zip(z.par_chunks(row));
    rows.for_each(|(out, z)| out.iter_mut().zip(z).for_each(|(out, z)| *out = z + factor * *out));
}

/// `Σ a·b`, summed row by row, in order.
pub(crate) fn inner_planes(grid: &Grid, a: &[f32], b: &[f32]) -> f64 {
    let row = grid.padded.1;
    let parts: Vec<f64> = a.par_chunks(row).zip(b.par_chunks(row)).map(|(a, b)| inner_real(a, b)).collect();
    parts.iter().sum()
}
