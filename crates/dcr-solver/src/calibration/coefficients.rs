//! The coefficients of a calibration: their layout, values at a place, and the corrected
//! prediction.

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::derivatives::{Continued, Local, RowDerivatives};
use super::terms::{CalibrationOrders, Term};
use crate::kernel::PixelShift;

/// Powers `(along y, along x)` of the polynomials, by increasing order.
const POWERS: [(i32, i32); 6] = [(0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2)];

/// The polynomials in the middle of an image.
const IN_THE_MIDDLE: [f64; 6] = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0];

/// Number of polynomials up to an order, at most 2.
pub(crate) fn polynomials(order: u8) -> usize {
    [1, 3, 6][usize::from(order.min(2))]
}

/// Coordinates of the polynomials: −1 to 1 over an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Coordinates {
    pub(crate) shape: (usize, usize),
}

impl Coordinates {
    /// The six polynomials at a place.
    pub(crate) fn polynomials(&self, y: f64, x: f64) -> [f64; 6] {
        let along = |i: f64, n: usize| 2.0 * i / (n.max(2) - 1) as f64 - 1.0;
        let (y, x) = (along(y, self.shape.0), along(x, self.shape.1));
        [1.0, y, x, y * y, y * x, x * x]
    }

    /// Coordinate of a column, and its step to the next.
    fn along_x(&self, column: usize) -> (f64, f64) {
        let step = 2.0 / (self.shape.1.max(2) - 1) as f64;
        (step * column as f64 - 1.0, step)
    }
}

/// A coefficient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Column {
    pub(crate) term: Term,
    /// Image of the term.
    pub(crate) image: usize,
    /// Index of the polynomial.
    pub(crate) polynomial: usize,
}

impl Column {
    /// The coefficients of the given orders.
    pub(crate) fn all(orders: &CalibrationOrders) -> Vec<Self> {
        let of_term = |(term, images): (Term, usize)| {
            let count = orders.get(term).map_or(0, polynomials);
            (0..count)
                .flat_map(move |polynomial| (0..images).map(move |image| Self { term, image, polynomial }))
        };
        Term::ALL.into_iter().flat_map(of_term).collect()
    }

    /// Order of the polynomial.
    pub(crate) fn order(&self) -> u8 {
        let (i, j) = POWERS[self.polynomial];
        (i + j) as u8
    }

    /// The column's image at a pixel.
    pub(crate) fn image_at(&self, local: &Local) -> f32 {
        match (self.term, self.image) {
            (Term::Background, _) => 1.0,
            (Term::Flux, _) => local.value,
            (Term::Displacement, 0) => -local.by_y,
            (Term::Displacement, _) => -local.by_x,
            (Term::Moments, 0) => 0.5 * (local.by_xx + local.by_yy),
            (Term::Moments, 1) => 0.5 * (local.by_xx - local.by_yy),
            (Term::Moments, _) => local.by_xy,
        }
    }
}

/// The fitted calibration of an exposure.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    coordinates: Coordinates,
    /// The orders that the data determine.
    orders: CalibrationOrders,
    /// All coefficients that could be fitted; those above `orders` are 0.
    columns: Vec<Column>,
    solution: Solution,
    sources: usize,
}

/// The terms at one place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LocalTerms {
    /// Background, in units of the pixels.
    pub background: f64,
    /// Flux of the exposure over that of the prediction, minus 1.
    pub flux: f64,
    /// Displacement of the exposure against the prediction, px.
    pub displacement: PixelShift,
    /// Change of the second moments, px²: half the trace, half the difference (x minus y), and xy.
    pub moments: [f64; 3],
}

impl LocalTerms {
    /// Displacement in pixels that changes a star as much as the difference to other terms, for a
    /// PSF of that σ. Backgrounds do not count.
    pub(crate) fn effect_of_change(&self, other: &Self, sigma_px: f64) -> f64 {
        let moved = (self.displacement.dy - other.displacement.dy)
            .hypot(self.displacement.dx - other.displacement.dx);
        let moments = self.moments.iter().zip(&other.moments).map(|(a, b)| (a - b).abs());
        let flux = (self.flux - other.flux).abs() * sigma_px;
        moments.fold(moved.max(flux), |largest, change| largest.max(change / sigma_px))
    }
}

