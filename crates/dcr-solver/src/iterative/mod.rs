//! The iterative solver: ALGORITHM §5 to §8, after DMTN-037.
//!
//! The visits are compared with what the model predicts for them, the residuals are displaced back and averaged, and the
//! model takes a step that way, reined in where it would leave what is sensible. It is a damped Landweber iteration:
//! what it finds depends a little on when it stops.

mod config;
mod coverage;
mod gain;
mod leaks;
mod models;
#[cfg(test)]
mod pass_tests;
mod planes;
mod project;
pub mod regularize;
mod residual;
mod solve;
mod state;
mod tile;
mod untiled;
mod update;
pub mod weights;

pub use config::{ConfigError, Edge, FrequencyClamp, Gain, Interpolation, IterationClamp, IterativeConfig};
pub use coverage::Coverage;
pub use gain::{base_gain, next_gain};
pub use planes::{ForwardPlanes, forward_support, predict, predict_fourier};
pub use solve::{
    IterationReport, Outcome, Problem, Progress, Solution, SolveError, SolveReport, rough_model, solve,
    solve_regions, solve_regions_from,
};
