//! dcr-solver
