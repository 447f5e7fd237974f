//! Weighted least-squares fit of the kernel's coefficients, with rejection of stamps and pixels.

use dcr_solver::linalg::solve_positive_definite;
use ndarray::{Array1, Array2};
use rayon::prelude::*;

use super::basis::{Polynomial, Shapes};
use super::stamps::{Stamp, cut};
use super::{Frame, MatchError, MatchQuality, MatchingKernel};
use crate::statistics::{SIGMA_PER_MAD, median};

/// Rounds of fitting and leaving out.
const ROUNDS: usize = 6;
/// Pixels further than this many standard deviations from the model are left out.
const PIXEL_CLIP: f64 = 6.0;
/// Rejection threshold of stamps, in standard deviations above the median residual; the residual
/// must also exceed 1.5 times the median.
const STAMP_CLIP: f64 = 4.0;
/// Stamps needed for each term of the kernel's polynomial.
const STAMPS_PER_TERM: usize = 3;
/// Ridge added to the diagonal of the normal matrix, scaled to 1. Shapes are nearly alike on a
/// coarse grid; the ridge keeps degenerate combinations small.
const RIDGE: f64 = 1e-9;

/// Fits the kernel that gives `sharp` the PSF of `wide`.
///
/// # Errors
///
/// [`MatchError`] if bright sources are too few, or leave the kernel degenerate.
pub fn fit(
    sharp: &Frame<'_>,
    wide: &Frame<'_>,
    kernel_order: usize,
    background_order: usize,
) -> Result<MatchingKernel, MatchError> {
    let shape = sharp.image.dim();
    let shapes = Shapes::between(sharp.fwhm_px, wide.fwhm_px);
    let unknowns = Unknowns {
        shapes: shapes.planes.len(),
        place: Polynomial::new(kernel_order, shape),
        background: Polynomial::new(background_order, shape),
    };
    let stamps = cut(sharp, wide, &shapes);
    let needed = STAMPS_PER_TERM * unknowns.place.terms().max(unknowns.background.terms());
    let enough = |found: usize| {
        if found < needed { Err(MatchError::TooFewSources { found, needed }) } else { Ok(()) }
    };
    enough(stamps.len())?;
    let mut kept: Vec<Vec<bool>> = stamps.iter().map(|stamp| vec![true; stamp.target.len()]).collect();
    let mut used = vec![true; stamps.len()];
    let (mut coefficients, mut chi2) = (Array1::zeros(0), f64::NAN);
    for _ in 0..ROUNDS {
        coefficients = unknowns.solve(&stamps, &kept, &used)?;
        let residuals: Vec<Vec<f64>> =
            stamps.par_iter().map(|stamp| unknowns.residuals(stamp, &coefficients)).collect();
        let quality: Vec<f64> =
            residuals.iter().zip(&kept).map(|(residuals, kept)| mean_square(residuals, kept)).collect();
        chi2 = median(quality.iter().zip(&used).filter(|(_, used)| **used).map(|(q, _)| *q).collect())
            .unwrap_or(f64::NAN);
        let scale = chi2.sqrt().max(1.0);
        let new_kept: Vec<Vec<bool>> = residuals
            .iter()
            .map(|residuals| residuals.iter().map(|r| r.abs() < PIXEL_CLIP * scale).collect())
            .collect();
        let deviations = quality.iter().zip(&used).filter(|(_, used)| **used).map(|(q, _)| (q - chi2).abs());
        let spread = SIGMA_PER_MAD * median(deviations.collect()).unwrap_or(f64::NAN);
        let limit = (chi2 + STAMP_CLIP * spread).max(1.5 * chi2).max(1.5);
        // A stamp with many pixels left out is bad as a whole.
        let mostly = |kept: &[bool]| kept.iter().filter(|kept| **kept).count() * 10 >= kept.len() * 9;
        let new_used: Vec<bool> =
            quality.iter().zip(&new_kept).map(|(q, kept)| *q <= limit && mostly(kept)).collect();
        enough(new_used.iter().filter(|used| **used).count())?;
        let settled = new_kept == kept && new_used == used;
        (kept, used) = (new_kept, new_used);
        if settled {
            break;
        }
    }
    let count = used.iter().filter(|used| **used).count();
    let quality = MatchQuality { stamps: count, rejected: stamps.len() - count, chi2 };
    Ok(unknowns.kernel(&shapes, &coefficients, quality))
}

/// Layout of the coefficients: that of the first shape, those of the other shapes times the terms
/// of `place`, and those of the background.
struct Unknowns {
    shapes: usize,
    place: Polynomial,
    background: Polynomial,
}

impl Unknowns {
    fn len(&self) -> usize {
        1 + (self.shapes - 1) * self.place.terms() + self.background.terms()
    }

