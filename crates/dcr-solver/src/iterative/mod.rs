//! The iterative solver: docs/algorithm.md §5 to §8, after DMTN-037.
//!
//! Residuals of the visits from their predictions are displaced back and averaged, and the model
//! takes a step in that direction, clamped to a sensible range. This is a damped Landweber
//! iteration: the result depends a little on when it stops.

mod config;
mod coverage;
mod gain;
mod leaks;
mod models;
#[cfg(test)]
mod pass_tests;
mod planes;
mod problem;
mod project;
pub mod regularize;
mod residual;
mod solve;
mod state;
mod tile;
mod tiling;
mod untiled;
mod update;
pub mod weights;

pub use config::{ConfigError, Edge, FrequencyClamp, Gain, Interpolation, IterationClamp, IterativeConfig};
pub use coverage::Coverage;
pub use gain::{base_gain, next_gain};
pub use planes::{ForwardPlanes, forward_support, predict, predict_fourier};
pub use problem::{IterationReport, Outcome, Problem, Progress, Solution, SolveError, SolveReport};
pub use solve::{rough_model, solve, solve_regions, solve_regions_from};
