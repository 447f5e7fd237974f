//! Tests of what goes through files.

mod headers;
mod joining;
mod no_data;
mod reading;
mod real_files;
mod support;
mod writing;
