//! Whole runs through the public API.

mod accuracy;
mod artefacts;
mod bad_input;
mod differences;
mod field;
mod glitches;
mod golden;
mod grids;
mod in_memory;
mod joint;
mod matched_warps;
mod measured_psfs;
mod no_data;
mod noise;
mod parts;
mod products;
mod psf;
mod runs;
mod scales;
mod sense;
mod shared;
mod sky;
mod streak_shapes;
mod streaks;
mod tolerance;
mod variables;
