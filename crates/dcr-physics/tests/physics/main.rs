//! Tests of the crate from outside, one module per subject.

mod ray;
mod refraction;
mod shared;
mod tolerance;
