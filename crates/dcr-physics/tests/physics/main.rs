//! Tests of the crate from outside, one module per subject.

mod dispersion;
mod geometry;
mod ray;
mod refraction;
mod shared;
mod tolerance;
