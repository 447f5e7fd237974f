//! Tests of what goes through files.

mod contradictions;
mod damaged;
mod headers;
mod joining;
mod needs_shared;
mod no_data;
mod planes;
mod reading;
mod scales;
mod support;
mod wcs_cards;
mod writing;
