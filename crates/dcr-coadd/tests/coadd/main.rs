//! Whole runs through the public API.

mod accuracy;
mod artefacts;
mod bad_input;
mod differences;
mod field;
mod glitches;
mod golden;
mod grids;
mod joint;
mod matched_warps;
mod noise;
mod products;
mod psf;
mod runs;
mod sense;
mod shared;
mod sky;
mod streak_shapes;
mod streaks;
mod tolerance;
mod variables;
