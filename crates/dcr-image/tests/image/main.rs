//! Tests of what goes through files.

mod headers;
mod planes;
mod reading;
mod real_files;
mod support;
mod writing;
