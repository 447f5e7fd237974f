//! Whole runs through the public API.

mod golden;
mod shared;
mod tolerance;
