//! Straight lines of light: candidates by a Hough transform, and the band of pixels each covers.

pub mod band;
pub mod hough;