    /// Unknowns behind each column of a stamp's design, with their factors at the stamp.
    fn columns(&self, stamp: &Stamp) -> Vec<Vec<(usize, f64)>> {
        let (row, col) = (stamp.row as f64, stamp.col as f64);
        let (place, background) = (self.place.at(row, col), self.background.at(row, col));
        let terms = place.len();
        let of_shape = |i: usize| match i {
            0 => vec![(0, 1.0)],
            _ => place.iter().enumerate().map(|(m, p)| (1 + (i - 1) * terms + m, *p)).collect(),
        };
        let first = 1 + (self.shapes - 1) * terms;
        let of_background = background.iter().enumerate().map(|(m, p)| (first + m, *p)).collect();
        (0..self.shapes).map(of_shape).chain([of_background]).collect()
    }

    /// Weighted least squares over the pixels that are kept of the stamps that are used.
    fn solve(&self, stamps: &[Stamp], kept: &[Vec<bool>], used: &[bool]) -> Result<Array1<f64>, MatchError> {
        let parts: Vec<Option<(Array2<f64>, Array1<f64>)>> = stamps
            .par_iter()
            .zip(kept)
            .zip(used)
            .map(|((stamp, kept), used)| used.then(|| normal_equations(stamp, kept)))
            .collect();
        let n = self.len();
        let (mut matrix, mut right) = (Array2::zeros((n, n)), Array1::zeros(n));
        for (stamp, part) in stamps.iter().zip(parts) {
            let Some((own_matrix, own_right)) = part else { continue };
            let columns = self.columns(stamp);
            for (i, row) in columns.iter().enumerate() {
                for &(a, p) in row {
                    right[a] += p * own_right[i];
                    for (j, column) in columns.iter().enumerate() {
                        for &(b, q) in column {
                            matrix[[a, b]] += p * q * own_matrix[[i, j]];
                        }
                    }
                }
            }
        }
        solve_positive(&matrix, &right).ok_or(MatchError::Undetermined)
    }

    /// Residuals of the model in a stamp, in standard deviations.
    fn residuals(&self, stamp: &Stamp, coefficients: &Array1<f64>) -> Vec<f64> {
        let local: Array1<f64> = self
            .columns(stamp)
            .iter()
            .map(|unknowns| unknowns.iter().map(|(a, p)| p * coefficients[*a]).sum::<f64>())
            .collect();
        let model = stamp.design.dot(&local);
        stamp.target.iter().zip(&model).zip(&stamp.weight).map(|((t, m), w)| (t - m) * w).collect()
    }

    fn kernel(&self, shapes: &Shapes, coefficients: &Array1<f64>, quality: MatchQuality) -> MatchingKernel {
        let terms = (0..self.place.terms())
            .map(|m| {
                let mut term =
                    if m == 0 { &shapes.planes[0] * coefficients[0] } else { &shapes.planes[0] * 0.0 };
                for (i, shape) in shapes.planes.iter().enumerate().skip(1) {
                    term.scaled_add(coefficients[1 + (i - 1) * self.place.terms() + m], shape);
                }
                term
            })
            .collect();
        let background = coefficients.iter().skip(self.len() - self.background.terms()).copied().collect();
        MatchingKernel {
            terms,
            place: self.place.clone(),
            background,
            background_place: self.background.clone(),
            quality,
        }
    }
}

/// Matrix and right-hand side of one stamp.
fn normal_equations(stamp: &Stamp, kept: &[bool]) -> (Array2<f64>, Array1<f64>) {
    let mut weighted = stamp.design.clone();
    let mut target = Array1::from(stamp.target.clone());
    for (i, mut row) in weighted.rows_mut().into_iter().enumerate() {
        let weight = if kept[i] { stamp.weight[i] } else { 0.0 };
        row *= weight;
        target[i] *= weight;
    }
    (weighted.t().dot(&weighted), weighted.t().dot(&target))
}

/// Solves a symmetric positive definite system, scaled to a diagonal of 1, with a ridge of 1e-9.
/// `None` if it is not positive definite.
pub(crate) fn solve_positive(matrix: &Array2<f64>, right: &Array1<f64>) -> Option<Array1<f64>> {
    let scale = matrix.diag().mapv(f64::sqrt);
    if scale.iter().any(|scale| !(*scale > 0.0 && scale.is_finite())) {
        return None;
    }
    let scaled: Vec<f64> = matrix
        .indexed_iter()
        .map(|((i, j), value)| value / (scale[i] * scale[j]) + if i == j { RIDGE } else { 0.0 })
        .collect();
    let solution = solve_positive_definite(&scaled, &(right / &scale).to_vec(), 0.0)?;
    let solution = Array1::from(solution) / &scale;
    solution.iter().all(|value| value.is_finite()).then_some(solution)
}

fn mean_square(residuals: &[f64], kept: &[bool]) -> f64 {
    let squares = residuals.iter().zip(kept).filter(|(_, kept)| **kept).map(|(r, _)| r * r);
    let (sum, count) = squares.fold((0.0, 0.0), |(sum, count), square| (sum + square, count + 1.0));
    if count > 0.0 { sum / count } else { f64::INFINITY }
}
