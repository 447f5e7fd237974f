//! Tests of what goes through files.

mod damaged;
mod headers;
mod reading;
mod real_files;
mod support;
mod writing;
