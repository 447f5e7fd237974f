//! Synthetic fields: what is drawn, what an exposure carries, and its circumstances.

mod drawing;
mod exposures;
mod geometry;
