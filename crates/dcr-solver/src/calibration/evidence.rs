//! Normal equations of a calibration, and the choice of the polynomials' orders.

use super::coefficients::{Column, Solution};
use super::terms::{CalibrationOrders, Priors, Term};
use crate::linalg::cholesky::{cholesky, solve_triangles, triangle};

/// Minimum gain in log evidence for a higher order.
const WORTHWHILE: f64 = 2.0;

/// Normal equations for all columns of the highest orders.
#[derive(Clone, Debug)]
pub(crate) struct Equations {
    pub(crate) columns: Vec<Column>,
    /// Lower triangle, row by row.
    pub(crate) matrix: Vec<f64>,
    pub(crate) right_side: Vec<f64>,
    /// Sum of weighted squares of the residuals.
    pub(crate) squares: f64,
    /// Sum of the robust weights.
    pub(crate) weight: f64,
}

impl Equations {
    pub(crate) fn new(columns: &[Column]) -> Self {
        let n = columns.len();
        Self {
            columns: columns.to_vec(),
            matrix: vec![0.0; triangle(n)],
            right_side: vec![0.0; n],
            squares: 0.0,
            weight: 0.0,
        }
    }

    /// Adds a pixel: its columns and residual, both in units of its error. Columns beyond those
    /// given are 0.
    pub(crate) fn add_pixel(&mut self, values: &[f64], residual: f64, weight: f64) {
        for (i, value) in values.iter().enumerate() {
            let weighted = weight * value;
            self.right_side[i] += weighted * residual;
            let row = &mut self.matrix[triangle(i)..][..=i];
            row.iter_mut().zip(values).for_each(|(m, other)| *m += weighted * other);
        }
        self.squares += weight * residual * residual;
        self.weight += weight;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.matrix.iter_mut().zip(&other.matrix).for_each(|(a, b)| *a += b);
        self.right_side.iter_mut().zip(&other.right_side).for_each(|(a, b)| *a += b);
        self.squares += other.squares;
        self.weight += other.weight;
    }

    /// Solution and log evidence, relative to no calibration, of the columns that `chosen` accepts;
    /// other coefficients are 0. Pixels are taken to be `noise` times as uncertain as stated.
    fn solve(&self, chosen: impl Fn(&Column) -> bool, priors: &Priors, noise: f64) -> (Solution, f64) {
        let wanted: Vec<usize> = (0..self.columns.len()).filter(|i| chosen(&self.columns[*i])).collect();
        let scale: Vec<f64> =
            wanted.iter().map(|i| priors.scale(self.columns[*i].term, self.columns[*i].order())).collect();
        // In units of the prior scales: 1 + SAS, whose eigenvalues are at least 1.
        let mut lower = Vec::with_capacity(triangle(wanted.len()));
        for (i, (a, scale_a)) in wanted.iter().zip(&scale).enumerate() {
            for (b, scale_b) in wanted[..=i].iter().zip(&scale) {
                let value = self.matrix[triangle(*a) + b] * scale_a * scale_b / (noise * noise);
                lower.push(value + f64::from(u8::from(a == b)));
            }
        }
        let factor = cholesky(&lower);
        let right: Vec<f64> =
            wanted.iter().zip(&scale).map(|(i, s)| self.right_side[*i] * s / (noise * noise)).collect();
        let mut values = right.clone();
        solve_triangles(&factor, &mut values);
        let fit: f64 = right.iter().zip(&values).map(|(a, b)| a * b).sum();
        let volume: f64 = (0..wanted.len()).map(|i| factor[triangle(i) + i].ln()).sum();
        let error = |i: usize| {
            let mut unit = vec![0.0; wanted.len()];
            unit[i] = 1.0;
            solve_triangles(&factor, &mut unit);
            unit[i].max(0.0).sqrt() * scale[i]
        };
        let mut solution =
            Solution { values: vec![0.0; self.columns.len()], errors: vec![0.0; self.columns.len()] };
        for (i, column) in wanted.iter().enumerate() {
            (solution.values[*column], solution.errors[*column]) = (values[i] * scale[i], error(i));
        }
        (solution, 0.5 * fit - volume)
    }

    /// The solution of all columns.
    pub(crate) fn solution(&self, priors: &Priors) -> Vec<f64> {
        self.solve(|_| true, priors, 1.0).0.values
    }

    /// Scatter of the residuals of a solution over the stated noise, at least 1.
    fn noise(&self, priors: &Priors) -> f64 {
        let values = self.solution(priors);
        let explained: f64 = values.iter().zip(&self.right_side).map(|(v, r)| v * r).sum();
        let free = (self.weight - values.len() as f64).max(1.0);
        ((self.squares - explained) / free).max(1.0).sqrt()
    }
}

/// The orders of highest evidence, found by raising one term's at a time, and their solution.
pub(crate) fn choose(
    equations: &Equations,
    limits: &CalibrationOrders,
    priors: &Priors,
) -> (CalibrationOrders, Solution) {
    let noise = equations.noise(priors);
    let of = |orders: &CalibrationOrders| {
        let within = |column: &Column| orders.get(column.term).is_some_and(|o| column.order() <= o);
        equations.solve(within, priors, noise)
    };
    let mut orders = CalibrationOrders::NONE;
    let (mut best, mut evidence) = of(&orders);
    loop {
        // A registered exposure has no mean displacement, but it can have a varying one: orders are
        // not raised one by one.
        let raised = Term::ALL.iter().flat_map(|(term, _)| raised(&orders, limits, *term));
        let raised = raised.map(|orders| (orders, of(&orders)));
        let Some((next, (solution, found))) = raised.max_by(|a, b| a.1.1.total_cmp(&b.1.1)) else { break };
        if found < evidence + WORTHWHILE {
            break;
        }
        (orders, best, evidence) = (next, solution, found);
    }
    (orders, best)
}

/// The orders with that of one term raised, by any number up to its limit.
fn raised(
    orders: &CalibrationOrders,
    limits: &CalibrationOrders,
    term: Term,
) -> impl Iterator<Item = CalibrationOrders> {
    let first = orders.get(term).map_or(0, |order| order + 1);
    let end = limits.get(term).map_or(0, |limit| limit + 1);
    let orders = *orders;
    (first..end).map(move |next| match term {
        Term::Background => CalibrationOrders { background: Some(next), ..orders },
        Term::Flux => CalibrationOrders { flux: Some(next), ..orders },
        Term::Displacement => CalibrationOrders { displacement: Some(next), ..orders },
        Term::Moments => CalibrationOrders { moments: Some(next), ..orders },
    })
}
