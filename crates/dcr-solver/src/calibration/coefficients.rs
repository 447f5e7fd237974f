//! The coefficients of a calibration: their layout, values at a place, and the corrected
//! prediction.

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;
use serde::Serialize;

use super::derivatives::Local;
use super::terms::{CalibrationOrders, Term};
use crate::kernel::PixelShift;

/// All terms, in the order of the coefficients.
pub(crate) const TERMS: [Term; 4] = [Term::Background, Term::Flux, Term::Displacement, Term::Moments];

/// Powers `(along y, along x)` of the polynomials, by increasing order.
const POWERS: [(i32, i32); 6] = [(0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2)];

/// The polynomials in the middle of an image.
const IN_THE_MIDDLE: [f64; 6] = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0];

/// Number of polynomials up to an order, at most 2.
fn polynomials(order: u8) -> usize {
    [1, 3, 6][usize::from(order.min(2))]
}

/// Number of images of a term: 2 for a displacement, 3 for moments.
fn images(term: Term) -> usize {
    match term {
        Term::Background | Term::Flux => 1,
        Term::Displacement => 2,
        Term::Moments => 3,
    }
}

/// Coordinates of the polynomials: −1 to 1 over an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Coordinates {
    shape: (usize, usize),
}

impl Coordinates {
    pub(crate) fn new(shape: (usize, usize)) -> Self {
        Self { shape }
    }

    /// The six polynomials at a place.
    pub(crate) fn polynomials(&self, y: f64, x: f64) -> [f64; 6] {
        let along = |i: f64, n: usize| 2.0 * i / (n.max(2) - 1) as f64 - 1.0;
        let (y, x) = (along(y, self.shape.0), along(x, self.shape.1));
        POWERS.map(|(i, j)| y.powi(i) * x.powi(j))
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
        let of_term = |term: Term| {
            let count = orders.get(term).map_or(0, polynomials);
            (0..count).flat_map(move |polynomial| {
                (0..images(term)).map(move |image| Self { term, image, polynomial })
            })
        };
        TERMS.iter().flat_map(|term| of_term(*term)).collect()
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
    orders: CalibrationOrders,
    /// The coefficients of these orders.
    columns: Vec<Column>,
    solution: Solution,
    sources: usize,
}

/// The terms at one place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
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
        solution: Solution,
        sources: usize,
    ) -> Self {
        Self { coordinates, orders, columns: Column::all(&orders), solution, sources }
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

    /// The terms in the middle of the image.
    #[must_use]
    pub fn middle(&self) -> LocalTerms {
        self.sum(&IN_THE_MIDDLE, &self.solution.values)
    }

    /// Errors of the terms in the middle of the image.
    #[must_use]
    pub fn middle_errors(&self) -> LocalTerms {
        self.sum(&IN_THE_MIDDLE, &self.solution.errors)
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

    /// The prediction with the calibration applied. Within 2 px of a value that is not finite, only
    /// flux and background are applied.
    ///
    /// # Panics
    ///
    /// If the prediction has another shape than the fitted images.
    #[must_use]
    pub fn apply(&self, prediction: ArrayView2<f32>) -> Array2<f32> {
        assert_eq!(prediction.dim(), self.coordinates.shape, "the shape of the fitted images");
        let cols = prediction.ncols();
        let mut out = Array2::zeros(prediction.dim());
        let pixels = out.as_slice_mut().expect("a new plane is contiguous");
        pixels.par_chunks_mut(cols.max(1)).enumerate().for_each(|(y, row)| {
            for (x, out) in row.iter_mut().enumerate() {
                let terms = self.at(y as f64, x as f64);
                let value = prediction[[y, x]];
                let local = Local::at(&prediction, y, x).unwrap_or(Local { value, ..Local::default() });
                *out = corrected(&local, &terms);
            }
        });
        out
    }
}

/// The prediction at a pixel, corrected.
fn corrected(local: &Local, terms: &LocalTerms) -> f32 {
    let PixelShift { dy, dx } = terms.displacement;
    let [size, e1, e2] = terms.moments;
    let d = |v: f32| f64::from(v);
    let change = d(local.value) * terms.flux - dy * d(local.by_y) - dx * d(local.by_x)
        + 0.5 * (size + e1 + dx * dx) * d(local.by_xx)
        + 0.5 * (size - e1 + dy * dy) * d(local.by_yy)
        + (e2 + dx * dy) * d(local.by_xy)
        + terms.background;
    (d(local.value) + change) as f32
}
