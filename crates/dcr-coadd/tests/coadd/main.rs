//! Whole runs through the public API.

mod bad_input;
mod field;
mod golden;
mod noise;
mod runs;
mod shared;
mod tolerance;
