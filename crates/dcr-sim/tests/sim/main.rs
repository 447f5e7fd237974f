//! Synthetic fields: drawing, content of exposures, and metadata.

mod drawing;
mod exposures;
mod geometry;
