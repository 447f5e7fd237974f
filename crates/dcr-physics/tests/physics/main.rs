//! Tests of the crate from outside, one module per subject.

mod dispersion;
mod geometry;
mod inputs;
mod ray;
mod refraction;
mod tolerance;
