//! dcr-sim