/// Values of coefficients with their errors.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Solution {
    pub(crate) values: Vec<f64>,
    pub(crate) errors: Vec<f64>,
}

impl Calibration {
    pub(crate) fn new(
        coordinates: Coordinates,
        orders: CalibrationOrders,
        (columns, solution): (Vec<Column>, Solution),
        sources: usize,
    ) -> Self {
        Self { coordinates, orders, columns, solution, sources }
    }

    /// The coefficients, and what they belong to.
    pub(crate) fn coefficients_mut(&mut self) -> impl Iterator<Item = (Column, &mut f64)> {
        self.columns.iter().copied().zip(&mut self.solution.values)
    }

    /// Takes the mean displacement out of the calibration.
    pub(crate) fn take_mean_displacement(&mut self) -> PixelShift {
        let mut out = PixelShift::default();
        for (column, value) in self.coefficients_mut() {
            if column.term == Term::Displacement && column.polynomial == 0 {
                let component = if column.image == 0 { &mut out.dy } else { &mut out.dx };
                *component = std::mem::take(value);
            }
        }
        out
    }

    /// The orders chosen for each term; `None` where the data give no evidence for the term.
    #[must_use]
    pub fn orders(&self) -> CalibrationOrders {
        self.orders
    }

    /// Number of sources that the fit rests on.
    #[must_use]
    pub fn sources(&self) -> usize {
        self.sources
    }

    /// The terms at row `y` and column `x`.
    #[must_use]
    pub fn at(&self, y: f64, x: f64) -> LocalTerms {
        self.sum(&self.coordinates.polynomials(y, x), &self.solution.values)
    }

    fn sum(&self, polynomials: &[f64; 6], values: &[f64]) -> LocalTerms {
        let mut out = LocalTerms::default();
        for (column, value) in self.columns.iter().zip(values) {
            let value = value * polynomials[column.polynomial];
            match (column.term, column.image) {
                (Term::Background, _) => out.background += value,
                (Term::Flux, _) => out.flux += value,
                (Term::Displacement, 0) => out.displacement.dy += value,
                (Term::Displacement, _) => out.displacement.dx += value,
                (Term::Moments, image) => out.moments[image] += value,
            }
        }
        out
    }

    /// A summary for reports.
    #[must_use]
    pub fn report(&self) -> CalibrationReport {
        let (rows, cols) = self.coordinates.shape;
        let (last_y, last_x) = (rows.saturating_sub(1) as f64, cols.saturating_sub(1) as f64);
        let corners = [(0.0, 0.0), (0.0, last_x), (last_y, 0.0), (last_y, last_x)];
        CalibrationReport {
            sources: self.sources,
            orders: self.orders,
            middle: self.sum(&IN_THE_MIDDLE, &self.solution.values),
            errors: self.sum(&IN_THE_MIDDLE, &self.solution.errors),
            corners: corners.map(|(y, x)| self.at(y, x)),
        }
    }

    /// The prediction with the calibration applied. Within 2 px of a value that is not finite, only
    /// flux and background are applied.
    ///
    /// # Panics
    ///
    /// If the prediction has another shape than the fitted images.
    #[must_use]
    pub fn apply(&self, prediction: ArrayView2<f32>) -> Array2<f32> {
        assert_eq!(prediction.dim(), self.coordinates.shape, "the shape of the fitted images");
        self.apply_to_part(prediction, (0, 0))
    }

    /// [`Self::apply`] for a part of the image that begins at row and column `origin`.
    pub(crate) fn apply_to_part(&self, prediction: ArrayView2<f32>, origin: (usize, usize)) -> Array2<f32> {
        let cols = prediction.ncols();
        let continued = Continued::new(&prediction);
        let mut out = Array2::zeros(prediction.dim());
        let pixels = out.as_slice_mut().expect("a new plane is contiguous");
        let rows = pixels.par_chunks_mut(cols.max(1)).enumerate();
        rows.for_each_init(RowDerivatives::default, |row, (y, out)| {
            continued.row(y, row);
            correct(row, &self.along_row(y + origin.0, origin.1), out);
        });
        out
    }

