// Links of the README lead to docs.rs; in this documentation they lead to the items.
//! [`Planner32`]: crate::Planner32
//! [`Planner64`]: crate::Planner64
#![doc = include_str!("../README.md")]

use std::sync::Arc;

pub use realfft::{ComplexToReal, RealToComplex};
pub use rustfft::{Fft, num_complex};

/// Planner for single precision. The transforms of one planner share twiddle factors.
pub struct Planner32(rustfft::FftPlanner<f32>);

impl Planner32 {
    /// A planner for the instruction set of this machine.
    #[must_use]
    pub fn new() -> Self {
        Self(rustfft::FftPlanner::new())
    }

    /// The forward transform of `length` complex numbers, not normalised.
    pub fn forward(&mut self, length: usize) -> Arc<dyn Fft<f32>> {
        self.0.plan_fft_forward(length)
    }

    /// The inverse transform of `length` complex numbers, not normalised.
    pub fn inverse(&mut self, length: usize) -> Arc<dyn Fft<f32>> {
        self.0.plan_fft_inverse(length)
    }
}

impl Default for Planner32 {
    fn default() -> Self {
        Self::new()
    }
}

/// Planner for double precision. The transforms of one planner share twiddle factors.
pub struct Planner64 {
    complex: rustfft::FftPlanner<f64>,
    real: realfft::RealFftPlanner<f64>,
}

impl Planner64 {
    /// A planner for the instruction set of this machine.
    #[must_use]
    pub fn new() -> Self {
        Self { complex: rustfft::FftPlanner::new(), real: realfft::RealFftPlanner::new() }
    }

    /// The forward transform of `length` complex numbers, not normalised.
    pub fn forward(&mut self, length: usize) -> Arc<dyn Fft<f64>> {
        self.complex.plan_fft_forward(length)
    }

    /// The inverse transform of `length` complex numbers, not normalised.
    pub fn inverse(&mut self, length: usize) -> Arc<dyn Fft<f64>> {
        self.complex.plan_fft_inverse(length)
    }

    /// The forward transform of `length` real numbers to `length / 2 + 1` complex ones.
    pub fn real_forward(&mut self, length: usize) -> Arc<dyn RealToComplex<f64>> {
        self.real.plan_fft_forward(length)
    }

    /// The inverse of [`Self::real_forward`] with the same `length`, not normalised.
    pub fn real_inverse(&mut self, length: usize) -> Arc<dyn ComplexToReal<f64>> {
        self.real.plan_fft_inverse(length)
    }
}

impl Default for Planner64 {
    fn default() -> Self {
        Self::new()
    }
}
