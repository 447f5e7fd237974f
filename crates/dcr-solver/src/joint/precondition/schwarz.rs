//! Additive overlapping Schwarz with Cholesky-solved subdomains.
//!
//! ```text
//! z += θ Σ_s D_s^½ R_sᵀ (R_s A R_sᵀ)⁻¹ R_s D_s^½ r
//! ```
//!
//! `R_s` restricts to the unknowns of a subdomain, `D` is a partition of unity where subdomains
//! overlap, and θ is the damping. Unknowns are pixels of the summed flux, of the spectral
//! components, or of both. The modules [`super::bright_stars`], [`super::holes`] and
//! [`super::cut_stars`] are rules that choose subdomains.
//!
//! Reference: B. Smith, P. Bjørstad, W. Gropp, 1996, Domain Decomposition, ch. 1.

use std::collections::BTreeSet;

use rayon::prelude::*;
use rustfft::num_complex::Complex32;

use crate::joint::fourier::grid::Grid;
use crate::linalg::cholesky::{Real, solve_triangles};

/// The unknowns of a subdomain and the factor of its matrix.
pub(crate) struct Subdomain {
    /// Pixels of the grid.
    pub(crate) pixels: Vec<u32>,
    /// Square root of the partition of unity at each pixel.
    pub(crate) partition_root: Vec<f32>,
    /// Unknowns of the flux, which come before the components'; `None` if there are none.
    pub(crate) flux: Option<FluxUnknowns>,
    /// Cholesky factor of the matrix, rows of the lower triangle.
    pub(crate) factor: Vec<f32>,
}

/// Weights of the flux's unknowns at each pixel: partition of unity, unit and normalisation of
/// transforms.
pub(crate) struct FluxUnknowns {
    /// Factor on the transformed residual.
    pub(crate) restriction: Vec<f32>,
    /// Factor on the solution.
    pub(crate) prolongation: Vec<f32>,
}

/// The preconditioner.
pub(crate) struct Schwarz {
    subdomains: Vec<Subdomain>,
    /// Rows of the grid with unknowns of the flux, ascending.
    rows: Vec<usize>,
    damping: f32,
}

impl Schwarz {
    pub(crate) fn new(grid: &Grid, subdomains: Vec<Subdomain>, damping: f32) -> Self {
        let of_flux = subdomains.iter().filter(|subdomain| subdomain.flux.is_some());
        let rows: BTreeSet<usize> =
            of_flux.flat_map(|s| s.pixels.iter().map(|pixel| *pixel as usize / grid.padded.1)).collect();
        Self { subdomains, rows: rows.into_iter().collect(), damping }
    }

    /// The subdomains.
    #[cfg(test)]
    pub(crate) fn subdomains(&self) -> &[Subdomain] {
        &self.subdomains
    }

    /// Adds the correction for a residual: modes of the summed flux, and pixels of the components,
    /// plane by plane.
    ///
    /// Slices of unknowns that no subdomain has may be empty.
    pub(crate) fn add(
        &self,
        grid: &Grid,
        (flux, components): (&[Complex32], &[f32]),
        (flux_out, components_out): (&mut [Complex32], &mut [f32]),
    ) {
        if self.subdomains.is_empty() {
            return;
        }
        let (plane, cols) = (grid.pixels(), grid.padded.1);
        let has_flux = !self.rows.is_empty();
        let lines = if has_flux { grid.rows_together(flux, &self.rows) } else { vec![] };
        let in_lines = |pixel: u32| {
            let (y, x) = (pixel as usize / cols, pixel as usize % cols);
            self.rows.partition_point(|row| *row < y) * cols + x
        };
        let solve = |s: &Subdomain| -> Vec<f32> {
            let mut x = Vec::new();
            if let Some(flux) = &s.flux {
                let weights = s.pixels.iter().zip(&flux.restriction);
                x.extend(weights.map(|(pixel, weight)| weight * lines[in_lines(*pixel)]));
            }
            for component in components.chunks_exact(plane) {
                let roots = s.pixels.iter().zip(&s.partition_root);
                x.extend(roots.map(|(pixel, root)| root * component[*pixel as usize]));
            }
            solve_triangles(&s.factor, &mut x);
            x
        };
        let solved: Vec<Vec<f32>> = self.subdomains.par_iter().map(solve).collect();
        let mut light = vec![0.0; lines.len()];
        for (s, solved) in self.subdomains.iter().zip(&solved) {
            let (of_flux, of_components) = solved.split_at(s.flux.as_ref().map_or(0, |_| s.pixels.len()));
            if let Some(flux) = &s.flux {
                for ((pixel, weight), value) in s.pixels.iter().zip(&flux.prolongation).zip(of_flux) {
                    light[in_lines(*pixel)] += self.damping * weight * value;
                }
            }
            let planes =
                components_out.chunks_exact_mut(plane).zip(of_components.chunks_exact(s.pixels.len()));
            for (out, values) in planes {
                for ((pixel, root), value) in s.pixels.iter().zip(&s.partition_root).zip(values) {
                    out[*pixel as usize] += self.damping * root * value;
                }
            }
        }
        if has_flux {
            grid.add_rows_together(&self.rows, &light, flux_out);
        }
    }
}

/// Lower triangle of `1 + τBτ` between pixels, component by component.
///
/// `kernel(j, k, (dy, dx))` with `j ≤ k` is the response of component `k` at the pixel `(−dy, −dx)`
/// from it to component `j`; `width` is τ at each pixel, and there are `m` components.
pub(crate) fn mask_free_matrix<T: Real>(
    pixels: &[(isize, isize)],
    width: &[T],
    m: usize,
    kernel: impl Fn(usize, usize, (isize, isize)) -> T,
) -> Vec<T> {
    let unknowns = m * pixels.len();
    let mut out = Vec::with_capacity(unknowns * (unknowns + 1) / 2);
    for j in 0..m {
        for (p, here) in pixels.iter().enumerate() {
            for k in 0..=j {
                let others = if k == j { &pixels[..=p] } else { pixels };
                for (o, other) in others.iter().enumerate() {
                    // The response of j at `here` to k at `other` is the kernel of (k, j).
                    let value = kernel(k, j, (other.0 - here.0, other.1 - here.1)) * width[p] * width[o];
                    out.push(if k == j && o == p { T::one() + value } else { value });
                }
            }
        }
    }
    out
}
