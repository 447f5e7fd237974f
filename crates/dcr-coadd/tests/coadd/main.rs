//! Whole runs through the public API.

mod bad_input;
mod field;
mod golden;
mod grids;
mod noise;
mod runs;
mod shared;
mod sky;
mod tolerance;