    /// The terms along row `y`, as polynomials of the column from `first` on.
    fn along_row(&self, y: usize, first: usize) -> RowTerms {
        let (start, step) = self.coordinates.along_x(first);
        let y = self.coordinates.polynomials(y as f64, 0.0)[1];
        let mut out = RowTerms::default();
        for (column, value) in self.columns.iter().zip(&self.solution.values) {
            let (i, j) = POWERS[column.polynomial];
            let value = value * y.powi(i);
            let target = out.of(column.term, column.image);
            // The power of start + step·x.
            match j {
                0 => target[0] += value,
                1 => (target[0], target[1]) = (target[0] + value * start, target[1] + value * step),
                _ => {
                    target[0] += value * start * start;
                    target[1] += 2.0 * value * start * step;
                    target[2] += value * step * step;
                }
            }
        }
        out
    }
}

/// A calibration in the middle and the corners of its image, for reports.
///
/// Displacements are in pixels, moments in px², fluxes relative, and backgrounds in the unit of the
/// pixels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CalibrationReport {
    /// Number of bright sources of the fit.
    pub sources: usize,
    /// Orders of the polynomials; absent terms were not determined, or are off.
    pub orders: CalibrationOrders,
    /// The terms in the middle of the image.
    pub middle: LocalTerms,
    /// Errors of the terms in the middle.
    pub errors: LocalTerms,
    /// The terms in the corners: by rows, then by columns.
    pub corners: [LocalTerms; 4],
}

impl CalibrationReport {
    /// Relative flux in the middle and its error, if it was determined.
    #[must_use]
    pub fn flux(&self) -> Option<(f64, f64)> {
        self.orders.flux.map(|_| (self.middle.flux, self.errors.flux))
    }

    /// Root mean square of the displacement in the four corners, px.
    #[must_use]
    pub fn displacement_rms(&self) -> f64 {
        let squares = self.corners.map(|c| c.displacement.dy.powi(2) + c.displacement.dx.powi(2));
        (squares.iter().sum::<f64>() / 4.0).sqrt()
    }

    /// Converts to a unit that is `unit` times smaller: backgrounds are multiplied by it.
    pub(crate) fn scale(&mut self, unit: f64) {
        let corners = self.corners.iter_mut();
        corners.chain([&mut self.middle, &mut self.errors]).for_each(|terms| terms.background *= unit);
    }
}

/// The terms along a row: coefficients of 1, x and x².
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct RowTerms {
    background: [f64; 3],
    flux: [f64; 3],
    displacement: [[f64; 3]; 2],
    moments: [[f64; 3]; 3],
}

impl RowTerms {
    fn of(&mut self, term: Term, image: usize) -> &mut [f64; 3] {
        match term {
            Term::Background => &mut self.background,
            Term::Flux => &mut self.flux,
            Term::Displacement => &mut self.displacement[image],
            Term::Moments => &mut self.moments[image],
        }
    }
}

/// A row of the prediction, corrected.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
fn correct(row: &RowDerivatives, terms: &RowTerms, out: &mut [f32]) {
    let n = out.len();
    let [value, by_y, by_x] = [&row.value[..n], &row.by_y[..n], &row.by_x[..n]];
    let [by_yy, by_xx, by_xy] = [&row.by_yy[..n], &row.by_xx[..n], &row.by_xy[..n]];
    let single = |c: [f64; 3]| c.map(|c| c as f32);
    let (background, flux) = (single(terms.background), single(terms.flux));
    let ([dy, dx], [size, e1, e2]) = (terms.displacement.map(single), terms.moments.map(single));
    for i in 0..n {
        let x = i as f32;
        let at = |c: &[f32; 3]| c[0] + x * (c[1] + x * c[2]);
        let (dy, dx, size, e1, e2) = (at(&dy), at(&dx), at(&size), at(&e1), at(&e2));
        let scaled = value[i] * at(&flux) + at(&background);
        let moved = -dy * by_y[i] - dx * by_x[i]
            + 0.5 * (size + e1 + dx * dx) * by_xx[i]
            + 0.5 * (size - e1 + dy * dy) * by_yy[i]
            + (e2 + dx * dy) * by_xy[i];
        out[i] = value[i] + scaled + if moved.is_finite() { moved } else { 0.0 };
    }
}
