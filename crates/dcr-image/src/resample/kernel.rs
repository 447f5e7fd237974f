//! Tabulated interpolation kernels.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

/// Number of subpixel phases in the table. Linear interpolation between them is accurate to 1e-6.
const PHASES: usize = 1024;

/// Interpolation kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WarpKernel {
    /// Bilinear: blurs, but does not ring.
    Bilinear,
    /// sinc(x) sinc(x/3), 6 × 6 pixels.
    #[default]
    Lanczos3,
    /// sinc(x) sinc(x/4), 8 × 8 pixels.
    Lanczos4,
    /// sinc(x) sinc(x/5), 10 × 10 pixels: the most accurate for sharp stars, with the widest loss
    /// around holes.
    Lanczos5,
}

impl WarpKernel {
    /// Radius of the kernel in px.
    #[must_use]
    pub const fn reach(self) -> usize {
        match self {
            Self::Bilinear => 1,
            Self::Lanczos3 => 3,
            Self::Lanczos4 => 4,
            Self::Lanczos5 => 5,
        }
    }

    /// The kernel at a distance in px, not normalised.
    fn at(self, x: f64) -> f64 {
        let reach = self.reach() as f64;
        match self {
            _ if x.abs() >= reach => 0.0,
            Self::Bilinear => 1.0 - x.abs(),
            // At integers the sine is zero only to rounding.
            _ if x.fract() == 0.0 => f64::from(u8::from(x == 0.0)),
            _ => {
                let (a, b) = (PI * x, PI * x / reach);
                a.sin() / a * b.sin() / b
            }
        }
    }
}

/// Weights for each subpixel phase.
#[derive(Clone, Debug)]
pub(super) struct WeightTable {
    reach: usize,
    /// `PHASES + 1` rows of `2 reach` weights of sum 1.
    rows: Vec<f32>,
}

impl WeightTable {
    /// The table of a kernel stretched by a factor of at least 1.
    pub(super) fn new(kernel: WarpKernel, stretch: f64) -> Self {
        let reach = (kernel.reach() as f64 * stretch).ceil() as usize;
        let mut rows = Vec::with_capacity((PHASES + 1) * 2 * reach);
        for phase in 0..=PHASES {
            let fraction = phase as f64 / PHASES as f64;
            let weights: Vec<f64> = (0..2 * reach)
                .map(|tap| kernel.at((tap as f64 + 1.0 - reach as f64 - fraction) / stretch))
                .collect();
            let sum: f64 = weights.iter().sum();
            rows.extend(weights.iter().map(|weight| (weight / sum) as f32));
        }
        Self { reach, rows }
    }

    /// Half the number of taps.
    pub(super) const fn reach(&self) -> usize {
        self.reach
    }
}

/// Kernel weights about one coordinate.
#[derive(Clone, Debug)]
pub(super) struct Taps<'a> {
    table: &'a WeightTable,
    pub(super) weights: Vec<f32>,
}

/// Location of the weights.
#[derive(Clone, Copy, Debug)]
pub(super) struct TapPlace {
    /// The pixel before the coordinate.
    pub(super) base: i64,
    /// The pixel of the first weight.
    pub(super) first: i64,
}

impl<'a> Taps<'a> {
    pub(super) fn new(table: &'a WeightTable) -> Self {
        Self { table, weights: vec![0.0; 2 * table.reach] }
    }

    /// Sets the weights for a coordinate.
    pub(super) fn centre_on(&mut self, coordinate: f64) -> TapPlace {
        let base = coordinate.floor();
        let phase = (coordinate - base) * PHASES as f64;
        let row = (phase as usize).min(PHASES - 1);
        let part = (phase - row as f64) as f32;
        let taps = self.weights.len();
        let (low, high) = self.table.rows[row * taps..(row + 2) * taps].split_at(taps);
        for ((weight, low), high) in self.weights.iter_mut().zip(low).zip(high) {
            *weight = low + part * (high - low);
        }
        let base = base as i64;
        TapPlace { base, first: base + 1 - self.table.reach as i64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Weights from the table against the formula: linear interpolation between 1024 phases, in
    /// `f32`.
    const TABLE: f64 = 2e-6;

    #[test]
    fn weights_are_those_of_the_formula_and_add_up_to_one() {
        for kernel in [WarpKernel::Bilinear, WarpKernel::Lanczos3, WarpKernel::Lanczos4, WarpKernel::Lanczos5]
        {
            let table = WeightTable::new(kernel, 1.0);
            let mut taps = Taps::new(&table);
            for i in 0..997 {
                let coordinate = 20.0 + f64::from(i) / 997.0;
                let place = taps.centre_on(coordinate);
                let exact: Vec<f64> = (0..taps.weights.len())
                    .map(|k| kernel.at(coordinate - (place.first + k as i64) as f64))
                    .collect();
                let sum: f64 = exact.iter().sum();
                assert!((sum - 1.0).abs() < 0.015, "{kernel:?} {sum}");
                for (weight, exact) in taps.weights.iter().zip(&exact) {
                    assert!((f64::from(*weight) - exact / sum).abs() < TABLE, "{kernel:?} {weight} {exact}");
                }
            }
        }
    }

    #[test]
    fn weights_on_a_pixel_are_that_pixel() {
        for kernel in [WarpKernel::Bilinear, WarpKernel::Lanczos3, WarpKernel::Lanczos5] {
            let table = WeightTable::new(kernel, 1.0);
            let mut taps = Taps::new(&table);
            let place = taps.centre_on(-3.0);
            for (k, weight) in taps.weights.iter().enumerate() {
                let expected = if place.first + k as i64 == -3 { 1.0 } else { 0.0 };
                assert_eq!(*weight, expected);
            }
        }
    }
}
